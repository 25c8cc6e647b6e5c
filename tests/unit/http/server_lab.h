/*
 * server_lab.h - a real server on loopback and a client of raw bytes, for tests.
 *
 *     struct lab lab;
 *     lab_start(&lab, NULL);
 *     int fd = lab_connect(&lab);
 *     lab_write(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
 *     struct reply r = lab_read(fd);
 *     lab_stop(&lab);
 */
#ifndef SERVER_LAB_H
#define SERVER_LAB_H

#include "http/server.h"
#include <pthread.h>
#include <stdatomic.h>

enum { LAB_BODY = 256 * 1024, LAB_LATER = 2000 };

/* The system's time, moved forward by the test: deadlines come without waiting for them. */
struct lab_clock {
    struct clock base;
    _Atomic int64_t ahead;
};

struct lab {
    struct server *server;
    struct lab_clock clock;
    struct router *router;
    struct http_options opt;
    char spool[64];
    _Atomic int handled; /* requests that reached /echo */
    _Atomic int workers; /* worker_new minus worker_free */
    /* requests that said HTTP_LATER: /later appends, lab_resume_all() answers */
    pthread_mutex_t lock;
    struct request *later[LAB_LATER];
    struct response *later_res[LAB_LATER];
    size_t n_later;
    /* the stream of /events: lab_say() makes it send a line */
    struct http_stream_handle *stream;
    char line[128];
    size_t line_n;
    bool stream_end;
    _Atomic int stream_done;
    /* WebSockets of /ws */
    struct ws *ws;
    _Atomic int ws_open, ws_closed;
};

struct reply {
    int status; /* 0: the connection was closed first */
    char head[16 * 1024];
    char body[LAB_BODY];
    size_t body_n;
};

/* options may change lab->opt before the server starts; NULL: loopback, free port, 2 workers. */
void lab_start(struct lab *lab, void (*options)(struct http_options *o));
void lab_stop(struct lab *lab);
void lab_clean(struct lab *lab); /* what remains after server_stop() */

int lab_connect(const struct lab *lab);
void lab_write(int fd, const char *text);
void lab_write_n(int fd, const char *p, size_t n);
/* One answer: with Content-Length, chunked or until the end of the connection. Gives up after 5 s
 * with status -1. The reply is static and overwritten by the next call. */
struct reply *lab_read(int fd);
struct reply *lab_read_head(int fd); /* of HEAD, 204, 304, 101 */
/* On a connection of its own. */
struct reply *lab_ask(const struct lab *lab, const char *text);
const char *reply_header(const struct reply *r, const char *name); /* NULL when absent; static */
/* Was the connection closed by the server within ms? */
bool lab_is_closed(int fd, int ms);

size_t lab_later_count(struct lab *lab);
void lab_resume_all(struct lab *lab);
void lab_say(struct lab *lab, const char *line);
void lab_end_stream(struct lab *lab);
/* Wait until *value is want, at most ms. */
bool lab_wait(_Atomic int *value, int want, int ms);
bool lab_wait_later(struct lab *lab, size_t want, int ms);

#endif
