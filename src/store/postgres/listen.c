/*
 * listen.c - hear of journal rows that other processes wrote.
 *
 * A thread with a connection of its own listens on the schema's channel and wakes the store's
 * listeners. While the connection was away notifications were missed: after each connect the
 * listeners are woken once.
 */
#include "postgres.h"

#include "crypto/hash.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { RETRY_MS = 500 };

/* True when the store is closing. */
static bool wait_for(struct pg_data *d, int fd, int ms)
{
    struct pollfd p[2] = {{d->stop_fd, POLLIN, 0}, {fd, POLLIN, 0}};
    poll(p, fd >= 0 ? 2 : 1, ms);
    return p[0].revents != 0;
}

static bool heard_others(PGconn *pg, const struct pg_data *d)
{
    bool others = false;
    PGnotify *n;
    while ((n = PQnotifies(pg))) {
        if (strcmp(n->extra, d->self) != 0)
            others = true;
        PQfreemem(n);
    }
    return others;
}

static enum err start_listening(struct store *s, PGconn **pg, struct error *e)
{
    struct pg_data *d = s->engine_data;
    char sql[80];
    snprintf(sql, sizeof(sql), "LISTEN %s", d->channel);
    enum err err = pg_connect(s, CONN_ADMIN, pg, e);
    if (!err && (err = pg_run(*pg, sql, e))) {
        PQfinish(*pg);
        *pg = NULL;
    }
    return err;
}

static void *run(void *arg)
{
    struct store *s = arg;
    struct pg_data *d = s->engine_data;
    for (;;) {
        if (!d->listening) {
            if (wait_for(d, -1, RETRY_MS))
                return NULL;
            if (start_listening(s, &d->listening, NULL))
                continue;
            journal_wake(s);
        }
        if (wait_for(d, PQsocket(d->listening), -1))
            return NULL;
        if (!PQconsumeInput(d->listening)) {
            PQfinish(d->listening);
            d->listening = NULL;
        } else if (heard_others(d->listening, d)) {
            journal_wake(s);
        }
    }
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
    d->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (d->stop_fd < 0 || pthread_create(&d->listener, NULL, run, s) != 0)
        return error_set(e, ERR_INTERNAL, "cannot start the thread that listens");
    d->running = true;
    return OK;
}

void pg_listen_stop(struct store *s)
{
    struct pg_data *d = s->engine_data;
    if (d->running) {
        eventfd_write(d->stop_fd, 1);
        pthread_join(d->listener, NULL);
    }
    d->running = false;
    PQfinish(d->listening);
    d->listening = NULL;
    if (d->stop_fd >= 0)
        close(d->stop_fd);
    d->stop_fd = -1;
}
