/*
 * error.h - how functions say what went wrong.
 *
 * What can fail returns enum err. Where the caller must explain, it also fills a struct error:
 * lower-case text that says what failed and quotes it, without secrets or personal data. The HTTP
 * layer turns an error into problem+json (RFC 9457) or a page in one place; the numbers of the
 * enum are internal and never leave the process.
 *
 *     return error_set(e, ERR_INVALID, "attribute %s: no value", name);
 */
#ifndef CORE_ERROR_H
#define CORE_ERROR_H

#include <stdbool.h>

enum err {
    OK = 0,
    ERR_INVALID,         /* input breaks a rule: 400 */
    ERR_UNAUTHENTICATED, /* nobody is signed in: 401 */
    ERR_FORBIDDEN,       /* known, but not allowed: 403 */
    ERR_NOT_FOUND,       /* 404 */
    ERR_CONFLICT,        /* state does not permit it now: 409 */
    ERR_EXISTS,          /* already there: 409 */
    ERR_PRECONDITION,    /* If-Match and the like: 412 */
    ERR_TOO_LARGE,       /* over a stated limit: 413 */
    ERR_UNSUPPORTED,     /* media type or encoding: 415 */
    ERR_UNPROCESSABLE,   /* understood, but cannot be done: 422 */
    ERR_TOO_MANY,        /* rate limit or quota: 429 */
    ERR_TOO_COMPLEX,     /* would cost more than a limit allows: 403 */
    ERR_TIMEOUT,         /* a deadline passed: 504 */
    ERR_UNAVAILABLE,     /* try again later: 503 with Retry-After */
    ERR_IO,              /* disk, socket or database failed: 500 */
    ERR_CORRUPT,         /* stored data fails its check: 500 */
    ERR_INTERNAL         /* a bug: 500 */
};

struct error {
    enum err code;
    char text[480]; /* NUL-terminated UTF-8, cut when longer */
};

/* Fill *e (may be NULL) and return code, so that it can stand in a return statement. */
enum err error_set(struct error *e, enum err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

const char *err_name(enum err code); /* "invalid", "not found", ... for logs */

#endif
