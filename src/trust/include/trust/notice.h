/*
 * notice.h - what a person is told by the city: their inbox.
 *
 * A notice is a kind ("sign-in", "state", "data-read", ...) and a JSON object that pages put into
 * words in the reader's language. It is sealed under the person's key and goes with it.
 */
#ifndef TRUST_NOTICE_H
#define TRUST_NOTICE_H

#include "trust/trust.h"

enum { NOTICES_MAX = 1000 }; /* of a person; older ones go */

struct notice {
    int64_t id, at;
    struct str kind;
    struct str body; /* JSON object; absent: erased */
    bool seen;
};

/* Inside a change. body: a JSON object. */
enum err notice_add(struct trust *t, struct store_conn *c, int64_t account, struct str kind,
                    struct str body, struct error *e);
/* Newest first; before: ids smaller than this, INT64_MAX from the newest. */
enum err notice_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                     int64_t before, size_t limit, const struct notice **out, size_t *n,
                     struct error *e);
enum err notice_unseen(struct store_conn *c, int64_t account, int64_t *n, struct error *e);
/* Inside a change: all up to this one. */
enum err notice_mark_seen(struct store_conn *c, int64_t account, int64_t up_to, struct error *e);

#endif
