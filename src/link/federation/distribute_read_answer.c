/*
 * Answers that are merged as a whole (clauses 5.7.3 to 5.7.10): which types and attributes there
 * are, and evolutions. What is here is answered as if there were no sources; what the reader may
 * hear of their answers (answer_heard.h) is put into it, name by name and instance by instance.
 */
#include "answer_heard.h"
#include "answer_range.h"
#include "distribute_read.h"
#include "link/access.h"
#include "registration_impl.h"
#include <stdlib.h>

enum { MERGE_DEPTH = 6, LIST_MAX = 100000, PAGE = 1000, PAGES_MAX = 24 };

struct answering {
    struct api *c;
    enum distribute_answer_kind kind;
    void (*here)(struct api *c);
    void *ctx;
    int64_t tenant;
    const struct access_view *view; /* of the reader, now */
    struct reg_parts parts;
    const struct ld_context **contexts; /* of the names that each source answers */
    struct str time;                    /* property that orders instances */
    int64_t last_n;                     /* 0: all */
    struct answer_range range;          /* of evolutions that somebody cut */
    const struct answer_page *page;     /* NULL: there are none */
};

static struct hearing hearing_of(const struct answering *x, size_t source)
{
    return (struct hearing){.c = x->c,
                            .evolution = x->kind == ANSWER_EVOLUTION,
                            .view = x->view,
                            .reg = x->parts.v[source].reg,
                            .ctx = x->contexts[source]};
}

/* --- discovery --- */

static struct json merged(const struct answering *x, const struct json *ours,
                          const struct json *theirs, unsigned depth);

static const struct json *of_id(const struct json *list, size_t n, const struct json *item)
{
    struct str id = json_text(json_get(item, S("id")));
    for (size_t i = 0; i < n; i++)
        if (id.p ? str_eq(json_text(json_get(&list[i], S("id"))), id)
                 : json_equal(&list[i], item, true))
            return &list[i];
    return NULL;
}

/* Items with the same id are merged, others put behind. */
static struct json merged_list(const struct answering *x, const struct json *ours,
                               const struct json *theirs, unsigned depth)
{
    struct json *items = ARENA_ARRAY(x->c->arena, struct json, (size_t)ours->n + theirs->n + 1);
    size_t n = 0;
    for (uint32_t i = 0; i < ours->n; i++)
        items[n++] = ours->items[i];
    for (uint32_t i = 0; i < theirs->n && n < LIST_MAX; i++) {
        struct json *there = (struct json *)of_id(items, n, &theirs->items[i]);
        if (!there)
            items[n++] = theirs->items[i];
        else if (json_is(there, JSON_OBJECT))
            *there = merged(x, there, &theirs->items[i], depth - 1);
    }
    return json_v_array(items, n);
}

static struct json merged(const struct answering *x, const struct json *ours,
                          const struct json *theirs, unsigned depth)
{
    struct arena *a = x->c->arena;
    struct json out = *ours;
    int64_t n, m;
    if (depth == 0)
        return out;
    if (json_is(ours, JSON_ARRAY) && json_is(theirs, JSON_ARRAY))
        return merged_list(x, ours, theirs, depth);
    if (json_is(ours, JSON_NUMBER) && json_i64(ours, &n) && json_i64(theirs, &m) && m > 0 &&
        m < INT64_MAX - n)
        return json_v_i64(a, n + m);
    for (uint32_t i = 0; json_is(ours, JSON_OBJECT) && i < ours->n; i++) {
        struct str key = json_key(&ours->members[i]);
        const struct json *other = json_get(theirs, key);
        if (other && !str_eq(key, S("@context")))
            out = json_with(a, &out, key, merged(x, &ours->members[i].value, other, depth - 1));
    }
    return out;
}

/* --- evolutions --- */

/* When an instance, or a pair of value and time, was. */
static struct str time_of(const struct answering *x, const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? json_text(json_at(v, 1)) : json_text(json_get(v, x->time));
}

struct timed {
    struct json v;
    struct str at;
    size_t place;
};

static int by_time(const void *p, const void *q)
{
    const struct timed *a = p, *b = q;
    int64_t x = INT64_MIN, y = INT64_MIN;
    datetime_parse(a->at, &x);
    datetime_parse(b->at, &y);
    return x != y ? (x < y ? -1 : 1) : (a->place > b->place) - (a->place < b->place);
}

