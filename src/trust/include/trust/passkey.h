/*
 * passkey.h - the passkeys of accounts: registering, signing in, names, removal. The checks are
 * webauthn.h's.
 *
 * A challenge is not kept: it carries its time and a mark of the city's key over its purpose and
 * what it is bound to (the browser's cookie), and one that was answered is remembered until it is
 * too old. So asking for one costs nothing, and nothing about an account can be learnt from it.
 *
 * The device must verify its user (fingerprint, face, PIN), at registering and at each sign-in: a
 * passkey stands for both factors, AAL2, and signs in without a name, which browsers do with
 * verification only. AAL3 needs proof that the key cannot leave its device; without attestation
 * there is none, so no passkey is AAL3 here.
 */
#ifndef TRUST_PASSKEY_H
#define TRUST_PASSKEY_H

#include "trust/proof.h"
#include "trust/webauthn.h"

enum { PASSKEY_CHALLENGE_S = 600, PASSKEYS_MAX = 20, PASSKEY_NAME_MAX = 60 };

/* The relying party that this request speaks to: of trust.base_url, else of the request. */
enum err passkey_rp(struct trust *t, struct request *req, struct str name, struct webauthn_rp *out,
                    struct error *e);

struct passkey {
    int64_t id;
    struct str name; /* given by the person */
    int64_t created, used;
    bool backed_up; /* kept by a provider, on several devices */
};
enum err passkey_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      const struct passkey **out, size_t *n, struct error *e);

/* Options for the browser, as an object of w. bound: the browser's cookie. */
enum err passkey_ask_create(struct trust *t, struct store_conn *c, struct arena *a,
                            const struct webauthn_rp *rp, int64_t account, struct str bound,
                            struct json_writer *w, struct error *e);
enum err passkey_ask_get(struct trust *t, struct arena *a, const struct webauthn_rp *rp,
                         struct str bound, struct json_writer *w, struct error *e);

/* The browser's answer. Wait for the store: on a pool thread. ERR_UNAUTHENTICATED, ERR_INVALID,
 * ERR_UNSUPPORTED as webauthn.h; ERR_EXISTS: known already; ERR_TOO_MANY: PASSKEYS_MAX. */
enum err passkey_created(struct trust *t, struct arena *a, const struct webauthn_rp *rp,
                         int64_t account, struct str bound, struct str name,
                         const struct json *answer, struct error *e);
/* Signs in. Always ERR_UNAUTHENTICATED when it is not good, whatever the reason. */
enum err proof_passkey(struct trust *t, struct arena *a, struct request *req,
                       const struct webauthn_rp *rp, struct str bound, const struct json *answer,
                       struct proof_result *out, struct error *e);

/* Inside a change; ERR_NOT_FOUND: not one of theirs. */
enum err passkey_rename(struct trust *t, struct store_conn *c, int64_t account, int64_t id,
                        struct str name, struct error *e);
/* ERR_CONFLICT: it is the last way in. */
enum err passkey_remove(struct trust *t, struct store_conn *c, int64_t account, int64_t id,
                        struct error *e);

#endif
