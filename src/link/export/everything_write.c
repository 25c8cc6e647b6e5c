/*
 * Lines of an export into an empty store, in two passes over the file. The first checks every line
 * and writes nothing. The second writes some hundred lines in each transaction, and in the same one
 * how far that is, with the digest of the file: after a kill the same file goes on from there and
 * another one is refused.
 */
#include "core/json.h"
#include "core/vec.h"
#include "crypto/hash.h"
#include "everything_impl.h"
#include "keys.h"
#include "link/entity.h"
#include "repo_restore.h"
#include "tenants.h"
#include "v2_providers.h"
#include <stdlib.h>

enum { BATCH_LINES = 500, BATCH_BYTES = 4 << 20, LINE_BYTES = 64 << 20, NESTED = 96 };

static const struct json_limits line_limits = {NESTED, LINE_BYTES, JSON_DUP_REFUSE};

#define NOTE "everything"

struct tenant {
    struct str name;
    int64_t created, seq;
};

struct restoring {
    struct store *store;
    FILE *file;
    struct everything_report *report;
    struct arena arena; /* of the whole run: tenants */
    struct arena batch;
    VEC(struct tenant) tenants;
    VEC(struct str) lines; /* of the batch */
    uint64_t first;        /* number of the first one */
    uint64_t skipped, records;
    bool last;
    struct str digest;
    char *line; /* of getline() */
    size_t cap;
    /* inside apply(): the entity of the line before */
    int64_t eid, eid_tenant;
    struct str eid_id;
};

static enum err at_line(uint64_t line, struct error *e, enum err code)
{
    struct error inner = *e;
    return error_set(e, code, "line %llu: %s", (unsigned long long)line, inner.text);
}

/* false at the end of the file. */
static bool next_line(struct restoring *x, struct str *out)
{
    ssize_t n = getline(&x->line, &x->cap, x->file);
    if (n < 0)
        return false;
    *out = str_n(x->line, (size_t)n);
    return true;
}

static const struct record_kind *kind_named(struct str name)
{
    for (size_t i = 0; i < n_kinds; i++)
        if (str_eq(name, str_c(kinds[i].name)))
            return &kinds[i];
    return NULL;
}

static struct tenant *tenant_named(struct restoring *x, struct str name)
{
    for (size_t i = 0; i < x->tenants.n; i++)
        if (str_eq(x->tenants.v[i].name, name))
            return &x->tenants.v[i];
    return NULL;
}

/* --- values --- */

struct values {
    struct store_value v[RECORD_COLUMNS + 2];
    size_t n;
};

static struct store_value *push(struct values *out, struct store_value v)
{
    out->v[out->n] = v;
    return &out->v[out->n++];
}

static struct str text_of(const struct json *v)
{
    struct str s = json_text(v);
    return s.p ? s : S("");
}

static int64_t key_in(char kind, struct str name)
{
    return key_of(0, kind, name);
}

static bool series_value(enum column_form form, const struct json *v, struct values *out)
{
    bool attr = form == COL_SERIES || form == COL_ATTR;
    bool names = form == COL_SERIES || form == COL_SET;
    bool null = json_is(v, JSON_NULL);
    if (!json_is(v, JSON_STRING) && (attr || !null))
        return false;
    int64_t key = null ? 0 : key_in(attr ? 'a' : 'd', text_of(v));
    push(out, SV_INT(key));
    if (names)
        push(out, null ? SV_NULL : SV_TEXT(text_of(v)));
    return true;
}

static bool instance_values(struct arena *a, const struct json *v, struct values *out)
{
    double number;
    if (!json_is(v, JSON_OBJECT))
        return false;
    const struct json *value = instance_value(v);
    bool numeric = json_is(value, JSON_NUMBER) && json_double(value, &number);
    push(out, numeric ? SV_REAL(number) : SV_NULL);
    push(out, SV_TEXT(json_to_text(a, v)));
    return true;
}

