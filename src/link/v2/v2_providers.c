/*
 * Context providers: found by keys, asked, joined. Keys of a registration's entities, by kind:
 *
 *     'i' ID      an entity with that id              'p'         a pattern of ids
 *     't' TYPE    an entity with an id and that type  'u'         one with an id and no single type
 *
 * So an entity asks for 'i' and 'p', a type for 't', 'u' and 'p'.
 */
#include "v2_providers.h"
#include "core/regex.h"
#include "keys.h"
#include "link/access.h"
#include <stdlib.h>

enum { PROVIDERS_MAX = 1000, ENTITIES_MAX = 1000, KEYS_AT_ONCE = 3 };

/* --- keys --- */

typedef VEC(int64_t) key_list;

static void entity_keys(struct arena *a, int64_t tenant, const struct json *entity, key_list *out)
{
    struct str id = json_text(json_get(entity, S("id")));
    struct str type = json_text(json_get(entity, S("type")));
    if (!id.p) {
        *vec_push(a, out) = key_of(tenant, 'p', S(""));
        return;
    }
    *vec_push(a, out) = key_of(tenant, 'i', id);
    *vec_push(a, out) = type.p ? key_of(tenant, 't', type) : key_of(tenant, 'u', S(""));
}

enum err v2_provider_keys(struct store_conn *c, struct arena *a, int64_t tenant, int64_t rid,
                          const struct json *doc, struct error *e)
{
    const struct json *entities = json_get(json_get(doc, S("dataProvided")), S("entities"));
    key_list keys = VEC_INIT;
    enum err err =
        store_exec(c, "DELETE FROM v2_registration_key WHERE rid = $1", SV(SV_INT(rid)), NULL, e);
    for (uint32_t i = 0; json_is(entities, JSON_ARRAY) && i < entities->n; i++)
        entity_keys(a, tenant, &entities->items[i], &keys);
    for (size_t i = 0; !err && i < keys.n; i++)
        err = store_exec(c,
                         "INSERT INTO v2_registration_key(k, rid) VALUES ($1, $2)"
                         " ON CONFLICT (k, rid) DO NOTHING",
                         SV(SV_INT(keys.v[i]), SV_INT(rid)), NULL, e);
    return err;
}

/* --- finding --- */

static bool pattern_holds(struct str pattern, struct str text)
{
    bool hit = false;
    struct error e;
    if (str_eq(pattern, S(".*")))
        return true;
    struct regex *r = regex_new(pattern, &e);
    if (r && regex_match(r, text, &hit))
        hit = false;
    regex_free(r);
    return hit;
}

static bool among(const struct str *list, size_t n, struct str s)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i], s))
            return true;
    return false;
}

/* Does the registration's service path lie in those of the request? */
static bool path_meets(const struct v2_paths *paths, struct str path)
{
    struct json scope = json_v_str(path), list = json_v_array(&scope, 1);
    struct json_member m = json_m(S("scope"), list);
    struct json there = json_v_object(&m, str_eq(path, S("/")) ? 0 : 1);
    return v2_paths_hold(paths, &there);
}

static bool is_active(struct arena *a, const struct json *doc, enum v2_mode mode, int64_t now)
{
    const struct json *provider = json_get(doc, S("provider"));
    struct str modes = json_text(json_get(provider, S("supportedForwardingMode")));
    struct str expires = json_text(json_get(doc, S("expires")));
    int64_t at;
    if (str_eq(json_text(json_get(doc, S("status"))), S("inactive")))
        return false;
    if (expires.n && v2_datetime(a, expires, &expires) && datetime_parse(expires, &at) && at <= now)
        return false;
    return !modes.p || str_eq(modes, S("all")) ||
           str_eq(modes, mode == V2_ASK_QUERY ? S("query") : S("update"));
}

static size_t names_of(struct arena *a, const struct json *list, const struct str **out)
{
    size_t n = json_is(list, JSON_ARRAY) ? list->n : 0;
    struct str *names = ARENA_ARRAY(a, struct str, n);
    for (size_t i = 0; i < n; i++)
        names[i] = json_text(&list->items[i]);
    *out = names;
    return n;
}

