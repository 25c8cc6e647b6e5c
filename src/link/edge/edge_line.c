/* What the thread of an edge waits for, and its requests to the city. See edge.c. */
#include "core/log.h"
#include "core/metrics.h"
#include "edge_impl.h"
#include "pack.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    REQUEST_MS = 60000,
    BATCH_MIN = 1024,
    OVERHEAD_BYTES = 500 /* of a request and its answer beside their bodies */
};

const char *const edge_state_names[] = {"offline", "refused",  "copying",
                                        "changes", "together", "standby"};

static struct metric waiting_rows =
    METRIC_GAUGE("marugoto_edge_waiting", "own journal rows that the city has not got yet");
static struct metric behind_rows =
    METRIC_GAUGE("marugoto_edge_behind", "rows of the city's journal not looked at yet");
static struct metric contact_seconds =
    METRIC_GAUGE("marugoto_edge_last_contact_seconds", "instant of the city's last answer");
static struct metric line_bytes =
    METRIC_COUNTER("marugoto_edge_bytes_total", "bytes of messages on the line, both directions");

/* --- waiting --- */

bool edge_stopping(struct edge *g)
{
    pthread_mutex_lock(&g->lock);
    bool stop = g->stop;
    pthread_mutex_unlock(&g->lock);
    return stop;
}

/* Until ms are over, the end, or (when asked for) an own change. */
void edge_wait(struct edge *g, int64_t ms, bool for_changes)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&g->lock);
    while (!g->stop && !(for_changes && g->changed) &&
           pthread_cond_timedwait(&g->wake, &g->lock, &t) == 0)
        continue;
    if (for_changes)
        g->changed = false;
    pthread_mutex_unlock(&g->lock);
}

void edge_on_journal(void *ctx)
{
    struct edge *g = ctx;
    pthread_mutex_lock(&g->lock);
    g->changed = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
}

void edge_state_set(struct edge *g, enum edge_state state, const char *error)
{
    pthread_mutex_lock(&g->lock);
    bool news = g->status.state != state;
    g->status.state = state;
    snprintf(g->status.error, sizeof(g->status.error), "%s", error);
    pthread_mutex_unlock(&g->lock);
    if (news && state != EDGE_CHANGES)
        log_event(state <= EDGE_REFUSED ? LOG_WARN : LOG_INFO, "edge.state",
                  LOG_Z("state", edge_state_names[state]), LOG_Z("error", error));
}

void edge_lag_set(struct edge *g, int64_t own_newest)
{
    pthread_mutex_lock(&g->lock);
    g->status.waiting = own_newest > g->sent ? own_newest - g->sent : 0;
    g->status.behind = g->city_newest > g->received ? g->city_newest - g->received : 0;
    metric_set(&waiting_rows, g->status.waiting);
    metric_set(&behind_rows, g->status.behind);
    pthread_mutex_unlock(&g->lock);
}

/* --- requests --- */

/* A line that is too slow for large messages carries small ones. */
static void adapt(struct edge *g, bool through)
{
    size_t most = (size_t)g->sync->link->edge.batch_bytes;
    g->batch = through ? g->batch * 2 : g->batch / 4;
    if (g->batch > most)
        g->batch = most;
    if (g->batch < BATCH_MIN)
        g->batch = BATCH_MIN;
}

static void note_contact(struct edge *g, size_t bytes)
{
    int64_t now = clock_now(g->sync->link->clock), rate = g->sync->link->edge.bytes_per_s;
    pthread_mutex_lock(&g->lock);
    g->status.contact = now;
    pthread_mutex_unlock(&g->lock);
    metric_set(&contact_seconds, now / SECOND_US);
    metric_add(&line_bytes, (int64_t)bytes);
    if (rate > 0)
        edge_wait(g, (int64_t)bytes * 1000 / rate, false);
}

/* A request under way; it outlives a thread that does not wait for its end. */
struct asked {
    struct edge *g;
    bool done, abandoned;
    int status;
    bool packed;
    struct error error;
    struct buf body;
};

static void asked_free(struct asked *q)
{
    buf_release(&q->body);
    free(q);
}

static void on_answer(void *ctx, const struct client_answer *answer)
{
    struct asked *q = ctx;
    struct edge *g = q->g;
    q->status = answer->status;
    q->error = answer->error;
    q->packed = str_eq(answer->type, S(PACK_TYPE));
    buf_str(&q->body, answer->body);
    pthread_mutex_lock(&g->lock);
    bool abandoned = q->abandoned;
    q->done = true;
    pthread_cond_signal(&g->wake);
    pthread_mutex_unlock(&g->lock);
    if (abandoned)
        asked_free(q);
}

