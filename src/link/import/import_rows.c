/*
 * import_rows.c - a table read row by row; each good row becomes a draft entity.
 *
 * The file is read twice: first to find its header, count its rows and refuse what is broken as a
 * whole, so that nothing is written of a file that cannot be trusted; then to load it.
 */
#include "import_impl.h"

#include "core/datetime.h"
#include "core/text.h"

#include <stdio.h>
#include <string.h>

enum { HEADER_TRIES = 20, SAMPLE_BYTES = 64 << 10, AGE_GROUPS_MAX = 64 };

/* --- what kind of file --- */

static struct str encoding_text(struct arena *a, const struct table_info *i)
{
    static const char *const names[] = {[ENC_UTF8] = "UTF-8",
                                        [ENC_UTF8_BOM] = "UTF-8 with BOM",
                                        [ENC_UTF16LE] = "UTF-16LE",
                                        [ENC_UTF16BE] = "UTF-16BE",
                                        [ENC_CP932] = "CP932 (Shift_JIS)"};
    if (i->format == TABLE_XLSX)
        return str_printf(a, "XLSX, sheet \"%" STR_F "\"", STR_A(i->sheet));
    return str_printf(a, "%s, %s%s", names[i->encoding],
                      i->separator == '\t' ? "tab-separated" : "CSV", i->zipped ? " in a ZIP" : "");
}

struct scan {
    struct import_map map;
    uint64_t header_row; /* 0: none found */
    unsigned tries;
    struct buf sample;
};

/* "#attribution_name,高松市": what some portals put before the header. */
static void take_metadata(struct import *im, const struct table_row *row)
{
    struct str value = row->n > 1 ? text_trim(row->cells[1].text) : STR_NONE;
    if (!value.n)
        return;
    if (str_eq(row->cells[0].text, S("#attribution_name")) && !im->source.p)
        im->source = str_dup(im->arena, value);
    if (str_eq(row->cells[0].text, S("#license")))
        im->license = str_dup(im->arena, value);
}

static bool is_metadata(const struct table_row *row)
{
    return str_starts(row->cells[0].text, S("#")) &&
           !str_eq(text_trim(row->cells[0].text), S("#property"));
}

static void scan_row(struct import *im, const struct kind *kind, struct scan *s,
                     const struct table_row *row)
{
    for (size_t i = 0; i < row->n && s->sample.n < SAMPLE_BYTES; i++)
        buf_str(&s->sample, row->cells[i].text);
    if (s->header_row) {
        im->rows_total += !is_metadata(row);
    } else if (is_metadata(row)) {
        take_metadata(im, row);
    } else if (s->tries++ < HEADER_TRIES && import_map_header(im, kind, row, &s->map)) {
        s->header_row = row->number;
    }
}

static enum err check_scan(struct import *im, const struct kind *kind, const struct scan *s)
{
    if (table_looks_broken(buf_view(&s->sample)))
        return import_refuse(im, "mojibake",
                             "the text of this file is broken (mojibake); publish it again from "
                             "the original");
    if (!s->header_row && kind)
        return import_refuse(im, "no_header", "no row looks like the header of kind %s",
                             kind->public->name);
    if (!s->header_row)
        return import_refuse(im, "unknown_kind",
                             "the header is of no known kind; name the kind (--as)");
    return OK;
}

static enum err scan_table(struct import *im, struct str bytes, const struct kind *kind,
                           struct scan *s)
{
    struct arena scratch = ARENA_INIT;
    struct table_row row;
    struct error why = {0};
    enum table_step step;
    struct table *t = table_open(bytes, im->job->name, &TABLE_DEFAULT, &why);
    if (!t)
        return import_refuse(im, why.code == ERR_TOO_LARGE ? "too_large" : "unreadable", "%s",
                             why.text);
    im->report->encoding = encoding_text(im->arena, table_info(t));
    while ((step = table_next(t, &scratch, &row, &why)) != TABLE_END) {
        if (step == TABLE_ROW)
            scan_row(im, kind, s, &row);
        arena_reset(&scratch);
    }
    table_close(t);
    arena_release(&scratch);
    return check_scan(im, kind, s);
}

