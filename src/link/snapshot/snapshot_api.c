/* /snapshots over HTTP (clauses 5.16.1 to 5.16.7, 6.36 to 6.38). All of it is work of the pool. */
#include "api_select.h"
#include "api_temporal.h"
#include "crypto/hash.h"
#include "link/access.h"
#include "snapshot.h"
#include "tenants.h"

enum {
    DAY_S = 86400,
    LIFE_DEFAULT_S = DAY_S,
    LIFE_MAX_S = 7 * DAY_S, /* what is asked for is a suggestion */
    PRIORITY_DEFAULT = 5,
    QUERIES_MAX = 100
};

static const struct str lists[2] = {S_INIT("snapshotQueries"), S_INIT("snapshotTemporalQueries")};
static const struct str details[2] = {S_INIT("snapshotQueriesDetails"),
                                      S_INIT("snapshotTemporalQueriesDetails")};

/* --- what a client may say --- */

static bool bad(struct api *c, const char *why)
{
    api_fail_text(c, ERR_INVALID, "%s", why);
    return false;
}

static bool check_members(struct api *c)
{
    const struct json *priority = json_get(c->body, S("snapshotPriority"));
    const struct json *life = json_get(c->body, S("snapshotLifetime"));
    struct duration d;
    struct error e = {0};
    int64_t n;
    if (!json_is(c->body, JSON_OBJECT))
        return bad(c, "a snapshot is an object");
    if (priority && (!json_i64(priority, &n) || n < 1 || n > 10))
        return bad(c, "snapshotPriority is a whole number from 1 to 10");
    if (life && !(json_is(life, JSON_STRING) && duration_parse(json_text(life), &d)))
        return bad(c, "snapshotLifetime is a duration such as PT1H");
    return !snapshot_check_endpoint(c->arena, c->body, &e) || bad(c, e.text);
}

static bool is_snapshot(struct api *c)
{
    const struct json *type = json_get(c->body, S("type"));
    return (type && str_eq(json_text(type), S("Snapshot"))) || bad(c, "type must be Snapshot");
}

/* Does it make sense? What it finds is seen later. */
static bool check_query(struct api *c, const struct json *query, bool temporal)
{
    struct api_select s;
    struct entity_view v = {0};
    struct history_query h = {0};
    const struct json *body = c->body;
    c->body = query;
    bool good = api_select_body(c, &s, temporal ? SELECT_TEMPORAL : 0);
    if (good) {
        good = api_select_view(c, &s, &v) &&
               (!temporal || api_time_query(c, json_get(query, S("temporalQ")), &h));
        api_select_release(&s);
    }
    c->body = body;
    return good;
}

/* Each is a query; with temporalQ in the one list, without in the other. */
static bool check_queries(struct api *c)
{
    bool any = false;
    for (int k = 0; k < 2; k++) {
        const struct json *list = json_get(c->body, lists[k]);
        if (!list)
            continue;
        if (!json_is(list, JSON_ARRAY) || !list->n || list->n > QUERIES_MAX)
            return bad(c, "snapshotQueries and snapshotTemporalQueries are lists of queries");
        for (uint32_t i = 0; i < list->n; i++) {
            const struct json *q = &list->items[i];
            if (!json_is(q, JSON_OBJECT) || !str_eq(json_text(json_get(q, S("type"))), S("Query")))
                return bad(c, "snapshotQueries: each is of type Query");
            if ((json_get(q, S("temporalQ")) != NULL) != k)
                return bad(c, "temporalQ stands in snapshotTemporalQueries, and always there");
            if (!check_query(c, q, k))
                return false;
        }
        any = true;
    }
    return any || bad(c, "snapshotQueries or snapshotTemporalQueries is needed");
}

/* --- how it shows --- */

static void set(struct api *c, struct json *doc, struct str name, struct json v)
{
    *doc = json_with(c->arena, doc, name, v);
}

static void set_time(struct api *c, struct json *doc, const char *name, int64_t at)
{
    set(c, doc, str_c(name), json_v_str(datetime_text(c->arena, at)));
}