static bool plain_value(struct arena *a, enum column_form form, const struct json *v,
                        struct values *out)
{
    struct store_value *p = push(out, SV_INT(0));
    struct str bytes;
    switch (form) {
    case COL_INT:
    case COL_SEQ:
        return json_i64(v, &p->i);
    case COL_REAL:
        *p = SV_REAL(0);
        return json_double(v, &p->d);
    case COL_TIME:
        return json_is(v, JSON_NULL) || datetime_parse(json_text(v), &p->i);
    case COL_BLOB:
        if (!json_is(v, JSON_STRING) || !hex_decode(a, json_text(v), &bytes))
            return false;
        *p = SV_BLOB(bytes);
        return true;
    case COL_TYPES:
    case COL_JSON:
        if (!v || (form == COL_TYPES && !json_is(v, JSON_NULL) && !json_is(v, JSON_ARRAY)))
            return false;
        *p = json_is(v, JSON_NULL) ? SV_NULL : SV_TEXT(json_to_text(a, v));
        return true;
    default: /* texts; names are looked up by whom it concerns */
        *p = json_is(v, JSON_NULL) ? SV_NULL : SV_TEXT(text_of(v));
        return json_is(v, JSON_NULL) || json_is(v, JSON_STRING);
    }
}

/* The values of a line; those of COL_TENANT and COL_EID are still names. false: *bad is at fault.
 */
static bool values_of(struct arena *a, const struct record_kind *k, const struct json *row,
                      struct values *out, const char **bad)
{
    out->n = 0;
    for (size_t i = 0, n = kind_columns(k); i < n; i++) {
        enum column_form form = k->columns[i].form;
        const struct json *v = json_get(row, str_c(k->columns[i].name));
        bool good;
        *bad = k->columns[i].name;
        if (form == COL_OF)
            good = json_is(v, JSON_STRING);
        else if (form == COL_TENANT || form == COL_EID)
            good = json_is(v, JSON_STRING) && plain_value(a, form, v, out);
        else if (form == COL_SERIES || form == COL_SET || form == COL_ATTR || form == COL_DATASET)
            good = series_value(form, v, out);
        else if (form == COL_INSTANCE)
            good = instance_values(a, v, out);
        else
            good = plain_value(a, form, v, out);
        if (!good)
            return false;
    }
    return true;
}

/* --- the first pass --- */

static enum err check_entity(const struct json *row, struct error *e)
{
    const struct json *doc = json_get(row, S("doc"));
    if (json_is(doc, JSON_NULL))
        return OK;
    const struct json *types = entity_types(doc);
    if (!str_eq(json_text(json_get(row, S("id"))), entity_id(doc)) || !json_is(types, JSON_ARRAY))
        return error_set(e, ERR_INVALID, "doc is not the stored form of the entity");
    for (uint32_t i = 0; i < doc->n; i++)
        if (!entity_is_member(json_key(&doc->members[i])) &&
            !str_starts(json_key(&doc->members[i]), S("@")) &&
            !json_is(entity_attr(doc, json_key(&doc->members[i])), JSON_ARRAY))
            return error_set(e, ERR_INVALID, "doc is not the stored form of the entity");
    return OK;
}

static enum err add_tenant(struct restoring *x, const struct json *row, struct str name,
                           struct error *e)
{
    struct tenant t = {.name = str_dup(&x->arena, name)};
    json_i64(json_get(row, S("seq")), &t.seq);
    datetime_parse(json_text(json_get(row, S("created"))), &t.created);
    if (tenant_named(x, t.name))
        return error_set(e, ERR_INVALID, "the tenant is there twice");
    *vec_push(&x->arena, &x->tenants) = t;
    return OK;
}

