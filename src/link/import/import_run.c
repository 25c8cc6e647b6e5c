/* import_run.c - one import from its beginning to its report. */
#include "import_impl.h"

#include "core/datetime.h"
#include "core/text.h"
#include "crypto/hash.h"

#include <stdio.h>
#include <string.h>

enum { PROBLEMS_MAX = 1000, READ_BYTES = 200, DRIFT_MAX = 2000 };

/* --- reporting --- */

static struct str printed(struct arena *a, const char *fmt, va_list args)
    __attribute__((format(printf, 2, 0)));

static struct str printed(struct arena *a, const char *fmt, va_list args)
{
    char text[480];
    int n = vsnprintf(text, sizeof(text), fmt, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    return str_dup(a, str_cut(str_n(text, len), sizeof(text) - 4));
}

static void fill(struct import *im, struct import_problem *p, uint64_t row, struct str column,
                 const char *reason, struct str read, bool warning)
{
    *p = (struct import_problem){.row = row, .reason = str_c(reason), .warning = warning};
    if (column.n)
        p->column = str_dup(im->arena, str_cut(column, READ_BYTES));
    if (read.n)
        p->read = str_dup(im->arena, str_cut(read, READ_BYTES));
}

void import_problem(struct import *im, uint64_t row, struct str column, const char *reason,
                    struct str read, bool warning, const char *fmt, ...)
{
    size_t max = im->job->problems_max ? im->job->problems_max : PROBLEMS_MAX;
    im->report->warnings += warning;
    if (im->report->problems.n >= max)
        return;
    struct import_problem *p = vec_push(im->arena, &im->report->problems);
    va_list args;
    fill(im, p, row, column, reason, read, warning);
    va_start(args, fmt);
    p->text = printed(im->arena, fmt, args);
    va_end(args);
}

void import_drift(struct import *im, struct str column, const char *reason, const char *fmt, ...)
{
    if (im->report->drift.n >= DRIFT_MAX)
        return;
    struct import_problem *p = vec_push(im->arena, &im->report->drift);
    va_list args;
    fill(im, p, 0, column, reason, STR_NONE, true);
    va_start(args, fmt);
    p->text = printed(im->arena, fmt, args);
    va_end(args);
}

enum err import_refuse(struct import *im, const char *reason, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    struct str text = printed(im->arena, fmt, args);
    va_end(args);
    im->report->refused = text;
    import_problem(im, 0, STR_NONE, reason, STR_NONE, false, "%" STR_F, STR_A(text));
    return error_set(im->e, ERR_INVALID, "%" STR_F, STR_A(text));
}

/* --- names of things --- */

static bool is_plain(struct str s, size_t max)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_' || c == '-' || c == '.';
        if (!ok)
            return false;
    }
    return s.n > 0 && s.n <= max;
}

struct str import_id(struct import *im, struct arena *a, struct str key)
{
    if (!is_plain(key, 64)) {
        struct hash h = hash_blake2b(text_key(a, key));
        key = hex_encode(a, str_n((const char *)h.b, 12));
    }
    return str_printf(a, "urn:ngsi-ld:%" STR_F ":%" STR_F ":%" STR_F, STR_A(im->type),
                      STR_A(im->dataset), STR_A(key));
}

bool import_see(struct import *im, struct str id, uint64_t row, uint64_t *first)
{
    const uint64_t *there = map_get(&im->seen, id);
    if (there) {
        *first = *there;
        return false;
    }
    uint64_t *number = ARENA_NEW(im->arena, uint64_t);
    *number = row;
    map_put(&im->seen, str_dup(im->arena, id), number);
    return true;
}

/* --- pieces of entities --- */

struct json import_instances(struct arena *a, const struct json_member *m, size_t n)
{
    struct json *instance = ARENA_NEW(a, struct json);
    *instance = json_v_object(m, n);
    return json_v_array(instance, 1);
}