/* Instances of both in order of time, each once, the newest last_n of them. */
static struct json in_order(const struct answering *x, const struct json *ours,
                            const struct json *theirs)
{
    struct arena *a = x->c->arena;
    const struct json *lists[] = {ours, theirs};
    VEC(struct timed) all = VEC_INIT;
    for (int k = 0; k < 2; k++) {
        bool several = json_is(lists[k], JSON_ARRAY);
        for (uint32_t i = 0; i < (several ? lists[k]->n : 1) && all.n < LIST_MAX; i++) {
            const struct json *v = several ? &lists[k]->items[i] : lists[k];
            *vec_push(a, &all) = (struct timed){*v, time_of(x, v), all.n};
        }
    }
    if (all.n)
        qsort(all.v, all.n, sizeof(*all.v), by_time);
    struct json *items = ARENA_ARRAY(a, struct json, all.n);
    size_t n = 0;
    for (size_t i = 0; i < all.n; i++)
        if (!n || !json_equal(&items[n - 1], &all.v[i].v, true))
            items[n++] = all.v[i].v;
    size_t skip = x->last_n && n > (size_t)x->last_n ? n - (size_t)x->last_n : 0;
    return json_v_array(items + skip, n - skip);
}

/* Aggregates cannot be put together: what is here stands. */
static struct json merged_attr(const struct answering *x, const struct json *ours,
                               const struct json *theirs)
{
    const struct json *mine = json_get(ours, S("values")), *other = json_get(theirs, S("values"));
    if (json_is(mine, JSON_ARRAY) && json_is(other, JSON_ARRAY))
        return json_with(x->c->arena, ours, S("values"), in_order(x, mine, other));
    const struct json *first = json_is(ours, JSON_ARRAY) ? json_at(ours, 0) : ours;
    return json_get(first, x->time) || json_get(first, S("instanceId")) ? in_order(x, ours, theirs)
                                                                        : *ours;
}

static struct json merged_evolution(const struct answering *x, const struct json *ours,
                                    const struct json *theirs, bool auxiliary)
{
    struct arena *a = x->c->arena;
    struct json out = *ours;
    for (uint32_t i = 0; i < theirs->n; i++) {
        const struct json_member *m = &theirs->members[i];
        const struct json *mine = json_get(ours, json_key(m));
        if (entity_is_member(json_key(m)))
            continue;
        if (!mine)
            out = json_with(a, &out, json_key(m), m->value);
        else if (!auxiliary)
            out = json_with(a, &out, json_key(m), merged_attr(x, mine, &m->value));
    }
    return out;
}

/* --- an answer of a source --- */

/* The types of an evolution as IRIs; NULL: it does not tell. */
static const struct json *types_of(const struct answering *x, size_t source,
                                   const struct json *entity)
{
    struct arena *a = x->c->arena;
    const struct json *v = json_get(entity, S("type"));
    bool several = json_is(v, JSON_ARRAY);
    uint32_t n = several ? v->n : json_is(v, JSON_STRING) ? 1 : 0;
    struct json *items = ARENA_ARRAY(a, struct json, (size_t)n + 1);
    struct hearing h = hearing_of(x, source);
    for (uint32_t i = 0; i < n; i++)
        items[i + 1] = json_v_str(heard_iri(&h, several ? &v->items[i] : v));
    items[0] = json_v_array(items + 1, n);
    return n ? items : NULL;
}

/* Only what the registration speaks of and the reader may see; NULL: nothing. */
static const struct json *covered(const struct answering *x, size_t i, const struct json *entity)
{
    struct arena *a = x->c->arena;
    const struct reg_part *part = &x->parts.v[i];
    struct json *out = ARENA_NEW(a, struct json);
    struct str id = json_text(json_get(entity, S("id")));
    if (!json_is(entity, JSON_OBJECT) || !ld_is_uri(id) ||
        !reg_part_covers(part, id, NULL, STR_NONE))
        return NULL;
    const struct json *types = types_of(x, i, entity);
    if (!access_sees(x->view, NULL, types, STR_NONE))
        return NULL;
    *out = json_v_object(NULL, 0);
    for (uint32_t k = 0; k < entity->n; k++) {
        const struct json_member *m = &entity->members[k];
        struct str iri = ld_expand(x->contexts[i], a, json_key(m));
        if (entity_is_member(json_key(m)) ||
            (reg_part_covers(part, id, NULL, iri) && access_sees(x->view, NULL, types, iri)))
            *out = json_with(a, out, json_key(m), m->value);
    }
    return out;
}