/* What was given of the members that clients may set. */
static void take_members(struct api *c, struct json *doc)
{
    static const struct str names[] = {S_INIT("snapshotLifetime"), S_INIT("snapshotPriority"),
                                       S_INIT("endpoint"), S_INIT("receiverInfo")};
    for (size_t i = 0; i < 4; i++) {
        const struct json *v = json_get(c->body, names[i]);
        if (v)
            set(c, doc, names[i], *v);
    }
}

static int64_t expiry(const struct json *doc, int64_t now)
{
    struct duration d;
    int64_t max = now + LIFE_MAX_S * INT64_C(1000000), at;
    struct str life = json_text(json_get(doc, S("snapshotLifetime")));
    if (!life.p || !duration_parse(life, &d))
        return now + LIFE_DEFAULT_S * INT64_C(1000000);
    at = duration_add(now, &d);
    return at < max ? at : max;
}

static struct json new_doc(struct api *c, struct str id, int64_t now, int64_t *expires)
{
    struct json doc = json_v_object(NULL, 0);
    set(c, &doc, S("id"), json_v_str(id));
    set(c, &doc, S("type"), json_v_str(S("Snapshot")));
    set(c, &doc, S("snapshotPriority"), json_v_i64(c->arena, PRIORITY_DEFAULT));
    take_members(c, &doc);
    set(c, &doc, S("snapshotStatus"), json_v_str(S("preparing")));
    *expires = expiry(&doc, now);
    set_time(c, &doc, "createdAt", now);
    set_time(c, &doc, "modifiedAt", now);
    set_time(c, &doc, "expiresAt", *expires);
    return doc;
}

/* Headers of the receiver may hold its keys: of one that nobody known made they are not for all. */
static void answer(struct api *c, int status, const struct snapshot *s)
{
    struct json doc = *s->doc;
    if (!s->owner.n && !access_secrets(c->link->access, c->req, s->tenant))
        doc = json_without(c->arena, &doc, S("receiverInfo"));
    struct buf out = BUF_INIT;
    set_time(c, &doc, "lastUsedAt", s->used);
    if (c->embed)
        set(c, &doc, S("@context"), *ld_context_json(c->ctx));
    json_write(&out, &doc);
    api_answer_buf(c, status, &out);
}

static void answer_made(struct api *c, const struct snapshot *s)
{
    response_empty(c->res, 201);
    response_header(c->req, c->res, "Location",
                    str_concat(c->arena, S(SNAPSHOT_PATH "/"), api_segment(c->arena, s->id)));
}

/* --- create (5.16.1), clone (5.16.2) --- */

static bool choose_id(struct api *c, struct str *id)
{
    const struct json *given = json_get(c->body, S("id"));
    *id = given ? json_text(given)
                : str_concat(c->arena, S("urn:ngsi-ld:Snapshot:"), uuid_v4(c->arena));
    return ld_is_uri(*id) || bad(c, "id is a URI");
}

/* How each query of a list went. */
static struct json run_list(struct api *c, const struct json *list, struct str space, size_t *found,
                            size_t *failed)
{
    struct json *items = ARENA_ARRAY(c->arena, struct json, list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        struct error e = {0};
        uint64_t copied = 0;
        bool good = !snapshot_fill(c, &list->items[i], space, &copied, &e);
        items[i] = json_v_object(NULL, 0);
        set(c, &items[i], S("resultStatus"),
            json_v_str(!good    ? S("failure")
                       : copied ? S("success")
                                : S("empty")));
        if (!good) {
            struct buf text = BUF_INIT;
            struct json_writer w = json_writer(&text);
            api_problem_json(&w, &e);
            set(c, &items[i], S("problemDetails"),
                *json_parse(c->arena, buf_dup(&text, c->arena), &JSON_DEFAULT, NULL));
            buf_release(&text);
        }
        *found += good && copied;
        *failed += !good;
    }
    return json_v_array(items, list->n);
}

/* It is made, or will never be: its status is as it stays. */
static enum err finish(struct api *c, struct snapshot *s, struct error *e)
{
    struct error local;
    s->made = true;
    enum err err = snapshot_save(c->link, s, e ? e : &local);
    if (!err)
        snapshot_tell(c->link, c->tenant, s, false);
    return err;
}

