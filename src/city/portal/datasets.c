#include "datasets.h"
#include "core/text.h"
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_ROWS = 50,
    COLUMNS = 5,       /* besides name and time */
    SEARCH_MS = 1500,  /* longest search through one data set */
    SEARCH_MAX = 2000, /* hits that are counted */
    ATTRS_MAX = 200
};

/* --- the list --- */

static const char *const internal_types[] = {"DataSource", "ImportedDataset", "Alert",
                                             "Distribution"};

struct listing {
    struct page *page;
    struct datasets *out;
};

static bool add_type(void *ctx, struct str iri, int64_t entities)
{
    struct listing *l = ctx;
    struct arena *a = l->page->arena;
    struct dataset *d = vec_push(a, &l->out->all);
    d->iri = str_dup(a, iri);
    d->name = ld_compact(ld_core(), a, d->iri);
    d->label = look_type_label(a, l->page->locale, look_short(a, d->iri));
    d->entities = entities;
    for (size_t i = 0; i < COUNT(internal_types); i++)
        d->internal |= str_eq(d->name, str_c(internal_types[i]));
    return true;
}

static struct dataset *by_iri(struct datasets *d, struct str iri)
{
    for (size_t i = 0; i < d->all.n; i++)
        if (str_eq(d->all.v[i].iri, iri))
            return &d->all.v[i];
    return NULL;
}

static bool add_source(void *ctx, const struct source_status *s)
{
    struct listing *l = ctx;
    struct dataset *d = by_iri(l->out, s->type);
    if (!d)
        return true;
    /* Several sources may feed one type: the worst state is the one to know about. */
    if (d->state != FRESH_UNKNOWN && s->state < d->state)
        return true;
    d->state = s->state;
    d->interval_us = s->interval_us;
    d->last_update = s->last_update > d->last_update ? s->last_update : d->last_update;
    d->stale_since = s->stale_since;
    d->publisher = str_dup(l->page->arena, s->name);
    return true;
}

static struct str shown(struct page *p, const struct json *stored, const char *attr)
{
    const struct json *instances = look_attr(stored, attr);
    const struct json *one = instances ? instance_default(instances) : NULL;
    return one ? str_dup(p->arena, look_instance(p->arena, p->locale, one).text) : STR_NONE;
}

static bool add_descriptor(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct listing *l = ctx;
    struct arena *a = l->page->arena;
    (void)row;
    struct str type = look_plain(stored, "entityType");
    struct dataset *d = type.n ? by_iri(l->out, ld_expand(ld_core(), a, type)) : NULL;
    if (!d)
        return true;
    d->description = shown(l->page, stored, "description");
    d->license = shown(l->page, stored, "license");
    d->origin = shown(l->page, stored, "source");
    struct str publisher = shown(l->page, stored, "publisher");
    if (publisher.n)
        d->publisher = publisher;
    return true;
}

static int by_label(const void *x, const void *y)
{
    const struct dataset *a = x, *b = y;
    if (a->internal != b->internal)
        return a->internal - b->internal;
    return str_cmp(a->label, b->label);
}

enum err datasets_list(struct page *p, struct store_conn *c, struct datasets *out, struct error *e)
{
    struct listing l = {p, out};
    const struct clock *clock = p->city->clock;
    *out = (struct datasets){.all = VEC_INIT};
    enum err err = repo_names(c, PORTAL_TENANT, false, add_type, &l, e);
    if (err)
        return err;
    if (p->city->freshness)
        freshness_each(p->city->freshness, PORTAL_TENANT, add_source, &l);
    struct scan s = {.iri = ld_expand(ld_core(), p->arena, S("Dataset")), .limit = 1000};
    err = scan_type(c, clock, &s, add_descriptor, &l, NULL, e);
    if (out->all.n)
        qsort(out->all.v, out->all.n, sizeof(*out->all.v), by_label);
    return err;
}

const struct dataset *datasets_find(const struct datasets *d, struct str name)
{
    for (size_t i = 0; i < d->all.n; i++)
        if (str_eq(d->all.v[i].name, name) || str_eq(d->all.v[i].iri, name))
            return &d->all.v[i];
    return NULL;
}