static struct json with_evolutions(const struct answering *x, size_t i, const struct json *ours,
                                   const struct json *theirs)
{
    bool auxiliary = x->parts.v[i].reg->mode == REG_AUXILIARY;
    struct json *items = ARENA_ARRAY(x->c->arena, struct json, (size_t)ours->n + theirs->n + 1);
    struct hearing h = hearing_of(x, i);
    size_t n = 0;
    for (uint32_t k = 0; k < ours->n; k++)
        items[n++] = ours->items[k];
    for (uint32_t k = 0; k < theirs->n && n < LIST_MAX; k++) {
        const struct json *foreign = covered(x, i, &theirs->items[k]);
        if (!foreign)
            continue;
        struct json theirs_now = heard(&h, foreign);
        struct json *there = (struct json *)of_id(items, n, &theirs_now);
        if (there)
            *there = merged_evolution(x, there, &theirs_now, auxiliary);
        else
            items[n++] = theirs_now;
    }
    return json_v_array(items, n);
}

/* false: it is of no use. whole: what there is so far; NULL: nothing. */
static bool take(const struct answering *x, size_t i, const struct forward *f,
                 const struct json **whole)
{
    struct json_limits limits = JSON_DEFAULT;
    limits.max_depth = API_BODY_DEPTH;
    const struct json *v = json_parse(x->c->arena, f->answer, &limits, NULL);
    struct json *out = ARENA_NEW(x->c->arena, struct json);
    bool list = *whole ? json_is(*whole, JSON_ARRAY) : x->kind == ANSWER_EVOLUTION;
    if (!json_is(v, JSON_ARRAY) && !json_is(v, JSON_OBJECT))
        return false;
    if (x->kind == ANSWER_EVOLUTION) {
        struct json one = json_is(v, JSON_ARRAY) ? *v : json_v_array(v, 1);
        struct json none = json_v_array(NULL, 0);
        *out = with_evolutions(x, i, *whole ? *whole : &none, &one);
        *whole = out;
        return list;
    }
    struct hearing h = hearing_of(x, i);
    if (json_is(v, JSON_OBJECT) && !heard_shows(&h, v))
        return true;
    bool more = heard_asks_for_more(&h);
    if (more && !json_is(v, JSON_ARRAY))
        return false;
    *out = more ? heard_names(&h, v) : heard(&h, v);
    if (*whole && json_type(*whole) != json_type(out))
        return false;
    if (*whole)
        *out = merged(x, *whole, out, MERGE_DEPTH);
    *whole = out;
    return true;
}

/* --- the answer --- */

static int by_id(const void *p, const void *q)
{
    return str_cmp(json_text(json_get(p, S("id"))), json_text(json_get(q, S("id"))));
}

/* The page of all; n_here of them are from here. */
static struct json page_of(const struct answering *x, const struct json *all, size_t n_here)
{
    struct arena *a = x->c->arena;
    const struct answer_page *p = x->page;
    struct json *items = ARENA_ARRAY(a, struct json, (size_t)all->n + 1);
    size_t n = all->n, from = p->offset < (int64_t)n ? (size_t)p->offset : n;
    size_t rest = n - from, given = p->limit < (int64_t)rest ? (size_t)p->limit : rest;
    if (n)
        memcpy(items, all->items, n * sizeof(*items));
    if (n > n_here)
        qsort(items + n_here, n - n_here, sizeof(*items), by_id);
    if (p->count)
        response_header(x->c->req, x->c->res, "NGSILD-Results-Count", str_printf(a, "%zu", n));
    if (given < rest && given)
        p->link(x->c, p->offset + (int64_t)given);
    return json_v_array(items + from, given);
}