/* --- columns as a whole --- */

static enum err check_columns(struct import *im, const struct import_map *map)
{
    const struct kind *k = map->kind;
    bool key = k->any_column;
    for (size_t i = 0; i < map->n; i++) {
        const struct column *c = map->columns[i].spec;
        key |= c && (c->value == V_ID || c->value == V_NO || (c->flags & COL_KEY));
        if (!c && !map->columns[i].attr.p && text_trim(map->columns[i].header).n)
            import_problem(im, 0, map->columns[i].header, "unknown_column", STR_NONE, true,
                           "this column is not part of the kind %s and was not loaded",
                           k->public->name);
    }
    for (size_t r = 0; r < k->n; r++) {
        bool there = !(k->columns[r].flags & COL_REQUIRED);
        for (size_t i = 0; i < map->n && !there; i++)
            there = map->columns[i].spec == &k->columns[r];
        if (!there)
            return import_refuse(im, "missing_column", "a column is missing: one of %s",
                                 k->columns[r].headers);
    }
    if (!key)
        return import_refuse(im, "missing_column", "no column tells the rows apart");
    return OK;
}

/* --- one row --- */

struct age_group {
    int from, to;
    struct json count[2]; /* male, female; null: no cell */
};

struct work {
    struct import *im;
    struct import_map *map;
    const struct table_row *row;
    struct json_member *members;
    size_t n;
    bool *filled; /* by slot */
    struct json_member address[16];
    size_t n_address;
    double lat, lon;
    bool has_lat, has_lon, wants_position, rejected;
    struct age_group ages[AGE_GROUPS_MAX];
    size_t n_ages;
    int64_t observed;
    double total, parts;
    unsigned counted; /* bits: total, male, female */
};

static const struct table_cell no_cell;

static const struct table_cell *cell_of(const struct work *w, size_t i)
{
    return i < w->row->n ? &w->row->cells[i] : &no_cell;
}

static void complain(struct work *w, size_t i, const char *reason, bool warning, const char *text)
{
    import_problem(w->im, w->row->number, w->map->columns[i].header, reason, cell_of(w, i)->text,
                   warning, "%s", text);
    w->rejected |= !warning;
}

static void put(struct work *w, struct json_member m)
{
    w->members[w->n++] = m;
}

static void put_value(struct work *w, struct str iri, struct json value, bool timed)
{
    put(w, import_property(&w->im->batch, iri, value, timed ? w->observed : 0));
}

/* "屋内480人／屋外3,350人": people who find room inside. */
static bool indoor_capacity(struct arena *a, struct str text, struct json *out)
{
    struct str s = text_fold(a, text);
    ptrdiff_t at = str_find(s, S("屋内"));
    if (at < 0)
        return false;
    s = str_from(s, (size_t)at + strlen("屋内"));
    ptrdiff_t end = str_find(s, S("人"));
    struct cell_value v;
    struct table_cell cell = {.text = end > 0 ? str_sub(s, 0, (size_t)end) : STR_NONE};
    if (cell_read(a, V_COUNT, &cell, &v) != CELL_OK)
        return false;
    *out = v.value;
    return true;
}

/* A cell that is not what its column promises: its text is kept beside, so that nothing is lost. */
static void keep_as_note(struct work *w, size_t i, const struct cell_value *v)
{
    struct arena *a = &w->im->batch;
    const struct mapped *m = &w->map->columns[i];
    struct str text = text_trim(cell_of(w, i)->text);
    struct json inside;
    if (str_eq(m->attr, S("capacity")) && indoor_capacity(a, text, &inside))
        put_value(w, m->iri, inside, false);
    else
        complain(w, i, v->reason, true, v->text);
    put_value(w, str_concat(a, m->iri, S("Note")), json_v_str(text), false);
}

