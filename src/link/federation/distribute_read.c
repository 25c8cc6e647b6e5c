/*
 * Asking context sources for entities: what each is asked, reading what it answers, going on to
 * further pages, asking again where sources disagree.
 *
 *     begin -> pass 1: first page of all -> further pages of those that have some
 *           -> doubts? pass 2, of the doubtful ones only: first page -> further pages
 *           -> then()
 *
 * An answer is foreign: it is read under the limits of bodies, of another entity or attribute than
 * the registration speaks of nothing is kept, and one that is not NGSI-LD is dropped as a whole.
 */
#include "distribute_read.h"
#include "entity_map.h"
#include "link/access.h"
#include "subscription_impl.h"
#include <stdlib.h>

enum { PAGE = 1000, ENTITIES_MAX = 10000, ROUNDS_MAX = 24, URL_MAX = 6000, BYTES_MAX = 64 << 20 };

/* --- whom to ask --- */

static enum err match_selector(struct distribute *d, size_t i, struct error *e)
{
    struct reg_ask ask = d->ask;
    if (d->select && d->select->n_any) {
        const struct api_selector *one = &d->select->any[i];
        const struct json *entity = json_at(json_get(d->c->body, S("entities")), i);
        ask.ids = one->ids;
        ask.n_ids = one->n_ids;
        ask.types = one->types;
        ask.id_pattern = one->pattern ? json_text(json_get(entity, S("idPattern"))) : STR_NONE;
    }
    return registrations_match(d->c->link->registrations, d->c->arena, &ask, &d->parts[i], e);
}

/* Names are sent in the caller's terms, unless only this server knows what they mean. */
static void choose_context(struct distribute *d, struct distribute_source *s)
{
    const struct registration *reg = s->part->reg;
    s->ctx = d->c->ctx;
    if (reg->jsonld_context.n) {
        s->ctx = reg->ctx ? reg->ctx : ld_core();
    } else if (str_starts(ld_context_url(s->ctx), S("/"))) {
        s->ctx = ld_core();
        s->context = S(LD_CORE_URL);
    }
    s->filters = !d->split && d->kind == DISTRIBUTE_QUERY && s->ctx == d->c->ctx;
}

/* A map that was given says which sources count (clauses 5.7.1.4, 5.7.2.4). */
static bool is_in_map(const struct distribute *d, const struct registration *reg)
{
    bool in = !d->map || !d->map->given;
    for (size_t i = 0; !in && i < d->map->n_sources; i++)
        in = str_eq(d->map->sources[i], reg->id);
    return in;
}

/* A source refuses a query by ids alone (clause 5.7.2.4); one may be left out. */
static bool passed_over(const struct distribute *d, const struct reg_part *part)
{
    return (d->kind == DISTRIBUTE_IDS && !part->n_types && !part->n_attrs) ||
           (d->but.n && str_eq(part->reg->id, d->but));
}

static void choose_map(struct distribute *d, struct distribute_source *s)
{
    for (size_t i = 0; d->map && i < d->map->n_links; i++)
        if (str_eq(d->map->links[i].reg, s->part->reg->id))
            s->map = d->map->links[i].address;
}

static void list_sources(struct distribute *d)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_parts; i++)
        n += d->parts[i].n;
    d->sources = ARENA_ARRAY(d->c->arena, struct distribute_source, n ? n : 1);
    for (size_t i = 0; i < d->n_parts; i++)
        for (size_t k = 0; k < d->parts[i].n; k++) {
            const struct reg_part *part = &d->parts[i].v[k];
            if (!part->supported || !is_in_map(d, part->reg) || passed_over(d, part))
                continue;
            struct distribute_source *s = &d->sources[d->n_sources++];
            s->part = part;
            s->selector = i;
            choose_context(d, s);
            choose_map(d, s);
        }
}

void distribute_end(struct distribute *d)
{
    for (size_t i = 0; i < d->n_parts; i++)
        registrations_release(&d->parts[i]);
    d->n_parts = 0;
    map_release(&d->by_id);
}