static enum err fill(struct api *c, const struct json *asked, struct snapshot *s, struct json *doc,
                     struct error *e)
{
    size_t found = 0, failed = 0, all = 0;
    for (int k = 0; k < 2; k++) {
        const struct json *list = json_get(asked, lists[k]);
        if (!list)
            continue;
        set(c, doc, details[k], run_list(c, list, s->space, &found, &failed));
        all += list->n;
    }
    set(c, doc, S("snapshotStatus"),
        json_v_str(failed == all ? S("failure")
                   : failed      ? S("partial")
                   : found       ? S("success")
                                 : S("empty")));
    return finish(c, s, e);
}

/* from: what says which queries it is made of. */
static bool make(struct api *c, struct str id, const struct json *from, struct snapshot *s,
                 struct json *doc)
{
    struct error e = {0};
    int64_t now = clock_now(c->link->clock);
    *s = (struct snapshot){.id = id, .doc = doc, .used = now, .owner = access_asks(c->req)->actor};
    s->space = str_concat(c->arena, S(SPACE_PREFIX), uuid_v4(c->arena));
    *doc = new_doc(c, id, now, &s->expires);
    for (int k = 0; k < 2; k++)
        if (json_get(from, lists[k]))
            set(c, doc, lists[k], *json_get(from, lists[k]));
    if (!snapshot_make(c->link, c->tenant, s, &e))
        return true;
    api_fail(c, &e);
    return false;
}

static void create_run(struct api *c)
{
    const struct json *asked = c->body;
    struct snapshot s;
    struct json doc;
    struct str id;
    struct error e = {0};
    if (!choose_id(c, &id) || !make(c, id, asked, &s, &doc))
        return;
    enum err err = fill(c, asked, &s, &doc, &e);
    if (err)
        api_fail(c, &e);
    else
        answer_made(c, &s);
}

static enum http_answer post_snapshot(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    if (!api_open(&c, req, res, ctx, post_snapshot, API_BODY | API_UNSCOPED, "local") ||
        !check_members(&c) || !is_snapshot(&c) || !check_queries(&c))
        return c.answer;
    return api_slowly(&c, create_run, NULL);
}

struct one {
    struct str id;
    struct snapshot s;
};

static bool load(struct api *c, struct one *x)
{
    struct error e = {0};
    if (!snapshot_get(c->link, c->arena, c->tenant, x->id, &x->s, &e) &&
        !snapshot_allowed(c, &x->s, &e))
        return true;
    api_fail(c, &e);
    return false;
}

static void clone_run(struct api *c)
{
    struct one *x = c->ctx_then;
    struct snapshot s;
    struct json doc;
    struct str id;
    struct error e = {0};
    if (!load(c, x))
        return;
    if (!x->s.made) {
        api_fail_text(c, ERR_CONFLICT, "the snapshot is still being made");
        return;
    }
    if (!choose_id(c, &id) || !make(c, id, x->s.doc, &s, &doc))
        return;
    enum err err = snapshot_copy(c->link, x->s.space, s.space, &e), saved;
    for (int k = 0; k < 2; k++)
        if (json_get(x->s.doc, details[k]))
            set(c, &doc, details[k], *json_get(x->s.doc, details[k]));
    const struct json *was = json_get(x->s.doc, S("snapshotStatus"));
    set(c, &doc, S("snapshotStatus"), err ? json_v_str(S("failure")) : *was);
    saved = finish(c, &s, err ? NULL : &e);
    if (!err)
        err = saved;
    if (err)
        api_fail(c, &e);
    else
        answer_made(c, &s);
}

static bool open_one(struct api *c, struct request *req, struct response *res, struct link *l,
                     http_handler handler, unsigned flags, struct one **x)
{
    *x = ARENA_NEW(req->arena, struct one);
    return api_open(c, req, res, l, handler, flags | API_UNSCOPED, "local") &&
           api_id(c, "id", &(*x)->id);
}

/* Both lists must be left out of a clone and of an update. */
static bool without_queries(struct api *c)
{
    return (!json_get(c->body, lists[0]) && !json_get(c->body, lists[1])) ||
           bad(c, "the queries of a snapshot cannot be given here");
}

