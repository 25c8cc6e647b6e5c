/*
 * proof.h - how people prove who they are: password, authenticator app, recovery codes, and the
 * one-time code that the enrolment desk hands out.
 *
 * Passwords cost a tenth of a second on purpose. So all that hashes runs behind a gate: at most
 * trust.password_parallel at once, trust.password_queue may wait, the others are told to come back
 * (ERR_TOO_MANY).
 *
 * Attempts are counted before they are looked at, for the sign-in name (whether there is such an
 * account or not), for the client's address and for its /64; the counts are in the store. Over the
 * limit each further attempt makes the wait longer, to trust.attempts_lock_max_s. That locks out
 * the password and nothing else: passkeys and the card still work. A wrong name, a wrong password
 * and an account that may not be signed in give the same answer after the same work.
 *
 *     proof_gate(t, run, ctx, e)                       on an HTTP worker; run() on the pool:
 *     proof_password(t, a, req, login, password, &r, e)
 */
#ifndef TRUST_PROOF_H
#define TRUST_PROOF_H

#include "trust/session.h"

/* Run a task that hashes a password, on the pool, when it is its turn. ERR_TOO_MANY: too many wait
 * (Retry-After: PROOF_RETRY_S); run is then not called. */
enum { PROOF_RETRY_S = 5 };
enum err proof_gate(struct trust *t, void (*run)(void *ctx), void *ctx, struct error *e);

/* What an attempt led to. Texts are in the arena. */
struct proof_result {
    struct session session;
    struct str cookie; /* for session_cookie(); absent: not signed in yet */
    struct str ticket; /* a second proof is needed: continue with this, within five minutes */
    int64_t wait_s;    /* with ERR_TOO_MANY */
};

/*
 * Inside a change: this request's browser has proved to be the account: its session is stepped up,
 * or one begun; a session of another account in it ends. req may be NULL.
 */
enum err proof_done(struct trust *t, struct store_conn *c, struct arena *a, struct request *req,
                    int64_t account, unsigned amr, struct proof_result *out, struct error *e);

/* The functions below wait for the store: on a pool thread. */

/* Behind the gate. ERR_UNAUTHENTICATED: no; ERR_TOO_MANY: with wait_s. */
enum err proof_password(struct trust *t, struct arena *a, struct request *req, struct str login,
                        struct str password, struct proof_result *out, struct error *e);
/* A code of the app, or a recovery code, for the ticket that proof_password() gave. The ticket is
 * good for a few attempts. */
enum err proof_second(struct trust *t, struct arena *a, struct request *req, struct str ticket,
                      struct str code, struct proof_result *out, struct error *e);
/* A desk's code: signs in once. ERR_UNAUTHENTICATED: not one, used, or too old. */
enum err proof_code(struct trust *t, struct arena *a, struct request *req, struct str code,
                    struct proof_result *out, struct error *e);

/* --- passwords --- */

enum { PASSWORD_CHARS_MIN = 12 };
enum password_flaw {
    PASSWORD_GOOD,
    PASSWORD_SHORT,    /* fewer than PASSWORD_CHARS_MIN characters */
    PASSWORD_LONG,     /* more than crypto/password.h takes */
    PASSWORD_SIMPLE,   /* few different characters, a row of the keyboard, a sequence, one repeated
                          part */
    PASSWORD_COMMON,   /* made of words that everybody tries first, with digits around them */
    PASSWORD_PERSONAL, /* holds the person's name, address, date of birth or the city's names */
    PASSWORD_FLAWS
};
const char *password_flaw_name(enum password_flaw f); /* "short", ... */
enum password_flaw password_look(struct arena *a, struct str password, const struct person *p);

/* Behind the gate: the text to keep. */
enum err password_make(struct trust *t, struct arena *a, struct str password, struct str *phc,
                       struct error *e);
/* Inside a change: set or replace it (phc absent: remove it, ERR_CONFLICT when it is the last way
 * in). Logged, and the person is told. */
enum err password_set(struct trust *t, struct store_conn *c, int64_t account, struct str phc,
                      struct error *e);

/* --- the authenticator app --- */

/* A new secret, not kept; and the text that an app reads (otpauth://), for a QR code. */
struct str otp_new_secret(struct arena *a);
struct str otp_uri(struct arena *a, struct str secret, struct str issuer, struct str name);
/* Inside a change: keep it, when the code shows that the app has it. ERR_UNAUTHENTICATED: wrong
 * code. */
enum err otp_set(struct trust *t, struct store_conn *c, int64_t account, struct str secret,
                 struct str code, struct error *e);
enum err otp_remove(struct trust *t, struct store_conn *c, int64_t account, struct error *e);
/* Inside a change: new recovery codes in place of all old ones; texts in the arena, shown once. */
enum { RECOVERY_CODES = 10 };
enum err recovery_make(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                       struct str codes[RECOVERY_CODES], struct error *e);

/* What an account can prove itself with. */
struct proof_ways {
    bool password, otp;
    int64_t passkeys, recovery_codes;
};
enum err proof_ways(struct store_conn *c, int64_t account, struct proof_ways *out, struct error *e);

/* Inside a change: a code for the first sign-in or after everything was lost, good for days; older
 * ones are void. by: who hands it out, 0: the command line. */
enum { ENROL_DAYS = 14 };
enum err enrol_code_make(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         int64_t by, struct str *code, struct error *e);

/* Inside a change: count what anybody may do only so often, such as registering: what is the name
 * of the counter. ERR_TOO_MANY with *wait_s. */
enum err proof_count(struct trust *t, struct store_conn *c, const char *what,
                     const struct request *req, int64_t *wait_s, struct error *e);

#endif