bool distribute_begin(struct distribute *d, bool *failed)
{
    struct api *c = d->c;
    struct error e = {0};
    enum err err = OK;
    *failed = false;
    if (!registrations_any(c->link->registrations, d->tenant))
        return false;
    size_t n = d->select && d->select->n_any ? d->select->n_any : 1;
    d->ask.tenant = d->tenant;
    d->ask.via = request_header_all(c->req, "Via");
    d->ask.now = clock_now(c->link->clock);
    d->parts = ARENA_ARRAY(c->arena, struct reg_parts, n);
    for (size_t i = 0; !err && i < n; i++) {
        err = match_selector(d, i, &e);
        d->n_parts = err ? i : i + 1;
    }
    if (!err)
        list_sources(d);
    if (err)
        api_fail(c, &e);
    *failed = err || (d->n_sources && forward_loops(c));
    if (!*failed && d->n_sources)
        return true;
    distribute_end(d);
    return false;
}

/* --- what a source is asked --- */

/* What may stand in a query beside letters and digits; the rest is encoded. */
static void put_encoded(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        bool plain = (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') ||
                     (ch >= 'A' && ch <= 'Z') || str_find_char(S("-._~:,/@;()*!"), (char)ch) >= 0;
        if (plain) {
            buf_char(b, (char)ch);
            continue;
        }
        buf_char(b, '%');
        buf_char(b, hex[ch >> 4]);
        buf_char(b, hex[ch & 15]);
    }
}

void distribute_param(struct buf *b, const char *name, struct str value)
{
    if (!value.n)
        return;
    buf_char(b, str_find_char(buf_view(b), '?') < 0 ? '?' : '&');
    buf_str(b, str_c(name));
    buf_char(b, '=');
    put_encoded(b, value);
}

static struct str joined(struct arena *a, const struct str *list, size_t n)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_char(&b, ',');
        buf_str(&b, list[i]);
    }
    struct str out = buf_dup(&b, a);
    buf_release(&b);
    return n ? out : STR_NONE;
}

