#include "http/client.h"

#include "core/clock.h"
#include "core/map.h"
#include "transfer.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/*
 * A job goes: incoming (any thread puts it there, under the lock) -> queue of its host -> a
 * transfer -> done. All but the first belongs to the client's thread.
 *
 * 1. A host is in the map while it has jobs, queued or running.
 * 2. It is in the ring of ready hosts when it has queued jobs and may open a connection (or had
 *    them a moment ago, see expire()).
 * 3. No more than options.connections transfers run, and no more than connections_per_host of one
 *    host, so curl itself never makes one wait.
 * 4. `waiting` counts the jobs that are incoming or queued.
 */

enum { POLL_MS = 1000, WAITING_POLL_MS = 100 };

struct queue {
    struct job *head, **tail;
};

struct host {
    char *origin; /* key in the map */
    struct queue jobs;
    int64_t running;
    bool ready;
    struct host *next; /* in the ring */
};

struct client {
    struct client_options options;
    char *ca_file, *user_agent;
    CURLM *multi;
    pthread_t thread;
    atomic_llong waiting;
    pthread_mutex_t lock;
    struct queue incoming; /* with stopping, under the lock */
    bool stopping;
    /* the thread's */
    struct map hosts;
    struct host *ready_head, **ready_tail;
    struct transfer *busy, *idle;
    int64_t running;
};

#define O struct client_options

static const struct config_key keys[] = {
    CONFIG_BOOL("client.allow_private", O, allow_private, "false",
                "call private and loopback addresses too"),
    CONFIG_INT("client.connect_ms", O, connect_ms, 3000, 1, 600000,
               "milliseconds until a connection must stand"),
    CONFIG_INT("client.total_ms", O, total_ms, 10000, 1, 3600000,
               "milliseconds until an answer must be complete, waiting included"),
    CONFIG_SIZE("client.response_bytes", O, response_bytes, "16m", 1, 1073741824,
                "bytes of an answer's body"),
    CONFIG_INT("client.connections", O, connections, 256, 1, 10000, "open connections in all"),
    CONFIG_INT("client.connections_per_host", O, connections_per_host, 8, 1, 1000,
               "open connections to one host"),
    CONFIG_INT("client.queue_max", O, queue_max, 20000, 1, 10000000,
               "requests waiting for a connection; more are refused"),
    CONFIG_STR("client.ca_file", O, ca_file, "",
               "certificates to trust, a PEM file; empty is the system's"),
    CONFIG_STR("client.user_agent", O, user_agent, "Marugoto", "how we name ourselves"),
};

#undef O

const struct config_table client_config = {"client", keys, sizeof(keys) / sizeof(keys[0])};

static int64_t now_us(void)
{
    return clock_steady(&clock_system);
}

/* --- queues --- */

static void queue_init(struct queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

static void queue_put(struct queue *q, struct job *j)
{
    j->next = NULL;
    *q->tail = j;
    q->tail = &j->next;
}

static struct job *queue_take(struct queue *q)
{
    struct job *j = q->head;
    if (j && !(q->head = j->next))
        q->tail = &q->head;
    return j;
}

/* Take out the jobs whose time is over; returned as a list. */
static struct job *queue_expire(struct queue *q, int64_t now)
{
    struct queue stay, gone;
    queue_init(&stay);
    queue_init(&gone);
    for (struct job *j = q->head, *next; j; j = next) {
        next = j->next;
        queue_put(j->deadline <= now ? &gone : &stay, j);
    }
    q->head = stay.head;
    q->tail = stay.head ? stay.tail : &q->head;
    return gone.head;
}

/* --- hosts --- */

static struct host *host_of(struct client *c, const char *origin)
{
    struct host *h = map_get(&c->hosts, str_c(origin));
    if (h)
        return h;
    h = calloc(1, sizeof(*h));
    char *key = strdup(origin);
    if (!h || !key) {
        free(h);
        free(key);
        return NULL;
    }
    h->origin = key;
    queue_init(&h->jobs);
    map_put(&c->hosts, str_c(key), h);
    return h;
}

static void host_free(struct host *h)
{
    free(h->origin);
    free(h);
}

/* Bring a host where it belongs after its jobs changed: into the ring, or out of the map. */
static void host_settle(struct client *c, struct host *h)
{
    if (h->ready)
        return;
    if (h->jobs.head && h->running < c->options.connections_per_host) {
        h->ready = true;
        h->next = NULL;
        *c->ready_tail = h;
        c->ready_tail = &h->next;
    } else if (!h->jobs.head && h->running == 0) {
        map_del(&c->hosts, str_c(h->origin));
        host_free(h);
    }
}

static struct host *ready_take(struct client *c)
{
    struct host *h = c->ready_head;
    if (!h)
        return NULL;
    c->ready_head = h->next;
    if (!c->ready_head)
        c->ready_tail = &c->ready_head;
    h->ready = false;
    return h;
}

/* --- transfers --- */

static void list_add(struct transfer **list, struct transfer *t)
{
    t->prev = NULL;
    t->next = *list;
    if (t->next)
        t->next->prev = t;
    *list = t;
}

static void list_del(struct transfer **list, struct transfer *t)
{
    if (t->prev)
        t->prev->next = t->next;
    else
        *list = t->next;
    if (t->next)
        t->next->prev = t->prev;
}

static bool start_job(struct client *c, struct job *j)
{
    struct transfer *t = c->idle;
    if (t)
        list_del(&c->idle, t);
    else
        t = transfer_new(&c->options);
    if (!t)
        return false;
    transfer_start(t, j, now_us());
    if (curl_multi_add_handle(c->multi, t->easy)) {
        transfer_free(t);
        return false;
    }
    list_add(&c->busy, t);
    c->running++;
    return true;
}

static void start_ready(struct client *c)
{
    while (c->running < c->options.connections) {
        struct host *h = ready_take(c);
        if (!h)
            return;
        struct job *j = queue_take(&h->jobs);
        if (j) {
            atomic_fetch_sub(&c->waiting, 1);
            if (start_job(c, j))
                h->running++;
            else
                job_fail(j, now_us(), ERR_UNAVAILABLE, "out of memory for a request");
        }
        host_settle(c, h);
    }
}

/* The transfer told its answer: its place is free. */
static void retire(struct client *c, struct transfer *t, struct host *h)
{
    list_del(&c->busy, t);
    list_add(&c->idle, t);
    c->running--;
    h->running--;
    host_settle(c, h);
}

static void finish_done(struct client *c)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left)) != NULL;) {
        CURLcode code = m->data.result;
        struct transfer *t = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        struct host *h = t->job->host;
        curl_multi_remove_handle(c->multi, t->easy);
        if (!transfer_finish(t, code, now_us())) {
            retire(c, t, h);
        } else if (curl_multi_add_handle(c->multi, t->easy)) {
            transfer_finish(t, CURLE_OUT_OF_MEMORY, now_us());
            retire(c, t, h);
        }
    }
}