/* "...; cbfwd=1", as Orion marks what it passes on. */
static struct str passed_on(struct api *c)
{
    struct str given = request_header(c->req, "Fiware-Correlator");
    ptrdiff_t at = str_find(given, S("; cbfwd="));
    int64_t count = 0;
    if (at >= 0) {
        str_to_i64(str_from(given, (size_t)at + 8), &count);
        given = str_sub(given, 0, (size_t)at);
    }
    return str_printf(c->arena, "%" STR_F "; cbfwd=%lld", STR_A(given.n ? given : c->req->id),
                      (long long)(count < 1000 ? count + 1 : count));
}

static void fill_registration(struct api *c, struct registration *reg, struct str id,
                              struct str url)
{
    struct http_header *h = ARENA_ARRAY(c->arena, struct http_header, 3);
    struct str path = v2_path_header(c);
    size_t n = 0;
    h[n++] = (struct http_header){S("Fiware-Correlator"), passed_on(c)};
    if (c->tenant.n)
        h[n++] = (struct http_header){S("Fiware-Service"), c->tenant};
    if (path.n)
        h[n++] = (struct http_header){S("Fiware-ServicePath"), path};
    reg->id = id;
    reg->endpoint = str_ends(url, S("/")) ? str_sub(url, 0, url.n - 1) : url;
    reg->accept = S("application/json");
    reg->headers = h;
    reg->n_headers = n;
}

struct finding {
    struct api *call;
    const struct v2_paths *paths;
    enum v2_mode mode;
    int64_t now;
    struct v2_providers *out;
};

static bool is_listed(const struct v2_providers *p, int64_t rid)
{
    for (size_t i = 0; i < p->list.n; i++)
        if (p->list.v[i]->rid == rid)
            return true;
    return false;
}

/* Columns: rid, id, service_path, doc. */
static void take_row(struct finding *f, const struct store_rows *r)
{
    struct arena *a = f->call->arena;
    int64_t rid = store_int(r, 0);
    if (is_listed(f->out, rid) || f->out->list.n == PROVIDERS_MAX ||
        !path_meets(f->paths, store_text(r, 2)))
        return;
    const struct json *doc = json_parse(a, str_dup(a, store_text(r, 3)), &JSON_DEFAULT, NULL);
    if (!doc || !is_active(a, doc, f->mode, f->now))
        return;
    const struct json *provided = json_get(doc, S("dataProvided"));
    struct v2_provider *p = ARENA_NEW(a, struct v2_provider);
    p->rid = rid;
    p->entities = json_get(provided, S("entities"));
    p->n_attrs = names_of(a, json_get(provided, S("attrs")), &p->attrs);
    fill_registration(f->call, &p->reg, str_dup(a, store_text(r, 1)),
                      json_text(
                          json_get(json_get(json_get(doc, S("provider")), S("http")), S("url"))));
    *vec_push(a, &f->out->list) = p;
}

#define COLUMNS "SELECT r.rid, r.id, r.service_path, r.doc FROM v2_registration r"

static enum err find_by_keys(struct finding *f, struct store_conn *conn, const key_list *keys,
                             struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < keys->n; i += KEYS_AT_ONCE) {
        int64_t k[KEYS_AT_ONCE];
        struct store_rows r;
        for (size_t n = 0; n < KEYS_AT_ONCE; n++)
            k[n] = keys->v[i + n < keys->n ? i + n : i];
        store_query(conn, &r,
                    COLUMNS " JOIN v2_registration_key x ON x.rid = r.rid"
                            " WHERE x.k IN ($1, $2, $3) ORDER BY r.rid",
                    SV(SV_INT(k[0]), SV_INT(k[1]), SV_INT(k[2])));
        while (store_next(&r))
            take_row(f, &r);
        err = store_end(&r, e);
    }
    return err;
}

