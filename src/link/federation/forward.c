/*
 * A group of requests: everything is put together first, in the caller's arena; then all are handed
 * to the client, and from there on the arena belongs to the client's thread, which copies the
 * answers there one after the other. The last answer ends the group.
 *
 * `left` counts the requests that are not settled, and one more while they are being sent.
 */
#include "forward.h"

#include "core/log.h"
#include "crypto/hash.h"
#include "forward_cache.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CONTEXT_LINK ">; rel=\"http://www.w3.org/ns/json-ld#context\"; type=\"application/ld+json\""
#define FROM_REQUEST "urn:ngsi-ld:request"

enum { HOPS_MAX = 32, WARNINGS_MAX = 16, OWN_HEADERS = 8, LATE_MS = 200, ALIAS_BYTES = 9 };

struct group;

struct sending {
    struct group *group;
    struct forward *f;
    struct client_request request;
    struct str key; /* the answer is kept under; absent: it is not */
};

struct group {
    struct link *link;
    struct arena *arena;
    atomic_size_t left;
    void (*done)(void *ctx);
    void *ctx;
    /* forward_all()'s */
    struct api *call;
    struct forward *f;
    size_t n;
    enum http_answer (*then)(struct api *c, struct forward *f, size_t n, void *ctx);
    void *ctx_then;
    struct group *next; /* waits for the pool */
};

struct forwarding {
    struct link *link;
    char alias[128];
    pthread_mutex_t lock;
    pthread_cond_t quiet; /* running became 0 */
    size_t running;       /* groups that are not settled */
    struct group *late;   /* settled while the pool was full */
    struct forward_cache *cache;
};

/* --- who we are --- */

/* Made at random when the store was first used, so that all processes on one store are one. */
static enum err load_alias(struct store_conn *c, void *ctx, struct error *e)
{
    struct forwarding *w = ctx;
    struct arena a = ARENA_INIT;
    struct store_rows r;
    char text[2 * ALIAS_BYTES + 1];
    bool there = false;
    store_query(c, &r, "SELECT value FROM link_note WHERE name = 'alias'", SV_EMPTY);
    if ((there = store_next(&r)))
        snprintf(w->alias, sizeof(w->alias), "%" STR_F, STR_A(store_text(&r, 0)));
    enum err err = store_end(&r, e);
    if (!err && !there) {
        struct str id = random_token(&a, ALIAS_BYTES);
        snprintf(text, sizeof(text), "%" STR_F, STR_A(id));
        snprintf(w->alias, sizeof(w->alias), "marugoto-%s", text);
        err = store_exec(c, "INSERT INTO link_note(name, value) VALUES ('alias', $1)",
                         SV(SV_TEXT(str_c(w->alias))), NULL, e);
    }
    arena_release(&a);
    return err;
}

/* received-by of a Via header: a pseudonym is a token, a host may have a port. */
static bool is_alias(struct str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~:";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
              (c && str_find_char(str_c(others), c) >= 0)))
            return false;
    }
    return s.n > 0 && s.n < sizeof(((struct forwarding *)0)->alias);
}

/* Groups that found the pool full: this runs on one of its threads. */
static void run_late(void *ctx);

struct forwarding *forwarding_new(struct link *l, struct error *e)
{
    struct str set = str_c(l->options.alias);
    struct forwarding *w = calloc(1, sizeof(*w));
    if (!w) {
        error_set(e, ERR_INTERNAL, "out of memory for forwarding");
        return NULL;
    }
    w->link = l;
    w->cache = forward_cache_new(l->options.forward_cache);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->quiet, NULL);
    enum err err = OK;
    if (set.n && !is_alias(set))
        err = error_set(e, ERR_INVALID, "link.alias \"%" STR_F "\" is no name for a Via header",
                        STR_A(str_cut(set, 100)));
    else if (set.n)
        snprintf(w->alias, sizeof(w->alias), "%s", set.p);
    else
        err = store_write(l->store, load_alias, w, e);
    if (!err) {
        pool_every(l->pool, LATE_MS, run_late, w);
        return w;
    }
    forward_cache_free(w->cache);
    pthread_cond_destroy(&w->quiet);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return NULL;
}

