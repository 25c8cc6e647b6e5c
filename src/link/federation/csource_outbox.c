/*
 * Subscriptions to registrations (clauses 5.11, 5.3.2): what the outbox does for them.
 *
 * A change of a registration is a journal row, so that the outbox tells of it like of any change:
 * durable, in order, tried again. What a subscription is told is cut down to the informations that
 * concern it (clause 5.11.7).
 */
#include "csource_outbox.h"
#include "api_temporal.h"
#include "registration_impl.h"
#include <string.h>

enum { PAGE_REGISTRATIONS = 100 };

/* What is watched; places are tested by one thread at a time. */
struct watch {
    pthread_mutex_t lock;
    const struct sub_selector *selectors;
    size_t n_selectors;
    struct reg_ask ask; /* without entities */
    struct geo_query geo;
};

/* --- compiling --- */

static size_t texts_of(struct arena *a, const struct json *v, struct str *out, size_t n)
{
    for (uint32_t i = 0; json_is(v, JSON_ARRAY) && i < v->n; i++)
        out[n++] = str_dup(a, json_text(&v->items[i]));
    return n;
}

/* Attributes count when both lists are there (clause 5.12). */
static void take_attrs(struct watch *w, struct arena *a, const struct json *doc)
{
    const struct json *watched = json_get(doc, S("watchedAttributes"));
    const struct json *told = json_get(json_get(doc, S("notification")), S("attributes"));
    if (!json_is(watched, JSON_ARRAY) || !json_is(told, JSON_ARRAY) || !told->n)
        return;
    struct str *list = ARENA_ARRAY(a, struct str, watched->n + told->n);
    w->ask.n_attrs = texts_of(a, watched, list, 0);
    w->ask.n_attrs = texts_of(a, told, list, w->ask.n_attrs);
    w->ask.attrs = list;
}

static enum err take_conditions(struct watch *w, struct arena *a, const struct sub_source *src,
                                const struct sub_spec *s, struct error *e)
{
    struct str csf = json_text(json_get(src->doc, S("csf")));
    const struct query_limits *limits = &QUERY_DEFAULT;
    if (csf.p && !(w->ask.csf = query_parse_q(a, str_dup(a, csf), src->ctx, NULL, 0, limits, e)))
        return e->code;
    if (s->scope_q.p && !(w->ask.scope = query_parse_scope(a, s->scope_q, limits, e)))
        return e->code;
    if (s->georel.p) {
        if (query_parse_geo(a, s->georel, s->geometry, s->coordinates, s->geo_property, ld_core(),
                            &w->geo, e))
            return e->code;
        w->ask.geo = &w->geo;
    }
    return csource_time_of(json_get(src->doc, S("temporalQ")), &w->ask, e);
}

static enum err compile(struct arena *a, const struct sub_source *src, struct sub_spec *s,
                        struct error *e)
{
    struct watch *w = ARENA_NEW(a, struct watch);
    pthread_mutex_init(&w->lock, NULL);
    s->own = w;
    if (sub_spec_take(s, a, src, e))
        return e->code;
    w->selectors = s->selectors;
    w->n_selectors = s->n_selectors;
    w->ask.tenant = src->tenant;
    w->ask.geo_strict = w->ask.scope_strict = true;
    take_attrs(w, a, src->doc);
    s->one_each = true;
    s->group->own = w;
    s->group->key = str_printf(a, "registrations %" STR_F, STR_A(s->key));
    s->group->view.sys_attrs =
        json_true(json_get(json_get(src->doc, S("notification")), S("sysAttrs")));
    return take_conditions(w, a, src, s, e);
}

static void release(struct sub_spec *s)
{
    struct watch *w = s->own;
    if (w->ask.csf)
        query_q_release(w->ask.csf);
    if (w->ask.geo)
        geo_query_release(&w->geo);
    pthread_mutex_destroy(&w->lock);
}

/* --- matching --- */

/* The informations of the registration that are watched. What goes over a limit counts as yes:
 * nothing is skipped silently. */
static size_t watched_infos(struct watch *w, struct arena *a, const struct registration *reg,
                            const struct reg_info **out)
{
    struct error e;
    size_t n = 0;
    struct reg_ask ask = w->ask;
    struct reg_asking q = {.ask = &ask, .arena = a};
    bool hit;
    pthread_mutex_lock(&w->lock);
    bool meets = reg_meets(&q, reg, &hit, &e) != OK || hit;
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; meets && i < reg->n_infos; i++) {
        bool one = false;
        for (size_t k = 0; !one && k < (w->n_selectors ? w->n_selectors : 1); k++) {
            const struct sub_selector *sel = w->n_selectors ? &w->selectors[k] : NULL;
            ask.ids = sel ? sel->ids : NULL;
            ask.n_ids = sel ? sel->n_ids : 0;
            ask.types = sel ? sel->types : NULL;
            q.pattern = sel && !sel->n_ids ? sel->pattern : NULL; /* borrowed */
            one = reg_info_meets(&q, &reg->infos[i], &hit, NULL, &e) != OK || hit;
        }
        if (one)
            out[n++] = &reg->infos[i];
    }
    return n;
}

static const struct reg_info **room(struct arena *a, const struct registration *reg)
{
    return ARENA_ARRAY(a, const struct reg_info *, reg->n_infos);
}

static bool is_watched(struct watch *w, struct arena *a, const struct registration *reg)
{
    return reg && watched_infos(w, a, reg, room(a, reg)) > 0;
}

static bool concerns(const struct sub_spec *s, struct arena *a, const struct entity_event *ev)
{
    const struct csource_event *x = ev->registration;
    return x && (is_watched(s->own, a, x->before) || is_watched(s->own, a, x->after));
}