static enum err find_all(struct finding *f, struct store_conn *conn, int64_t tenant,
                         struct error *e)
{
    struct store_rows r;
    store_query(conn, &r, COLUMNS " WHERE r.tenant = $1 ORDER BY r.rid LIMIT $2",
                SV(SV_INT(tenant), SV_INT(PROVIDERS_MAX)));
    while (store_next(&r))
        take_row(f, &r);
    return store_end(&r, e);
}

enum err v2_providers_find(struct api *c, struct store_conn *conn, int64_t tenant,
                           const struct v2_paths *paths, enum v2_mode mode,
                           const struct v2_subject *subjects, size_t n, struct v2_providers *out,
                           struct error *e)
{
    struct finding f = {c, paths, mode, clock_now(c->link->clock), out};
    key_list keys = VEC_INIT;
    bool all = false, too_long;
    *out = (struct v2_providers){.list = VEC_INIT};
    if (api_option(c, "options", "skipForwarding") || forward_came_back(c, &too_long))
        return OK;
    *vec_push(c->arena, &keys) = key_of(tenant, 'p', S(""));
    for (size_t i = 0; i < n; i++) {
        const struct v2_subject *s = &subjects[i];
        for (size_t k = 0; k < s->n_ids; k++)
            *vec_push(c->arena, &keys) = key_of(tenant, 'i', s->ids[k]);
        if (s->n_ids)
            continue;
        if (!s->n_types)
            all = true;
        *vec_push(c->arena, &keys) = key_of(tenant, 'u', S(""));
        for (size_t k = 0; k < s->n_types; k++)
            *vec_push(c->arena, &keys) = key_of(tenant, 't', s->types[k]);
    }
    return all ? find_all(&f, conn, tenant, e) : find_by_keys(&f, conn, &keys, e);
}

/* --- what to ask --- */

struct asking {
    struct arena *arena;
    VEC(struct json) entities;
};

static void ask_entity(struct asking *k, struct str id, struct str id_pattern, struct str type,
                       struct str type_pattern)
{
    struct json_member *m = ARENA_ARRAY(k->arena, struct json_member, 2);
    size_t n = 0;
    if (k->entities.n == ENTITIES_MAX)
        return;
    m[n++] =
        id.p ? json_m(S("id"), json_v_str(id)) : json_m(S("idPattern"), json_v_str(id_pattern));
    if (type.p)
        m[n++] = json_m(S("type"), json_v_str(type));
    else if (type_pattern.p)
        m[n++] = json_m(S("typePattern"), json_v_str(type_pattern));
    *vec_push(k->arena, &k->entities) = json_v_object(m, n);
}

/* The types that both sides mean: one entity to ask for each. */
static void ask_types(struct asking *k, const struct json *provided, const struct v2_subject *s,
                      struct str id, struct str id_pattern)
{
    struct str type = json_text(json_get(provided, S("type")));
    struct str pattern = json_text(json_get(provided, S("typePattern")));
    if (type.p) {
        bool meant = (!s->n_types || among(s->types, s->n_types, type)) &&
                     (!s->type_pattern.p || pattern_holds(s->type_pattern, type));
        if (meant)
            ask_entity(k, id, id_pattern, type, STR_NONE);
        return;
    }
    for (size_t i = 0; i < s->n_types; i++)
        if (!pattern.p || pattern_holds(pattern, s->types[i]))
            ask_entity(k, id, id_pattern, s->types[i], STR_NONE);
    if (!s->n_types)
        ask_entity(k, id, id_pattern, STR_NONE, s->type_pattern.p ? s->type_pattern : pattern);
}

static void ask_ids(struct asking *k, const struct json *provided, const struct v2_subject *s)
{
    struct str id = json_text(json_get(provided, S("id")));
    struct str pattern = json_text(json_get(provided, S("idPattern")));
    if (id.p) {
        bool meant = (!s->n_ids || among(s->ids, s->n_ids, id)) &&
                     (!s->id_pattern.p || pattern_holds(s->id_pattern, id));
        if (meant)
            ask_types(k, provided, s, id, STR_NONE);
        return;
    }
    for (size_t i = 0; i < s->n_ids; i++)
        if (pattern_holds(pattern, s->ids[i]))
            ask_types(k, provided, s, s->ids[i], STR_NONE);
    if (!s->n_ids)
        ask_types(k, provided, s, STR_NONE, s->id_pattern.p ? s->id_pattern : pattern);
}

