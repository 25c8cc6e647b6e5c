/*
 * import_record.c - what is remembered of a data set, as an entity like any other:
 *
 *     urn:ngsi-ld:ImportedDataset:{dataset}
 *     identifier, name (title of the kind), kind, entityType, fileName, encoding, rowCount,
 *     dataProvider, license, importedAt, columns [{"header", "attribute", "look"}]
 *
 * The columns of the last import are compared with those of this one: what came, what went, and
 * where numbers became texts or the other way round.
 */
#include "import_impl.h"

#include "core/datetime.h"
#include "core/text.h"

static struct str record_id(struct import *im)
{
    return str_printf(im->arena, "urn:ngsi-ld:ImportedDataset:%" STR_F, STR_A(im->dataset));
}

static const struct json *value_of(const struct import *im, struct str name)
{
    struct str iri = ld_expand(ld_core(), im->arena, name);
    return json_get(instance_default(entity_attr(im->was, iri)), S("value"));
}

enum err import_record_read(struct import *im)
{
    struct entity_row row;
    int64_t tenant;
    struct store_conn *c = store_read(im->job->link->store, im->e);
    if (!c)
        return im->e->code;
    enum err err = repo_tenant(c, im->job->tenant, &tenant, im->e);
    if (!err)
        err = repo_get(c, im->arena, tenant, record_id(im), &row, im->e);
    store_read_done(c);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    im->was = json_parse(im->arena, row.doc, &JSON_DEFAULT, im->e);
    if (!im->was)
        return im->e->code;
    /* Attributes of columns that are gone now are still the imports' own. */
    const struct json *columns = value_of(im, S("columns"));
    for (uint32_t i = 0; json_is(columns, JSON_ARRAY) && i < columns->n; i++) {
        struct str attr = json_text(json_get(&columns->items[i], S("attribute")));
        if (attr.n)
            map_put(&im->ours, ld_expand(ld_core(), im->arena, attr), im);
    }
    return OK;
}

/* --- drift --- */

static struct str look_of(const struct mapped *m)
{
    if (!m->numbers && !m->texts)
        return S("empty");
    return m->texts == 0 ? S("number") : m->numbers ? S("mixed") : S("text");
}

static struct str label_of(struct import *im, struct str attr, struct str header)
{
    return attr.n ? attr : text_key(im->arena, header);
}

static const struct mapped *find_column(struct import *im, const struct import_map *map,
                                        struct str label)
{
    for (size_t i = 0; i < map->n; i++)
        if (str_eq(label_of(im, map->columns[i].attr, map->columns[i].header), label))
            return &map->columns[i];
    return NULL;
}

static void compare(struct import *im, const struct import_map *map, const struct json *columns)
{
    struct map before = MAP_INIT;
    for (uint32_t i = 0; i < columns->n; i++) {
        const struct json *c = &columns->items[i];
        struct str header = json_text(json_get(c, S("header")));
        struct str was = json_text(json_get(c, S("look")));
        struct str label = label_of(im, json_text(json_get(c, S("attribute"))), header);
        const struct mapped *m = find_column(im, map, label);
        map_put(&before, label, im);
        if (!m) {
            import_drift(im, header, "column_gone", "this column was there at the last import");
            continue;
        }
        struct str is = look_of(m);
        if (!str_eq(was, is) && !str_eq(was, S("empty")) && !str_eq(is, S("empty")))
            import_drift(im, m->header, "column_changed",
                         "its cells were %" STR_F " at the last import and are %" STR_F " now",
                         STR_A(was), STR_A(is));
    }
    for (size_t i = 0; i < map->n; i++) {
        const struct mapped *m = &map->columns[i];
        struct str label = label_of(im, m->attr, m->header);
        if (label.n && !map_get(&before, label))
            import_drift(im, m->header, "column_new", "this column was not there before");
    }
    map_release(&before);
}

static void compare_rows(struct import *im)
{
    int64_t was;
    if (json_i64(value_of(im, S("rowCount")), &was) && was >= 20 &&
        im->report->rows * 2 < (uint64_t)was)
        import_drift(im, STR_NONE, "rows_gone", "the file has %llu rows, the last one had %lld",
                     (unsigned long long)im->report->rows, (long long)was);
}

/* --- writing --- */

static struct json columns_json(struct import *im, const struct import_map *map)
{
    struct arena *a = im->arena;
    struct json *items = ARENA_ARRAY(a, struct json, map ? map->n : 0);
    size_t n = 0;
    for (size_t i = 0; map && i < map->n; i++) {
        const struct mapped *c = &map->columns[i];
        if (!text_key(a, c->header).n)
            continue;
        struct json_member *m = ARENA_ARRAY(a, struct json_member, 3);
        size_t k = 0;
        m[k++] = json_m(S("header"), json_v_str(c->header));
        if (c->attr.n)
            m[k++] = json_m(S("attribute"), json_v_str(c->attr));
        m[k++] = json_m(S("look"), json_v_str(look_of(c)));
        items[n++] = json_v_object(m, k);
    }
    return json_v_array(items, n);
}

struct record {
    struct import *im;
    struct json_member members[16];
    size_t n;
};

static void record_put(struct record *r, struct str name, struct json value)
{
    struct arena *a = r->im->arena;
    r->members[r->n++] = import_property(a, ld_expand(ld_core(), a, name), value, 0);
}

static void record_text(struct record *r, struct str name, struct str text)
{
    if (text.n)
        record_put(r, name, json_v_str(text));
}

static void fill(struct record *r, const struct import_map *map)
{
    struct import *im = r->im;
    struct arena *a = im->arena;
    struct json *type = ARENA_NEW(a, struct json);
    *type = json_v_str(ld_expand(ld_core(), a, S("ImportedDataset")));
    r->members[r->n++] = json_m(S("id"), json_v_str(record_id(im)));
    r->members[r->n++] = json_m(S("type"), json_v_array(type, 1));
    record_text(r, S("identifier"), im->dataset);
    record_text(r, S("name"), str_c(im->kind->public->title));
    record_text(r, S("kind"), str_c(im->kind->public->name));
    record_text(r, S("entityType"), im->type);
    if (str_is_utf8(im->job->name))
        record_text(r, S("fileName"), im->job->name);
    record_text(r, S("encoding"), im->report->encoding);
    record_put(r, S("rowCount"), json_v_i64(a, (int64_t)im->report->rows));
    record_text(r, S("dataProvider"), im->source);
    record_text(r, S("license"), im->license);
    record_text(r, S("importedAt"), datetime_text(a, clock_now(im->job->link->clock)));
    if (im->observed)
        record_text(r, S("observedUntil"), datetime_text(a, im->observed));
    record_put(r, S("columns"), columns_json(im, map));
}

enum err import_record_write(struct import *im, const struct import_map *map)
{
    struct record r = {.im = im};
    const struct json *columns = value_of(im, S("columns"));
    if (!im->member)
        return OK;
    if (map && json_is(columns, JSON_ARRAY))
        compare(im, map, columns);
    compare_rows(im);
    fill(&r, map);
    struct json entity = json_v_object(r.members, r.n);
    struct op op = {.kind = OP_UPSERT, .id = record_id(im), .input = &entity};
    struct ops ops = {.arena = im->arena,
                      .tenant = im->job->tenant.p ? im->job->tenant : S(""),
                      .actor = im->job->actor,
                      .ops = &op,
                      .n = 1};
    enum err err = ops_run(im->job->link, &ops, im->e);
    if (!err && op.result)
        err = error_set(im->e, op.result, "%s", op.error.text);
    return err;
}
