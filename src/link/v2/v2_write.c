/*
 * Changes of NGSIv2 as operations of link. Which stored entity is meant, and what becomes of its
 * metadata, depends on what is there, so both are settled on the writer thread:
 *
 *   found          CREATE -> exists; all others go on with the stored id
 *   not found      CREATE, UPSERT, UPSERT_STRICT, PUT -> a new entity; all others -> not found
 *   several found  -> conflict
 */
#include "v2.h"

struct settling {
    struct op *op;
    struct v2_change *x;
    struct arena *arena;
    const struct json *before; /* NULL: there is none */
};

static bool makes_entity(enum v2_action action)
{
    return action == V2_CREATE || action == V2_UPSERT || action == V2_UPSERT_STRICT ||
           action == V2_PUT;
}

/* --- input in stored form --- */

struct members {
    struct json_member *m;
    size_t n;
};

static void put(struct members *t, struct str key, struct json v)
{
    t->m[t->n++] = json_m(key, v);
}

static struct json list_of(struct arena *a, struct str text)
{
    struct json *one = ARENA_NEW(a, struct json);
    *one = json_v_str(text);
    return json_v_array(one, 1);
}

static const struct json *object_of(struct arena *a, const struct members *t)
{
    struct json *v = ARENA_NEW(a, struct json);
    *v = json_v_object(t->m, t->n);
    return v;
}

static struct members start(struct settling *s)
{
    return (struct members){ARENA_ARRAY(s->arena, struct json_member, s->x->input.n + 5), 0};
}

/* An instance whose value is an operation on what was there; false: there will be none. */
static bool operated(struct settling *s, const struct json *was, struct json *instance)
{
    struct arena *a = s->arena;
    struct json before = was ? v2_value(a, was) : json_v_null(), value, made;
    struct str given = json_text(json_get(json_get(instance, S("v2")), S("type")));
    struct str type = given.p ? given : was ? v2_type(a, was) : STR_NONE;
    bool nothing;
    enum err err =
        v2_operate(a, &before, instance_value(instance), &value, &nothing, &s->op->error);
    if (!err && !nothing)
        err = v2_value_in(a, &value, type, &made, &s->op->error);
    if (err)
        s->op->result = err;
    if (err || nothing)
        return false;
    *instance = v2_keep_metadata(a, instance, made);
    return true;
}

/* keep: metadata stay; anew: operators find nothing. */
static void put_attrs(struct settling *s, struct members *t, bool keep, bool anew)
{
    const struct v2_input *in = &s->x->input;
    for (size_t i = 0; i < in->n; i++) {
        struct str iri = json_key(&in->attrs[i]);
        const struct json *there = anew ? NULL : instance_default(entity_attr(s->before, iri));
        const struct json *was = keep ? there : NULL;
        struct json value = in->attrs[i].value;
        if (v2_is_operator(instance_value(value.items))) {
            struct json *one = ARENA_NEW(s->arena, struct json);
            *one = value.items[0];
            if (!operated(s, there, one))
                continue;
            value = json_v_array(one, 1);
        }
        if (was) {
            struct json *one = ARENA_NEW(s->arena, struct json);
            *one = v2_keep_metadata(s->arena, was, value.items[0]);
            value = json_v_array(one, 1);
        }
        put(t, iri, value);
    }
}

static void put_expires(struct settling *s, struct members *t)
{
    if (s->x->input.expires)
        put(t, S("expiresAt"), *s->x->input.expires);
}

static void settle_fragment(struct settling *s, enum op_kind kind)
{
    struct members t = start(s);
    put_expires(s, &t);
    put_attrs(s, &t, !s->x->override_metadata, false);
    s->op->kind = kind;
    s->op->input = object_of(s->arena, &t);
}

/* All attributes anew: type and scope stay. */
static void settle_replace(struct settling *s)
{
    struct members t = start(s);
    const struct json *scope = json_get(s->before, S("scope"));
    put(&t, S("type"), *entity_types(s->before));
    if (scope)
        put(&t, S("scope"), *scope);
    put_expires(s, &t);
    put_attrs(s, &t, false, true);
    s->op->kind = OP_REPLACE;
    s->op->input = object_of(s->arena, &t);
}

/* Marks of deletion for the attributes of the input. */
static void settle_delete_attrs(struct settling *s)
{
    struct members t = start(s), mark = {ARENA_ARRAY(s->arena, struct json_member, 1), 0};
    put(&mark, S("type"), json_v_str(S("deleted")));
    for (size_t i = 0; i < s->x->input.n; i++) {
        struct json *one = ARENA_NEW(s->arena, struct json);
        *one = json_v_object(mark.m, mark.n);
        put(&t, json_key(&s->x->input.attrs[i]), json_v_array(one, 1));
    }
    s->op->kind = OP_UPDATE;
    s->op->input = object_of(s->arena, &t);
}

/* One attribute that must be there, replaced; or its value alone, with its type and metadata. */
static void settle_attr(struct settling *s)
{
    struct v2_change *x = s->x;
    const struct json *was = v2_attr(s->arena, s->before, x->attr);
    if (!was) {
        s->op->result = error_set(&s->op->error, ERR_NOT_FOUND, V2_NO_ATTR);
        return;
    }
    if (x->action == V2_SET_VALUE) {
        struct json_member *m = ARENA_NEW(s->arena, struct json_member);
        struct json *one = ARENA_NEW(s->arena, struct json);
        struct str type = v2_type(s->arena, was);
        if (!str_eq(type, S("TextUnrestricted")))
            s->op->result = v2_check_value(x->value, "attribute value", &s->op->error);
        if (!s->op->result)
            s->op->result = v2_value_in(s->arena, x->value, type, one, &s->op->error);
        *m = json_m(v2_iri(s->arena, x->attr), json_v_array(one, 1));
        x->input = (struct v2_input){.attrs = m, .n = 1};
    }
    if (!s->op->result)
        settle_fragment(s, OP_APPEND);
}

