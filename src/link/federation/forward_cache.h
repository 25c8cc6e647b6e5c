/*
 * forward_cache.h - answers of context sources that are kept for management.cacheDuration (clause
 * 5.2.34): within that time the same question to the same source is answered from here and the
 * source is not asked. Private to link.
 *
 * A question is the same when everything that is sent is the same, headers of the client that are
 * passed on included: what a source said to one client is never told to another with other proofs.
 * Answers of success and 404 are kept, up to link.forward_cache bytes; the oldest go first. A write
 * to the source forgets what it said before. Any thread.
 */
#ifndef LINK_FORWARD_CACHE_H
#define LINK_FORWARD_CACHE_H

#include "forward.h"

struct forward_cache;
struct forward_cache *forward_cache_new(int64_t bytes); /* 0: nothing is kept */
void forward_cache_free(struct forward_cache *x);

/* Everything that is asked, put together. */
struct str forward_cache_key(struct arena *a, const struct registration *reg,
                             const struct client_request *r);
/* May the answer be kept: it is a question of clause 5.7? */
bool forward_cache_suits(const struct forward *f);
/* The answer into f, its texts in the arena; false: there is none, or it is too old at now (steady
 * clock). */
bool forward_cache_get(struct forward_cache *x, struct arena *a, struct str key, int64_t now,
                       struct forward *f);
void forward_cache_put(struct forward_cache *x, struct str key, int64_t now,
                       const struct forward *f);
/* Of a registration. */
void forward_cache_forget(struct forward_cache *x, const struct registration *reg);

#endif