/* Names to ask for; false: there is nothing that they could tell. */
static bool ask_attrs(struct arena *a, const struct v2_provider *p, const struct v2_wanted *w,
                      const struct str **out, size_t *n)
{
    const struct str *from = w->n_attrs ? w->attrs : p->attrs;
    size_t n_from = w->n_attrs ? w->n_attrs : p->n_attrs;
    struct str *names = ARENA_ARRAY(a, struct str, n_from);
    *out = names;
    *n = 0;
    for (size_t i = 0; i < n_from; i++)
        if ((!p->n_attrs || among(p->attrs, p->n_attrs, from[i])) &&
            !(w->local && v2_attr(a, w->local, from[i])))
            names[(*n)++] = from[i];
    return *n || !n_from;
}

static struct str query_body(struct arena *a, const struct asking *k, const struct str *attrs,
                             size_t n_attrs)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_key(&w, S("entities"));
    json_w_array(&w);
    for (size_t i = 0; i < k->entities.n; i++)
        json_w_value(&w, &k->entities.v[i]);
    json_w_end(&w);
    if (n_attrs) {
        json_w_key(&w, S("attrs"));
        json_w_array(&w);
        for (size_t i = 0; i < n_attrs; i++)
            json_w_str(&w, attrs[i]);
        json_w_end(&w);
    }
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

size_t v2_query_forwards(struct api *c, const struct v2_providers *p, const struct v2_wanted *w,
                         struct forward **out)
{
    struct arena *a = c->arena;
    struct forward *f = ARENA_ARRAY(a, struct forward, p->list.n);
    size_t n = 0;
    for (size_t i = 0; i < p->list.n; i++) {
        struct v2_provider *one = p->list.v[i];
        struct asking k = {.arena = a};
        const struct str *attrs;
        size_t n_attrs;
        for (uint32_t e = 0; json_is(one->entities, JSON_ARRAY) && e < one->entities->n; e++)
            for (size_t s = 0; s < w->n; s++)
                ask_ids(&k, &one->entities->items[e], &w->subjects[s]);
        if (!k.entities.n || !ask_attrs(a, one, w, &attrs, &n_attrs))
            continue;
        bool few = k.entities.n < 20 && json_get(&k.entities.v[0], S("id"));
        f[n++] = (struct forward){.reg = &one->reg,
                                  .method = "POST",
                                  .target = few ? S("/op/query") : S("/op/query?limit=1000"),
                                  .body = query_body(a, &k, attrs, n_attrs),
                                  .ctx = one};
    }
    *out = f;
    return n;
}

/* --- what came of asking --- */

struct outcome {
    int64_t rid;
    bool good;
};

struct outcomes {
    struct store_change change;
    int64_t now;
    size_t n;
    struct outcome v[];
};

static enum err write_outcomes(struct store_conn *c, void *ctx, struct error *e)
{
    const struct outcomes *o = ctx;
    enum err err = OK;
    for (size_t i = 0; !err && i < o->n; i++) {
        const char *sql = o->v[i].good
                              ? "UPDATE v2_registration SET sent = sent + 1, last_forwarding = $1,"
                                " last_success = $1 WHERE rid = $2"
                              : "UPDATE v2_registration SET sent = sent + 1, last_forwarding = $1,"
                                " last_failure = $1 WHERE rid = $2";
        err = store_exec(c, sql, SV(SV_INT(o->now), SV_INT(o->v[i].rid)), NULL, e);
    }
    return err;
}

static void outcomes_written(void *ctx, enum err code, const struct error *e)
{
    (void)code;
    (void)e;
    free(ctx);
}