static void write_whole(const struct answering *x, const struct json *whole, bool single)
{
    struct api *c = x->c;
    struct buf b = BUF_INIT;
    const struct json *context = c->embed ? ld_context_json(c->ctx) : NULL;
    bool one = single || json_is(whole, JSON_OBJECT);
    const struct json *list = json_is(whole, JSON_OBJECT) ? whole : whole->items;
    if (!one)
        buf_char(&b, '[');
    for (uint32_t i = 0; i < (one ? 1 : whole->n); i++) {
        struct json v = list[i];
        if (x->range.cut)
            v = answer_range_keep(c->arena, &x->range, x->time, &v);
        if (context && json_is(&v, JSON_OBJECT) && !json_get(&v, S("@context")))
            v = json_with(c->arena, &v, S("@context"), *context);
        if (i)
            buf_char(&b, ',');
        json_write(&b, &v);
    }
    if (!one)
        buf_char(&b, ']');
    if (x->range.cut)
        response_header(c->req, c->res, "Content-Range", answer_range_text(c->arena, &x->range));
    int status = c->res->status == 201 ? 201 : 200; /* with a new entity map */
    api_answer_buf(c, x->range.cut ? 206 : status, &b);
}

/* What is here has been answered: is there anything in it? */
static const struct json *what_is_here(const struct answering *x)
{
    struct response *res = x->c->res;
    if (res->status != 200 && res->status != 201 && res->status != 206)
        return NULL;
    const struct json *v = json_parse(x->c->arena, res->body, &JSON_DEFAULT, NULL);
    if (x->kind != ANSWER_EVOLUTION || !json_is(v, JSON_OBJECT))
        return v;
    struct json *list = ARENA_NEW(x->c->arena, struct json);
    *list = json_v_array(v, 1);
    return list;
}

/* A header of what is here. */
static struct str said(const struct response *res, size_t from, const char *name)
{
    for (size_t i = from; i < res->n_headers; i++)
        if (str_eq_nocase(res->headers[i].name, str_c(name)))
            return res->headers[i].value;
    return STR_NONE;
}

/* Of the answer about what is here only the address of its entity map stays; counts and links do
 * not hold for the whole. */
static size_t keep_headers(struct response *res, size_t from)
{
    size_t n = from;
    for (size_t i = from; i < res->n_headers; i++)
        if (str_eq_nocase(res->headers[i].name, S("NGSILD-EntityMap")))
            res->headers[n++] = res->headers[i];
    return n;
}

static bool take_answer(struct answering *x, size_t i, struct forward *f, const struct json **whole)
{
    f->invalid =
        (f->status == 206 && !answer_range_add(&x->range, f->range)) || !take(x, i, f, whole);
    return !f->invalid;
}

static struct forward request_of(const struct answering *x, size_t i);

/* The pages that a source has behind its first one. */
static void take_pages(struct answering *x, size_t i, const struct forward *first,
                       const struct json **whole)
{
    struct forward f = *first;
    struct arena *a = x->c->arena;
    int64_t got = 0;
    for (int k = 0; k < PAGES_MAX; k++) {
        const struct json *v = json_parse(a, f.answer, &JSON_DEFAULT, NULL);
        if (!json_is(v, JSON_ARRAY) || !v->n || !distribute_names_next(f.link))
            return;
        got += v->n;
        struct buf target = BUF_INIT;
        f = request_of(x, i);
        buf_str(&target, f.target);
        distribute_param(&target, "limit", str_printf(a, "%d", PAGE));
        distribute_param(&target, "offset", str_printf(a, "%lld", (long long)got));
        f.target = buf_dup(&target, a);
        buf_release(&target);
        forward_wait(x->c, &f, 1);
        bool good = forward_succeeded(&f) && take_answer(x, i, &f, whole);
        forward_warn(x->c, &f, 1);
        if (!good)
            return;
    }
    forward_warn_cut(x->c, x->parts.v[i].reg);
}

static enum http_answer answered(struct api *c, struct forward *f, size_t n, void *ctx)
{
    struct answering *x = ctx;
    struct response *res = c->res;
    size_t n_headers = res->n_headers;
    x->c = c;
    x->view = access_view(c->link->access, access_asks(c->req), x->tenant);
    c->ctx_then = x->ctx;
    x->here(c);
    const struct json *here = what_is_here(x), *whole = here;
    answer_range_add(&x->range, said(res, n_headers, "Content-Range"));
    bool any = false, usable = here || res->status == 404, paged = x->page && here;
    bool single = x->kind == ANSWER_EVOLUTION && request_param(c->req, "id").p;
    if (paged) /* its page is made anew */
        res->n_headers = keep_headers(res, n_headers);
    for (size_t i = 0; i < n && usable; i++) {
        if (!forward_succeeded(&f[i]))
            continue;
        if (take_answer(x, i, &f[i], &whole)) {
            any = true;
            if (paged)
                take_pages(x, i, &f[i], &whole);
        }
    }
    bool empty = json_is(whole, JSON_ARRAY) && whole->n == 0;
    struct json part;
    if (paged) {
        part = page_of(x, whole, here->n);
        write_whole(x, &part, single);
    } else if (any && whole && !(single && empty)) {
        res->n_headers = keep_headers(res, n_headers);
        write_whole(x, whole, single);
    }
    forward_warn(c, f, n);
    registrations_release(&x->parts);
    return HTTP_DONE;
}

