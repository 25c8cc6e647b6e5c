/*
 * outbox_lab.h - the outbox on a real store, with a clock that stands still and a network that
 * records: each request waits until the test answers it.
 */
#ifndef TESTS_LINK_OUTBOX_LAB_H
#define TESTS_LINK_OUTBOX_LAB_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../store/fixture.h"
#include "link/ops.h"
#include "subscription_impl.h"

enum { LAB_SENT = 8192 };

struct lab_sent {
    char *url, *body;
    char headers[400];
    void (*done)(void *ctx, const struct client_answer *a);
    void *ctx;
    bool answered;
};

struct lab {
    struct fixture *fixture;
    struct store *store;
    struct clock_fake clock;
    struct link link;
    struct subscriptions *hub;
    struct lab_sent *sent;
    size_t n, seen; /* requests made; those that lab_next() gave out */
    struct arena arena;
};

static inline enum err lab_send(void *ctx, const struct outbound *r, struct error *e)
{
    struct lab *l = ctx;
    (void)e;
    assert_true(l->n < LAB_SENT);
    struct lab_sent *s = &l->sent[l->n++];
    *s = (struct lab_sent){.done = r->done, .ctx = r->ctx};
    s->url = strndup(r->url.p, r->url.n);
    s->body = strndup(r->body.p, r->body.n);
    for (size_t i = 0; i < r->n_headers; i++) {
        size_t at = strlen(s->headers);
        snprintf(s->headers + at, sizeof(s->headers) - at, "%" STR_F ": %" STR_F "\n",
                 STR_A(r->headers[i].name), STR_A(r->headers[i].value));
    }
    return OK;
}

static inline uint64_t lab_random(void *ctx)
{
    (void)ctx;
    return 0;
}

static inline struct subscriptions *lab_hub(struct lab *l)
{
    /* on PostgreSQL the duty to notify is had a moment after it was asked for */
    struct timespec moment = {0, 10000000};
    for (int i = 0; i < 1000 && !store_duty(l->store, "notify"); i++)
        nanosleep(&moment, NULL);
    struct error e = {0};
    struct sub_net net = {lab_send, lab_random, l};
    struct subscriptions *h = sub_hub_new(&l->link, &net, &e);
    if (!h)
        fail_msg("%s", e.text);
    return h;
}

static inline int lab_open(void **state)
{
    struct lab *l = calloc(1, sizeof(*l));
    struct error e = {0};
    assert_int_equal(fixture_new((void **)&l->fixture), 0);
    l->clock = clock_fake_at(INT64_C(1790000000) * SECOND_US);
    if (store_open(&l->store, &l->fixture->options, &l->clock.base, &link_module, 1, &e))
        fail_msg("%s", e.text);
    struct config_bind bind = {&link_config, &l->link.options};
    config_defaults(&bind);
    l->link.store = l->store;
    l->link.clock = &l->clock.base;
    l->sent = calloc(LAB_SENT, sizeof(*l->sent));
    l->hub = lab_hub(l);
    l->link.subscriptions = l->hub;
    *state = l;
    return 0;
}

static inline int lab_close(void **state)
{
    struct lab *l = *state;
    struct client_answer none = {.error = {.code = ERR_UNAVAILABLE}};
    subscriptions_free(l->hub);
    for (size_t i = 0; i < l->n; i++) {
        if (!l->sent[i].answered)
            l->sent[i].done(l->sent[i].ctx, &none);
        free(l->sent[i].url);
        free(l->sent[i].body);
    }
    free(l->sent);
    arena_release(&l->arena);
    store_close(l->store);
    fixture_free((void **)&l->fixture);
    free(l);
    return 0;
}

/* Everything that is due now. */
static inline void lab_run(struct lab *l)
{
    for (int i = 0; sub_step(l->hub, false) && i < 10000; i++)
        continue;
}

static inline void lab_wait(struct lab *l, int64_t us)
{
    clock_fake_move(&l->clock, us);
    lab_run(l);
}

static inline void lab_answer(struct lab *l, size_t i, int status)
{
    struct client_answer a = {.status = status};
    if (!status)
        error_set(&a.error, ERR_UNAVAILABLE, "no connection");
    assert_false(l->sent[i].answered);
    l->sent[i].answered = true;
    l->sent[i].done(l->sent[i].ctx, &a);
}

/* --- entities --- */

static inline const struct json *lab_json(struct lab *l, const char *text)
{
    struct error e = {0};
    struct buf b = BUF_INIT;
    for (const char *p = text; *p; p++) /* 'quotes' are easier to read in C */
        buf_char(&b, *p == '\'' ? '"' : *p);
    const struct json *v = json_parse(&l->arena, buf_dup(&b, &l->arena), &JSON_DEFAULT, &e);
    buf_release(&b);
    if (!v)
        fail_msg("%s in %s", e.text, text);
    return v;
}