static void take_age(struct work *w, const struct mapped *m, struct json value)
{
    size_t g = 0;
    while (g < w->n_ages && (w->ages[g].from != m->age_from || w->ages[g].to != m->age_to))
        g++;
    if (g == AGE_GROUPS_MAX)
        return;
    if (g == w->n_ages)
        w->ages[w->n_ages++] =
            (struct age_group){m->age_from, m->age_to, {json_v_null(), json_v_null()}};
    w->ages[g].count[m->female] = value;
}

static void note_sum(struct work *w, struct str attr, double number)
{
    if (str_eq(attr, S("totalPopulation"))) {
        w->total = number;
        w->counted |= 1;
    } else if (str_eq(attr, S("malePopulation")) || str_eq(attr, S("femalePopulation"))) {
        w->parts += number;
        w->counted |= attr.p[0] == 'm' ? 2 : 4;
    }
}

static void take_address(struct work *w, const struct mapped *m, struct json value)
{
    if (w->n_address + 1 < sizeof(w->address) / sizeof(w->address[0]))
        w->address[w->n_address++] = json_m(m->attr, value);
}

static struct json parent(struct work *w, struct str key)
{
    struct arena *a = &w->im->batch;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = json_m(S("type"), json_v_str(S("Relationship")));
    key = str_trim(text_fold(a, key)); /* as the parent's own row reads it */
    m[1] = json_m(S("object"), json_v_str(import_id(w->im, a, key)));
    return import_instances(a, m, 2);
}

static void take_value(struct work *w, size_t i, enum value kind, const struct cell_value *v)
{
    const struct mapped *m = &w->map->columns[i];
    switch (kind) {
    case V_ID:
    case V_NO:
    case V_SKIP:
    case V_OBSERVED:
        return;
    case V_LAT:
        w->lat = v->number;
        w->has_lat = true;
        return;
    case V_LON:
        w->lon = v->number;
        w->has_lon = true;
        return;
    case V_LATLON:
        w->lat = v->lat;
        w->lon = v->lon;
        w->has_lat = w->has_lon = true;
        return;
    case V_AGES:
        take_age(w, m, v->value);
        return;
    default:
        break;
    }
    if (w->filled[m->slot])
        return;
    w->filled[m->slot] = true;
    if (kind == V_ADDRESS)
        take_address(w, m, v->value);
    else if (kind == V_PARENT)
        put(w, json_m(m->iri, parent(w, json_text(&v->value))));
    else
        put_value(w, m->iri, v->value, m->spec && (m->spec->flags & COL_TIMED));
    if (kind == V_COUNT)
        note_sum(w, m->attr, v->number);
}

static void count_look(struct mapped *m, struct str text)
{
    double d;
    if (!text.n)
        return;
    if (str_to_double(text, &d))
        m->numbers++;
    else
        m->texts++;
}

/* Names that map editors give to a pin that nobody named. */
static bool is_default_label(struct str name)
{
    return str_eq(name, S("新規マップピン")) || str_eq(name, S("無題のプレースマーク")) ||
           str_eq(name, S("名称未設定"));
}

static const char *warning_text(const char *code)
{
    if (!strcmp(code, "conditional"))
        return "△ was loaded as \"conditional\"";
    if (!strcmp(code, "bad_phone"))
        return "this is no telephone number; loaded as it is";
    return "characters of this text were lost";
}