static const struct str *compacted(struct arena *a, const struct ld_context *ctx,
                                   const struct str *iris, size_t n)
{
    struct str *out = ARENA_ARRAY(a, struct str, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        out[i] = ld_compact(ctx, a, iris[i]);
    return out;
}

struct str distribute_names(struct arena *a, const struct ld_context *ctx, const struct str *iris,
                            size_t n)
{
    return joined(a, compacted(a, ctx, iris, n), n);
}

/* Attributes to ask for: the registration's, or those that were asked for. */
static const struct str *attrs_of(const struct distribute *d, const struct distribute_source *s,
                                  size_t *n)
{
    const struct reg_part *p = s->part;
    *n = p->n_attrs ? p->n_attrs : d->ask.n_attrs;
    return compacted(d->c->arena, s->ctx, p->n_attrs ? p->attrs : d->ask.attrs, *n);
}

/* A text of the query string, or of the body. */
static struct str asked_text(const struct distribute *d, const char *name)
{
    if (!d->select || !d->select->body)
        return request_query(d->c->req, name);
    const struct json *body = d->select->body, *geo = json_get(body, S("geoQ"));
    const struct json *v = json_get(body, str_c(name));
    if (!v)
        v = json_get(geo, str_c(name));
    return json_is(v, JSON_ARRAY) ? json_to_text(d->c->arena, v) : json_text(v);
}

/* Of a query that came as a body; else NULL. */
static const struct json *asked_body(const struct distribute *d)
{
    return d->select ? d->select->body : NULL;
}

static struct str asked_param(const struct distribute *d, const char *name)
{
    return d->kind == DISTRIBUTE_IDS ? STR_NONE : request_query(d->c->req, name);
}

static const struct json *asked_entity(const struct distribute *d, size_t selector)
{
    const struct json *list = json_get(asked_body(d), S("entities"));
    return json_is(list, JSON_ARRAY) ? json_at(list, selector) : list;
}

/* The selection of types as it was asked, in the source's terms. */
static struct str asked_types(const struct distribute *d, const struct distribute_source *s)
{
    struct arena *a = d->c->arena;
    struct str text = asked_body(d) ? json_text(json_get(asked_entity(d, s->selector), S("type")))
                                    : asked_param(d, "type");
    if (!text.n || str_eq(text, S("*")) || s->ctx == d->c->ctx)
        return str_eq(text, S("*")) ? STR_NONE : text;
    return sub_map_names(a, sub_map_names(a, text, d->c->ctx, ld_expand), s->ctx, ld_compact);
}

static struct str types_of(const struct distribute *d, const struct distribute_source *s)
{
    const struct reg_part *p = s->part;
    if (!p->n_types)
        return asked_types(d, s);
    return joined(d->c->arena, compacted(d->c->arena, s->ctx, p->types, p->n_types), p->n_types);
}

static struct str asked_pattern(const struct distribute *d, size_t selector)
{
    return asked_body(d) ? json_text(json_get(asked_entity(d, selector), S("idPattern")))
                         : asked_param(d, "idPattern");
}

struct str distribute_pattern(const struct distribute *d)
{
    return asked_pattern(d, 0);
}

static struct str pattern_of(const struct distribute *d, const struct distribute_source *s)
{
    return s->part->n_ids ? STR_NONE : asked_pattern(d, s->selector);
}

/* Is the source to make a map, which it has not got yet? */
static bool wants_map(const struct distribute *d, const struct distribute_source *s)
{
    return d->map && d->map->make && !s->map.n && !s->sys_attrs &&
           (s->part->reg->operations & REG_MAP_QUERY_ENTITY);
}

static void put_paging(struct distribute *d, const struct distribute_source *s, struct buf *b)
{
    if (s->rounds) {
        distribute_param(b, "limit", str_printf(d->c->arena, "%d", PAGE));
        distribute_param(b, "offset", str_printf(d->c->arena, "%lld", (long long)s->got));
    }
    if (s->sys_attrs)
        distribute_param(b, "options", S("sysAttrs"));
    if (s->part->reg->local_only)
        distribute_param(b, "local", S("true"));
    if (wants_map(d, s)) {
        distribute_param(b, "entityMap", S("true"));
        distribute_param(b, "entityMapLifetime", request_query(d->c->req, "entityMapLifetime"));
    }
}

static const char *const filter_names[] = {"q",           "georel",      "geometry",
                                           "coordinates", "geoproperty", "scopeQ"};
enum { FILTERS = sizeof(filter_names) / sizeof(filter_names[0]) };

static struct str entity_target(struct distribute *d, const struct distribute_source *s)
{
    struct arena *a = d->c->arena;
    struct buf b = BUF_INIT;
    size_t n_attrs;
    const struct str *attrs = attrs_of(d, s, &n_attrs);
    BUF_LIT(&b, "/ngsi-ld/v1/entities");
    if (d->kind == DISTRIBUTE_RETRIEVE) {
        buf_char(&b, '/');
        buf_str(&b, api_segment(a, d->id));
    } else {
        distribute_param(&b, "type", types_of(d, s));
        distribute_param(&b, "id", joined(a, s->part->ids, s->part->n_ids));
        distribute_param(&b, "idPattern", pattern_of(d, s));
    }
    distribute_param(&b, "attrs", joined(a, attrs, n_attrs));
    for (size_t i = 0; s->filters && i < FILTERS; i++)
        distribute_param(&b, filter_names[i], asked_text(d, filter_names[i]));
    put_paging(d, s, &b);
    struct str out = buf_dup(&b, a);
    buf_release(&b);
    return out;
}

/* --- the same as a body --- */

static void w_list(struct json_writer *w, struct str key, const struct str *list, size_t n)
{
    if (!n)
        return;
    json_w_key(w, key);
    json_w_array(w);
    for (size_t i = 0; i < n; i++)
        json_w_str(w, list[i]);
    json_w_end(w);
}

static void w_text(struct json_writer *w, struct str key, struct str text)
{
    if (text.n)
        json_w_kstr(w, key, text);
}

static void w_selector(struct distribute *d, const struct distribute_source *s,
                       struct json_writer *w)
{
    struct str types = types_of(d, s);
    if (!types.n)
        return;
    json_w_key(w, S("entities"));
    json_w_array(w);
    json_w_object(w);
    json_w_kstr(w, S("type"), types);
    w_list(w, S("id"), s->part->ids, s->part->n_ids);
    w_text(w, S("idPattern"), pattern_of(d, s));
    json_w_end(w);
    json_w_end(w);
}

static struct str query_body(struct distribute *d, const struct distribute_source *s)
{
    struct arena *a = d->c->arena;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    size_t n_attrs;
    const struct str *attrs = attrs_of(d, s, &n_attrs);
    json_w_object(&w);
    json_w_kstr(&w, S("type"), S("Query"));
    w_selector(d, s, &w);
    w_list(&w, S("attrs"), attrs, n_attrs);
    if (s->filters) {
        w_text(&w, S("q"), asked_text(d, "q"));
        w_text(&w, S("scopeQ"), asked_text(d, "scopeQ"));
        if (asked_text(d, "georel").n) {
            json_w_key(&w, S("geoQ"));
            json_w_object(&w);
            for (size_t i = 1; i < FILTERS - 1; i++)
                w_text(&w, str_c(filter_names[i]), asked_text(d, filter_names[i]));
            json_w_end(&w);
        }
    }
    json_w_end(&w);
    struct str out = buf_dup(&b, a);
    buf_release(&b);
    return out;
}

static struct forward request_of(struct distribute *d, struct distribute_source *s)
{
    struct registration *reg = s->part->reg;
    bool get = (reg->operations & (REG_QUERY_ENTITY | REG_RETRIEVE_ENTITY)) != 0;
    bool batch = d->kind != DISTRIBUTE_RETRIEVE && (reg->operations & REG_QUERY_BATCH);
    bool posted = d->select && d->select->body;
    struct forward f = {.reg = reg,
                        .method = "GET",
                        .context = s->context,
                        .accept = S("application/json"),
                        .map = s->map,
                        .target = entity_target(d, s)};
    if (batch && (!get || posted || f.target.n > URL_MAX)) {
        struct buf b = BUF_INIT;
        BUF_LIT(&b, "/ngsi-ld/v1/entityOperations/query");
        put_paging(d, s, &b);
        f.method = "POST";
        f.target = buf_dup(&b, d->c->arena);
        f.body = query_body(d, s);
        buf_release(&b);
    }
    return f;
}

/* --- what it answers --- */

/* Only what the registration speaks of. */
static const struct json *covered(struct arena *a, const struct reg_part *part,
                                  const struct json *entity)
{
    struct str id = entity_id(entity);
    struct json_member *m = ARENA_ARRAY(a, struct json_member, entity->n);
    struct json *out = ARENA_NEW(a, struct json);
    size_t n = 0;
    if (!reg_part_covers(part, id, entity_types(entity), STR_NONE))
        return NULL;
    for (uint32_t i = 0; i < entity->n; i++) {
        struct str key = json_key(&entity->members[i]);
        if (entity_is_member(key) || reg_part_covers(part, id, NULL, key))
            m[n++] = entity->members[i];
    }
    *out = json_v_object(m, n);
    return out;
}

/* The @context of an entity that carries one. */
static enum err own_context(struct distribute *d, const struct json *entity,
                            const struct ld_context **ctx, struct error *e)
{
    const struct json *value = json_get(entity, S("@context"));
    struct str missing = STR_NONE;
    if (!value)
        return OK;
    struct ld_contexts *all = d->c->link->contexts;
    enum err err = ld_context_get(all, d->c->arena, value, ctx, &missing, e);
    if (err != ERR_UNAVAILABLE || !missing.p)
        return err;
    err = api_fetch_context(d->c, missing, e); /* we are on the pool */
    return err ? err : ld_context_get(all, d->c->arena, value, ctx, &missing, e);
}

static void keep_version(struct distribute *d, size_t source, const struct json *entity)
{
    struct arena *a = d->c->arena;
    struct str id = entity_id(entity);
    struct distribute_entity *x = map_get(&d->by_id, id);
    if (!x) {
        x = ARENA_NEW(a, struct distribute_entity);
        x->id = id;
        map_put(&d->by_id, id, x);
        *vec_push(a, &d->entities) = x;
    }
    *vec_push(a, &x->versions) = d->versions.n;
    *vec_push(a, &d->versions) = (struct distribute_version){entity, source, false};
}

static const struct access_view *view_of(const struct distribute *d)
{
    return d->unseen ? NULL : access_view(d->c->link->access, access_asks(d->c->req), d->tenant);
}

static enum err take_entity(struct distribute *d, size_t source, const struct json *payload,
                            struct error *e)
{
    struct distribute_source *s = &d->sources[source];
    const struct ld_context *ctx = s->ctx;
    if (!json_is(payload, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "an entity is not an object");
    if (own_context(d, payload, &ctx, e))
        return e->code;
    const struct json *entity = entity_expand_answer(d->c->arena, payload, ctx, e);
    if (!entity)
        return e->code;
    if (d->kind == DISTRIBUTE_RETRIEVE && !str_eq(entity_id(entity), d->id))
        return error_set(e, ERR_INVALID, "it is another entity");
    entity = access_see(view_of(d), d->c->arena, covered(d->c->arena, s->part, entity));
    if (entity)
        keep_version(d, source, entity);
    return OK;
}

bool distribute_names_next(struct str link)
{
    return str_find(link, S("rel=\"next\"")) >= 0 || str_find(link, S("rel=next")) >= 0;
}

/* All of an answer, or nothing. */
static enum err take_answer(struct distribute *d, size_t source, const struct forward *f,
                            struct error *e)
{
    struct json_limits limits = JSON_DEFAULT;
    struct distribute_source *s = &d->sources[source];
    limits.max_depth = API_BODY_DEPTH;
    const struct json *v = json_parse(d->c->arena, f->answer, &limits, e);
    if (!v)
        return e->code;
    if (d->kind == DISTRIBUTE_RETRIEVE) {
        if (wants_map(d, s))
            s->map = entity_map_address(f->entity_map);
        return take_entity(d, source, v, e);
    }
    if (!json_is(v, JSON_ARRAY))
        return error_set(e, ERR_INVALID, "it is not an array");
    for (uint32_t i = 0; i < v->n; i++)
        if (take_entity(d, source, &v->items[i], e))
            return e->code;
    if (wants_map(d, s))
        s->map = entity_map_address(f->entity_map);
    s->got += v->n;
    d->bytes += f->answer.n;
    bool next = v->n && distribute_names_next(f->link);
    s->more = next && s->got < ENTITIES_MAX && s->rounds < ROUNDS_MAX && d->bytes < BYTES_MAX;
    s->cut = next && !s->more;
    return OK;
}

static void forget_versions(struct distribute *d, size_t source, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (d->versions.v[i].source == source)
            d->versions.v[i].stale = true;
}

static void take(struct distribute *d, size_t source, struct forward *f)
{
    struct distribute_source *s = &d->sources[source];
    struct error e = {0};
    size_t before = d->versions.n;
    s->more = false;
    s->rounds++;
    if (f->status < 200 || f->status >= 300) {
        if (f->status == 404 && s->sys_attrs && s->rounds == 1)
            forget_versions(d, source, 0, s->began); /* it is gone meanwhile */
        return;
    }
    if (take_answer(d, source, f, &e)) {
        f->invalid = true;
        forget_versions(d, source, before, d->versions.n);
    } else if (s->sys_attrs && s->rounds == 1) {
        forget_versions(d, source, 0, s->began);
    }
}

/* --- doubts --- */

static void doubt(void *ctx, size_t source)
{
    struct distribute *d = ctx;
    if (source < d->n_sources && !d->sources[source].sys_attrs)
        d->sources[source].doubtful = true;
}

static size_t versions_of(const struct distribute *d, const struct distribute_entity *x,
                          const struct json *local, struct merge_version *out)
{
    size_t n = 0;
    if (local)
        out[n++] = (struct merge_version){local, REG_INCLUSIVE, SIZE_MAX};
    for (size_t i = 0; x && i < x->versions.n; i++) {
        const struct distribute_version *v = &d->versions.v[x->versions.v[i]];
        if (!v->stale)
            out[n++] =
                (struct merge_version){v->entity, d->sources[v->source].part->reg->mode, v->source};
    }
    return n;
}

const struct json *distribute_whole(struct distribute *d, struct arena *a, struct str id,
                                    const struct json *local)
{
    const struct distribute_entity *x = map_get(&d->by_id, id);
    struct merge_version *v = ARENA_ARRAY(a, struct merge_version, x ? x->versions.n + 1 : 1);
    size_t n = versions_of(d, x, local, v);
    const struct json *whole = merge_versions(a, v, n, d->ask.now, NULL, NULL);
    return whole && x ? access_see(view_of(d), a, whole) : whole;
}

/* Would the system's times decide between values that differ? */
static void find_doubts(struct distribute *d)
{
    struct arena a = ARENA_INIT;
    struct store_conn *conn = d->entities.n ? store_read(d->c->link->store, NULL) : NULL;
    for (size_t i = 0; conn && i < d->entities.n; i++) {
        const struct distribute_entity *x = d->entities.v[i];
        struct entity_row row;
        const struct json *local = NULL;
        if (!repo_get(conn, &a, d->tenant, x->id, &row, NULL))
            local = json_parse(&a, row.doc, &JSON_DEFAULT, NULL);
        struct merge_version *v = ARENA_ARRAY(&a, struct merge_version, x->versions.n + 1);
        size_t n = versions_of(d, x, local, v);
        if (n > 1)
            merge_versions(&a, v, n, d->ask.now, doubt, d);
        arena_reset(&a);
    }
    if (conn)
        store_read_done(conn);
    arena_release(&a);
}

/* --- rounds --- */

static enum http_answer answered(struct api *c, struct forward *f, size_t n, void *ctx);

static enum http_answer ask_those(struct distribute *d,
                                  bool (*due)(const struct distribute_source *))
{
    struct forward *f = ARENA_ARRAY(d->c->arena, struct forward, d->n_sources);
    size_t n = 0;
    d->asked = ARENA_ARRAY(d->c->arena, size_t, d->n_sources);
    for (size_t i = 0; i < d->n_sources; i++)
        if (due(&d->sources[i])) {
            f[n] = request_of(d, &d->sources[i]);
            d->asked[n++] = i;
        }
    if (!d->wait)
        return forward_all(d->c, f, n, answered, d);
    forward_wait(d->c, f, n);
    return answered(d->c, f, n, d); /* a few rounds deep, at most ROUNDS_MAX */
}

static bool is_new(const struct distribute_source *s)
{
    return s->rounds == 0;
}

static bool has_more(const struct distribute_source *s)
{
    return s->more;
}

/* Begin the second pass of those in doubt; false: there is no doubt. */
static bool doubt_again(struct distribute *d)
{
    bool any = false;
    find_doubts(d);
    for (size_t i = 0; i < d->n_sources; i++) {
        struct distribute_source *s = &d->sources[i];
        if (!s->doubtful || s->sys_attrs)
            continue;
        *s = (struct distribute_source){.part = s->part,
                                        .selector = s->selector,
                                        .ctx = s->ctx,
                                        .context = s->context,
                                        .map = s->map,
                                        .filters = s->filters,
                                        .sys_attrs = true,
                                        .began = d->versions.n};
        any = true;
    }
    return any;
}

static enum http_answer answered(struct api *c, struct forward *f, size_t n, void *ctx)
{
    struct distribute *d = ctx;
    bool more = false;
    d->c = c;
    for (size_t i = 0; i < n; i++) {
        take(d, d->asked[i], &f[i]);
        more = more || d->sources[d->asked[i]].more;
    }
    forward_warn(c, f, n);
    for (size_t i = 0; i < n; i++)
        if (d->sources[d->asked[i]].cut)
            forward_warn_cut(c, d->sources[d->asked[i]].part->reg);
    if (more)
        return ask_those(d, has_more);
    if (doubt_again(d))
        return ask_those(d, is_new);
    if (!d->wait)
        d->then(d);
    return HTTP_DONE;
}

enum http_answer distribute_go(struct distribute *d)
{
    return ask_those(d, is_new);
}

void distribute_wait(struct distribute *d)
{
    d->wait = true;
    ask_those(d, is_new);
}
