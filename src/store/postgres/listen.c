/*
 * listen.c - what processes on one database have to do with each other: journal rows of others,
 * hints, duties.
 *
 * A thread with a connection of its own listens on the schema's channel. A notification is the name
 * of its process alone (there are journal rows) or name, topic and key of a hint. While the
 * connection was away notifications were missed: after each connect everybody is woken and told
 * that anything may have changed.
 *
 * A duty is an advisory lock of that connection, so that the server frees it with the connection.
 * Twice a second the server is asked for the duties that we do not have, which also shows that it
 * still knows us:
 *
 *   1. We have a duty for SURE_US after a question that was answered.
 *   2. The server ends a connection that asks nothing for IDLE_MS, which is longer: before another
 *      process gets the duty of one that hangs, that one knows that it has none.
 *   3. The server counts real time, and so do we: a store's own clock may stand still or leap.
 */
#include "postgres.h"

#include "core/log.h"
#include "crypto/hash.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RETRY_MS = 500, ASK_MS = 500, IDLE_MS = 8000, SURE_US = 4000000, PAYLOAD_MAX = 7900 };

void pg_listen_init(struct pg_data *d)
{
    d->wake_fd = -1;
    pthread_mutex_init(&d->duty_lock, NULL);
}

/* --- duties --- */

int64_t pg_duty(struct store *s, const char *duty)
{
    struct pg_data *d = s->engine_data;
    int64_t term = 0;
    int i = 0;
    pthread_mutex_lock(&d->duty_lock);
    while (i < d->n_duties && strcmp(d->duties[i].name, duty) != 0)
        i++;
    if (i < d->n_duties) {
        bool sure = clock_steady(&clock_system) - d->confirmed < SURE_US;
        term = sure ? d->duties[i].term : 0;
    } else if (d->n_duties < PG_DUTIES) {
        d->duties[d->n_duties++].name = duty;
        if (d->wake_fd >= 0)
            eventfd_write(d->wake_fd, 1);
    }
    pthread_mutex_unlock(&d->duty_lock);
    return term;
}

static void lose_duties(struct pg_data *d)
{
    pthread_mutex_lock(&d->duty_lock);
    for (int i = 0; i < d->n_duties; i++)
        d->duties[i].term = 0;
    pthread_mutex_unlock(&d->duty_lock);
}

/* -1: the connection is lost. Another key than that of the schema's lock. */
static int try_lock(struct pg_data *d, const char *duty)
{
    char name[100];
    const char *values[] = {name};
    snprintf(name, sizeof(name), "%s %.50s", d->channel, duty);
    PGresult *r =
        PQexecParams(d->listening, "SELECT pg_try_advisory_lock(1297237843, hashtext($1))", 1, NULL,
                     values, NULL, NULL, 0);
    int got = PQresultStatus(r) == PGRES_TUPLES_OK ? PQgetvalue(r, 0, 0)[0] == 't' : -1;
    PQclear(r);
    return got;
}

/* Ask for those that we do not have; false: the connection is lost. */
static bool ask_duties(struct store *s)
{
    struct pg_data *d = s->engine_data;
    int64_t asked = clock_steady(&clock_system);
    bool alive = pg_run(d->listening, "SELECT 1", NULL) == OK, more = false;
    pthread_mutex_lock(&d->duty_lock);
    int n = d->n_duties;
    pthread_mutex_unlock(&d->duty_lock);
    for (int i = 0; alive && i < n; i++) {
        if (d->duties[i].term) /* only this thread writes it */
            continue;
        int got = try_lock(d, d->duties[i].name);
        alive = got >= 0;
        if (got <= 0)
            continue;
        pthread_mutex_lock(&d->duty_lock);
        d->duties[i].term = ++d->terms;
        pthread_mutex_unlock(&d->duty_lock);
        log_event(LOG_INFO, "store.on_duty", LOG_Z("duty", d->duties[i].name));
        more = true;
    }
    pthread_mutex_lock(&d->duty_lock);
    if (alive)
        d->confirmed = asked;
    pthread_mutex_unlock(&d->duty_lock);
    if (more)
        journal_wake(s);
    return alive;
}

/* --- hints --- */

enum err pg_tell(struct store_conn *c, const char *topic, struct str key)
{
    struct pg_conn *q = (struct pg_conn *)c;
    const struct pg_data *d = c->store->engine_data;
    struct arena a = ARENA_INIT;
    struct str text = str_printf(&a, "%s %s", d->self, topic);
    if (key.p && text.n + key.n < PAYLOAD_MAX) /* else: anything of the topic */
        text = str_printf(&a, "%" STR_F " %" STR_F, STR_A(text), STR_A(key));
    enum err err = pg_exec(&q->base, "SELECT pg_notify($1, $2)",
                           SV(SV_TEXT(str_c(d->channel)), SV_TEXT(text)), NULL);
    arena_release(&a);
    return err;
}