/* Counted beside the answer, which does not wait for it. */
static void count_outcomes(struct api *c, const struct forward *f, size_t n)
{
    struct outcomes *o = calloc(1, sizeof(*o) + n * sizeof(o->v[0]));
    if (!o)
        abort();
    o->n = n;
    o->now = clock_now(c->link->clock);
    for (size_t i = 0; i < n; i++) {
        const struct v2_provider *p = f[i].ctx;
        /* that it does not have something is an answer too */
        o->v[i] = (struct outcome){p->rid, forward_succeeded(&f[i]) || f[i].status == 404};
    }
    o->change = (struct store_change){.apply = write_outcomes,
                                      .done = outcomes_written,
                                      .ctx = o,
                                      .lane = str_hash(c->tenant)};
    if (!n || store_submit(c->link->store, &o->change))
        free(o);
}

/* --- answers to queries --- */

static const struct json *remote_stored(struct arena *a, const struct json *entity, struct str id,
                                        struct str type)
{
    struct v2_input in;
    struct error e;
    if (v2_check_lookup(id, "entity id", &e) || v2_check_lookup(type, "entity type", &e) ||
        v2_attrs_in(a, entity, true, false, true, &in, &e))
        return NULL;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, in.n + 2);
    struct json *stored = ARENA_NEW(a, struct json), *types = ARENA_NEW(a, struct json);
    *types = json_v_str(v2_iri(a, type));
    m[0] = json_m(S("id"), json_v_str(v2_alias(a, id)));
    m[1] = json_m(S("type"), json_v_array(types, 1));
    for (size_t i = 0; i < in.n; i++)
        m[i + 2] = in.attrs[i];
    *stored = json_v_object(m, in.n + 2);
    return stored;
}

const struct json *v2_joined(struct arena *a, const struct json *local, const struct json *remote)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, local->n + remote->n);
    struct json *out = ARENA_NEW(a, struct json);
    size_t n = 0;
    for (uint32_t i = 0; i < local->n; i++)
        m[n++] = local->members[i];
    for (uint32_t i = 0; i < remote->n; i++)
        if (!json_get(local, json_key(&remote->members[i])))
            m[n++] = remote->members[i];
    *out = json_v_object(m, n);
    return out;
}

static struct v2_remote *remote_named(struct v2_remotes *r, struct str id, struct str type)
{
    for (size_t i = 0; i < r->list.n; i++)
        if (str_eq(r->list.v[i].id, id) && str_eq(r->list.v[i].type, type))
            return &r->list.v[i];
    return NULL;
}

struct v2_remote *v2_remote_of(struct v2_remotes *r, struct arena *a, const struct json *stored)
{
    if (!r->list.n)
        return NULL;
    return remote_named(r, v2_id(a, entity_id(stored)), v2_entity_type(a, stored));
}

/* One entity of an answer; false: it is of no use. */
static bool take_entity(struct arena *a, const struct json *entity, struct v2_remotes *out)
{
    struct str id = json_text(json_get(entity, S("id")));
    struct str type = json_text(json_get(entity, S("type")));
    type = type.p ? type : S("Thing");
    if (!json_is(entity, JSON_OBJECT) || !id.p)
        return false;
    const struct json *stored = remote_stored(a, entity, id, type);
    if (!stored)
        return false;
    struct v2_remote *there = remote_named(out, id, type);
    if (there)
        there->stored = v2_joined(a, there->stored, stored);
    else
        *vec_push(a, &out->list) = (struct v2_remote){id, type, stored, false};
    return true;
}

void v2_take_answers(struct api *c, struct forward *f, size_t n, struct v2_remotes *out)
{
    struct json_limits limits = JSON_DEFAULT;
    limits.max_depth = API_BODY_DEPTH;
    *out = (struct v2_remotes){.list = VEC_INIT};
    for (size_t i = 0; i < n; i++) {
        if (!forward_succeeded(&f[i]))
            continue;
        const struct json *list = json_parse(c->arena, f[i].answer, &limits, NULL);
        f[i].invalid = !json_is(list, JSON_ARRAY);
        for (uint32_t k = 0; !f[i].invalid && k < list->n; k++)
            f[i].invalid = !take_entity(c->arena, &list->items[k], out);
    }
    count_outcomes(c, f, n);
}

