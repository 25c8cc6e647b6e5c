/*
 * Brokers and what waits for them. A message goes: queue of its broker (any thread, under the
 * lock) -> the broker's link (its thread) -> done.
 *
 * 1. A broker is in the map while its thread runs; the thread takes it out, under the lock, when
 *    nothing waits and nothing was on its way for IDLE_US, or when we stop.
 * 2. done() is called without the lock.
 */
#include "http/mqtt.h"

#include "core/clock.h"
#include "core/map.h"
#include "mqtt_link.h"
#include <errno.h>
#include <mosquitto.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { IDLE_US = 60 * 1000000, REST_MS = 1000 };

struct broker {
    struct mqtt *owner;
    struct arena arena; /* key and texts of the target */
    struct str key;
    struct mqtt_target target;
    int wake;
    struct mqtt_job *queue, **tail; /* under the owner's lock */
    /* the thread's */
    struct mqtt_link *link;
    int64_t used; /* steady */
};

struct mqtt {
    struct client_options options;
    char *ca_file;
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a thread did */
    struct map brokers;
    int64_t waiting; /* in queues */
    int threads;
    bool closing;
};

static int64_t now_us(void)
{
    return clock_steady(&clock_system);
}

static void wake(const struct broker *b)
{
    uint64_t one = 1;
    while (write(b->wake, &one, sizeof(one)) < 0 && errno == EINTR)
        continue;
}

/* --- jobs --- */

static void job_free(struct mqtt_job *j)
{
    free(j->topic);
    free(j->payload);
    free(j);
}

static void job_end(struct mqtt_job *j, const struct error *e)
{
    j->done(j->ctx, e);
    job_free(j);
}

static void end_all(struct mqtt_job *list, const struct error *e)
{
    while (list) {
        struct mqtt_job *j = list;
        list = j->next;
        job_end(j, e);
    }
}

static struct mqtt_job *job_new(const struct mqtt *m, const struct mqtt_message *msg)
{
    struct mqtt_job *j = calloc(1, sizeof(*j));
    int64_t ms = msg->timeout_ms > 0 ? msg->timeout_ms : m->options.total_ms;
    if (!j)
        abort();
    j->topic = strndup(msg->to->topic.p, msg->to->topic.n);
    j->payload = malloc(msg->payload.n + 1);
    if (!j->topic || !j->payload)
        abort();
    if (msg->payload.n)
        memcpy(j->payload, msg->payload.p, msg->payload.n);
    j->n = (int)msg->payload.n;
    j->qos = msg->qos;
    j->retain = msg->retain;
    j->deadline = now_us() + ms * 1000;
    j->done = msg->done;
    j->ctx = msg->ctx;
    return j;
}

/* --- a broker's thread --- */

static struct mqtt_job *take_queue(struct broker *b)
{
    struct mqtt *m = b->owner;
    uint64_t count;
    while (read(b->wake, &count, sizeof(count)) < 0 && errno == EINTR)
        continue;
    pthread_mutex_lock(&m->lock);
    struct mqtt_job *list = b->queue;
    b->queue = NULL;
    b->tail = &b->queue;
    for (struct mqtt_job *j = list; j; j = j->next)
        m->waiting--;
    pthread_mutex_unlock(&m->lock);
    return list;
}

static void end_finished(struct mqtt_job *list)
{
    while (list) {
        struct mqtt_job *j = list;
        struct error e;
        list = j->next;
        mqtt_job_error(j, &e);
        job_end(j, &e);
    }
}

static void link_lost(struct broker *b, const struct error *e)
{
    end_finished(mqtt_link_finished(b->link));
    struct mqtt_job *flying = mqtt_link_close(b->link);
    b->link = NULL;
    end_all(flying, e);
}

static void send_all(struct broker *b, struct mqtt_job *list)
{
    struct error e = {0};
    if (list && !b->link && !(b->link = mqtt_link_open(&b->target, &e))) {
        end_all(list, &e);
        return;
    }
    while (list) {
        struct mqtt_job *j = list;
        list = j->next;
        if (mqtt_link_send(b->link, j, &e))
            job_end(j, &e);
    }
}

static void rest(const struct broker *b)
{
    struct pollfd fd = {.fd = b->wake, .events = POLLIN};
    poll(&fd, 1, REST_MS);
}

/* Wait for the network or for more to send, and tell what was answered. */
static void step(struct broker *b)
{
    struct error e = {0};
    int64_t now = now_us(), due = mqtt_link_deadline(b->link);
    int64_t ms = due == INT64_MAX ? REST_MS : due > now ? (due - now) / 1000 + 1 : 0;
    if (mqtt_link_step(b->link, b->wake, ms, &e)) {
        link_lost(b, &e);
        return;
    }
    end_finished(mqtt_link_finished(b->link));
    if (mqtt_link_deadline(b->link) <= now_us()) {
        error_set(&e, ERR_TIMEOUT, "the broker does not confirm");
        link_lost(b, &e);
    }
}

static void broker_free(struct broker *b)
{
    close(b->wake);
    arena_release(&b->arena);
    free(b);
}

/* True: it is out of the map and nobody can find it any more. */
static bool leave(struct broker *b)
{
    struct mqtt *m = b->owner;
    pthread_mutex_lock(&m->lock);
    bool idle = (!b->link || mqtt_link_idle(b->link)) && now_us() - b->used > IDLE_US;
    bool gone = m->closing || (idle && !b->queue);
    if (gone)
        map_del(&m->brokers, b->key);
    pthread_mutex_unlock(&m->lock);
    return gone;
}