/* --- a new entity --- */

static enum err stored_free(struct store_conn *c, struct arena *a, int64_t tenant, int64_t now,
                            struct str id, bool *there, bool *expired, struct error *e)
{
    struct entity_row row;
    enum err err = repo_get(c, a, tenant, id, &row, e);
    *there = err == OK;
    *expired = false;
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    const struct json *stored = json_parse(a, row.doc, &JSON_DEFAULT, e);
    *expired = stored && v2_expired(stored, now);
    return stored ? OK : ERR_CORRUPT;
}

/* The plain id, unless an entity of other type or path has it. */
static enum err settle_new(struct settling *s, struct store_conn *c, int64_t tenant, int64_t now,
                           struct error *e)
{
    struct v2_change *x = s->x;
    struct arena *a = s->arena;
    struct str type = x->type.p ? x->type : S("Thing"), id = v2_alias(a, x->id);
    bool there, expired;
    enum err err = stored_free(c, a, tenant, now, id, &there, &expired, e);
    if (!err && there && !expired) {
        id = v2_alias_more(a, x->id, type, x->path);
        err = stored_free(c, a, tenant, now, id, &there, &expired, e);
    }
    struct members t = start(s);
    put(&t, S("id"), json_v_str(id));
    put(&t, S("type"), list_of(a, v2_iri(a, type)));
    if (x->path.n)
        put(&t, S("scope"), list_of(a, x->path));
    put_expires(s, &t);
    put_attrs(s, &t, false, true);
    s->op->id = id;
    s->op->kind = expired ? OP_UPSERT : OP_CREATE;
    s->op->input = object_of(a, &t);
    return err;
}

/* --- settling --- */

static void settle_found(struct settling *s)
{
    switch (s->x->action) {
    case V2_CREATE:
        s->op->result = error_set(&s->op->error, ERR_EXISTS, "Already Exists");
        break;
    case V2_UPSERT:
    case V2_APPEND:
        settle_fragment(s, OP_APPEND);
        break;
    case V2_UPSERT_STRICT:
    case V2_APPEND_STRICT:
        settle_fragment(s, OP_APPEND_NEW);
        break;
    case V2_UPDATE:
        settle_fragment(s, OP_UPDATE);
        break;
    case V2_REPLACE:
    case V2_PUT:
        settle_replace(s);
        break;
    case V2_REPLACE_ATTR:
    case V2_SET_VALUE:
        settle_attr(s);
        break;
    case V2_DELETE:
        s->op->kind = OP_DELETE;
        break;
    case V2_DELETE_ATTRS:
        settle_delete_attrs(s);
        break;
    }
}

static enum err prepare(struct op *op, struct arena *a, struct store_conn *c, int64_t tenant,
                        int64_t now, struct error *e)
{
    struct v2_change *x = op->ctx;
    struct settling s = {.op = op, .x = x, .arena = a};
    struct v2_paths paths = {.v = {{.path = x->path}}, .n = 1};
    struct v2_found found;
    /* a new entity has a type, even when none is given; with another one it is another entity */
    struct str type = x->action == V2_CREATE && !x->type.p ? S("Thing") : x->type;
    enum err err = v2_find(c, a, tenant, x->id, type, &paths, now, &found, e);
    if (err)
        return err;
    if (found.n > 1) {
        op->result = error_set(&op->error, ERR_CONFLICT, V2_SEVERAL);
        return OK;
    }
    s.before = found.stored;
    if (found.n) {
        op->id = entity_id(found.stored);
        settle_found(&s);
        return OK;
    }
    if (makes_entity(x->action))
        return settle_new(&s, c, tenant, now, e);
    op->result = error_set(&op->error, ERR_NOT_FOUND, V2_NO_ENTITY);
    return OK;
}

struct op v2_op(struct v2_change *change)
{
    return (struct op){.kind = makes_entity(change->action) ? OP_UPSERT : OP_UPDATE,
                       .id = change->id,
                       .prepare = prepare,
                       .ctx = change};
}

/* --- results --- */

static struct str names_of(struct api *c, const struct op *op)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < op->delta.not_updated.n; i++) {
        buf_str(&b, i ? S(", ") : S(" "));
        buf_str(&b, v2_name(c->arena, op->delta.not_updated.v[i]));
    }
    struct str out = buf_dup(&b, c->arena);
    buf_release(&b);
    return out;
}

bool v2_failed(struct api *c, const struct op *op)
{
    const struct v2_change *x = op->ctx;
    if (op->result) {
        struct error e = op->error;
        e.code = op->result;
        api_fail(c, &e);
        return true;
    }
    if (!op->delta.not_updated.n)
        return false;
    if (x->action == V2_DELETE_ATTRS)
        api_fail_text(c, ERR_NOT_FOUND, V2_NO_ATTR);
    else
        api_fail_text(c, ERR_UNPROCESSABLE,
                      "one or more of the attributes in the request %s: [%.400s ]",
                      x->action == V2_UPDATE ? "do not exist" : "already exist", names_of(c, op).p);
    return true;
}