static enum err add_snapshot(struct restoring *x, const struct json *row, struct error *e)
{
    struct str space = text_of(json_get(row, S("space")));
    if (!str_starts(space, S(SPACE_PREFIX)) || json_is(json_get(row, S("id")), JSON_NULL) ||
        !json_is(json_get(row, S("doc")), JSON_OBJECT))
        return error_set(e, ERR_INVALID, "no snapshot");
    return add_tenant(x, row, space, e);
}

static bool is_of_tenant(const struct record_kind *k)
{
    return k != &kinds[RECORD_TENANT] && k != &kinds[RECORD_CONTEXT] && k != &kinds[RECORD_NODE];
}

/* "upstream" would be the city of this store, see edge/nodes.h. */
static enum err check_node(const struct json *row, struct error *e)
{
    struct str name = text_of(json_get(row, S("name")));
    return name.n && !str_eq(name, S("upstream")) ? OK : error_set(e, ERR_INVALID, "no node");
}

/* The space of a snapshot that was made behind its turn. */
static bool came_later(struct restoring *x, struct str tenant)
{
    return str_starts(tenant, S(SPACE_PREFIX)) && !tenant_named(x, tenant);
}

/* Tenants are there before what they hold, and begin behind the last row that anything names. */
static enum err check_tenant(struct restoring *x, const struct record_kind *k,
                             const struct json *row, struct error *e)
{
    if (k == &kinds[RECORD_TENANT])
        return add_tenant(x, row, text_of(json_get(row, S("name"))), e);
    if (k == &kinds[RECORD_NODE])
        return check_node(row, e);
    struct str name = text_of(json_get(row, S("tenant")));
    if (!is_of_tenant(k) || came_later(x, name))
        return OK;
    struct tenant *t = tenant_named(x, name);
    if (!t)
        return error_set(e, ERR_INVALID, "a tenant that the file does not name before");
    if (k == &kinds[RECORD_SNAPSHOT])
        return add_snapshot(x, row, e);
    for (size_t i = 0, n = kind_columns(k); i < n; i++) {
        int64_t seq = 0;
        if (k->columns[i].form == COL_SEQ &&
            json_i64(json_get(row, str_c(k->columns[i].name)), &seq) && seq > t->seq)
            t->seq = seq;
    }
    return OK;
}

static enum err check_row(struct restoring *x, const struct json *row, struct error *e)
{
    const char *bad = "";
    struct values v;
    const struct record_kind *k = kind_named(json_text(json_get(row, S("kind"))));
    if (!k)
        return error_set(e, ERR_INVALID, "no kind that this program knows");
    if (!values_of(&x->batch, k, row, &v, &bad))
        return error_set(e, ERR_INVALID, "%s: \"%s\" is missing or wrong", k->name, bad);
    if (k == &kinds[RECORD_ENTITY] && check_entity(row, e))
        return e->code;
    x->records++;
    return check_tenant(x, k, row, e);
}

static enum err check_line(struct restoring *x, struct str text, bool *ended, struct error *e)
{
    int64_t n = 0;
    if (*ended)
        return error_set(e, ERR_INVALID, "a line behind the end");
    const struct json *row = json_parse(&x->batch, text, &line_limits, e);
    if (!row)
        return e->code;
    struct str kind = json_text(json_get(row, S("kind")));
    if (x->report->lines == 1) {
        bool ours = str_eq(kind, S("marugoto")) && json_i64(json_get(row, S("format")), &n);
        return ours && n == EVERYTHING_FORMAT
                   ? OK
                   : error_set(e, ERR_INVALID, "no export of everything that this program reads");
    }
    if (str_eq(kind, S("mark")))
        return OK;
    if (!str_eq(kind, S("end")))
        return check_row(x, row, e);
    *ended = true;
    if (!json_i64(json_get(row, S("records")), &n) || (uint64_t)n != x->records)
        return error_set(e, ERR_INVALID, "%llu records where %lld belong",
                         (unsigned long long)x->records, (long long)n);
    return OK;
}