/* NULL with *e when it cannot be sent; else asked_end() or asked_leave() follows. */
static struct asked *asked_begin(struct edge *g, struct client_request *r, struct error *e)
{
    struct asked *q = calloc(1, sizeof(*q));
    if (!q)
        abort();
    q->g = g;
    r->done = on_answer;
    r->ctx = q;
    if (client_send(g->client, r, e) == OK)
        return q;
    asked_free(q);
    return NULL;
}

/* It is no longer wanted. */
static void asked_leave(struct asked *q)
{
    struct edge *g = q->g;
    pthread_mutex_lock(&g->lock);
    bool done = q->done;
    q->abandoned = !done;
    pthread_mutex_unlock(&g->lock);
    if (done)
        asked_free(q);
}

/* Waits for the answer, or for the end of the thread; NULL with *e. */
static struct asked *asked_end(struct asked *q, struct error *e)
{
    struct edge *g = q->g;
    pthread_mutex_lock(&g->lock);
    while (!q->done && !g->stop)
        pthread_cond_wait(&g->wake, &g->lock);
    bool done = q->done;
    pthread_mutex_unlock(&g->lock);
    if (done && q->status)
        return q;
    error_set(e, done ? q->error.code : ERR_UNAVAILABLE, "%s", done ? q->error.text : "stopping");
    asked_leave(q);
    return NULL;
}

/* What the city said instead of what was asked for. */
static void refused(struct arena *a, const struct asked *q, struct error *e)
{
    static const struct {
        int status;
        enum err err;
    } known[] = {{400, ERR_INVALID},      {401, ERR_UNAUTHENTICATED}, {403, ERR_FORBIDDEN},
                 {404, ERR_NOT_FOUND},    {409, ERR_CONFLICT},        {413, ERR_TOO_LARGE},
                 {422, ERR_UNPROCESSABLE}};
    const struct json *problem = json_parse(a, buf_view(&q->body), &JSON_DEFAULT, NULL);
    struct str detail = json_text(json_get(problem, S("detail")));
    enum err err = ERR_UNAVAILABLE;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == q->status)
            err = known[i].err;
    error_set(e, err, "the city answers %d: %" STR_F, q->status, STR_A(str_cut(detail, 150)));
}

struct asked *edge_send(struct edge *g, struct arena *a, const char *method, struct str path,
                        struct str body, const char *type, struct error *e)
{
    const struct edge_options *o = &g->sync->link->edge;
    struct http_header headers[3] = {{S("Authorization"), str_printf(a, "Bearer %s", o->token)},
                                     {S("Content-Type"), str_c(type ? type : "application/json")},
                                     {S("NGSILD-Tenant"), str_c(o->tenant)}};
    struct client_request q = {.method = method,
                               .url = str_printf(a, "%s%" STR_F, o->upstream, STR_A(path)),
                               .headers = headers,
                               .n_headers = o->tenant[0] ? 3 : 2,
                               .body = body,
                               .timeout_ms = REQUEST_MS};
    return asked_begin(g, &q, e);
}

/* The answer's JSON in the arena; NULL with *e. ERR_CONFLICT and the like are the city's word. */
const struct json *edge_answer(struct edge *g, struct arena *a, struct asked *asked, size_t sent,
                               struct error *e)
{
    const struct json *v = NULL;
    asked = asked_end(asked, e);
    if (!edge_stopping(g))
        adapt(g, asked != NULL);
    if (!asked)
        return NULL;
    note_contact(g, OVERHEAD_BYTES + sent + asked->body.n);
    if (asked->status >= 300)
        refused(a, asked, e);
    else if (asked->packed)
        v = unpack_json(a, buf_view(&asked->body), e);
    else
        v = json_parse(a, buf_dup(&asked->body, a), &JSON_DEFAULT, e);
    asked_free(asked);
    return v;
}

const struct json *edge_ask(struct edge *g, struct arena *a, const char *method, struct str path,
                            struct str body, const char *type, struct error *e)
{
    struct asked *asked = edge_send(g, a, method, path, body, type, e);
    return asked ? edge_answer(g, a, asked, body.n, e) : NULL;
}

int64_t edge_number(const struct json *v, const char *name)
{
    int64_t n = 0;
    return json_i64(json_get(v, str_c(name)), &n) ? n : 0;
}
