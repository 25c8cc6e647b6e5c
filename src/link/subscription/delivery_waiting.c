/*
 * Looking at what waits: the journal behind a subscription's position, through its own conditions,
 * compiled once more so that nobody at work is disturbed. Linked entities are left out: they would
 * be those of today.
 */
#include "csource_outbox.h"
#include "link/access.h"
#include "link/delivery.h"
#include "registration_impl.h"
#include "subscription_impl.h"

enum { CHUNK_ROWS = 256 };

struct looking {
    const struct sub_spec *spec;
    struct sub_group shown; /* of NGSI-LD */
    struct sub_place place;
    struct arena arena;
    size_t left, rows; /* to find; to look at */
    void (*each)(void *ctx, const struct delivery_waiting *w);
    void *ctx;
    struct delivery_scan *scan;
};

static void tell(struct looking *x, const struct journal_row *row, const struct entity_event *ev)
{
    struct arena *a = &x->arena;
    const struct json *types = entity_types(ev->doc);
    struct str *attrs = ARENA_ARRAY(a, struct str, ev->changes.n + 1);
    struct sub_payload *p = NULL;
    for (size_t i = 0; i < ev->changes.n; i++)
        attrs[i] = ev->changes.v[i].attr;
    if (!x->spec->face)
        p = sub_render(&x->shown, &x->place, a, ev, row->at);
    struct delivery_waiting w = {.seq = row->seq,
                                 .at = row->at,
                                 .entity = entity_id(ev->doc),
                                 .type = types && types->n ? json_text(&types->items[0]) : S(""),
                                 .op = ev->op == EVENT_CREATED   ? WAITING_CREATED
                                       : ev->op == EVENT_DELETED ? WAITING_DELETED
                                                                 : WAITING_UPDATED,
                                 .attrs = attrs,
                                 .n_attrs = ev->changes.n,
                                 .text = p ? sub_payload_text(p) : STR_NONE};
    x->each(x->ctx, &w);
    if (p)
        sub_payload_unref(p);
    x->left--;
}

/* A change of a registration: what it was, or is now. */
static void tell_registration(struct looking *x, const struct journal_row *row,
                              const struct csource_event *ev)
{
    const struct registration *reg = ev->after ? ev->after : ev->before;
    struct delivery_waiting w = {.seq = row->seq,
                                 .at = row->at,
                                 .entity = reg->id,
                                 .type = S(LD_NGSI_PREFIX "ContextSourceRegistration"),
                                 .op = !ev->after    ? WAITING_DELETED
                                       : !ev->before ? WAITING_CREATED
                                                     : WAITING_UPDATED};
    x->each(x->ctx, &w);
    x->left--;
}

static void look_at_registration(struct looking *x, const struct journal_row *row)
{
    struct csource_event own;
    struct entity_event ev = {.registration = &own};
    struct error e = {0};
    if (csource_event_open(x->place.link, &x->arena, x->spec->tenant, row->body, &own, &e))
        return;
    if (sub_concerns(x->spec, &x->place, &x->arena, &ev))
        tell_registration(x, row, &own);
    csource_event_close(&own);
}

static bool look_at_row(void *ctx, const struct journal_row *row)
{
    struct looking *x = ctx;
    struct entity_event ev;
    struct error e;
    x->scan->upto = row->seq;
    x->rows--;
    bool registrations = x->spec->face && x->spec->face->registrations;
    if (registrations && str_eq(row->topic, S("registration")))
        look_at_registration(x, row);
    else if (!registrations && str_eq(row->topic, S("entity")) &&
             !entity_event_parse(&x->arena, row->body, &ev, &e)) {
        const struct sub_group *g = x->spec->group;
        const struct entity_event *heard =
            access_event(access_view_of(x->place.link->access, g->owner, x->spec->tenant),
                         &x->arena, &ev);
        if (heard && sub_concerns(x->spec, &x->place, &x->arena, heard))
            tell(x, row, heard);
    }
    arena_reset(&x->arena);
    return x->left && x->rows;
}

/* The position of one that is there and follows changes. */
static enum err position_of(struct link *l, int64_t tenant, struct str id, int64_t *cursor,
                            struct error *e)
{
    struct subscriptions *h = l->subscriptions;
    pthread_mutex_lock(&h->lock);
    const struct sub *s = sub_find(h, tenant, id);
    bool follows = s && !s->spec->interval_us && (sub_at_work(s) || s->state == ST_ASIDE);
    *cursor = follows ? sub_cursor(s) : -1;
    pthread_mutex_unlock(&h->lock);
    return s ? OK : error_set(e, ERR_NOT_FOUND, "no subscription %" STR_F, STR_A(id));
}

static enum err look(struct looking *x, struct store_conn *c, int64_t newest, struct error *e)
{
    enum err err = OK;
    while (!err && x->left && x->rows && x->scan->upto < newest) {
        size_t n = x->rows < CHUNK_ROWS ? x->rows : CHUNK_ROWS;
        err = journal_read(c, x->place.tenant, x->scan->upto, n, look_at_row, x, e);
    }
    return err;
}

enum err delivery_waiting(struct link *l, struct store_conn *c, int64_t tenant, struct str id,
                          int64_t after, size_t limit, size_t rows,
                          void (*each)(void *ctx, const struct delivery_waiting *w), void *ctx,
                          struct delivery_scan *scan, struct error *e)
{
    int64_t oldest, newest, cursor;
    *scan = (struct delivery_scan){0};
    if (position_of(l, tenant, id, &cursor, e) || journal_range(c, tenant, &oldest, &newest, e))
        return e->code;
    if (cursor < 0)
        return OK;
    struct sub_spec *spec = sub_spec_of(l, c, tenant, id, e);
    if (!spec)
        return e->code;
    scan->upto = after > cursor ? after : cursor;
    scan->gap = scan->upto < oldest - 1;
    if (scan->gap)
        scan->upto = oldest - 1;
    struct looking x = {.spec = spec,
                        .shown = *spec->group,
                        .place = {l, tenant},
                        .left = limit,
                        .rows = rows,
                        .each = each,
                        .ctx = ctx,
                        .scan = scan};
    x.shown.join = SHOW_ALONE;
    enum err err = look(&x, c, newest, e);
    scan->more = scan->upto < newest;
    arena_release(&x.arena);
    sub_spec_drop(spec);
    return err;
}