static enum err check_all(struct restoring *x, struct error *e)
{
    struct hash digest = {0};
    struct str text;
    bool ended = false;
    while (next_line(x, &text)) {
        const struct str parts[] = {str_n((const char *)digest.b, HASH_BYTES), text};
        x->report->lines++;
        digest = hash_blake2b_fields(parts, 2);
        enum err err = check_line(x, text, &ended, e);
        arena_reset(&x->batch);
        if (err)
            return at_line(x->report->lines, e, ERR_INVALID);
    }
    if (ferror(x->file))
        return error_set(e, ERR_IO, "cannot read the file");
    x->digest = hex_encode(&x->arena, str_n((const char *)digest.b, HASH_BYTES));
    if (!ended)
        return error_set(e, ERR_INVALID, "line %llu: the file ends here, without its end",
                         (unsigned long long)x->report->lines);
    return OK;
}

enum err everything_check(FILE *file, struct everything_report *out, struct error *e)
{
    *out = (struct everything_report){0};
    struct restoring x = {.file = file, .report = out};
    enum err err = check_all(&x, e);
    out->records = x.records;
    arena_release(&x.batch);
    arena_release(&x.arena);
    free(x.line);
    return err;
}

/* --- is there room? --- */

static enum err check_empty(struct store_conn *c, const struct tenant *t, struct error *e)
{
    int64_t n = 0;
    enum err err = store_get_int(
        c, &n,
        "SELECT count(*) FROM tenant t WHERE t.name = $1 AND ("
        "EXISTS (SELECT 1 FROM entity x WHERE x.tenant = t.n)"
        " OR EXISTS (SELECT 1 FROM journal_tenant x WHERE x.tenant = t.n AND x.head_seq > 0)"
        " OR EXISTS (SELECT 1 FROM subscription x WHERE x.tenant = t.n)"
        " OR EXISTS (SELECT 1 FROM registration x WHERE x.tenant = t.n)"
        " OR EXISTS (SELECT 1 FROM v2_registration x WHERE x.tenant = t.n)"
        " OR EXISTS (SELECT 1 FROM access_key x WHERE x.tenant = t.n)"
        " OR EXISTS (SELECT 1 FROM access_policy x WHERE x.tenant = t.n)"
        " OR EXISTS (SELECT 1 FROM snapshot x WHERE x.tenant = t.n))",
        SV(SV_TEXT(t->name)), e);
    if (err || !n)
        return err;
    return error_set(e, ERR_EXISTS, "tenant \"%" STR_F "\" of this store is not empty",
                     STR_A(t->name));
}

/* Lines that are done already, in .went_on. */
static enum err find_room(struct restoring *x, struct error *e)
{
    struct store_rows r;
    struct str note = STR_NONE;
    struct store_conn *c = store_read(x->store, e);
    if (!c)
        return e->code;
    store_query(c, &r, "SELECT value FROM link_note WHERE name = '" NOTE "'", SV_EMPTY);
    if (store_next(&r))
        note = str_dup(&x->arena, store_text(&r, 0));
    enum err err = store_end(&r, e);
    for (size_t i = 0; !err && !note.p && i < x->tenants.n; i++)
        err = check_empty(c, &x->tenants.v[i], e);
    store_read_done(c);
    struct str digest = STR_NONE, done = note;
    if (!err && note.p &&
        (!str_split(&done, ' ', &digest) || !str_eq(digest, x->digest) ||
         !str_to_u64(done, &x->report->went_on)))
        err = error_set(e, ERR_EXISTS,
                        "another file was being restored into this store; go on with that one");
    return err;
}

/* --- the second pass --- */

static enum err find_entity(struct restoring *x, struct store_conn *c, int64_t tenant,
                            struct str id, struct error *e)
{
    if (x->eid && x->eid_tenant == tenant && str_eq(x->eid_id, id))
        return OK;
    x->eid_tenant = tenant;
    x->eid_id = id;
    enum err err = store_get_int(c, &x->eid, "SELECT eid FROM entity WHERE tenant = $1 AND id = $2",
                                 SV(SV_INT(tenant), SV_TEXT(id)), e);
    if (err == ERR_NOT_FOUND)
        x->eid = 0;
    return err;
}