static void *work(void *ctx)
{
    struct broker *b = ctx;
    struct mqtt *m = b->owner;
    struct error stopping = {0};
    while (!leave(b)) {
        struct mqtt_job *list = take_queue(b);
        if (list) {
            send_all(b, list);
            b->used = now_us();
        }
        if (b->link)
            step(b);
        else
            rest(b);
    }
    error_set(&stopping, ERR_UNAVAILABLE, "we are stopping");
    end_all(take_queue(b), &stopping);
    if (b->link)
        link_lost(b, &stopping);
    broker_free(b);
    pthread_mutex_lock(&m->lock);
    m->threads--;
    pthread_cond_signal(&m->ended);
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

/* --- finding and making brokers: under the lock --- */

static const char *text_or_null(struct arena *a, struct str s)
{
    return s.p ? arena_dup(a, s.p, s.n) : NULL;
}

static struct str key_of_broker(struct arena *a, const struct mqtt_message *msg)
{
    const struct mqtt_address *to = msg->to;
    return str_printf(a, "%d %d %" STR_F " %lld %zu %" STR_F " %d%" STR_F, to->tls,
                      (int)msg->version, STR_A(to->host), (long long)to->port, to->user.n,
                      STR_A(to->user), to->password.p != NULL, STR_A(to->password));
}

static struct broker *broker_new(struct mqtt *m, const struct mqtt_message *msg)
{
    struct broker *b = calloc(1, sizeof(*b));
    const struct mqtt_address *to = msg->to;
    if (!b || (b->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        abort();
    b->owner = m;
    b->key = key_of_broker(&b->arena, msg);
    b->target = (struct mqtt_target){.host = arena_dup(&b->arena, to->host.p, to->host.n),
                                     .user = text_or_null(&b->arena, to->user),
                                     .password = text_or_null(&b->arena, to->password),
                                     .port = (int)to->port,
                                     .tls = to->tls,
                                     .allow_private = m->options.allow_private,
                                     .version = msg->version,
                                     .ca_file = m->ca_file,
                                     .connect_ms = m->options.connect_ms};
    b->tail = &b->queue;
    b->used = now_us();
    return b;
}

static struct broker *broker_get(struct mqtt *m, const struct mqtt_message *msg, struct error *e)
{
    struct arena a = ARENA_INIT;
    pthread_t thread;
    struct broker *b = map_get(&m->brokers, key_of_broker(&a, msg));
    arena_release(&a);
    if (b)
        return b;
    if (m->threads >= MQTT_BROKERS) {
        error_set(e, ERR_UNAVAILABLE, "more than %d MQTT brokers at once", MQTT_BROKERS);
        return NULL;
    }
    b = broker_new(m, msg);
    if (pthread_create(&thread, NULL, work, b)) {
        error_set(e, ERR_UNAVAILABLE, "no thread for another MQTT broker");
        broker_free(b);
        return NULL;
    }
    pthread_detach(thread);
    map_put(&m->brokers, b->key, b);
    m->threads++;
    return b;
}

/* --- for others --- */

struct mqtt *mqtt_new(const struct client_options *o, struct error *e)
{
    struct mqtt *m = calloc(1, sizeof(*m));
    if (!m || !(m->ca_file = strdup(o->ca_file ? o->ca_file : "")))
        abort();
    m->options = *o;
    if (mosquitto_lib_init()) {
        error_set(e, ERR_INTERNAL, "libmosquitto does not start");
        free(m->ca_file);
        free(m);
        return NULL;
    }
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->ended, NULL);
    return m;
}

static enum err check(const struct mqtt_message *msg, struct error *e)
{
    if (!mqtt_topic_ok(msg->to->topic))
        return error_set(e, ERR_INVALID, "an MQTT topic is missing or cannot be published to");
    if (msg->qos < 0 || msg->qos > 2)
        return error_set(e, ERR_INVALID, "MQTT knows QoS 0, 1 and 2");
    if (msg->payload.n > MQTT_PAYLOAD_MAX)
        return error_set(e, ERR_INVALID, "an MQTT message may have %d bytes", MQTT_PAYLOAD_MAX);
    return OK;
}

enum err mqtt_publish(struct mqtt *m, const struct mqtt_message *msg, struct error *e)
{
    if (check(msg, e))
        return e->code;
    enum err err = OK;
    pthread_mutex_lock(&m->lock);
    struct broker *b = NULL;
    if (m->closing)
        err = error_set(e, ERR_UNAVAILABLE, "we are stopping");
    else if (m->waiting >= m->options.queue_max)
        err = error_set(e, ERR_UNAVAILABLE, "too many MQTT messages are waiting");
    else if (!(b = broker_get(m, msg, e)))
        err = e->code;
    if (b) {
        struct mqtt_job *j = job_new(m, msg);
        *b->tail = j;
        b->tail = &j->next;
        m->waiting++;
        wake(b);
    }
    pthread_mutex_unlock(&m->lock);
    return err;
}

void mqtt_free(struct mqtt *m)
{
    struct map_iter it = {0};
    pthread_mutex_lock(&m->lock);
    m->closing = true;
    while (map_next(&m->brokers, &it))
        wake(it.value);
    while (m->threads)
        pthread_cond_wait(&m->ended, &m->lock);
    pthread_mutex_unlock(&m->lock);
    map_release(&m->brokers);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->ended);
    mosquitto_lib_cleanup();
    free(m->ca_file);
    free(m);
}