/* --- the thread --- */

static bool take_incoming(struct client *c)
{
    pthread_mutex_lock(&c->lock);
    bool stopping = c->stopping;
    struct job *j = c->incoming.head;
    queue_init(&c->incoming);
    pthread_mutex_unlock(&c->lock);
    for (struct job *next; j; j = next) {
        next = j->next;
        j->host = host_of(c, j->origin);
        if (j->host) {
            queue_put(&j->host->jobs, j);
            host_settle(c, j->host);
        } else {
            atomic_fetch_sub(&c->waiting, 1);
            job_fail(j, now_us(), ERR_UNAVAILABLE, "out of memory for a request");
        }
    }
    return !stopping;
}

static void fail_list(struct client *c, struct job *j, enum err code, const char *why)
{
    for (struct job *next; j; j = next) {
        next = j->next;
        atomic_fetch_sub(&c->waiting, 1);
        job_fail(j, now_us(), code, why);
    }
}

/* Hosts are left in the map even when nothing remains of their queue: whatever made the queue wait
 * (a running transfer, the ring) settles them. */
static void expire(struct client *c)
{
    struct map_iter it = {0};
    while (map_next(&c->hosts, &it)) {
        struct host *h = it.value;
        if (h->jobs.head)
            fail_list(c, queue_expire(&h->jobs, now_us()), ERR_TIMEOUT,
                      "no connection was free in time");
    }
}

/* Everybody who still waits for an answer is told that none will come. */
static void stop(struct client *c)
{
    struct map_iter it = {0};
    while (c->busy) {
        struct transfer *t = c->busy;
        list_del(&c->busy, t);
        curl_multi_remove_handle(c->multi, t->easy);
        job_fail(t->job, now_us(), ERR_UNAVAILABLE, "the client is stopping");
        transfer_free(t);
    }
    while (map_next(&c->hosts, &it)) {
        struct host *h = it.value;
        fail_list(c, h->jobs.head, ERR_UNAVAILABLE, "the client is stopping");
    }
    it = (struct map_iter){0};
    while (map_next(&c->hosts, &it))
        host_free(it.value);
    map_release(&c->hosts);
}

static void *run(void *ctx)
{
    struct client *c = ctx;
    int64_t expired = now_us();
    while (take_incoming(c)) {
        int running;
        start_ready(c);
        curl_multi_perform(c->multi, &running);
        finish_done(c);
        start_ready(c);
        bool waiting = atomic_load(&c->waiting) > 0;
        if (waiting && now_us() - expired >= WAITING_POLL_MS * (SECOND_US / 1000)) {
            expire(c);
            expired = now_us();
        }
        curl_multi_poll(c->multi, NULL, 0, waiting ? WAITING_POLL_MS : POLL_MS, NULL);
    }
    stop(c);
    return NULL;
}

