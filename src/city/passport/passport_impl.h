/*
 * passport_impl.h - what the pages of つくパス share. Invariants:
 *
 *   1. Every page runs through pass_call(): it decides who may be here before the page's own
 *      function runs, on a pool thread, where waiting for the store is allowed.
 *   2. Nothing is changed but by POST, from a page of ours (Origin, Sec-Fetch-Site), with the token
 *      of the session, or before there is one with that of the browser's cookie "visit".
 *   3. Pages answer over TLS, or to this machine itself; never to be stored, never in a frame.
 *   4. An account's number stands in no page. Staff name a person by a reference that is sealed and
 *      opens in their own session only, and that a search with a reason gives.
 *   5. What somebody may see or end is looked up by their own account and the row's number.
 *   6. A password is wiped from the request as soon as it was used.
 */
#ifndef PASSPORT_IMPL_H
#define PASSPORT_IMPL_H

#include "city/page.h"
#include "city/passport.h"
#include "trust/delegation.h"
#include "trust/notice.h"
#include "trust/passkey.h"
#include "trust/vault.h"

enum { FRESH_S = 600, STALE_FORM_S = 900 }; /* how long a proof is new: to open; to send a form */

struct passport {
    struct city city;
};

enum {
    NEED_SIGN_IN = 1,
    NEED_FRESH = 2, /* proved within FRESH_S */
    NEED_STAFF = 4, /* a clerk or administrator, signed in with two factors */
    NEED_ADMIN = 8,
    IS_FORM = 16, /* a POST of a form: checked */
    IS_JSON = 32, /* for scripts: problem+json instead of a redirect */
    IS_GATED = 64 /* hashes a password */
};

/* One request on its way. */
struct call {
    struct page page;
    struct trust *trust;
    struct session session; /* id 0: nobody is signed in */
    struct str visit;       /* the browser's cookie */
    const struct role *roles;
    size_t n_roles;
    int64_t now;
    void (*run)(struct call *c);
    unsigned flags;
};

/* section: entry of the side menu. run answers with the page; it is resumed afterwards. */
enum http_answer pass_call(struct request *req, struct response *res, void *ctx,
                           const char *section, unsigned flags, void (*run)(struct call *c));

bool pass_is(const struct call *c, const char *role);
/* A change with this call as its context; inside it the error's text may name an item. */
enum err pass_write(struct call *c, enum err (*apply)(struct store_conn *, void *, struct error *),
                    void *ctx, struct error *e);
/* A reader; NULL: answered. */
struct store_conn *pass_reader(struct call *c);
/* Back to one of our pages: "my/keys?done=1". */
void pass_go(struct call *c, const char *path);
/* The session has a new secret: its cookie, and on to the page in "to", else one's own. */
void pass_signed_in(struct call *c, const struct proof_result *r, struct str to);
/* "refused": the text of "wrong.WHAT" beside the form; status as for the error. */
void pass_refuse(struct call *c, enum err code, const char *what);
/* What an error of accounts, proofs and delegations is called in "wrong.". */
const char *pass_wrong(const struct error *e);
/* A path of this server that somebody may be led to; absent: it is none. */
struct str safe_path(struct str to);
void pass_json(struct call *c, int status, struct buf *body);
void pass_problem(struct call *c, const struct error *e);

/* --- words --- */

void write_time(struct page *p, const char *key, int64_t at);
/* "Firefox, Windows" of a User-Agent, as far as it can be told. */
struct str device_name(struct arena *a, struct str agent);
struct str text_of(struct page *p, const char *family, const char *name);
void write_person(struct page *p, const struct person *person);
struct person read_person(struct call *c);
bool is_checked(const struct call *c, const char *field);
int64_t int_field(const struct call *c, const char *name);

/* --- routes of the files --- */

extern const struct route sign_in_routes[], my_routes[], ways_routes[], data_routes[],
    people_routes[], desk_routes[];
extern const size_t sign_in_routes_n, my_routes_n, ways_routes_n, data_routes_n, people_routes_n,
    desk_routes_n;

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