static void take_cell(struct work *w, size_t i)
{
    struct mapped *m = &w->map->columns[i];
    const struct table_cell *cell = cell_of(w, i);
    enum value kind = m->spec ? m->spec->value : V_TEXT;
    unsigned flags = m->spec ? m->spec->flags : 0;
    struct cell_value v;
    count_look(m, text_trim(cell->text));
    if (!m->spec && !m->attr.p)
        return;
    w->wants_position |= kind == V_LAT || kind == V_LON || kind == V_LATLON;
    enum cell_verdict verdict = cell_read(&w->im->batch, kind, cell, &v);
    if (verdict == CELL_EMPTY) {
        if (flags & COL_REQUIRED)
            complain(w, i, "missing", false, "this cell must not be empty");
        return;
    }
    if (verdict == CELL_BAD) {
        bool place = kind == V_LAT || kind == V_LON || kind == V_LATLON;
        if ((flags & COL_REQUIRED) || place)
            complain(w, i, v.reason, false, v.text);
        else if (m->iri.p && !w->filled[m->slot])
            keep_as_note(w, i, &v);
        else
            complain(w, i, v.reason, true, v.text);
        return;
    }
    if (v.warning)
        complain(w, i, v.warning, true, warning_text(v.warning));
    if (str_eq(m->attr, S("name")) && is_default_label(json_text(&v.value)))
        complain(w, i, "default_label", true, "a map editor's default label was never replaced");
    take_value(w, i, kind, &v);
}

static void find_observed(struct work *w)
{
    w->observed = w->im->file_time;
    for (size_t i = 0; i < w->map->n; i++) {
        const struct mapped *m = &w->map->columns[i];
        struct cell_value v;
        if (m->observed)
            w->observed = m->observed;
        if (m->spec && m->spec->value == V_OBSERVED &&
            cell_read(&w->im->batch, V_OBSERVED, cell_of(w, i), &v) == CELL_OK)
            w->observed = v.instant;
    }
    if (w->observed > w->im->observed)
        w->im->observed = w->observed;
}

/* --- the key of a row --- */

/* A number without leading zeros: it counts lines and moves when a line is put in. */
static bool is_running_number(struct str s)
{
    int64_t v;
    return str_to_i64(s, &v) && (s.p[0] != '0' || s.n == 1);
}

static struct str key_text(struct work *w, size_t i)
{
    return str_trim(text_fold(&w->im->batch, text_trim(cell_of(w, i)->text)));
}

/* The publisher's id; else what the set takes as its natural key; else the running number. */
static struct str natural_key(struct work *w, bool *publishers)
{
    struct arena *a = &w->im->batch;
    struct str key = STR_NONE, number = STR_NONE, first = STR_NONE;
    *publishers = false;
    for (size_t i = 0; i < w->map->n; i++) {
        const struct column *c = w->map->columns[i].spec;
        struct str text = key_text(w, i);
        if (!text.n)
            continue;
        if (!first.p)
            first = text;
        if (c && (c->value == V_ID || (c->value == V_NO && !is_running_number(text)))) {
            *publishers = true;
            return text;
        }
        if (c && c->value == V_NO)
            number = text;
        if (c && (c->flags & COL_KEY))
            key = key.p
                      ? str_printf(a, "%" STR_F "\x1f%" STR_F, STR_A(key), STR_A(text_key(a, text)))
                      : text_key(a, text);
    }
    if (key.n)
        return key;
    return number.p ? number : w->map->kind->any_column ? first : STR_NONE;
}

/* Namesakes in one file are told apart by address, then by position. */
static struct str longer_key(struct work *w, struct str key, int step)
{
    struct arena *a = &w->im->batch;
    for (size_t i = 0; i < w->map->n; i++) {
        const struct column *c = w->map->columns[i].spec;
        if (!c || !(step == 0 ? c->value == V_ADDRESS
                              : c->value == V_LAT || c->value == V_LON || c->value == V_LATLON))
            continue;
        key =
            str_printf(a, "%" STR_F "\x1f%" STR_F, STR_A(key), STR_A(text_key(a, key_text(w, i))));
    }
    return key;
}

