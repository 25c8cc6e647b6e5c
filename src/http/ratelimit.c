#include "ratelimit.h"

#include "core/clock.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Entries are numbered from 1; 0 is "none" in every link. */
struct entry {
    struct client_key key;
    uint32_t chain;        /* next of the same bucket */
    uint32_t older, newer; /* by last use */
    uint32_t connections;
    int64_t tokens; /* millionths of a request */
    int64_t at;     /* steady time of tokens */
};

struct ratelimit {
    pthread_mutex_t lock;
    int64_t rate, burst, per_client;
    struct entry *entries; /* [1..capacity] */
    uint32_t *buckets;
    uint32_t capacity, used, mask;
    uint32_t oldest, newest;
};

struct client_key client_key_of(const struct sockaddr *addr)
{
    struct client_key key = {{0}};
    if (addr->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, addr, sizeof(in));
        key.b[10] = key.b[11] = 0xFF;
        memcpy(key.b + 12, &in.sin_addr, 4);
    } else if (addr->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, addr, sizeof(in6));
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
        memcpy(key.b, &in6.sin6_addr, mapped ? 16 : 8);
    }
    return key;
}

bool client_key_parse(struct str text, struct client_key *key)
{
    char z[INET6_ADDRSTRLEN];
    struct sockaddr_in in = {.sin_family = AF_INET};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
    if (text.n == 0 || text.n >= sizeof(z))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    if (inet_pton(AF_INET, z, &in.sin_addr) == 1)
        *key = client_key_of((const struct sockaddr *)&in);
    else if (inet_pton(AF_INET6, z, &in6.sin6_addr) == 1)
        *key = client_key_of((const struct sockaddr *)&in6);
    else
        return false;
    return true;
}

struct ratelimit *ratelimit_new(size_t capacity, int64_t rate_per_s, int64_t burst,
                                int64_t per_client)
{
    struct ratelimit *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    uint32_t buckets = 16;
    while (buckets < capacity)
        buckets *= 2;
    r->capacity = buckets;
    r->mask = buckets - 1;
    r->rate = rate_per_s;
    r->burst = burst > 0 ? burst : 1;
    r->per_client = per_client;
    r->entries = calloc((size_t)buckets + 1, sizeof(*r->entries));
    r->buckets = calloc(buckets, sizeof(*r->buckets));
    if (!r->entries || !r->buckets)
        abort();
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void ratelimit_free(struct ratelimit *r)
{
    if (!r)
        return;
    pthread_mutex_destroy(&r->lock);
    free(r->entries);
    free(r->buckets);
    free(r);
}

static uint32_t *bucket_of(struct ratelimit *r, const struct client_key *key)
{
    return &r->buckets[str_hash(str_n((const char *)key->b, sizeof(key->b))) & r->mask];
}

static uint32_t find(struct ratelimit *r, const struct client_key *key)
{
    uint32_t i = *bucket_of(r, key);
    while (i && memcmp(r->entries[i].key.b, key->b, sizeof(key->b)) != 0)
        i = r->entries[i].chain;
    return i;
}

static void age_unlink(struct ratelimit *r, uint32_t i)
{
    struct entry *e = &r->entries[i];
    *(e->older ? &r->entries[e->older].newer : &r->oldest) = e->newer;
    *(e->newer ? &r->entries[e->newer].older : &r->newest) = e->older;
}

static void age_newest(struct ratelimit *r, uint32_t i)
{
    struct entry *e = &r->entries[i];
    e->older = r->newest;
    e->newer = 0;
    *(r->newest ? &r->entries[r->newest].newer : &r->oldest) = i;
    r->newest = i;
}

/* Forget the quietest address without a connection; 0 when all have one. */
static uint32_t evict(struct ratelimit *r)
{
    uint32_t i = r->oldest;
    while (i && r->entries[i].connections)
        i = r->entries[i].newer;
    if (!i)
        return 0;
    age_unlink(r, i);
    uint32_t *link = bucket_of(r, &r->entries[i].key);
    while (*link != i)
        link = &r->entries[*link].chain;
    *link = r->entries[i].chain;
    return i;
}

/* The entry of a key, made with a full bucket when there is none; 0 when the table is full. */
static uint32_t take_entry(struct ratelimit *r, const struct client_key *key)
{
    uint32_t i = find(r, key);
    if (i) {
        age_unlink(r, i);
        age_newest(r, i);
        return i;
    }
    i = r->used < r->capacity ? ++r->used : evict(r);
    if (!i)
        return 0;
    uint32_t *bucket = bucket_of(r, key);
    r->entries[i] = (struct entry){.key = *key, .chain = *bucket, .tokens = r->burst * SECOND_US};
    *bucket = i;
    age_newest(r, i);
    return i;
}

bool ratelimit_may_connect(struct ratelimit *r, const struct client_key *key)
{
    if (r->per_client <= 0)
        return true;
    pthread_mutex_lock(&r->lock);
    uint32_t i = find(r, key);
    bool may = !i || r->entries[i].connections < r->per_client;
    pthread_mutex_unlock(&r->lock);
    return may;
}

void ratelimit_connected(struct ratelimit *r, const struct client_key *key)
{
    pthread_mutex_lock(&r->lock);
    uint32_t i = take_entry(r, key);
    if (i)
        r->entries[i].connections++;
    pthread_mutex_unlock(&r->lock);
}

void ratelimit_disconnected(struct ratelimit *r, const struct client_key *key)
{
    pthread_mutex_lock(&r->lock);
    uint32_t i = find(r, key);
    if (i && r->entries[i].connections)
        r->entries[i].connections--;
    pthread_mutex_unlock(&r->lock);
}

int64_t ratelimit_take(struct ratelimit *r, const struct client_key *key, int64_t now)
{
    if (r->rate <= 0)
        return 0;
    int64_t wait = 0;
    pthread_mutex_lock(&r->lock);
    uint32_t i = take_entry(r, key);
    if (i) {
        struct entry *e = &r->entries[i];
        int64_t full = r->burst * SECOND_US, passed = e->at ? now - e->at : 0;
        /* A pause long enough to fill the bucket needs no multiplication, which might overflow. */
        if (passed >= full / r->rate + 1)
            e->tokens = full;
        else if (passed > 0 && (e->tokens += passed * r->rate) > full)
            e->tokens = full;
        e->at = now;
        if (e->tokens >= SECOND_US)
            e->tokens -= SECOND_US;
        else
            wait = (SECOND_US - e->tokens - 1) / (r->rate * SECOND_US) + 1;
    }
    pthread_mutex_unlock(&r->lock);
    return wait;
}