static enum err put_entity(struct restoring *x, struct store_conn *c, const struct json *row,
                           const struct values *v, struct error *e)
{
    const struct json *doc = json_get(row, S("doc"));
    struct repo_restored out = {.tenant = v->v[0].i,
                                .id = v->v[1].s,
                                .version = v->v[2].i,
                                .modified = v->v[3].i,
                                .text = v->v[4].s,
                                .doc = json_is(doc, JSON_NULL) ? NULL : doc};
    enum err err = repo_restore(c, &x->batch, &out, e);
    if (err || v->v[5].kind == SV_KIND_NULL)
        return err;
    err = find_entity(x, c, out.tenant, out.id, e);
    return err ? err
               : store_exec(c,
                            "INSERT INTO hist_attr(eid, attr, dataset, iri, dataset_uri)"
                            " VALUES ($1, 0, 0, 'type', $2)",
                            SV(SV_INT(x->eid), v->v[5]), NULL, e);
}

/* It is made, and its endpoint waits for nothing. */
static enum err put_snapshot(struct store_conn *c, const struct values *v, struct error *e)
{
    const struct store_value *col = v->v;
    int64_t space = 0;
    enum err err = repo_tenant_make(c, col[2].s, col[3].i, &space, e);
    return err ? err
               : store_exec(c,
                            "INSERT INTO snapshot(tenant, id, space, expires, used, owner, doc,"
                            " made, notify) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, 0)",
                            SV(col[0], col[1], col[2], col[5], col[6], col[7], col[8]), NULL, e);
}

/* Their keys are hashes of the tenant's number in this store. */
static enum err put_v2_keys(struct store_conn *c, struct arena *a, const struct json *row,
                            int64_t tenant, struct error *e)
{
    int64_t rid;
    enum err err =
        store_get_int(c, &rid, "SELECT rid FROM v2_registration WHERE tenant = $1 AND id = $2",
                      SV(SV_INT(tenant), SV_TEXT(text_of(json_get(row, S("id"))))), e);
    return err ? err : v2_provider_keys(c, a, tenant, rid, json_get(row, S("doc")), e);
}

static enum err put_row(struct restoring *x, struct store_conn *c, const struct record_kind *k,
                        const struct json *row, struct error *e)
{
    const char *bad = "";
    struct values v;
    int64_t tenant = 0;
    enum err err = OK;
    if (k == &kinds[RECORD_TENANT]) {
        const struct tenant *t = tenant_named(x, text_of(json_get(row, S("name"))));
        return repo_tenant_make(c, t->name, t->created, &tenant, e);
    }
    if (!values_of(&x->batch, k, row, &v, &bad))
        return error_set(e, ERR_INVALID, "%s is wrong", bad);
    struct str name = text_of(json_get(row, S("tenant")));
    if (is_of_tenant(k) && came_later(x, name)) {
        x->skipped++;
        return OK;
    }
    if (is_of_tenant(k))
        err = repo_tenant(c, name, &tenant, e);
    if (!err && k->columns[0].form == COL_TENANT)
        v.v[0] = SV_INT(tenant);
    if (!err && k->columns[0].form == COL_OF) {
        err = find_entity(x, c, tenant, v.v[0].s, e);
        v.v[0] = SV_INT(x->eid);
        if (err == ERR_NOT_FOUND) {
            x->skipped++;
            return OK;
        }
    }
    if (!err && k == &kinds[RECORD_ENTITY])
        return put_entity(x, c, row, &v, e);
    if (!err && k == &kinds[RECORD_SNAPSHOT])
        return put_snapshot(c, &v, e);
    if (!err)
        err = store_exec(c, k->insert, v.v, v.n, NULL, e);
    if (!err && k == &kinds[RECORD_V2_REGISTRATION])
        err = put_v2_keys(c, &x->batch, row, tenant, e);
    return err;
}