enum err scan_type(struct store_conn *c, const struct clock *clock, const struct scan *s,
                   bool (*each)(void *ctx, const struct entity_row *row, const struct json *stored),
                   void *ctx, struct repo_result *result, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct repo_result unused;
    struct entity_query query = {0};
    enum err err = OK;
    query.types = query_parse_types(&a, s->iri, ld_core(), &QUERY_DEFAULT, e);
    if (!query.types) {
        err = ERR_INVALID;
        goto out;
    }
    struct repo_query q = {.query = &query,
                           .tenant = PORTAL_TENANT,
                           .after = s->after,
                           .offset = s->offset,
                           .limit = s->limit,
                           .clock = clock,
                           .deadline = s->deadline};
    err = repo_query(c, &q, each, ctx, result ? result : &unused, e);
out:
    arena_release(&a);
    return err;
}

/* --- writing one --- */

static const char *state_name(enum fresh_state s)
{
    static const char *const names[] = {[FRESH_UNKNOWN] = "unknown",
                                        [FRESH_OK] = "fresh",
                                        [FRESH_STALE] = "stale",
                                        [FRESH_SILENT] = "silent"};
    return names[s];
}

void dataset_write(struct page *p, const struct dataset *d)
{
    struct json_writer *w = &p->w;
    struct arena *a = p->arena;
    json_w_kstr(w, S("label"), d->label);
    json_w_kstr(w, S("name"), d->name);
    json_w_kstr(w, S("href"), page_href(p, "data/%" STR_F, STR_A(url_encode(a, d->name))));
    json_w_kstr(w, S("open"), str_concat(a, S("/open/"), url_encode(a, d->name)));
    json_w_kstr(w, S("count"),
                locale_number(p->locale, a, str_printf(a, "%lld", (long long)d->entities)));
    json_w_kstr(w, S("description"), d->description);
    json_w_kstr(w, S("publisher"), d->publisher);
    json_w_kstr(w, S("license"), d->license);
    json_w_kstr(w, S("origin"), d->origin);
    if (d->state != FRESH_UNKNOWN) {
        const char *state = state_name(d->state);
        json_w_key(w, S("fresh"));
        json_w_object(w);
        json_w_kstr(w, S("state"), str_c(state));
        json_w_kstr(w, S("label"), page_text(p, str_c(arena_printf(a, "fresh.%s", state))));
        json_w_end(w);
    }
    if (d->last_update)
        json_w_kstr(w, S("updated"), locale_datetime(p->locale, a, d->last_update));
}