static enum http_answer post_clone(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct one *x;
    if (!open_one(&c, req, res, ctx, post_clone, API_BODY, &x) || !check_members(&c) ||
        !is_snapshot(&c) || !without_queries(&c))
        return c.answer;
    return api_slowly(&c, clone_run, x);
}

/* --- read (5.16.3), update (5.16.4), delete (5.16.5) --- */

static void read_run(struct api *c)
{
    struct one *x = c->ctx_then;
    if (load(c, x))
        answer(c, 200, &x->s);
}

static enum http_answer get_snapshot(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct one *x;
    if (!open_one(&c, req, res, ctx, get_snapshot, 0, &x) || !api_accept(&c, false))
        return c.answer;
    return api_slowly(&c, read_run, x);
}

static void update_run(struct api *c)
{
    struct one *x = c->ctx_then;
    struct error e = {0};
    int64_t now = clock_now(c->link->clock);
    if (!load(c, x))
        return;
    struct json doc = *x->s.doc;
    take_members(c, &doc);
    if (json_get(c->body, S("snapshotLifetime"))) {
        x->s.expires = expiry(&doc, now);
        set_time(c, &doc, "expiresAt", x->s.expires);
    }
    set_time(c, &doc, "modifiedAt", now);
    x->s.doc = &doc;
    if (snapshot_save(c->link, &x->s, &e)) {
        api_fail(c, &e);
        return;
    }
    snapshot_tell(c->link, c->tenant, &x->s, false);
    answer(c, 200, &x->s);
}

static enum http_answer patch_snapshot(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct one *x;
    if (!open_one(&c, req, res, ctx, patch_snapshot, API_BODY | API_MERGE_PATCH, &x) ||
        !api_accept(&c, false) || !check_members(&c) || !without_queries(&c))
        return c.answer;
    const struct json *id = json_get(c.body, S("id"));
    if (id && !str_eq(json_text(id), x->id))
        return api_fail_text(&c, ERR_INVALID, "the id of a snapshot stays");
    if (json_get(c.body, S("type")) && !is_snapshot(&c))
        return c.answer;
    return api_slowly(&c, update_run, x);
}

static void delete_run(struct api *c)
{
    struct one *x = c->ctx_then;
    struct error e = {0};
    if (!load(c, x))
        return;
    if (snapshot_drop(c->link, &x->s, &e)) {
        api_fail(c, &e);
        return;
    }
    snapshot_tell(c->link, c->tenant, &x->s, true);
    response_empty(c->res, 204);
}

static enum http_answer delete_snapshot(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct one *x;
    if (!open_one(&c, req, res, ctx, delete_snapshot, 0, &x))
        return c.answer;
    return api_slowly(&c, delete_run, x);
}

/* --- purge (5.16.7) --- */

/* A snapshot as an entity, so that q speaks of its members. */
static const struct json *as_entity(struct api *c, const struct snapshot *s)
{
    struct json *out = ARENA_NEW(c->arena, struct json), shown = *s->doc;
    *out = json_v_object(NULL, 0);
    set_time(c, &shown, "lastUsedAt", s->used);
    for (uint32_t i = 0; i < shown.n; i++) {
        struct str name = json_key(&shown.members[i]);
        struct json *instance = ARENA_NEW(c->arena, struct json);
        if (entity_is_member(name)) {
            set(c, out, name, shown.members[i].value);
            continue;
        }
        *instance = json_v_object(NULL, 0);
        set(c, instance, S("type"), json_v_str(S("Property")));
        set(c, instance, S("value"), shown.members[i].value);
        set(c, out, ld_expand(ld_core(), c->arena, name), json_v_array(instance, 1));
    }
    return out;
}

struct purged {
    struct str id;
    struct error error; /* code OK: it is gone */
};

/* Some are gone and some are not (table 6.36.3.2-2). */
static void answer_partly(struct api *c, const struct purged *v, size_t n)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    json_w_object(&w);
    for (int good = 1; good >= 0; good--) {
        json_w_key(&w, good ? S("success") : S("errors"));
        json_w_array(&w);
        for (size_t i = 0; i < n; i++) {
            if (good && !v[i].error.code)
                json_w_str(&w, v[i].id);
            if (good || !v[i].error.code)
                continue;
            json_w_object(&w);
            json_w_kstr(&w, S("entityId"), v[i].id);
            json_w_key(&w, S("error"));
            api_problem_json(&w, &v[i].error);
            json_w_end(&w);
        }
        json_w_end(&w);
    }
    json_w_end(&w);
    response_body(c->req, c->res, 207, "application/json", buf_dup(&out, c->arena));
    buf_release(&out);
}