/* Nothing waits to be delivered: what comes is behind the journal's new begin. */
static enum err begin_journals(struct restoring *x, struct store_conn *c, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < x->tenants.n; i++) {
        const struct tenant *t = &x->tenants.v[i];
        int64_t tenant = 0;
        err = repo_tenant(c, t->name, &tenant, e);
        if (!err && t->seq)
            err = journal_begin(c, tenant, t->seq, e);
        if (!err)
            err = store_exec(c, "UPDATE subscription SET cursor = $1 WHERE tenant = $2",
                             SV(SV_INT(t->seq), SV_INT(tenant)), NULL, e);
        if (!err)
            err = store_exec(c,
                             "INSERT INTO notify_position(tenant, pos) VALUES ($1, $2)"
                             " ON CONFLICT (tenant) DO UPDATE SET pos = excluded.pos",
                             SV(SV_INT(tenant), SV_INT(t->seq)), NULL, e);
    }
    return err ? err
               : store_exec(c, "DELETE FROM link_note WHERE name = '" NOTE "'", SV_EMPTY, NULL, e);
}

static enum err write_note(struct restoring *x, struct store_conn *c, struct error *e)
{
    struct str note = str_printf(&x->batch, "%" STR_F " %llu", STR_A(x->digest),
                                 (unsigned long long)(x->first + x->lines.n - 1));
    return store_exec(c,
                      "INSERT INTO link_note(name, value) VALUES ('" NOTE "', $1)"
                      " ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                      SV(SV_TEXT(note)), NULL, e);
}

static enum err apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct restoring *x = ctx;
    x->eid = 0;
    x->skipped = 0;
    for (size_t i = 0; i < x->lines.n; i++) {
        const struct json *row = json_parse(&x->batch, x->lines.v[i], &line_limits, e);
        const struct record_kind *k = row ? kind_named(json_text(json_get(row, S("kind")))) : NULL;
        if (!row || (k && put_row(x, c, k, row, e)))
            return at_line(x->first + i, e, e->code);
    }
    return x->last ? begin_journals(x, c, e) : write_note(x, c, e);
}

static enum err write_batch(struct restoring *x, struct error *e)
{
    enum err err = store_write(x->store, apply, x, e);
    x->report->skipped += x->skipped;
    x->first += x->lines.n;
    arena_reset(&x->batch);
    memset(&x->lines, 0, sizeof(x->lines));
    return err;
}

static enum err write_all(struct restoring *x, struct error *e)
{
    struct str text;
    enum err err = OK;
    size_t bytes = 0;
    rewind(x->file);
    for (uint64_t i = 0; i < x->report->went_on; i++)
        if (!next_line(x, &text))
            return error_set(e, ERR_IO, "the file has changed");
    x->first = x->report->went_on + 1;
    while (!err && next_line(x, &text)) {
        *vec_push(&x->batch, &x->lines) = str_dup(&x->batch, text);
        bytes += text.n;
        x->last = x->first + x->lines.n - 1 == x->report->lines;
        if (!x->last && x->lines.n < BATCH_LINES && bytes < BATCH_BYTES)
            continue;
        err = write_batch(x, e);
        bytes = 0;
    }
    if (!err && !x->last)
        err = error_set(e, ERR_IO, "the file has changed");
    return err;
}

enum err everything_restore(struct store *s, FILE *file, struct everything_report *out,
                            struct error *e)
{
    struct restoring x = {.store = s, .file = file, .report = out};
    *out = (struct everything_report){0};
    enum err err = check_all(&x, e);
    out->records = x.records;
    if (!err)
        err = find_room(&x, e);
    if (!err)
        err = write_all(&x, e);
    arena_release(&x.batch);
    arena_release(&x.arena);
    free(x.line);
    return err;
}