/* --- asking --- */

/* The client's own query, without what is for us, and with what names attributes only where the
 * source reads names as we do. */
static struct str target_of(const struct answering *x, size_t i)
{
    static const char *const ours[] = {
        "local", "csf", "limit", "offset", "count", "entityMap", "entityMapLifetime"};
    static const char *const named[] = {"type", "attrs", "pick", "omit", "q", "geoproperty"};
    struct api *c = x->c;
    const struct reg_part *part = &x->parts.v[i];
    const struct http_pair *pairs;
    size_t n = request_query_all(c->req, &pairs);
    struct buf b = BUF_INIT;
    struct hearing h = hearing_of(x, i);
    bool same = x->contexts[i] == c->ctx, attrs = false, more = heard_asks_for_more(&h);
    struct str name = request_param(c->req, "type");
    name = name.p ? name : request_param(c->req, "attr");
    if (name.p) {
        struct str iri = ld_expand(c->ctx, c->arena, name);
        buf_str(&b, str_sub(c->req->path, 0, sizeof("/ngsi-ld/v1/") - 1));
        buf_str(&b, request_param(c->req, "type").p ? S("types/") : S("attributes/"));
        buf_str(&b, url_encode(c->arena, ld_compact(x->contexts[i], c->arena, iri)));
    } else {
        buf_str(&b, c->req->path);
    }
    for (size_t k = 0; k < n; k++) {
        bool keep = !str_eq(pairs[k].name, S("options")) || x->kind == ANSWER_EVOLUTION;
        keep = keep && !(str_eq(pairs[k].name, S("details")) && more);
        for (size_t j = 0; j < sizeof(ours) / sizeof(ours[0]); j++)
            keep = keep && !str_eq(pairs[k].name, str_c(ours[j]));
        for (size_t j = 0; !same && j < sizeof(named) / sizeof(named[0]); j++)
            keep = keep && !str_eq(pairs[k].name, str_c(named[j]));
        attrs = attrs || str_eq(pairs[k].name, S("attrs")) || str_eq(pairs[k].name, S("pick"));
        if (keep)
            distribute_param(&b, str_z(c->arena, pairs[k].name), pairs[k].value);
    }
    if (x->kind == ANSWER_EVOLUTION && part->n_attrs && !(attrs && same))
        distribute_param(&b, "attrs",
                         distribute_names(c->arena, x->contexts[i], part->attrs, part->n_attrs));
    if (part->reg->local_only)
        distribute_param(&b, "local", S("true"));
    if (more)
        distribute_param(&b, "details", S("true"));
    struct str out = buf_dup(&b, c->arena);
    buf_release(&b);
    return out;
}

static struct forward request_of(const struct answering *x, size_t i)
{
    struct api *c = x->c;
    struct forward f = {.reg = x->parts.v[i].reg,
                        .method = "GET",
                        .accept = S("application/json"),
                        .target = target_of(x, i)};
    if (x->contexts[i] != c->ctx && !f.reg->jsonld_context.n)
        f.context = S(LD_CORE_URL);
    if (c->body) {
        f.method = "POST";
        f.body = c->req->body;
        f.with_context = c->ld_body;
    }
    return f;
}

static const struct ld_context *context_of(struct api *c, const struct registration *reg)
{
    if (reg->jsonld_context.n)
        return reg->ctx ? reg->ctx : ld_core();
    return !c->body && str_starts(ld_context_url(c->ctx), S("/")) ? ld_core() : c->ctx;
}