static void purge_run(struct api *c)
{
    const struct query_node *q = c->ctx_then;
    struct snapshot *all;
    struct error e = {0};
    VEC(struct purged) met = VEC_INIT;
    size_t n, failed = 0;
    enum err err = snapshot_list(c->link, c->arena, c->tenant, &all, &n, &e);
    for (size_t i = 0; !err && i < n; i++) {
        bool hit = false;
        struct error why;
        if (snapshot_allowed(c, &all[i], &why))
            continue;
        err = query_q_holds(q, as_entity(c, &all[i]), &hit, &e);
        if (err || !hit)
            continue;
        struct purged *p = vec_push(c->arena, &met);
        *p = (struct purged){.id = all[i].id};
        failed += snapshot_drop(c->link, &all[i], &p->error) != OK;
        if (!p->error.code)
            snapshot_tell(c->link, c->tenant, &all[i], true);
    }
    query_q_release(q);
    if (!err && !met.n)
        err = error_set(&e, ERR_NOT_FOUND, "no snapshot matches");
    if (err)
        api_fail(c, &e);
    else if (failed)
        answer_partly(c, met.v, met.n);
    else
        response_empty(c->res, 204);
}

/* q speaks of members of snapshots and of nothing else (clause 5.16.7.4). */
static bool of_members(struct api *c, const struct query_node *q)
{
    static const char members[] =
        "snapshotPriority snapshotLifetime snapshotStatus endpoint receiverInfo createdAt "
        "modifiedAt"
        " expiresAt lastUsedAt snapshotQueries snapshotTemporalQueries snapshotQueriesDetails"
        " snapshotTemporalQueriesDetails";
    const struct str *attrs;
    size_t n = query_q_attrs(c->arena, q, &attrs);
    for (size_t i = 0; i < n; i++)
        if (!api_among(str_c(members), ld_compact(ld_core(), c->arena, attrs[i])))
            return bad(c, "q: not a member of snapshots");
    return true;
}

static enum http_answer purge_snapshots(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct error e = {0};
    if (!api_open(&c, req, res, ctx, purge_snapshots, API_UNSCOPED, "q local"))
        return c.answer;
    struct str text = request_query(req, "q");
    if (!text.n)
        return api_fail_text(&c, ERR_INVALID, "q is needed: which snapshots are to go");
    const struct query_node *q =
        query_parse_q(c.arena, text, ld_core(), NULL, 0, &QUERY_DEFAULT, &e);
    if (!q)
        return api_fail(&c, &e);
    enum http_answer answer =
        of_members(&c, q) ? api_slowly(&c, purge_run, (void *)(uintptr_t)q) : c.answer;
    if (answer == HTTP_DONE)
        query_q_release(q);
    return answer;
}

static const struct route routes[] = {
    {"POST", SNAPSHOT_PATH, post_snapshot, ROUTE_PUBLIC_CORS},
    {"POST", SNAPSHOT_PATH "/", post_snapshot, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"DELETE", SNAPSHOT_PATH, purge_snapshots, ROUTE_PUBLIC_CORS},
    {"DELETE", SNAPSHOT_PATH "/", purge_snapshots, ROUTE_PUBLIC_CORS | ROUTE_HIDDEN},
    {"GET", SNAPSHOT_PATH "/{id}", get_snapshot, ROUTE_PUBLIC_CORS},
    {"PATCH", SNAPSHOT_PATH "/{id}", patch_snapshot, ROUTE_PUBLIC_CORS},
    {"DELETE", SNAPSHOT_PATH "/{id}", delete_snapshot, ROUTE_PUBLIC_CORS},
    {"POST", SNAPSHOT_PATH "/{id}/clone", post_clone, ROUTE_PUBLIC_CORS},
};

void snapshot_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