/* The row's id; absent (and the row rejected) when it has none of its own. */
static struct str row_id(struct work *w)
{
    struct import *im = w->im;
    bool publishers;
    uint64_t first = 0;
    struct str key = natural_key(w, &publishers);
    if (!key.n) {
        if (!w->rejected)
            import_problem(im, w->row->number, STR_NONE, "missing", STR_NONE, false,
                           "nothing in this row identifies it");
        w->rejected = true;
        return STR_NONE;
    }
    struct str id = import_id(im, &im->batch, key);
    bool seen = import_see(im, id, w->row->number, &first);
    for (int step = 0; !seen && !publishers && step < 2; step++) {
        key = longer_key(w, key, step);
        id = import_id(im, &im->batch, key);
        seen = import_see(im, id, w->row->number, &first);
    }
    if (seen)
        return id;
    import_problem(im, w->row->number, STR_NONE, "duplicate", key, false,
                   "the same key stands in row %llu", (unsigned long long)first);
    w->rejected = true;
    return STR_NONE;
}

/* --- the entity --- */

static void check_position(struct work *w)
{
    struct import *im = w->im;
    if (!w->wants_position || w->rejected)
        return;
    if (!w->has_lat && !w->has_lon) {
        import_problem(im, w->row->number, STR_NONE, "no_position", STR_NONE, true,
                       "the row has no position and is not on the map");
        return;
    }
    struct str read = str_printf(&im->batch, "%.8g, %.8g", w->lat, w->lon);
    if (!w->has_lat || !w->has_lon) {
        import_problem(im, w->row->number, STR_NONE, "missing", read, false,
                       "latitude and longitude belong together");
        w->rejected = true;
        return;
    }
    struct position p = cell_position(&w->lat, &w->lon);
    if (p.swapped)
        import_problem(im, w->row->number, STR_NONE, "swapped", read, true,
                       "latitude and longitude were exchanged and have been put right");
    if (p.reason) {
        import_problem(im, w->row->number, STR_NONE, p.reason, read, false,
                       "this position is not in Japan");
        w->rejected = true;
    }
}

static void check_sums(struct work *w)
{
    if (w->counted == 7 && w->total != w->parts)
        import_problem(w->im, w->row->number, STR_NONE, "sum_mismatch", STR_NONE, true,
                       "men and women are %.0f together, the total says %.0f", w->parts, w->total);
}

static struct json age_json(struct arena *a, const struct work *w)
{
    struct json *items = ARENA_ARRAY(a, struct json, w->n_ages);
    for (size_t g = 0; g < w->n_ages; g++) {
        const struct age_group *age = &w->ages[g];
        struct json_member *m = ARENA_ARRAY(a, struct json_member, 4);
        size_t n = 0;
        m[n++] = json_m(S("from"), json_v_i64(a, age->from));
        if (age->to >= 0)
            m[n++] = json_m(S("to"), json_v_i64(a, age->to));
        if (age->count[0].type != JSON_NULL)
            m[n++] = json_m(S("male"), age->count[0]);
        if (age->count[1].type != JSON_NULL)
            m[n++] = json_m(S("female"), age->count[1]);
        items[g] = json_v_object(m, n);
    }
    return json_v_array(items, w->n_ages);
}

/* What every entity of the set carries. */
static void put_common(struct work *w)
{
    struct import *im = w->im;
    const struct kind *k = im->kind;
    struct arena *a = &im->batch;
    if (w->n_address) {
        w->address[w->n_address] = json_m(S("addressCountry"), json_v_str(S("JP")));
        struct json_member *m = ARENA_ARRAY(a, struct json_member, w->n_address + 1);
        memcpy(m, w->address, (w->n_address + 1) * sizeof(*m));
        put_value(w, im->iri_address, json_v_object(m, w->n_address + 1), false);
    }
    if (w->n_ages)
        put_value(w, ld_expand(ld_core(), a, S("ageGroups")), age_json(a, w), true);
    if (w->has_lat && w->has_lon)
        put(w, import_location(a, w->lon, w->lat));
    if (k->category)
        put_value(w, im->iri_category, json_v_str(str_c(k->category)), false);
    if (k->closes)
        put_value(w, im->iri_status, json_v_str(S("open")), true);
    if (im->source.p)
        put_value(w, im->iri_provider, json_v_str(im->source), false);
    put_value(w, im->iri_dataset, json_v_str(im->dataset), false);
}

