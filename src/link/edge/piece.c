#include "piece.h"
#include "entity_impl.h"

enum { PARTS_MAX = 100000, DEPTH_MAX = ENTITY_MAX_DEPTH };

void sync_piece_write(struct arena *a, struct buf *out, const struct sync_piece *p)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), p->id);
    json_w_ki64(&w, S("at"), p->at);
    json_w_key(&w, S("r"));
    json_w_array(&w);
    for (size_t i = 0; i < p->parts.n; i++) {
        const struct sync_part *part = &p->parts.v[i];
        json_w_object(&w);
        if (part->attr.p)
            json_w_kstr(&w, S("a"), part->attr);
        if (part->dataset.p)
            json_w_kstr(&w, S("d"), part->dataset);
        json_w_kstr(&w, S("c"), sync_seen_text(a, &part->reg));
        json_w_key(&w, S("v"));
        json_w_array(&w);
        for (size_t k = 0; k < part->reg.values.n; k++) {
            const struct sync_value *v = &part->reg.values.v[k];
            json_w_array(&w);
            json_w_i64(&w, v->dot.hlc);
            json_w_str(&w, v->dot.node);
            if (v->value)
                json_w_value(&w, v->value);
            else
                json_w_null(&w);
            json_w_end(&w);
        }
        json_w_end(&w);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
}

/* --- reading --- */

static bool is_time(const struct json *v)
{
    int64_t at;
    return datetime_parse(json_text(v), &at);
}

static bool head_ok(const struct json *v)
{
    const struct json *type = json_get(v, S("type")), *scope = json_get(v, S("scope"));
    const struct json *expires = json_get(v, S("expiresAt"));
    bool good = json_is(type, JSON_ARRAY) && is_time(json_get(v, S("createdAt"))) &&
                (!expires || is_time(expires)) && (!scope || json_is(scope, JSON_ARRAY));
    for (uint32_t i = 0; good && i < type->n; i++)
        good = json_is(&type->items[i], JSON_STRING);
    for (uint32_t i = 0; good && scope && i < scope->n; i++)
        good = json_is(&scope->items[i], JSON_STRING);
    return good;
}

static bool instance_ok(const struct json *v, int depth)
{
    struct inst in;
    inst_open(&in, v);
    bool good = json_is(v, JSON_OBJECT) && depth < DEPTH_MAX && inst_kind(&in) < KINDS &&
                in.slot[SLOT_VALUE] && in.slot[SLOT_CREATED] && in.slot[SLOT_MODIFIED] &&
                is_time(&in.slot[SLOT_CREATED]->value) && is_time(&in.slot[SLOT_MODIFIED]->value);
    for (uint32_t i = 0; good && i < in.n_subs; i++) {
        const struct json *subs = &in.subs[i].value;
        good = json_is(subs, JSON_ARRAY) && slot_of(json_key(&in.subs[i]), NULL) == SLOT_SUB;
        for (uint32_t k = 0; good && k < subs->n; k++)
            good = instance_ok(&subs->items[k], depth + 1);
    }
    return good;
}

bool sync_instance_ok(const struct json *v, struct str dataset)
{
    return instance_ok(v, 0) && str_eq(json_text(json_get(v, S("datasetId"))), dataset);
}

static bool read_value(struct arena *a, const struct json *v, struct sync_part *part)
{
    struct sync_dot dot = {.node = json_text(json_at(v, 1))};
    const struct json *value = json_at(v, 2);
    if (!json_is(v, JSON_ARRAY) || v->n != 3 || !json_i64(json_at(v, 0), &dot.hlc) ||
        dot.hlc <= 0 || !json_is(json_at(v, 1), JSON_STRING) || !sync_node_ok(dot.node) ||
        !sync_has_seen(&part->reg, &dot))
        return false;
    bool deleted = json_is(value, JSON_NULL);
    if (!deleted && !part->attr.p && !head_ok(value))
        return false;
    if (!deleted && part->attr.p && !sync_instance_ok(value, part->dataset))
        return false;
    struct sync_value one = {dot, deleted ? NULL : value};
    return sync_stand(a, &part->reg, &one);
}

static bool read_part(struct arena *a, const struct json *v, struct sync_part *part)
{
    const struct json *values = json_get(v, S("v")), *attr = json_get(v, S("a"));
    const struct json *dataset = json_get(v, S("d"));
    part->attr = json_text(attr);
    part->dataset = json_text(dataset);
    if ((attr && (!json_is(attr, JSON_STRING) || !part->attr.n || entity_is_member(part->attr))) ||
        (dataset && (!json_is(dataset, JSON_STRING) || !part->dataset.n || !attr)) ||
        !json_is(values, JSON_ARRAY) || !values->n ||
        !sync_seen_parse(a, json_text(json_get(v, S("c"))), &part->reg))
        return false;
    for (uint32_t i = 0; i < values->n; i++)
        if (!read_value(a, &values->items[i], part))
            return false;
    return true;
}

enum err sync_piece_read(struct arena *a, const struct json *v, struct sync_piece *out,
                         struct error *e)
{
    *out = (struct sync_piece){.id = json_text(json_get(v, S("id")))};
    const struct json *parts = json_get(v, S("r"));
    if (!json_is(json_get(v, S("id")), JSON_STRING) || !out->id.n ||
        !json_i64(json_get(v, S("at")), &out->at) || !json_is(parts, JSON_ARRAY) || !parts->n ||
        parts->n > PARTS_MAX)
        return error_set(e, ERR_INVALID, "a piece without id, instant or registers");
    for (uint32_t i = 0; i < parts->n; i++) {
        struct sync_part *part = vec_push(a, &out->parts);
        if (!read_part(a, &parts->items[i], part))
            return error_set(e, ERR_INVALID, "entity %" STR_F ": register %u cannot be read",
                             QUOTE(out->id), i);
    }
    return OK;
}