/* --- updates --- */

struct missing {
    struct op *op;
    struct str name;
    const struct json *instance;
    struct forward *by; /* NULL: nobody provides it */
};

struct update {
    struct op *ops;
    size_t n;
    struct v2_providers providers;
    void (*then)(struct api *c);
    VEC(struct missing) missing;
};

static void miss(struct update *u, struct arena *a, struct op *op, struct str name,
                 const struct json *instance)
{
    *vec_push(a, &u->missing) = (struct missing){op, name, instance, NULL};
}

/* The attributes of an update that are not here. */
static void gather_missing(struct update *u, struct arena *a, struct op *op)
{
    struct v2_change *x = op->ctx;
    struct error e;
    bool gone = op->result == ERR_NOT_FOUND;
    if (x->action == V2_SET_VALUE) {
        struct json *instance = ARENA_NEW(a, struct json);
        if (gone && !v2_value_in(a, x->value, STR_NONE, instance, &e))
            miss(u, a, op, x->attr, instance);
        return;
    }
    for (size_t i = 0; i < x->input.n; i++) {
        struct str iri = json_key(&x->input.attrs[i]);
        if (gone || among(op->delta.not_updated.v, op->delta.not_updated.n, iri))
            miss(u, a, op, v2_name(a, iri), &x->input.attrs[i].value.items[0]);
    }
}

static bool provides_entity(struct arena *a, const struct v2_provider *p, const struct v2_change *x)
{
    struct v2_subject s = {.ids = &x->id,
                           .n_ids = 1,
                           .types = &x->type,
                           .n_types = x->type.p != NULL};
    struct asking k = {.arena = a};
    for (uint32_t i = 0; json_is(p->entities, JSON_ARRAY) && i < p->entities->n; i++)
        ask_ids(&k, &p->entities->items[i], &s);
    return k.entities.n > 0;
}

/* Who names the attribute comes before who provides all. */
static struct v2_provider *provider_of(struct arena *a, const struct update *u,
                                       const struct missing *m)
{
    for (int all = 0; all < 2; all++)
        for (size_t i = 0; i < u->providers.list.n; i++) {
            struct v2_provider *p = u->providers.list.v[i];
            bool named = all ? !p->n_attrs : among(p->attrs, p->n_attrs, m->name);
            if (named && provides_entity(a, p, m->op->ctx))
                return p;
        }
    return NULL;
}

