/*
 * body.h - the body of a request as it comes in. Private to src/http.
 *
 * Small bodies whose length is declared are read straight into the arena, others into a growing
 * heap block (never more memory than has really arrived, rounded up), and long ones of routes with
 * ROUTE_BIG_BODY into an unlinked file that is mapped when it is complete.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "exchange.h"

/* Prepare for a body of at most limit bytes; spool: directory for long ones, NULL: keep all in
 * memory. declared: Content-Length, or -1. */
void body_expect(struct body *b, struct arena *a, size_t limit, int64_t declared,
                 const char *spool);
/* ERR_TOO_LARGE past the limit, ERR_IO when the spool file cannot be written. */
enum err body_add(struct body *b, const char *p, size_t n);
/* All is there: its bytes, valid until body_release(). */
enum err body_finish(struct body *b, struct str *out);
void body_release(struct body *b);

#endif