void forwarding_free(struct forwarding *w)
{
    if (!w)
        return;
    pool_never(w->link->pool, run_late, w);
    pthread_mutex_lock(&w->lock);
    while (w->running)
        pthread_cond_wait(&w->quiet, &w->lock);
    pthread_mutex_unlock(&w->lock);
    run_late(w);
    forward_cache_free(w->cache);
    pthread_cond_destroy(&w->quiet);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

struct str forward_alias(struct arena *a, const struct link *l, struct str tenant)
{
    struct str alias = str_c(l->forwarding->alias);
    return tenant.n ? str_printf(a, "%" STR_F ".%" STR_F, STR_A(alias), STR_A(tenant)) : alias;
}

/* --- Via (RFC 9110 section 7.6.3) --- */

/* The next element of a list whose comments (in parentheses) may hold commas. */
static bool next_hop(struct str *rest, struct str *hop)
{
    size_t depth = 0, i = 0;
    if (!rest->n)
        return false;
    for (; i < rest->n && (depth || rest->p[i] != ','); i++) {
        if (rest->p[i] == '(')
            depth++;
        else if (rest->p[i] == ')' && depth)
            depth--;
        else if (rest->p[i] == '\\' && depth)
            i++;
    }
    *hop = str_trim(str_sub(*rest, 0, i));
    *rest = str_from(*rest, i + 1);
    return true;
}

/* "[protocol/]version received-by [comment]" */
static struct str received_by(struct str hop)
{
    struct str word;
    if (!str_split(&hop, ' ', &word))
        return STR_NONE;
    while (str_split(&hop, ' ', &word))
        if (word.n)
            return word;
    return STR_NONE;
}

bool forward_came_back(struct api *c, bool *too_long)
{
    struct str rest = request_header_all(c->req, "Via"), hop;
    *too_long = false;
    if (!rest.n)
        return false;
    struct str alias = forward_alias(c->arena, c->link, c->tenant);
    size_t hops = 0;
    bool loop = false;
    while (!loop && next_hop(&rest, &hop)) {
        hops += hop.n > 0;
        *too_long = hops > HOPS_MAX;
        loop = *too_long || str_eq_nocase(received_by(hop), alias);
    }
    return loop;
}

bool forward_loops(struct api *c)
{
    bool too_long;
    if (!forward_came_back(c, &too_long))
        return false;
    api_loop_detected(c, too_long ? S("the request has gone too long a way")
                                  : S("the request has been here before"));
    return true;
}

/* --- the headers of a request --- */

/* These belong to the connection or are ours to set (clauses 4.3.6.5, 4.3.6.6). */
static bool is_ours(struct str name)
{
    static const char *const ours[] = {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "ngsild-tenant",
        "link",
        "jsonldContext",
        "content-type",
        "contentType",
        "ngsildConformance",
        "accept",
    };
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (str_eq_nocase(name, str_c(ours[i])))
            return true;
    return false;
}

static void put(struct client_request *r, struct http_header *room, const char *name,
                struct str value)
{
    if (value.n)
        room[r->n_headers++] = (struct http_header){str_c(name), value};
}

static void put_headers(struct arena *a, struct link *l, const struct forward_cause *cause,
                        const struct forward *f, struct client_request *r)
{
    const struct registration *reg = f->reg;
    struct http_header *room = ARENA_ARRAY(a, struct http_header, OWN_HEADERS + reg->n_headers);
    struct str context = reg->jsonld_context.n ? reg->jsonld_context
                         : f->context.p        ? f->context
                                               : cause->context;
    r->headers = room;
    struct str via = f->via.n ? f->via : cause->via;
    put(r, room, "Via",
        str_printf(a, "%" STR_F "%s1.1 %" STR_F, STR_A(via), via.n ? ", " : "",
                   STR_A(forward_alias(a, l, cause->tenant))));
    put(r, room, "NGSILD-Tenant", reg->remote_tenant);
    put(r, room, "NGSILD-EntityMap", f->map);
    put(r, room, "Accept",
        reg->accept.n ? reg->accept
        : f->accept.p ? f->accept
                      : S("application/ld+json"));
    if (f->body.p)
        put(r, room, "Content-Type",
            f->with_context ? S("application/ld+json") : S("application/json"));
    if (!f->with_context && context.n)
        put(r, room, "Link", str_printf(a, "<%" STR_F CONTEXT_LINK, STR_A(context)));
    for (size_t i = 0; i < reg->n_headers; i++) {
        struct str value = reg->headers[i].value;
        if (is_ours(reg->headers[i].name))
            continue;
        if (str_eq(value, S(FROM_REQUEST)))
            value = cause->req ? request_header_all(cause->req, str_z(a, reg->headers[i].name))
                               : STR_NONE;
        put(r, room, str_z(a, reg->headers[i].name), value);
    }
}

/* --- sending and settling --- */

static void settled(struct group *g)
{
    struct forwarding *w = g->link->forwarding;
    if (atomic_fetch_sub_explicit(&g->left, 1, memory_order_acq_rel) != 1)
        return;
    g->done(g->ctx); /* the group may be gone now */
    pthread_mutex_lock(&w->lock);
    if (--w->running == 0)
        pthread_cond_broadcast(&w->quiet);
    pthread_mutex_unlock(&w->lock);
}

/* No answer, or one that says that the server itself is at fault. */
static bool is_broken(const struct forward *f)
{
    return f->status == 0 || f->status == 500 || (f->status >= 502 && f->status <= 504);
}

static void note_outcome(struct link *l, struct registration *reg, const struct forward *f)
{
    bool ok = f->status >= 200 && f->status < 300;
    if (reg->counts)
        registration_asked(l->registrations, reg, ok, clock_now(l->clock));
    if (!is_broken(f))
        return;
    int64_t cooldown =
        reg->cooldown_us ? reg->cooldown_us : l->options.forward_cooldown_ms * (SECOND_US / 1000);
    atomic_store(&reg->not_before, clock_steady(l->clock) + cooldown);
}

static void answered(void *ctx, const struct client_answer *answer)
{
    struct sending *s = ctx;
    struct forward *f = s->f;
    struct arena *a = s->group->arena;
    f->status = answer->status;
    f->error = answer->error;
    f->type = str_dup(a, answer->type);
    f->answer = str_dup(a, answer->body);
    f->link = str_dup(a, answer->link);
    f->location = str_dup(a, client_answer_header(answer, "Location"));
    f->results_count = str_dup(a, client_answer_header(answer, "NGSILD-Results-Count"));
    f->range = str_dup(a, client_answer_header(answer, "Content-Range"));
    f->entity_map = str_dup(a, client_answer_header(answer, "NGSILD-EntityMap"));
    struct link *l = s->group->link;
    note_outcome(l, f->reg, f);
    if (s->key.p)
        forward_cache_put(l->forwarding->cache, s->key, clock_steady(l->clock), f);
    settled(s->group);
}

static void prepare(struct sending *s, const struct forward_cause *cause, int64_t budget_ms)
{
    struct group *g = s->group;
    struct forward *f = s->f;
    const struct link_options *o = &g->link->options;
    int64_t ms = f->reg->timeout_ms ? f->reg->timeout_ms : o->forward_ms;
    s->request = (struct client_request){
        .method = f->method,
        .url = str_concat(g->arena, f->reg->endpoint, f->target),
        .body = f->body,
        .timeout_ms = ms < budget_ms ? ms : budget_ms,
        .response_bytes = o->forward_bytes,
        .done = answered,
        .ctx = s,
    };
    put_headers(g->arena, g->link, cause, f, &s->request);
}

/* Was the same asked a moment ago? What changes something makes the answers old. */
static bool known_already(struct sending *s)
{
    struct group *g = s->group;
    struct forward_cache *cache = g->link->forwarding->cache;
    if (!s->f->reg->cache_us)
        return false;
    if (!forward_cache_suits(s->f)) {
        forward_cache_forget(cache, s->f->reg);
        return false;
    }
    s->key = forward_cache_key(g->arena, s->f->reg, &s->request);
    return forward_cache_get(cache, g->arena, s->key, clock_steady(g->link->clock), s->f);
}

/* Why the i-th request is not sent at all; OK when it is. */
static enum err not_sent(struct link *l, struct forward *f, size_t i, int64_t budget_ms)
{
    if ((int64_t)i >= l->options.forward_max)
        return error_set(&f->error, ERR_TOO_MANY, "more than %lld sources",
                         (long long)l->options.forward_max);
    if (budget_ms <= 0)
        return error_set(&f->error, ERR_TIMEOUT, "no time is left");
    if (clock_steady(l->clock) < atomic_load(&f->reg->not_before))
        return error_set(&f->error, ERR_TIMEOUT, "the source failed a moment ago");
    return OK;
}

static struct group *group_new(struct link *l, struct arena *a)
{
    struct group *g = ARENA_NEW(a, struct group);
    g->link = l;
    g->arena = a;
    return g;
}

static void start(struct group *g, const struct forward_cause *cause, struct forward *f, size_t n)
{
    struct link *l = g->link;
    struct sending *v = ARENA_ARRAY(g->arena, struct sending, n ? n : 1);
    int64_t budget_ms = l->options.forward_budget_ms;
    if (cause->deadline) {
        int64_t left = (cause->deadline - clock_steady(l->clock)) / (SECOND_US / 1000);
        budget_ms = left < budget_ms ? left : budget_ms;
    }
    atomic_init(&g->left, n + 1);
    pthread_mutex_lock(&l->forwarding->lock);
    l->forwarding->running++;
    pthread_mutex_unlock(&l->forwarding->lock);
    for (size_t i = 0; i < n; i++) {
        v[i] = (struct sending){.group = g, .f = &f[i]};
        if (not_sent(l, &f[i], i, budget_ms))
            continue;
        prepare(&v[i], cause, budget_ms);
        if (known_already(&v[i]))
            v[i].request.done = NULL;
    }
    /* from here on the arena is the client's thread's */
    for (size_t i = 0; i < n; i++) {
        if (v[i].request.done && client_send(l->client, &v[i].request, &f[i].error)) {
            note_outcome(l, f[i].reg, &f[i]);
            settled(g);
        } else if (!v[i].request.done) {
            settled(g);
        }
    }
    settled(g);
}

void forward_start(struct link *l, struct arena *a, const struct forward_cause *cause,
                   struct forward *f, size_t n, void (*done)(void *ctx), void *ctx)
{
    struct group *g = group_new(l, a);
    g->done = done;
    g->ctx = ctx;
    start(g, cause, f, n);
}

/* --- for a call of the API --- */

static void run_then(void *ctx)
{
    struct group *g = ctx;
    if (g->then(g->call, g->f, g->n, g->ctx_then) == HTTP_DONE)
        http_resume(g->call->req);
}

static void run_late(void *ctx)
{
    struct forwarding *w = ctx;
    pthread_mutex_lock(&w->lock);
    struct group *g = w->late;
    w->late = NULL;
    pthread_mutex_unlock(&w->lock);
    for (struct group *next; g; g = next) {
        next = g->next; /* g is gone with its request */
        run_then(g);
    }
}

static void all_done(void *ctx)
{
    struct group *g = ctx;
    struct forwarding *w = g->link->forwarding;
    if (!pool_submit_in(g->link->pool, str_hash(g->call->tenant), run_then, g))
        return;
    pthread_mutex_lock(&w->lock);
    g->next = w->late;
    w->late = g;
    pthread_mutex_unlock(&w->lock);
}

void forward_cause_of(struct api *c, struct forward_cause *out)
{
    const struct link *l = c->link;
    int64_t until = c->forward_until;
    if (!until)
        until = clock_steady(l->clock) + l->options.forward_budget_ms * (SECOND_US / 1000);
    if (c->req->deadline && c->req->deadline < until)
        until = c->req->deadline;
    *out = (struct forward_cause){.tenant = c->tenant,
                                  .via = request_header_all(c->req, "Via"),
                                  .req = c->req,
                                  .deadline = until};
    if (c->ctx != ld_core())
        out->context = api_full_url(c, ld_context_url(c->ctx));
}

enum http_answer forward_all(struct api *c, struct forward *f, size_t n,
                             enum http_answer (*then)(struct api *c, struct forward *f, size_t n,
                                                      void *ctx),
                             void *ctx)
{
    struct forward_cause cause;
    struct group *g = group_new(c->link, c->arena);
    forward_cause_of(c, &cause);
    g->done = all_done;
    g->ctx = g;
    g->call = api_keep(c);
    g->call->forward_until = cause.deadline;
    g->f = f;
    g->n = n;
    g->then = then;
    g->ctx_then = ctx;
    start(g, &cause, f, n);
    return HTTP_LATER;
}

struct patience {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool over;
};

static void over(void *ctx)
{
    struct patience *p = ctx;
    pthread_mutex_lock(&p->lock);
    p->over = true;
    pthread_cond_signal(&p->done);
    pthread_mutex_unlock(&p->lock);
}

void forward_wait(struct api *c, struct forward *f, size_t n)
{
    struct patience p = {.over = false};
    struct forward_cause cause;
    pthread_mutex_init(&p.lock, NULL);
    pthread_cond_init(&p.done, NULL);
    forward_cause_of(c, &cause);
    c->forward_until = cause.deadline;
    forward_start(c->link, c->arena, &cause, f, n, over, &p);
    pthread_mutex_lock(&p.lock);
    while (!p.over)
        pthread_cond_wait(&p.done, &p.lock);
    pthread_mutex_unlock(&p.lock);
    pthread_cond_destroy(&p.done);
    pthread_mutex_destroy(&p.lock);
}

/* --- what came of it --- */

bool forward_succeeded(const struct forward *f)
{
    return f->status >= 200 && f->status < 300 && !f->invalid;
}

static void warn(struct api *c, int code, struct str text, const struct registration *reg)
{
    response_header(c->req, c->res, "NGSILD-Warning",
                    str_printf(c->arena, "%d %" STR_F " \"%" STR_F ": %" STR_F "\"", code,
                               STR_A(forward_alias(c->arena, c->link, c->tenant)), STR_A(text),
                               STR_A(reg->id)));
}

void forward_warn_cut(struct api *c, const struct registration *reg)
{
    warn(c, 199, S("not all of it was read"), reg);
}

void forward_warn(struct api *c, const struct forward *f, size_t n)
{
    size_t told = 0;
    for (size_t i = 0; i < n && told < WARNINGS_MAX; i++) {
        if (f[i].invalid || f[i].error.code == ERR_TOO_LARGE)
            warn(c, 111, S("the answer cannot be used"), f[i].reg);
        else if (f[i].status == 0)
            warn(c, 199, S("no answer in time"), f[i].reg);
        else if (f[i].status == 508)
            warn(c, 199, S("the source found a loop"), f[i].reg);
        else if (f[i].status >= 300 && f[i].status != 404)
            warn(c, 299, str_printf(c->arena, "the source answers %d", f[i].status), f[i].reg);
        else
            continue;
        told++;
    }
}