/* An update of one provider: entities with the attributes that it provides. */
static struct str update_body(struct arena *a, const struct update *u, const struct forward *f)
{
    struct v2_view view = {.form = V2_NORMALIZED};
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    const struct op *open = NULL;
    json_w_object(&w);
    json_w_kstr(&w, S("actionType"), S("update"));
    json_w_key(&w, S("entities"));
    json_w_array(&w);
    for (size_t i = 0; i < u->missing.n; i++) {
        const struct missing *m = &u->missing.v[i];
        const struct v2_change *x = m->op->ctx;
        if (m->by != f)
            continue;
        if (open != m->op) {
            if (open)
                json_w_end(&w);
            open = m->op;
            json_w_object(&w);
            json_w_kstr(&w, S("id"), x->id);
            if (x->type.p)
                json_w_kstr(&w, S("type"), x->type);
        }
        json_w_key(&w, m->name);
        v2_show_attr(&w, a, m->instance, &view);
    }
    if (open)
        json_w_end(&w);
    json_w_end(&w);
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

static size_t update_forwards(struct arena *a, struct update *u, struct forward **out)
{
    struct forward *f = ARENA_ARRAY(a, struct forward, u->providers.list.n);
    size_t n = 0;
    for (size_t i = 0; i < u->missing.n; i++) {
        struct missing *m = &u->missing.v[i];
        struct v2_provider *p = provider_of(a, u, m);
        size_t k = 0;
        if (!p)
            continue;
        while (k < n && f[k].ctx != p)
            k++;
        if (k == n)
            f[n++] = (struct forward){.reg = &p->reg,
                                      .method = "POST",
                                      .target = S("/op/update"),
                                      .ctx = p};
        m->by = &f[k];
    }
    for (size_t k = 0; k < n; k++)
        f[k].body = update_body(a, u, &f[k]);
    *out = f;
    return n;
}

/* The result of an operation after its missing attributes went their ways. */
static void settle_op(struct update *u, struct arena *a, struct op *op)
{
    VEC(struct str) left = VEC_INIT;
    bool any = false, refused = false;
    for (size_t i = 0; i < u->missing.n; i++) {
        const struct missing *m = &u->missing.v[i];
        if (m->op != op)
            continue;
        any = any || m->by;
        refused = refused || (m->by && !forward_succeeded(m->by));
        if (!m->by)
            *vec_push(a, &left) = v2_iri(a, m->name);
    }
    if (!any)
        return; /* nobody was asked: as it was */
    op->result = OK;
    op->delta.not_updated.v = left.v;
    op->delta.not_updated.n = left.n;
    if (refused)
        op->result = error_set(&op->error, ERR_NOT_FOUND,
                               "The context provider of the attribute did not take the update");
}

static enum http_answer updates_forwarded(struct api *c, struct forward *f, size_t n, void *ctx)
{
    struct update *u = ctx;
    count_outcomes(c, f, n);
    for (size_t i = 0; i < u->n; i++)
        settle_op(u, c->arena, &u->ops[i]);
    u->then(c);
    return HTTP_DONE;
}

/* On a pool thread: write here first, then send what was not found. */
static enum http_answer write_and_forward(struct api *c, struct forward *none, size_t zero,
                                          void *ctx)
{
    struct update *u = ctx;
    struct error e = {0};
    struct forward *f;
    (void)none;
    (void)zero;
    c->ops = (struct ops){.arena = c->arena,
                          .tenant = c->tenant,
                          .actor = c->req->user,
                          .who = access_asks(c->req),
                          .ops = u->ops,
                          .n = u->n};
    if (ops_run(c->link, &c->ops, &e)) {
        api_fail(c, &e);
        return HTTP_DONE;
    }
    for (size_t i = 0; i < u->n; i++)
        gather_missing(u, c->arena, &u->ops[i]);
    size_t n = update_forwards(c->arena, u, &f);
    return forward_all(c, f, n, updates_forwarded, u);
}

static bool is_forwarded(const struct op *op)
{
    const struct v2_change *x = op->ctx;
    return x->action == V2_UPDATE || x->action == V2_REPLACE || x->action == V2_REPLACE_ATTR ||
           x->action == V2_SET_VALUE;
}

static bool find_providers(struct api *c, const struct v2_paths *paths, struct update *u)
{
    VEC(struct v2_subject) subjects = VEC_INIT;
    struct error e = {0};
    int64_t tenant;
    bool there;
    for (size_t i = 0; i < u->n; i++) {
        const struct v2_change *x = u->ops[i].ctx;
        if (is_forwarded(&u->ops[i]))
            *vec_push(c->arena, &subjects) = (struct v2_subject){.ids = &x->id, .n_ids = 1};
    }
    if (!subjects.n)
        return true;
    struct store_conn *conn = v2_reader(c, &tenant, &there);
    if (!conn)
        return !there;
    enum err err = v2_providers_find(c, conn, tenant, paths, V2_ASK_UPDATE, subjects.v, subjects.n,
                                     &u->providers, &e);
    store_read_done(conn);
    if (err)
        api_fail(c, &e);
    return !err;
}

enum http_answer v2_write(struct api *c, const struct v2_paths *paths, struct op *ops, size_t n,
                          void (*then)(struct api *))
{
    struct update *u = ARENA_NEW(c->arena, struct update);
    u->ops = ops;
    u->n = n;
    u->then = then;
    if (!find_providers(c, paths, u))
        return c->answer;
    if (!u->providers.list.n)
        return api_write(c, ops, n, then);
    for (size_t i = 0; i < n; i++)
        ops[i].input_bytes = c->req->body.n;
    return forward_all(c, NULL, 0, write_and_forward, u);
}