struct json_member import_property(struct arena *a, struct str iri, struct json value,
                                   int64_t observed)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 3);
    size_t n = 0;
    m[n++] = json_m(S("type"), json_v_str(S("Property")));
    m[n++] = json_m(S("value"), value);
    if (observed)
        m[n++] = json_m(S("observedAt"), json_v_str(datetime_text(a, observed)));
    return json_m(iri, import_instances(a, m, n));
}

struct json_member import_location(struct arena *a, double lon, double lat)
{
    struct json *coordinates = ARENA_ARRAY(a, struct json, 2);
    struct json_member *point = ARENA_ARRAY(a, struct json_member, 2);
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    coordinates[0] = json_v_double(a, lon);
    coordinates[1] = json_v_double(a, lat);
    point[0] = json_m(S("type"), json_v_str(S("Point")));
    point[1] = json_m(S("coordinates"), json_v_array(coordinates, 2));
    m[0] = json_m(S("type"), json_v_str(S("GeoProperty")));
    m[1] = json_m(S("value"), json_v_object(point, 2));
    return json_m(ld_expand(ld_core(), a, S("location")), import_instances(a, m, 2));
}

/* --- beginning --- */

static bool digits(struct str s, size_t at, size_t n, int *out)
{
    int64_t v;
    if (at + n > s.n || !str_to_i64(str_sub(s, at, n), &v) || v < 0)
        return false;
    *out = (int)v;
    return true;
}

