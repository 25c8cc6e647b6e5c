/* Entities of Orion compared with those here, and written. */
#include "orion_impl.h"

/* --- reading a page --- */

static const struct json *attr_value(const struct json *entity, struct str name)
{
    return json_get(json_get(entity, name), S("value"));
}

static enum err refuse(struct orion_entity *x, const char *why)
{
    x->state = ENTITY_REFUSED;
    return error_set(&x->why, ERR_INVALID, "%s", why);
}

/* The path that Orion tells, or the one that was asked for. */
static enum err take_path(struct arena *a, struct orion_entity *x, const struct json *entity,
                          struct str asked)
{
    struct str told = json_text(attr_value(entity, S("servicePath")));
    struct json *body = ARENA_NEW(a, struct json);
    *body = told.n ? json_without(a, entity, S("servicePath")) : *entity;
    x->body = body;
    x->path = told.n ? told : asked;
    if (!told.n && str_ends(asked, S("#")))
        return refuse(x, "its service path is not told: name each path with --path");
    return OK;
}

/* What is wrong with one attribute does not say which. */
static void name_attribute(struct arena *a, struct orion_entity *x)
{
    for (uint32_t i = 0; i < x->body->n; i++) {
        const struct json_member *m = &x->body->members[i];
        struct json one = json_v_object(m, 1);
        struct error why;
        if (!v2_attrs_in(a, &one, true, false, true, &x->input, &why))
            continue;
        error_set(&x->why, ERR_INVALID, "attribute %" STR_F ": %s", QUOTE(json_key(m)), why.text);
        return;
    }
}

static enum err take_entity(struct arena *a, struct orion_entity *x, const struct json *entity,
                            struct str asked)
{
    x->id = json_text(json_get(entity, S("id")));
    x->type = json_text(json_get(entity, S("type")));
    if (!x->id.n || !x->type.n)
        return refuse(x, "it has no id or no type");
    if (take_path(a, x, entity, asked))
        return ERR_INVALID;
    bool named =
        !v2_check_id(x->id, "entity id", &x->why) && !v2_check_id(x->type, "entity type", &x->why);
    if (named && !v2_attrs_in(a, x->body, true, false, true, &x->input, &x->why))
        return OK;
    if (named)
        name_attribute(a, x);
    x->state = ENTITY_REFUSED;
    return ERR_INVALID;
}

/* --- comparing --- */

static bool same_instant(struct arena *a, struct str x, struct str y)
{
    int64_t i, j;
    return v2_datetime(a, x, &x) && v2_datetime(a, y, &y) && datetime_parse(x, &i) &&
           datetime_parse(y, &j) && i == j;
}

static bool same_expiry(struct arena *a, const struct json *there, const struct json *stored)
{
    struct str x = json_text(attr_value(there, S("dateExpires")));
    struct str y = json_text(json_get(stored, S("expiresAt")));
    return x.p && y.p ? same_instant(a, x, y) : !x.p && !y.p;
}

static bool is_attr(struct str key)
{
    return !str_eq(key, S("id")) && !str_eq(key, S("type")) && !str_eq(key, S("dateExpires"));
}

/* What differs, in words; absent: nothing. */
static struct str difference(struct arena *a, const struct json *there, const struct json *stored)
{
    struct v2_view all = {.form = V2_NORMALIZED, .head = true};
    struct buf b = BUF_INIT;
    v2_show(&b, a, stored, &all);
    const struct json *here = json_parse(a, buf_dup(&b, a), &JSON_DEFAULT, NULL);
    buf_release(&b);
    for (uint32_t i = 0; i < there->n; i++) {
        struct str key = json_key(&there->members[i]);
        const struct json *v = json_get(here, key);
        if (is_attr(key) && !v)
            return str_printf(a, "attribute %" STR_F " is not here", QUOTE(key));
        if (is_attr(key) && !json_equal(v, &there->members[i].value, false))
            return str_printf(a, "attribute %" STR_F " differs", QUOTE(key));
    }
    for (uint32_t i = 0; i < here->n; i++) {
        struct str key = json_key(&here->members[i]);
        if (is_attr(key) && !json_get(there, key))
            return str_printf(a, "attribute %" STR_F " is only here", QUOTE(key));
    }
    return same_expiry(a, there, stored) ? STR_NONE : S("dateExpires differs");
}

static enum err compare(struct migration *m, struct store_conn *c, struct orion_entity *x,
                        struct error *e)
{
    struct arena *a = &m->page;
    struct v2_paths paths;
    struct v2_found found = {.n = 0};
    if (v2_paths_read(x->path, true, &paths, &x->why)) {
        x->state = ENTITY_REFUSED;
        return OK;
    }
    enum err err = m->tenant ? v2_find(c, a, m->tenant, x->id, x->type, &paths,
                                       clock_now(m->job->link->clock), &found, e)
                             : OK;
    if (err || !found.n) {
        x->state = ENTITY_NEW;
        return err;
    }
    if (!str_eq(v2_entity_type(a, found.stored), x->type)) {
        refuse(x, "an entity with that id is here that has the type as a further one");
        return OK;
    }
    x->differs = difference(a, x->body, found.stored);
    x->state = x->differs.p ? ENTITY_CHANGED : ENTITY_SAME;
    return OK;
}

enum err orion_look(struct migration *m, const struct json *page, struct str asked,
                    struct orion_entity **out, struct error *e)
{
    struct orion_entity *list = ARENA_ARRAY(&m->page, struct orion_entity, page->n);
    *out = list;
    struct store_conn *c = store_read(m->job->link->store, e);
    if (!c)
        return e->code;
    enum err err = OK;
    for (uint32_t i = 0; !err && i < page->n; i++)
        if (!take_entity(&m->page, &list[i], &page->items[i], asked))
            err = compare(m, c, &list[i], e);
    store_read_done(c);
    return err;
}

/* --- writing --- */

enum err orion_put(struct migration *m, struct orion_entity *list, size_t n, struct error *e)
{
    struct arena *a = &m->page;
    struct v2_change *changes = ARENA_ARRAY(a, struct v2_change, n);
    struct op *ops = ARENA_ARRAY(a, struct op, n);
    struct orion_entity **of = ARENA_ARRAY(a, struct orion_entity *, n);
    size_t k = 0;
    for (size_t i = 0; i < n && !m->job->dry_run; i++) {
        struct orion_entity *x = &list[i];
        if (x->state != ENTITY_NEW && x->state != ENTITY_CHANGED)
            continue;
        struct str path = str_eq(x->path, S("/")) ? S("") : x->path;
        changes[k] = (struct v2_change){
            .action = V2_PUT, .id = x->id, .type = x->type, .path = path, .input = x->input};
        ops[k] = v2_op(&changes[k]);
        ops[k].input_bytes = 1; /* measured as it is */
        of[k++] = x;
    }
    if (!k)
        return OK;
    struct ops o = {
        .arena = a, .tenant = m->job->service, .actor = S("command"), .ops = ops, .n = k};
    enum err err = ops_run(m->job->link, &o, e);
    for (size_t i = 0; !err && i < k; i++)
        if (ops[i].result) {
            of[i]->state = ENTITY_REFUSED;
            of[i]->why = ops[i].error;
        }
    return err;
}