/* Rows prepared with a running number and never filled in. */
static bool is_blank(const struct work *w)
{
    for (size_t i = 0; i < w->map->n; i++) {
        const struct column *c = w->map->columns[i].spec;
        if ((!c || c->value != V_NO) && text_trim(cell_of(w, i)->text).n)
            return false;
    }
    return true;
}

static enum err take_row(struct import *im, struct import_map *map, const struct table_row *row)
{
    struct arena *a = &im->batch;
    struct work w = {.im = im, .map = map, .row = row};
    w.members = ARENA_ARRAY(a, struct json_member, map->n * 2 + 12);
    w.filled = ARENA_ARRAY(a, bool, map->n);
    im->report->rows++;
    if (is_blank(&w)) {
        import_problem(im, row->number, STR_NONE, "empty_row", STR_NONE, true,
                       "the row holds nothing but its number");
        return OK;
    }
    if (row->n > map->n)
        import_problem(im, row->number, STR_NONE, "extra_cells", row->cells[row->n - 1].text, true,
                       "the row has %zu cells, the header %zu", row->n, map->n);
    find_observed(&w);
    struct json *type = ARENA_NEW(a, struct json);
    *type = json_v_str(im->type_iri);
    w.n = 2;
    for (size_t i = 0; i < map->n; i++)
        take_cell(&w, i);
    check_position(&w);
    check_sums(&w);
    struct str id = row_id(&w);
    if (w.rejected) {
        im->report->rejected++;
        return OK;
    }
    w.members[0] = json_m(S("id"), json_v_str(id));
    w.members[1] = json_m(S("type"), json_v_array(type, 1));
    put_common(&w);
    struct json *stored = ARENA_NEW(a, struct json);
    *stored = json_v_object(w.members, w.n);
    return import_put(im, row->number, id, stored);
}

static enum err load_rows(struct import *im, struct str bytes, struct scan *s)
{
    struct table_row row;
    struct error why = {0};
    enum table_step step;
    enum err err = OK;
    struct table *t = table_open(bytes, im->job->name, &TABLE_DEFAULT, &why);
    if (!t)
        return import_refuse(im, "unreadable", "%s", why.text);
    while (!err && (step = table_next(t, &im->batch, &row, &why)) != TABLE_END) {
        if (step == TABLE_BAD) {
            import_problem(im, 0, STR_NONE, "unreadable", STR_NONE, false, "%s", why.text);
            im->report->rejected++;
        } else if (row.number > s->header_row && !is_metadata(&row)) {
            err = take_row(im, &s->map, &row);
        }
        if (!err && im->batch.total > IMPORT_BATCH_BYTES)
            err = import_flush(im);
    }
    table_close(t);
    return err;
}

enum err import_table(struct import *im, struct str bytes, const struct kind *kind)
{
    struct scan s = {.sample = BUF_INIT};
    enum err err = scan_table(im, bytes, kind, &s);
    buf_release(&s.sample);
    if (!err)
        err = check_columns(im, &s.map);
    if (!err)
        err = import_begin(im, s.map.kind);
    if (err)
        return err;
    for (size_t i = 0; i < s.map.n; i++)
        if (s.map.columns[i].iri.p)
            map_put(&im->ours, s.map.columns[i].iri, im);
    err = load_rows(im, bytes, &s);
    if (!err)
        err = import_flush(im);
    if (!err)
        err = import_vanished(im);
    if (!err)
        err = import_record_write(im, &s.map);
    return err;
}