static inline void lab_write(struct lab *l, enum op_kind kind, const char *id, const char *text)
{
    struct error e = {0};
    struct arena a = ARENA_INIT;
    enum entity_in mode = kind == OP_CREATE || kind == OP_UPSERT ? ENTITY_WHOLE : ENTITY_FRAGMENT;
    struct op op = {.kind = kind, .id = str_c(id)};
    struct ops ops = {.arena = &a, .ops = &op, .n = 1};
    if (text)
        op.input = entity_expand(&a, lab_json(l, text), mode, false, ld_core(), &e);
    if (text && !op.input)
        fail_msg("%s", e.text);
    if (ops_run(&l->link, &ops, &e) || op.result)
        fail_msg("%s %s", e.text, op.error.text);
    arena_release(&a);
}

/* Sensor urn:x:ID gets the value v. */
static inline void lab_set(struct lab *l, const char *id, int v)
{
    char text[300];
    snprintf(text, sizeof(text),
             "{'id':'urn:x:%s','type':'Sensor','t':{'type':'Property','value':%d}}", id, v);
    char urn[100];
    snprintf(urn, sizeof(urn), "urn:x:%s", id);
    lab_write(l, OP_UPSERT_UPDATE, urn, text);
}

/* --- subscriptions --- */

struct lab_row {
    struct lab *lab;
    const struct json *doc;
    int64_t tenant, sid, cursor;
};

static inline enum err lab_insert(struct store_conn *c, void *ctx, struct error *e)
{
    struct lab_row *r = ctx;
    int64_t oldest;
    if (journal_range(c, r->tenant, &oldest, &r->cursor, e))
        return e->code;
    return store_get_int(
        c, &r->sid,
        "INSERT INTO subscription(tenant, id, doc, context, state, cursor, pending, created,"
        " modified) VALUES ($1, $2, $3, 'null', '{}', $4, 1, 0, 0) RETURNING sid",
        SV(SV_INT(r->tenant), SV_TEXT(json_text(json_get(r->doc, S("id")))),
           SV_TEXT(json_to_text(&r->lab->arena, r->doc)), SV_INT(r->cursor)),
        e);
}

static inline struct sub_spec *lab_spec(const struct json *doc)
{
    struct error e = {0};
    struct sub_slab *slab = sub_slab_new();
    struct sub_source src = {.tenant = 1,
                             .tenant_name = S(""),
                             .id = json_text(json_get(doc, S("id"))),
                             .doc = doc,
                             .ctx = ld_core(),
                             .public_url = S("http://city")};
    struct sub_spec *spec = sub_spec_new(slab, &src, &e);
    sub_slab_unref(slab);
    if (!spec)
        fail_msg("%s", e.text);
    return spec;
}

static inline const struct json *lab_doc(struct lab *l, const char *text)
{
    struct error e = {0};
    const struct json *doc = sub_expand(&l->arena, lab_json(l, text), false, ld_core(), &e);
    if (!doc || sub_check(doc, &e))
        fail_msg("%s", e.text);
    return doc;
}

static inline struct sub *lab_subscribe(struct lab *l, const char *text)
{
    struct error e = {0};
    struct lab_row r = {l, lab_doc(l, text), 1, 0, 0};
    if (store_write(l->store, lab_insert, &r, &e))
        fail_msg("%s", e.text);
    struct sub_new n = {.spec = lab_spec(r.doc), .sid = r.sid, .read = r.cursor};
    pthread_mutex_lock(&l->hub->lock);
    struct sub *s = sub_enter(l->hub, &n);
    pthread_mutex_unlock(&l->hub->lock);
    return s;
}

/* A subscription to all sensors at http://HOST/, with more members. */
static inline struct sub *lab_sensors(struct lab *l, const char *id, const char *host,
                                      const char *more)
{
    char text[1000];
    snprintf(text, sizeof(text),
             "{'id':'urn:s:%s','type':'Subscription','entities':[{'type':'Sensor'}],"
             "'notification':{'endpoint':{'uri':'http://%s/'}}%s}",
             id, host, more);
    return lab_subscribe(l, text);
}

/* The body of request i. */
static inline const struct json *lab_body(struct lab *l, size_t i)
{
    assert_true(i < l->n);
    struct error e = {0};
    const struct json *v = json_parse(&l->arena, str_c(l->sent[i].body), &JSON_DEFAULT, &e);
    if (!v)
        fail_msg("%s in %s", e.text, l->sent[i].body);
    return v;
}

static inline int lab_value_of(const struct json *entity)
{
    int64_t v = -1;
    json_i64(json_get(json_get(entity, S("t")), S("value")), &v);
    return (int)v;
}

static inline int lab_value(struct lab *l, size_t i)
{
    return lab_value_of(json_at(json_get(lab_body(l, i), S("data")), 0));
}

#endif
