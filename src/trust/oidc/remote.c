/*
 * JWKS that clients keep at their own addresses (jwks_uri). Read on pool threads by the HTTP client
 * of the city, which refuses private addresses, foreign redirects and slow or large answers. Kept
 * for oidc.jwks_s; a key that is not among them makes us look again, but not more often than every
 * REMOTE_PAUSE_S for one address, whoever asks.
 */
#include "core/log.h"
#include "core/map.h"
#include "oidc_impl.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { REMOTE_PAUSE_S = 30, REMOTE_MAX = 1024, REMOTE_BYTES = 65536, REMOTE_MS = 3000 };

struct remote {
    char *url, *text; /* text NULL: not read, or not to be read */
    size_t text_n;
    int64_t read, tried; /* instants */
};

struct remote_keys {
    struct oidc *o;
    pthread_mutex_t lock;
    struct map all; /* by url: as many as clients ever had */
};

struct remote_keys *remote_open(struct oidc *o)
{
    struct remote_keys *r = calloc(1, sizeof(*r));
    if (!r)
        abort();
    r->o = o;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void remote_close(struct remote_keys *r)
{
    struct map_iter it = {0};
    if (!r)
        return;
    while (map_next(&r->all, &it)) {
        struct remote *one = it.value;
        free(one->url);
        free(one->text);
        free(one);
    }
    map_release(&r->all);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

static char *copy(struct str s)
{
    char *p = malloc(s.n + 1);
    if (!p)
        abort();
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

/* Under the lock; NULL when there are too many. */
static struct remote *need(struct remote_keys *r, struct str url)
{
    struct remote *one = map_get(&r->all, url);
    if (one || r->all.n >= REMOTE_MAX)
        return one;
    one = calloc(1, sizeof(*one));
    if (!one)
        abort();
    one->url = copy(url);
    one->tried = INT64_MIN;
    map_put(&r->all, str_n(one->url, url.n), one);
    return one;
}

struct str remote_known(struct remote_keys *r, struct arena *a, struct str url, int64_t now)
{
    struct str text = STR_NONE;
    pthread_mutex_lock(&r->lock);
    const struct remote *one = map_get(&r->all, url);
    if (one && one->text && now - one->read < r->o->options->jwks_s * SECOND_US)
        text = str_dup(a, str_n(one->text, one->text_n));
    pthread_mutex_unlock(&r->lock);
    return text;
}

bool remote_due(struct remote_keys *r, struct str url, int64_t now)
{
    pthread_mutex_lock(&r->lock);
    struct remote *one = need(r, url);
    bool due = one && (one->tried == INT64_MIN || now - one->tried >= REMOTE_PAUSE_S * SECOND_US);
    if (due)
        one->tried = now;
    pthread_mutex_unlock(&r->lock);
    return due;
}

void remote_fetch(struct remote_keys *r, struct str url)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct client_answer answer = {0};
    struct http_header accept = {S("Accept"), S("application/jwk-set+json, application/json")};
    struct client_request q = {.url = url,
                               .headers = &accept,
                               .n_headers = 1,
                               .timeout_ms = REMOTE_MS,
                               .response_bytes = REMOTE_BYTES};
    enum err err = client_fetch(r->o->trust->client, &a, &q, &answer, &e);
    bool good = !err && answer.status == 200 && json_parse(&a, answer.body, &JSON_DEFAULT, &e);
    if (!good)
        log_event(LOG_WARN, "oidc.jwks_uri", LOG_I("status", answer.status),
                  LOG_Z("error", e.text));
    pthread_mutex_lock(&r->lock);
    struct remote *one = need(r, url);
    if (good && one) {
        free(one->text);
        one->text = copy(answer.body);
        one->text_n = answer.body.n;
        one->read = clock_now(r->o->trust->clock);
    }
    pthread_mutex_unlock(&r->lock);
    arena_release(&a);
}