static bool selects(const struct sub_spec *s, size_t i, struct arena *a, const struct json *doc)
{
    (void)s;
    (void)i;
    (void)a;
    (void)doc;
    return false; /* of entities it wants none */
}

/* --- telling --- */

static void write_registration(struct buf *out, const struct sub_group *g, struct arena *a,
                               const struct registration *reg)
{
    struct watch *w = (struct watch *)g->own;
    const struct reg_info **infos = room(a, reg);
    struct reg_view v = {.ctx = g->view.ctx,
                         .sys_attrs = g->view.sys_attrs,
                         .no_credentials = true,
                         .created = reg->created,
                         .modified = reg->modified,
                         .infos = infos};
    v.n_infos = watched_infos(w, a, reg, infos);
    reg_write(out, a, reg->doc, &v);
}

/* The members of a notification that tell what happened (clause 5.3.2). */
static void begin_told(struct buf *out, struct str reason)
{
    BUF_LIT(out, "\"triggerReason\":\"");
    buf_str(out, reason);
    BUF_LIT(out, "\",\"data\":[");
}

static struct sub_payload *render(const struct sub_group *g, struct arena *a,
                                  const struct entity_event *ev)
{
    const struct csource_event *x = ev->registration;
    struct watch *w = (struct watch *)g->own;
    bool was = is_watched(w, a, x->before), is = is_watched(w, a, x->after);
    struct buf out = BUF_INIT;
    begin_told(&out, !is ? S("noLongerMatching") : was ? S("updated") : S("newlyMatching"));
    write_registration(&out, g, a, is ? x->after : x->before);
    buf_char(&out, ']');
    struct sub_payload *p = sub_payload_new(buf_view(&out), STR_NONE);
    buf_release(&out);
    return p;
}

static void page(struct link *l, const struct sub_spec *s, struct arena *a, struct sub_face_page *p)
{
    struct watch *w = s->own;
    struct reg_list list;
    int64_t now = clock_now(l->clock);
    reg_all(l->registrations, a, s->tenant, &list);
    for (size_t i = 0; i < list.n && !p->more; i++) {
        const struct registration *reg = list.v[i];
        if (reg->rid <= p->after || (reg->expires && reg->expires <= now) || !is_watched(w, a, reg))
            continue;
        p->more = p->n == PAGE_REGISTRATIONS;
        if (p->more)
            break;
        if (p->n++)
            buf_char(p->out, ',');
        else
            begin_told(p->out, S("newlyMatching"));
        write_registration(p->out, s->group, a, reg);
        p->last = reg->rid;
    }
    if (p->n)
        buf_char(p->out, ']');
    reg_list_release(&list);
}

static void request(const struct sub_spec *s, struct arena *a, struct str id, int64_t now,
                    struct sub_payload *const *list, size_t n, struct outbound *out)
{
    struct http_header *headers = ARENA_ARRAY(a, struct http_header, s->n_headers + 3);
    bool ld = s->accept == ACCEPT_LD;
    struct buf body = BUF_INIT;
    struct json_writer w = json_writer(&body);
    char at[DATETIME_MAX];
    size_t k = 0;
    headers[k++] = (struct http_header){S("Content-Type"),
                                        ld ? S("application/ld+json") : S("application/json")};
    if (!ld)
        headers[k++] = (struct http_header){S("Link"), s->link};
    if (s->tenant_name.n)
        headers[k++] = (struct http_header){S("NGSILD-Tenant"), s->tenant_name};
    if (s->n_headers)
        memcpy(headers + k, s->headers, s->n_headers * sizeof(*headers));
    json_w_object(&w);
    json_w_kstr(&w, S("id"), id);
    json_w_kstr(&w, S("type"), S("ContextSourceNotification"));
    json_w_kstr(&w, S("subscriptionId"), s->id);
    json_w_kstr(&w, S("notifiedAt"), str_n(at, datetime_format(now, at)));
    if (ld) {
        json_w_key(&w, S("@context"));
        json_w_value(&w, ld_context_json(s->group->view.ctx));
    }
    for (size_t i = 0; i < n; i++) {
        buf_char(&body, ',');
        buf_str(&body, sub_payload_text(list[i]));
    }
    json_w_end(&w);
    out->headers = headers;
    out->n_headers = k + s->n_headers;
    out->body = buf_dup(&body, a);
    buf_release(&body);
}

const struct sub_face csource_sub_face = {.compile = compile,
                                          .release = release,
                                          .concerns = concerns,
                                          .selects = selects,
                                          .render = render,
                                          .request = request,
                                          .page = page,
                                          .registrations = true};

/* --- rows of the journal --- */

static struct registration *side(struct link *l, int64_t tenant, const struct json *doc,
                                 struct error *e)
{
    struct reg_source src = {.tenant = tenant, .doc = doc};
    return json_is(doc, JSON_OBJECT) ? reg_make(l->registrations, &src, NULL, e) : NULL;
}

enum err csource_event_open(struct link *l, struct arena *a, int64_t tenant, struct str body,
                            struct csource_event *out, struct error *e)
{
    *out = (struct csource_event){0};
    e->code = OK;
    const struct json *v = json_parse(a, body, &JSON_DEFAULT, e);
    if (!v)
        return e->code;
    out->before = side(l, tenant, json_get(v, S("before")), e);
    out->after = e->code ? NULL : side(l, tenant, json_get(v, S("doc")), e);
    if (out->before || out->after)
        return OK;
    return error_set(e, ERR_CORRUPT, "a journal row of a registration cannot be read");
}

void csource_event_close(struct csource_event *x)
{
    if (x->before)
        registration_let_go(x->before);
    if (x->after)
        registration_let_go(x->after);
    *x = (struct csource_event){0};
}
