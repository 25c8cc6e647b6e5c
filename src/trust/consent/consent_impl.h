/* consent_impl.h - what the files of consent share. */
#ifndef TRUST_CONSENT_IMPL_H
#define TRUST_CONSENT_IMPL_H

#include "account_impl.h"
#include "trust/consent.h"
#include "trust/oidc.h"

struct consents {
    struct trust *trust;
};

/* --- catalogue_doc.c --- */

bool catalogue_code_ok(struct str s);
bool json_lists(const struct json *list, struct str text);
/* May doc be the next version? old: the last one that was not a removal, or NULL. */
enum err catalogue_check(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                         struct str code, const struct json *old, const struct json *doc,
                         struct error *e);

/* --- catalogue.c --- */

/* The oldest version of a purpose that people may have agreed to. */
#define CONSENTS_FROM "consents_from"

/* --- record.c --- */

enum err recipient_blind(struct trust *t, int64_t account, struct str recipient, struct hash *out,
                         struct error *e);
/* Terms as they are kept. ERR_NOT_FOUND: the person was erased. */
enum err terms_open(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                    struct str sealed, int64_t number, const struct json **out, struct error *e);
struct period terms_period(const struct json *terms);

/* --- the interfaces --- */

/* The body of a request, an object; NULL with *e. */
const struct json *json_body(struct request *req, struct error *e);
/* Never to be kept by anybody; b is released. */
void answer_json(struct request *req, struct response *res, int status, struct buf *b);
enum http_answer answer_error(struct request *req, struct response *res, const struct error *e);

void catalogue_routes(struct consents *s, struct router *r);
void client_consent_routes(struct consents *s, struct router *r);
void own_consent_routes(struct consents *s, struct router *r);

#endif
