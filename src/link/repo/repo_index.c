/* Which index rows an entity has. Pure: repo_put() writes the difference, repo_check() compares. */
#include "repo_index.h"
#include "core/datetime.h"
#include "core/geo.h"
#include "keys.h"
#include "link/access.h"
#include "link/query.h"

struct str index_text(struct str s)
{
    size_t i = 0;
    for (int chars = 0; i < s.n && chars < INDEX_TEXT_CHARS; chars++) {
        if (s.p[i] == '\0')
            break;
        str_utf8_next(s, &i);
    }
    return str_n(s.p, i);
}

static struct index_row *add(struct index_rows *out, enum index_table table, char kind,
                             struct str name)
{
    struct index_row *r = vec_push(out->arena, &out->rows);
    r->table = table;
    r->k = key_of(out->tenant, kind, name);
    return r;
}

void index_types(struct index_rows *out, const struct json *types)
{
    for (uint32_t i = 0; types && i < types->n; i++)
        add(out, INDEX_KEY, KEY_TYPE, json_text(&types->items[i]));
}

void index_scopes(struct index_rows *out, const struct json *scopes)
{
    for (uint32_t i = 0; scopes && i < scopes->n; i++)
        add(out, INDEX_TEXT, KEY_SCOPE, S(""))->text = index_text(json_text(&scopes->items[i]));
}

struct value_walk {
    struct index_rows *out;
    struct str iri;
    size_t n;
};

static void add_value(void *ctx, enum value_kind kind, double num, struct str text)
{
    struct value_walk *w = ctx;
    if (++w->n > INDEX_VALUES_MAX)
        return;
    static const char kinds[] = {[VALUE_NUM] = KEY_NUM,
                                 [VALUE_TIME] = KEY_TIME,
                                 [VALUE_BOOL] = KEY_BOOL,
                                 [VALUE_TEXT] = KEY_TEXT};
    if (kind == VALUE_TEXT)
        add(w->out, INDEX_TEXT, kinds[kind], w->iri)->text = index_text(text);
    else
        add(w->out, INDEX_NUM, kinds[kind], w->iri)->num = num;
}

static void add_geometry(struct index_rows *out, struct str iri, const struct json *value)
{
    const struct geo *g = geo_parse(out->arena, value, GEO_MAX_POSITIONS, NULL);
    if (!g)
        return;
    if (g->kind == GEO_POINT) {
        add(out, INDEX_GEO, KEY_POINT, iri)->cell =
            geo_cell(g->box.west, g->box.south, GEO_CELL_LEVEL);
        return;
    }
    int64_t cells[GEO_COVER_MAX];
    size_t n = geo_cover(g->box, cells);
    for (size_t i = 0; i < n; i++)
        add(out, INDEX_GEO, KEY_SHAPE, iri)->cell = cells[i];
}

void index_attr(struct index_rows *out, struct str iri, const struct json *instances)
{
    if (!instances || !instances->n)
        return;
    add(out, INDEX_KEY, KEY_ATTR, iri);
    struct value_walk w = {out, iri, 0};
    size_t before = out->rows.n;
    query_values(instances, add_value, &w);
    if (w.n > INDEX_VALUES_MAX) {
        out->rows.n = before;
        add(out, INDEX_KEY, KEY_OVERFLOW, iri);
    }
    for (uint32_t i = 0; i < instances->n; i++) {
        const struct json *instance = &instances->items[i];
        if (str_eq(json_text(json_get(instance, S("type"))), S("GeoProperty")))
            add_geometry(out, iri, instance_value(instance));
    }
}

void index_expiry(struct index_rows *out, const struct json *stored)
{
    int64_t at;
    if (entity_expires(stored, &at))
        add(out, INDEX_NUM, KEY_EXPIRY, S(""))->num = (double)at;
}

void index_entity(struct index_rows *out, const struct json *stored)
{
    struct str creator = json_text(json_get(stored, S(ACCESS_CREATOR)));
    add(out, INDEX_KEY, KEY_ALL, S(""));
    if (creator.n)
        add(out, INDEX_KEY, KEY_CREATOR, creator);
    index_expiry(out, stored);
    index_types(out, entity_types(stored));
    index_scopes(out, json_get(stored, S("scope")));
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        if (!entity_is_member(key))
            index_attr(out, key, &stored->members[i].value);
    }
}

bool index_row_equal(const struct index_row *x, const struct index_row *y)
{
    if (x->table != y->table || x->k != y->k)
        return false;
    switch (x->table) {
    case INDEX_KEY:
        return true;
    case INDEX_NUM:
        return x->num == y->num;
    case INDEX_TEXT:
        return str_eq(x->text, y->text);
    case INDEX_GEO:
        return x->cell == y->cell;
    }
    return false;
}