/* --- for other threads --- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_global;

static void init_curl(void)
{
    curl_global = curl_global_init(CURL_GLOBAL_DEFAULT);
}

static enum err check_options(const struct client_options *o, struct error *e)
{
    const int64_t numbers[] = {o->connect_ms,           o->total_ms,
                               o->response_bytes,       o->connections,
                               o->connections_per_host, o->queue_max};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i] <= 0)
            return error_set(e, ERR_INVALID, "client: limits must be positive");
    return OK;
}

static void destroy(struct client *c)
{
    while (c->idle) {
        struct transfer *t = c->idle;
        list_del(&c->idle, t);
        transfer_free(t);
    }
    curl_multi_cleanup(c->multi);
    pthread_mutex_destroy(&c->lock);
    free(c->ca_file);
    free(c->user_agent);
    free(c);
}

static enum err set_up(struct client *c, struct error *e)
{
    const struct client_options *o = &c->options;
    c->ca_file = strdup(o->ca_file ? o->ca_file : "");
    c->user_agent = strdup(o->user_agent ? o->user_agent : "");
    c->multi = curl_global ? NULL : curl_multi_init();
    if (!c->ca_file || !c->user_agent || !c->multi)
        return error_set(e, ERR_INTERNAL, "client: out of memory");
    c->options.ca_file = c->ca_file;
    c->options.user_agent = c->user_agent;
    curl_multi_setopt(c->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)o->connections);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)o->connections_per_host);
    curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)o->connections);
    if (pthread_create(&c->thread, NULL, run, c))
        return error_set(e, ERR_INTERNAL, "client: cannot start a thread");
    return OK;
}

const struct client_options *client_settings(const struct client *c)
{
    return &c->options;
}

struct client *client_new(const struct client_options *o, struct error *e)
{
    pthread_once(&curl_once, init_curl);
    if (check_options(o, e))
        return NULL;
    struct client *c = calloc(1, sizeof(*c));
    if (!c) {
        error_set(e, ERR_INTERNAL, "client: out of memory");
        return NULL;
    }
    c->options = *o;
    queue_init(&c->incoming);
    c->ready_tail = &c->ready_head;
    pthread_mutex_init(&c->lock, NULL);
    if (set_up(c, e)) {
        destroy(c);
        return NULL;
    }
    return c;
}

enum err client_send(struct client *c, const struct client_request *r, struct error *e)
{
    struct job *j;
    enum err failed = job_new(r, now_us(), &c->options, &j, e);
    if (failed)
        return failed;
    if (atomic_fetch_add(&c->waiting, 1) >= c->options.queue_max) {
        atomic_fetch_sub(&c->waiting, 1);
        job_free(j);
        return error_set(e, ERR_UNAVAILABLE, "client: %lld requests wait already",
                         (long long)c->options.queue_max);
    }
    pthread_mutex_lock(&c->lock);
    bool stopping = c->stopping, first = !c->incoming.head;
    if (!stopping)
        queue_put(&c->incoming, j);
    pthread_mutex_unlock(&c->lock);
    if (stopping) {
        atomic_fetch_sub(&c->waiting, 1);
        job_free(j);
        return error_set(e, ERR_UNAVAILABLE, "client: stopping");
    }
    if (first)
        curl_multi_wakeup(c->multi);
    return OK;
}

struct fetch {
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool done;
    struct arena *arena;
    struct client_answer *answer;
};

static void fetch_done(void *ctx, const struct client_answer *answer)
{
    struct fetch *f = ctx;
    pthread_mutex_lock(&f->lock);
    *f->answer = *answer;
    f->answer->type = str_dup(f->arena, answer->type);
    f->answer->body = str_dup(f->arena, answer->body);
    f->answer->link = str_dup(f->arena, answer->link);
    f->answer->head = str_dup(f->arena, answer->head);
    f->done = true;
    pthread_cond_signal(&f->told);
    pthread_mutex_unlock(&f->lock);
}

enum err client_fetch(struct client *c, struct arena *a, const struct client_request *r,
                      struct client_answer *answer, struct error *e)
{
    if (pthread_equal(pthread_self(), c->thread))
        return error_set(e, ERR_INTERNAL, "client: waiting on its own thread");
    *answer = (struct client_answer){0};
    struct fetch f = {.arena = a, .answer = answer};
    struct client_request request = *r;
    request.done = fetch_done;
    request.ctx = &f;
    pthread_mutex_init(&f.lock, NULL);
    pthread_cond_init(&f.told, NULL);
    enum err failed = client_send(c, &request, e);
    if (!failed) {
        pthread_mutex_lock(&f.lock);
        while (!f.done)
            pthread_cond_wait(&f.told, &f.lock);
        pthread_mutex_unlock(&f.lock);
        if (answer->status == 0)
            failed = error_set(e, answer->error.code, "%s", answer->error.text);
    }
    pthread_cond_destroy(&f.told);
    pthread_mutex_destroy(&f.lock);
    return failed;
}

void client_free(struct client *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_mutex_unlock(&c->lock);
    curl_multi_wakeup(c->multi);
    pthread_join(c->thread, NULL);
    destroy(c);
}