static bool is_digit_at(struct str s, size_t at)
{
    return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

static size_t skip_one(struct str s, size_t at, const char *of)
{
    return at < s.n && s.p[at] && strchr(of, s.p[at]) ? at + 1 : at;
}

/* "..._2024-01-09-1800.csv", "20240109": the time that a file's name tells, in Japan's time. */
static int64_t time_of_name(struct str name)
{
    for (size_t i = 0; i + 8 <= name.n; i++) {
        struct civil c = {0};
        if (i && is_digit_at(name, i - 1))
            continue;
        size_t at = i;
        if (!digits(name, at, 4, &c.year) || c.year < 1990 || c.year > 2199)
            continue;
        at = skip_one(name, at + 4, "-_");
        if (!digits(name, at, 2, &c.month))
            continue;
        at = skip_one(name, at + 2, "-_");
        if (!digits(name, at, 2, &c.day) || !civil_valid(&c))
            continue;
        at = skip_one(name, at + 2, "-_T");
        struct civil with = c;
        if (digits(name, at, 2, &with.hour) && digits(name, at + 2, 2, &with.minute) &&
            !is_digit_at(name, at + 4) && civil_valid(&with))
            c = with;
        return civil_to_instant(&c, JST_OFFSET_S);
    }
    return 0;
}

static void own(struct import *im, const char *attr)
{
    struct str name = str_c(attr);
    map_put(&im->ours, ld_expand(ld_core(), im->arena, name), im);
    map_put(&im->ours, ld_expand(ld_core(), im->arena, str_concat(im->arena, name, S("Note"))), im);
}

static void own_columns(struct import *im, const struct column *c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (c[i].attr && c[i].value != V_ADDRESS)
            own(im, c[i].attr);
}

static enum err name_things(struct import *im, const struct kind *kind)
{
    const struct import_job *job = im->job;
    im->dataset = job->dataset.n ? job->dataset : str_c(kind->public->name);
    im->type = kind->public->type ? str_c(kind->public->type) : job->type;
    im->report->kind = str_c(kind->public->name);
    im->report->dataset = im->dataset;
    im->report->type = im->type;
    if (!is_plain(im->dataset, 64))
        return import_refuse(im, "bad_dataset",
                             "the name of a data set is at most 64 letters, digits, '_', '-', '.'");
    if (kind->format == FORMAT_NGSILD)
        return OK;
    if (!im->type.n)
        return import_refuse(im, "no_type", "kind %s needs the name of an entity type (--type)",
                             kind->public->name);
    if (!is_plain(im->type, 64) || str_find_char(im->type, '.') >= 0)
        return import_refuse(im, "no_type", "an entity type is at most 64 letters and digits");
    im->type_iri = ld_expand(ld_core(), im->arena, im->type);
    return OK;
}

enum err import_begin(struct import *im, const struct kind *kind)
{
    struct arena *a = im->arena;
    im->kind = kind;
    im->member = kind->format != FORMAT_NGSILD || im->job->dataset.n;
    enum err err = name_things(im, kind);
    if (err)
        return err;
    im->iri_dataset = ld_expand(ld_core(), a, S("dataset"));
    im->iri_provider = ld_expand(ld_core(), a, S("dataProvider"));
    im->iri_address = ld_expand(ld_core(), a, S("address"));
    im->iri_category = ld_expand(ld_core(), a, S("category"));
    im->iri_status = ld_expand(ld_core(), a, S("status"));
    im->iri_occupancy = ld_expand(ld_core(), a, S("occupancy"));
    im->entered =
        !im->member || imports_enter(im->job->link->imports, im->job->tenant, im->dataset);
    if (!im->entered) {
        import_refuse(im, "busy", "the data set %" STR_F " is being imported already",
                      STR_A(im->dataset));
        return im->e->code = ERR_CONFLICT;
    }
    own_columns(im, kind->columns, kind->n);
    if (kind->shared)
        own_columns(im, kind->shared->v, kind->shared->n);
    own_columns(im, import_common.v, import_common.n);
    own(im, "address");
    own(im, "location");
    own(im, "ageGroups");
    own(im, "dataProvider");
    return im->member ? import_record_read(im) : OK;
}

/* --- which format --- */

static struct str without_mark(struct str s)
{
    if (str_starts(s, S("\xEF\xBB\xBF")))
        s = str_from(s, 3);
    return s;
}

static bool looks_like_json(struct str s)
{
    s = str_trim(str_sub(without_mark(s), 0, 4096));
    return s.n && (s.p[0] == '{' || s.p[0] == '[');
}

static enum err run_table(struct import *im, const struct kind *kind)
{
    struct str bytes = im->job->bytes, stops;
    bool stops_wanted = !kind || str_eq(str_c(kind->public->name), S("gtfs_stops"));
    if (stops_wanted && str_starts(bytes, S("PK"))) {
        enum err err = import_gtfs_stops(im, bytes, &stops);
        if (!err)
            return import_table(im, stops, import_kind_find(S("gtfs_stops")));
        if (err != ERR_NOT_FOUND)
            return import_refuse(im, "unreadable", "stops.txt cannot be read: %s", im->e->text);
    }
    return import_table(im, bytes, kind);
}

static enum err run(struct import *im)
{
    const struct import_job *job = im->job;
    const struct kind *kind = NULL;
    if (job->kind.n) {
        kind = import_kind_find(job->kind);
        if (!kind)
            return import_refuse(im, "unknown_kind", "there is no kind \"%" STR_F "\"",
                                 STR_A(str_cut(job->kind, 60)));
    }
    if (!str_trim(job->bytes).n)
        return import_refuse(im, "empty", "the file is empty");
    if (kind ? kind->format != FORMAT_TABLE : looks_like_json(job->bytes))
        return import_json(im, without_mark(job->bytes), kind);
    return run_table(im, kind);
}

enum err import_run(const struct import_job *job, struct import_report *report, struct error *e)
{
    struct error own_error = {0};
    struct import im = {.job = job,
                        .report = report,
                        .arena = job->arena,
                        .e = e ? e : &own_error,
                        .batch = ARENA_INIT,
                        .ours = MAP_INIT,
                        .seen = MAP_INIT};
    *report = (struct import_report){0};
    if (job->source.n)
        im.source = job->source;
    im.file_time = job->observed ? job->observed : time_of_name(job->name);
    im.observed = im.file_time;
    im.drafts = ARENA_ARRAY(job->arena, struct draft, IMPORT_BATCH);
    enum err err = run(&im);
    if (!err)
        im.e->text[0] = '\0'; /* what was merely not found left its text */
    if (im.entered && im.member)
        imports_leave(job->link->imports, job->tenant, im.dataset);
    map_release(&im.ours);
    map_release(&im.seen);
    arena_release(&im.batch);
    return err;
}