static enum http_answer get_datasets(struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    struct datasets list;
    struct page p;
    if (!portal_page(&p, ctx, req, res, "data"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    enum err err = datasets_list(&p, c, &list, &e);
    store_read_done(c);
    if (err)
        return page_fail(&p, &e);
    json_w_key(&p.w, S("datasets"));
    json_w_array(&p.w);
    for (size_t i = 0; i < list.all.n; i++) {
        if (list.all.v[i].internal)
            continue;
        json_w_object(&p.w);
        dataset_write(&p, &list.all.v[i]);
        json_w_end(&p.w);
    }
    json_w_end(&p.w);
    return page_send(&p, "datasets", S("data.title"));
}

/* --- one data set: its table --- */

struct view {
    struct page *page;
    struct str needle; /* folded; empty: all */
    uint64_t skip, hits;
    bool cut; /* more hits than are counted */
    VEC(struct json) rows;
};

/* Does any text of the value hold the needle? Bounded by the depth of stored values. */
static bool holds_text(struct arena *a, const struct json *v, struct str needle, int depth)
{
    if (!v || depth > ENTITY_MAX_DEPTH)
        return false;
    switch (json_type(v)) {
    case JSON_STRING:
    case JSON_NUMBER:
        return str_find(text_key(a, json_text(v)), needle) >= 0;
    case JSON_ARRAY:
        for (uint32_t i = 0; i < v->n; i++)
            if (holds_text(a, &v->items[i], needle, depth + 1))
                return true;
        return false;
    case JSON_OBJECT:
        for (uint32_t i = 0; i < v->n; i++)
            if (holds_text(a, &v->members[i].value, needle, depth + 1))
                return true;
        return false;
    default:
        return false;
    }
}

static bool row_matches(const struct view *v, const struct json *stored)
{
    struct arena a = ARENA_INIT;
    bool hit = false;
    for (uint32_t i = 0; !hit && i < stored->n; i++) {
        const struct json *instances = &stored->members[i].value;
        if (entity_is_member(json_key(&stored->members[i])))
            continue;
        for (uint32_t k = 0; !hit && k < instances->n; k++)
            hit = holds_text(&a, instance_value(&instances->items[k]), v->needle, 0);
    }
    arena_release(&a);
    return hit;
}

static bool take_row(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct view *v = ctx;
    (void)row;
    if (v->needle.n && !row_matches(v, stored))
        return true;
    v->hits++;
    if (v->hits > v->skip && v->rows.n < PAGE_ROWS)
        *vec_push(v->page->arena, &v->rows) = json_copy(v->page->arena, stored);
    v->cut = v->needle.n && v->hits >= SEARCH_MAX;
    return !v->cut;
}

struct column {
    struct str iri, name;
    size_t uses;
    bool number; /* only numbers so far */
    bool varies; /* not the same in all rows */
    const struct json *first;
};
struct columns {
    VEC(struct column) all;
};

static void count_column(struct arena *a, struct columns *cs, struct str iri,
                         const struct json *value)
{
    bool number = json_is(value, JSON_NUMBER);
    for (size_t i = 0; i < cs->all.n; i++) {
        if (str_eq(cs->all.v[i].iri, iri)) {
            cs->all.v[i].uses++;
            cs->all.v[i].number &= number;
            cs->all.v[i].varies |= !json_equal(cs->all.v[i].first, value, true);
            return;
        }
    }
    struct str name = look_short(a, iri);
    if (cs->all.n < ATTRS_MAX && !look_is_technical(name))
        *vec_push(a, &cs->all) = (struct column){iri, name, 1, number, false, value};
}

/* The attributes that most rows have, in the order in which the first rows name them. What is the
 * same in every row tells nothing there; where something is comes first. */
static void choose_columns(struct arena *a, const struct view *v, struct columns *out)
{
    struct columns all = {.all = VEC_INIT};
    for (size_t r = 0; r < v->rows.n; r++) {
        const struct json *e = &v->rows.v[r];
        for (uint32_t i = 0; i < e->n; i++) {
            const struct json *one = instance_default(&e->members[i].value);
            if (one && !entity_is_member(json_key(&e->members[i])))
                count_column(a, &all, json_key(&e->members[i]), instance_value(one));
        }
    }
    for (size_t i = 0; i < all.all.n; i++)
        if (str_eq(all.all.v[i].name, S("address")) && all.all.v[i].varies) {
            *vec_push(a, &out->all) = all.all.v[i];
            all.all.v[i].uses = 0;
        }
    for (size_t need = v->rows.n; need > 0 && out->all.n < COLUMNS; need--)
        for (size_t i = 0; i < all.all.n && out->all.n < COLUMNS; i++)
            if (all.all.v[i].uses == need && (all.all.v[i].varies || v->rows.n < 4))
                *vec_push(a, &out->all) = all.all.v[i];
}

static void write_cell(struct page *p, const struct json *stored, const struct column *c)
{
    const struct json *instances = entity_attr(stored, c->iri);
    const struct json *one = instances ? instance_default(instances) : NULL;
    struct look_shown s =
        one ? look_instance(p->arena, p->locale, one) : (struct look_shown){.text = S("")};
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("text"), str_cut(s.text, 200));
    json_w_kbool(&p->w, S("number"), s.number);
    json_w_end(&p->w);
}

static void write_table(struct page *p, const struct view *v)
{
    struct columns cs = {.all = VEC_INIT};
    choose_columns(p->arena, v, &cs);
    json_w_key(&p->w, S("columns"));
    json_w_array(&p->w);
    for (size_t i = 0; i < cs.all.n; i++) {
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("label"), look_attr_label(p->arena, p->locale, cs.all.v[i].name));
        json_w_kbool(&p->w, S("number"), cs.all.v[i].number);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    json_w_key(&p->w, S("rows"));
    json_w_array(&p->w);
    for (size_t r = 0; r < v->rows.n; r++) {
        const struct json *e = &v->rows.v[r];
        int64_t updated = look_updated(e);
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("name"), look_name(p->arena, p->locale, e));
        json_w_kstr(&p->w, S("href"),
                    page_href(p, "e/%" STR_F, STR_A(url_encode(p->arena, entity_id(e)))));
        json_w_key(&p->w, S("cells"));
        json_w_array(&p->w);
        for (size_t i = 0; i < cs.all.n; i++)
            write_cell(p, e, &cs.all.v[i]);
        json_w_end(&p->w);
        if (updated)
            json_w_kstr(&p->w, S("updated"), locale_datetime(p->locale, p->arena, updated));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static void write_number(struct page *p, struct str key, uint64_t n)
{
    json_w_kstr(&p->w, key,
                locale_number(p->locale, p->arena,
                              str_printf(p->arena, "%llu", (unsigned long long)n)));
}

static struct str page_link(struct page *p, const struct dataset *d, struct str q, uint64_t page)
{
    struct str query =
        q.n ? str_printf(p->arena, "&q=%" STR_F, STR_A(url_encode(p->arena, q))) : S("");
    return page_href(p, "data/%" STR_F "?page=%llu%" STR_F, STR_A(url_encode(p->arena, d->name)),
                     (unsigned long long)page, STR_A(query));
}

static void write_paging(struct page *p, const struct dataset *d, const struct view *v,
                         struct str q, uint64_t page, uint64_t total)
{
    uint64_t pages = total ? (total + PAGE_ROWS - 1) / PAGE_ROWS : 1;
    json_w_kstr(&p->w, S("q"), q);
    json_w_kbool(&p->w, S("searched"), q.n > 0);
    json_w_kbool(&p->w, S("cut"), v->cut);
    write_number(p, S("total"), total);
    write_number(p, S("page"), page);
    write_number(p, S("pages"), pages);
    write_number(p, S("from"), v->rows.n ? (page - 1) * PAGE_ROWS + 1 : 0);
    write_number(p, S("to"), (page - 1) * PAGE_ROWS + v->rows.n);
    json_w_kbool(&p->w, S("paged"), pages > 1);
    if (page > 1)
        json_w_kstr(&p->w, S("previous"), page_link(p, d, q, page - 1));
    if (page < pages)
        json_w_kstr(&p->w, S("next"), page_link(p, d, q, page + 1));
}

static uint64_t asked_page(const struct request *req)
{
    int64_t n;
    struct str text = request_query(req, "page");
    return str_to_i64(text, &n) && n >= 1 && n <= 1000000 ? (uint64_t)n : 1;
}

static enum http_answer get_dataset(struct request *req, struct response *res, void *ctx)
{
    struct error e = {0};
    struct datasets list;
    struct page p;
    if (!portal_page(&p, ctx, req, res, "data"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    struct str q = str_cut(str_trim(request_query(req, "q")), 200);
    uint64_t page = asked_page(req);
    struct view v = {.page = &p, .needle = text_key(p.arena, q)};
    const struct clock *clock = p.city->clock;
    const struct dataset *d = NULL;
    enum err err = datasets_list(&p, c, &list, &e);
    if (!err) {
        d = datasets_find(&list, request_param(req, "type"));
        struct scan s = {.iri = d ? d->iri : STR_NONE, .limit = PAGE_ROWS};
        if (v.needle.n) {
            s.limit = UINT64_MAX;
            s.deadline = clock_steady(clock) + SEARCH_MS * 1000;
            v.skip = (page - 1) * PAGE_ROWS;
        } else {
            s.offset = (page - 1) * PAGE_ROWS;
        }
        if (d)
            err = scan_type(c, clock, &s, take_row, &v, NULL, &e);
    }
    store_read_done(c);
    /* A search that took too long shows what it found so far. */
    if (err == ERR_TOO_COMPLEX && v.needle.n) {
        v.cut = true;
        err = OK;
    }
    if (err)
        return page_fail(&p, &e);
    if (!d)
        return page_not_found(&p);
    json_w_key(&p.w, S("dataset"));
    json_w_object(&p.w);
    dataset_write(&p, d);
    json_w_end(&p.w);
    write_table(&p, &v);
    write_paging(&p, d, &v, q, page, v.needle.n ? v.hits : (uint64_t)d->entities);
    return page_send_titled(&p, "dataset", d->label);
}

const struct route dataset_routes[] = {
    {"GET", "/{lang}/data", get_datasets, ROUTE_HIDDEN},
    {"GET", "/{lang}/data/{type}", get_dataset, ROUTE_HIDDEN},
    {"GET", "/open/{type}.csv", download_csv, ROUTE_PUBLIC_CORS},
    {"GET", "/open/{type}.json", download_json, ROUTE_PUBLIC_CORS},
    {"GET", "/open/{type}.geojson", download_geojson, ROUTE_PUBLIC_CORS},
};
const size_t dataset_routes_n = COUNT(dataset_routes);
