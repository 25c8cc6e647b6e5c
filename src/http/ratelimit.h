/*
 * ratelimit.h - what is known about each client address: open connections and a token bucket.
 * Private to src/http. Thread-safe.
 *
 * The table is bounded: when it is full the address that was quiet longest and has no connection is
 * forgotten, which gives it a full bucket again. IPv6 clients are counted by their /64, because a
 * household or an attacker owns at least that many addresses.
 */
#ifndef HTTP_RATELIMIT_H
#define HTTP_RATELIMIT_H

#include "core/str.h"
#include <sys/socket.h>

struct client_key {
    unsigned char b[16];
};

struct client_key client_key_of(const struct sockaddr *addr);
/* The key of an address in text; false when it is none. */
bool client_key_parse(struct str text, struct client_key *key);

struct ratelimit;

/* rate_per_s 0: no limit; per_client 0: no limit on connections. */
struct ratelimit *ratelimit_new(size_t capacity, int64_t rate_per_s, int64_t burst,
                                int64_t per_client);
void ratelimit_free(struct ratelimit *r);

bool ratelimit_may_connect(struct ratelimit *r, const struct client_key *key);
void ratelimit_connected(struct ratelimit *r, const struct client_key *key);
void ratelimit_disconnected(struct ratelimit *r, const struct client_key *key);

/* One request at steady time now; 0 when it may go on, else the seconds to wait. */
int64_t ratelimit_take(struct ratelimit *r, const struct client_key *key, int64_t now);

#endif