/* The text up to the next blank, which is taken away; what is left is absent after the last one. */
static struct str word(struct str *text)
{
    ptrdiff_t blank = text->p ? str_find_char(*text, ' ') : -1;
    struct str w = blank < 0 ? *text : str_sub(*text, 0, (size_t)blank);
    *text = blank < 0 ? STR_NONE : str_from(*text, (size_t)blank + 1);
    return w;
}

/* --- the thread --- */

static void hear(struct store *s)
{
    struct pg_data *d = s->engine_data;
    bool rows = false;
    PGnotify *n;
    while ((n = PQnotifies(d->listening))) {
        struct str rest = str_c(n->extra), who = word(&rest), topic = word(&rest);
        if (!str_eq(who, str_c(d->self))) {
            if (topic.p)
                hints_heard(s, topic, rest);
            else
                rows = true;
        }
        PQfreemem(n);
    }
    if (rows)
        journal_wake(s);
}

static enum err start_listening(struct store *s, PGconn **pg, struct error *e)
{
    struct pg_data *d = s->engine_data;
    char sql[120];
    snprintf(sql, sizeof(sql), "SET idle_session_timeout = %d; LISTEN %s", IDLE_MS, d->channel);
    enum err err = pg_connect(s, CONN_ADMIN, pg, e);
    if (!err && (err = pg_run(*pg, sql, e))) {
        PQfinish(*pg);
        *pg = NULL;
    }
    return err;
}

static void connection_lost(struct pg_data *d)
{
    PQfinish(d->listening);
    d->listening = NULL;
    lose_duties(d);
}

/* Until somebody writes, we are woken, or so much time has passed; true when we were woken. */
static bool wait_for(struct pg_data *d, int64_t ms)
{
    struct pollfd p[2] = {{d->wake_fd, POLLIN, 0},
                          {d->listening ? PQsocket(d->listening) : -1, POLLIN, 0}};
    eventfd_t woken;
    poll(p, 2, (int)(ms > 0 ? ms : 0));
    return p[0].revents && eventfd_read(d->wake_fd, &woken) == 0;
}

static void *run(void *arg)
{
    struct store *s = arg;
    struct pg_data *d = s->engine_data;
    int64_t next = 0; /* when to ask; each notification ends a wait */
    while (!atomic_load(&d->stopping)) {
        int64_t now = clock_steady(&clock_system);
        if (!d->listening) {
            wait_for(d, RETRY_MS);
            if (atomic_load(&d->stopping) || start_listening(s, &d->listening, NULL))
                continue;
            hints_heard(s, STR_NONE, STR_NONE);
            journal_wake(s);
            next = 0;
        }
        if ((now >= next && !ask_duties(s)) || !PQconsumeInput(d->listening)) {
            connection_lost(d);
            continue;
        }
        if (now >= next)
            next = now + ASK_MS * 1000;
        hear(s);
        if (wait_for(d, (next - clock_steady(&clock_system)) / 1000 + 1))
            next = 0;
    }
    return NULL;
}

/* The channel is the schema's: stores in other schemas of the database do not wake us. */
static enum err name_channel(struct store *s, struct pg_data *d, struct error *e)
{
    PGconn *pg = NULL;
    enum err err = pg_connect(s, CONN_ADMIN, &pg, e);
    if (err)
        return err;
    PGresult *r = PQexec(pg, "SELECT current_schema()");
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        err = pg_error(pg, r, e, "postgres");
    } else {
        struct arena a = ARENA_INIT;
        struct hash h = hash_blake2b(str_c(PQgetvalue(r, 0, 0)));
        unsigned char self[16];
        random_bytes(self, sizeof(self));
        struct str hex = hex_encode(&a, str_n((const char *)h.b, 12));
        snprintf(d->channel, sizeof(d->channel), "marugoto_%.*s", (int)hex.n, hex.p);
        memcpy(&d->locks, h.b + 12, sizeof(d->locks));
        hex = hex_encode(&a, str_n((const char *)self, sizeof(self)));
        snprintf(d->self, sizeof(d->self), "%.*s", (int)hex.n, hex.p);
        arena_release(&a);
    }
    PQclear(r);
    PQfinish(pg);
    return err;
}

enum err pg_listen_start(struct store *s, struct error *e)
{
    struct pg_data *d = s->engine_data;
    enum err err = name_channel(s, d, e);
    if (!err)
        err = start_listening(s, &d->listening, e);
    if (err)
        return err;
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (d->wake_fd < 0 || pthread_create(&d->listener, NULL, run, s) != 0)
        return error_set(e, ERR_INTERNAL, "cannot start the thread that listens");
    d->running = true;
    return OK;
}

void pg_listen_stop(struct store *s)
{
    struct pg_data *d = s->engine_data;
    if (d->running) {
        atomic_store(&d->stopping, true);
        eventfd_write(d->wake_fd, 1);
        pthread_join(d->listener, NULL);
    }
    d->running = false;
    PQfinish(d->listening);
    d->listening = NULL;
    if (d->wake_fd >= 0)
        close(d->wake_fd);
    d->wake_fd = -1;
}