/* Attributes that conditions of an evolution look at. */
static size_t filter_attrs(struct api *c, const struct reg_ask *ask, const struct str **out)
{
    struct str text = request_query(c->req, "q");
    const struct str *in_q = NULL;
    struct error e;
    if (c->body)
        text = json_text(json_get(c->body, S("q")));
    const struct query_node *q =
        text.n ? query_parse_q(c->arena, text, c->ctx, NULL, 0, &QUERY_DEFAULT, &e) : NULL;
    size_t n = q ? query_q_attrs(c->arena, q, &in_q) : 0;
    struct str *all = ARENA_ARRAY(c->arena, struct str, n + 1);
    for (size_t i = 0; i < n; i++)
        all[i] = in_q[i];
    if (ask->geo)
        all[n++] = ask->geo->property;
    if (q)
        query_q_release(q);
    *out = all;
    return n;
}

/* A source evaluates conditions on what it has, so none may look at what the reader must not see:
 * whether it answers would tell. */
static bool may_ask(const struct answering *x, const struct reg_part *part,
                    const struct reg_ask *ask, const struct str *attrs, size_t n)
{
    const struct reg_info *info = part->info;
    for (size_t i = 0; i < n; i++) {
        if (!info->n_entities && !access_sees(x->view, NULL, NULL, attrs[i]))
            return false;
        for (size_t k = 0; k < info->n_entities; k++) {
            const struct json *types = info->entities[k].types;
            if ((!ask->types || query_types_hold(ask->types, types)) &&
                !access_sees(x->view, NULL, types, attrs[i]))
                return false;
        }
    }
    return true;
}

/* Parts that can answer and may be asked; of a discovery each source once. */
static void keep_useful(struct answering *x, const struct reg_ask *ask)
{
    struct reg_parts *parts = &x->parts;
    const struct str *attrs = NULL;
    bool evolution = x->kind == ANSWER_EVOLUTION;
    size_t n = 0, n_attrs = evolution ? filter_attrs(x->c, ask, &attrs) : 0;
    for (size_t i = 0; i < parts->n; i++)
        if (parts->v[i].supported && may_ask(x, &parts->v[i], ask, attrs, n_attrs) &&
            (evolution || !n || parts->v[n - 1].reg != parts->v[i].reg))
            parts->v[n++] = parts->v[i];
        else
            registration_let_go(parts->v[i].reg);
    parts->n = n;
}

static struct str time_property(struct api *c)
{
    struct str asked = request_query(c->req, "timeproperty");
    if (c->body)
        asked = json_text(json_get(json_get(c->body, S("temporalQ")), S("timeproperty")));
    return asked.n ? asked : S("observedAt");
}

bool distribute_answer(struct api *c, const struct reg_ask *about, enum distribute_answer_kind kind,
                       const struct answer_page *page, void (*here)(struct api *c), void *ctx,
                       enum http_answer *out)
{
    struct reg_ask ask = *about;
    struct error e = {0};
    if (!c->link->registrations || str_eq(request_query(c->req, "local"), S("true")))
        return false;
    struct store_conn *conn = store_read(c->link->store, NULL);
    enum err err = conn ? repo_tenant(conn, c->tenant, &ask.tenant, &e) : ERR_UNAVAILABLE;
    if (conn)
        store_read_done(conn);
    if (err || !registrations_any(c->link->registrations, ask.tenant))
        return false; /* here() says what is wrong */
    struct answering *x = ARENA_NEW(c->arena, struct answering);
    *x = (struct answering){.c = c, .kind = kind, .page = page, .here = here, .ctx = ctx};
    ask.via = request_header_all(c->req, "Via");
    ask.now = clock_now(c->link->clock);
    if (registrations_match(c->link->registrations, c->arena, &ask, &x->parts, &e)) {
        *out = api_fail(c, &e);
        return true;
    }
    x->tenant = ask.tenant;
    x->view = access_view(c->link->access, access_asks(c->req), x->tenant);
    keep_useful(x, &ask);
    bool loops = x->parts.n && forward_loops(c);
    if (loops || !x->parts.n) {
        registrations_release(&x->parts);
        *out = c->answer;
        return loops;
    }
    x->time = time_property(c);
    str_to_i64(request_query(c->req, "lastN"), &x->last_n);
    x->contexts = ARENA_ARRAY(c->arena, const struct ld_context *, x->parts.n);
    struct forward *f = ARENA_ARRAY(c->arena, struct forward, x->parts.n);
    for (size_t i = 0; i < x->parts.n; i++) {
        x->contexts[i] = context_of(c, x->parts.v[i].reg);
        f[i] = request_of(x, i);
    }
    *out = forward_all(c, f, x->parts.n, answered, x);
    return true;
}
