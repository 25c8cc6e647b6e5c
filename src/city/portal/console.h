/*
 * console.h - the staff's data console: who may use it, its forms, its imports.
 *
 * Invariants:
 *
 *   1. Nothing answers unless console_begin() said so: default deny.
 *   2. A client may enter when it is this machine itself (loopback address, no sign of a proxy, a
 *      loopback Host, so that no other site's name leads here), when its cookie was issued for
 *      the operator's token, or when an account with the role "operator" is signed in with two
 *      factors.
 *   3. Every form carries a token that is bound to the cookie or to the account's session; a POST
 *      without it changes nothing.
 *   4. Cookies are signed with a secret of this process: a restart ends all sessions.
 */
#ifndef PORTAL_CONSOLE_H
#define PORTAL_CONSOLE_H

#include "core/arena.h"
#include "link/access.h"
#include "link/import.h"
#include "portal_impl.h"

enum { CONSOLE_JOBS = 20, CONSOLE_SECRET = 32 };

enum job_state { JOB_RUNNING, JOB_DONE, JOB_REFUSED };

struct import_run {
    int64_t id;
    struct console *console;
    struct arena arena; /* of texts and report */
    struct import_job job;
    struct import_report report; /* readable once the state is not JOB_RUNNING */
    struct error error;
    char *bytes;
    int64_t started, finished;
    enum job_state state;
    atomic_uint_fast64_t rows_done, rows_total;
};

struct console {
    struct portal *portal;
    unsigned char secret[CONSOLE_SECRET];
    pthread_mutex_t lock; /* of everything below */
    pthread_cond_t idle;
    struct import_run *jobs[CONSOLE_JOBS]; /* newest first */
    size_t n_jobs, running;
    int64_t last_id;
    int64_t bad_since; /* failed logins are counted in windows of a minute */
    int bad_logins;
};

/* A page of the console; false: answered (login, refusal). section: entry of the side menu. */
bool console_begin(struct page *p, struct portal *portal, struct request *req, struct response *res,
                   const char *section);
/* The token of a form; false: answered with 403. */
bool console_form_ok(struct page *p, struct str token);

/* console_delivery.c */
enum http_answer console_get_subscriptions(struct request *req, struct response *res, void *ctx);
enum http_answer console_get_delivery(struct request *req, struct response *res, void *ctx);
enum http_answer console_post_delivery(struct request *req, struct response *res, void *ctx);
void console_count_subscriptions(struct page *p); /* for the overview */

/* console_nodes.c */
enum http_answer console_get_nodes(struct request *req, struct response *res, void *ctx);
enum http_answer console_post_nodes(struct request *req, struct response *res, void *ctx);

/* console_keys.c */
enum http_answer console_get_keys(struct request *req, struct response *res, void *ctx);
enum http_answer console_post_keys(struct request *req, struct response *res, void *ctx);

/* console_policy.c */
enum http_answer console_get_policy(struct request *req, struct response *res, void *ctx);
enum http_answer console_post_policy(struct request *req, struct response *res, void *ctx);
/* All versions, oldest first, by name; NULL with *e. */
const struct json *console_policies(struct page *p, struct error *e);
/* The member "rules" with what a stored policy (NULL: none) says, in the reader's words. */
void console_write_words(struct page *p, struct str name, const struct json *doc);
/* Names of a list, each as label (NULL: itself) says. */
struct str console_join(struct page *p, const struct json *names,
                        struct str (*label)(struct page *p, struct str name));

/* console_import.c */
enum http_answer console_get_import(struct request *req, struct response *res, void *ctx);
enum http_answer console_post_import(struct request *req, struct response *res, void *ctx);
enum http_answer console_get_job(struct request *req, struct response *res, void *ctx);
enum http_answer console_get_progress(struct request *req, struct response *res, void *ctx);
/* Runs, newest first, as members of an array. */
void console_write_jobs(struct page *p);
void console_free_jobs(struct console *c);

#endif
