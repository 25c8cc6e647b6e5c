/*
 * Everything as CSV, to be looked at: a file for each kind, and of entities one for each type with
 * a column for each attribute. Nothing larger than a row and the names of columns is in memory.
 */
#include "core/datetime.h"
#include "core/map.h"
#include "core/vec.h"
#include "crypto/hash.h"
#include "csv_out.h"
#include "everything_impl.h"
#include "link/context.h"
#include "link/entity.h"
#include "tenants.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { COLUMNS_MAX = 5000 };

static const char *const members[] = {"scope", "createdAt", "modifiedAt", "expiresAt"};
enum { N_MEMBERS = sizeof(members) / sizeof(members[0]) };

struct sheet {
    const char *path;
    struct map known;        /* attribute IRIs */
    VEC(struct str) columns; /* the same in order */
};

struct folder {
    struct store_conn *c;
    const char *path;
    struct everything at;
    struct arena arena; /* of the whole run */
    struct arena row;   /* of one row */
    struct map sheets;  /* by type IRI */
    struct map names;   /* of files */
    VEC(struct sheet *) all;
    struct buf out;
    const char *open; /* path of .file */
    FILE *file;
};

/* --- files --- */

static enum err close_file(struct folder *f, struct error *e)
{
    FILE *file = f->file;
    f->file = NULL;
    if (!file || !fclose(file))
        return OK;
    return error_set(e, ERR_IO, "cannot write %s: %s", f->open, strerror(errno));
}

/* The one file that is open from now on, new or to be added to; only its owner may read it. */
static enum err open_file(struct folder *f, const char *path, bool new, struct error *e)
{
    if (f->file && f->open == path)
        return OK;
    if (close_file(f, e))
        return e->code;
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC | (new ? O_CREAT | O_EXCL : 0), 0600);
    f->file = fd < 0 ? NULL : fdopen(fd, "a");
    f->open = path;
    if (f->file)
        return OK;
    if (fd >= 0)
        close(fd);
    return error_set(e, ERR_IO, "cannot make %s: %s", path, strerror(errno));
}

static enum err write_out(struct folder *f, struct error *e)
{
    size_t n = f->out.n;
    bool done = fwrite(f->out.p, 1, n, f->file) == n;
    buf_clear(&f->out);
    return done ? OK : error_set(e, ERR_IO, "cannot write %s: %s", f->open, strerror(errno));
}

/* FOLDER/PREFIX NAME.csv with what is no letter, digit, '-' or '_' replaced; numbered when there is
 * one. */
static const char *file_path(struct folder *f, const char *prefix, struct str name)
{
    char *clean = str_z(&f->arena, str_cut(name, 100));
    for (char *s = clean; *s; s++)
        if (!((*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') || (*s >= 'a' && *s <= 'z') ||
              *s == '-' || (unsigned char)*s >= 0x80))
            *s = '_';
    char *path = arena_printf(&f->arena, "%s/%s%s.csv", f->path, prefix, clean);
    for (int i = 2; map_get(&f->names, str_c(path)); i++)
        path = arena_printf(&f->arena, "%s/%s%s-%d.csv", f->path, prefix, clean, i);
    map_put(&f->names, str_c(path), path);
    return path;
}

/* --- rows of one kind --- */

/* What a snapshot holds is a copy of what stands in a sheet. */
static bool in_space(const struct record_kind *k, const struct store_rows *r)
{
    bool named = k->columns[0].form == COL_TENANT || k->columns[0].form == COL_OF;
    return named && str_starts(store_text(r, (int)strlen(k->keys)), S(SPACE_PREFIX));
}

static enum err each_row(struct folder *f, size_t kind,
                         enum err (*fn)(struct folder *, const struct store_rows *, struct error *),
                         struct error *e)
{
    enum err err = OK;
    size_t n;
    memset(f->at.at, 0, sizeof(f->at.at));
    f->at.kind = kind;
    do {
        struct store_rows r;
        kind_query(f->c, &r, &f->at);
        for (n = 0; !err && store_next(&r); n++) {
            arena_reset(&f->row);
            if (!in_space(&kinds[kind], &r))
                err = fn(f, &r, e);
            kind_passed(&f->at, &r);
        }
        enum err end = store_end(&r, err ? NULL : e);
        err = err ? err : end;
    } while (!err && n == kinds[kind].rows);
    return err;
}

static struct str column_text(struct folder *f, enum column_form form, const struct store_rows *r,
                              int column)
{
    if (store_is_null(r, column) || (form == COL_TIME && !store_int(r, column)))
        return S("");
    switch (form) {
    case COL_INT:
    case COL_SEQ:
        return str_printf(&f->row, "%lld", (long long)store_int(r, column));
    case COL_TIME:
        return datetime_text(&f->row, store_int(r, column));
    case COL_REAL: {
        struct json v = json_v_double(&f->row, store_real(r, column));
        return json_text(&v);
    }
    case COL_BLOB:
        return hex_encode(&f->row, store_blob(r, column));
    default:
        return store_text(r, column);
    }
}

static void instance_field(struct folder *f, struct str text)
{
    const struct json *v = json_parse(&f->row, text, &JSON_DEFAULT, NULL);
    struct json list = v ? json_v_array(v, 1) : json_v_null();
    csv_field(&f->out, csv_value(&f->row, &list));
    buf_char(&f->out, ',');
}

static enum err kind_row(struct folder *f, const struct store_rows *r, struct error *e)
{
    const struct record_kind *k = &kinds[f->at.kind];
    int column = (int)strlen(k->keys);
    for (size_t i = 0, n = kind_columns(k); i < n; i++, column++) {
        if (i)
            buf_char(&f->out, ',');
        if (k->columns[i].form == COL_INSTANCE)
            instance_field(f, store_text(r, column));
        csv_field(&f->out, column_text(f, k->columns[i].form, r, column));
    }
    BUF_LIT(&f->out, "\r\n");
    return write_out(f, e);
}

static enum err write_kind(struct folder *f, size_t kind, struct error *e)
{
    const struct record_kind *k = &kinds[kind];
    enum err err = open_file(f, file_path(f, "", str_c(k->name)), true, e);
    BUF_LIT(&f->out, "\xef\xbb\xbf");
    for (size_t i = 0, n = kind_columns(k); i < n; i++)
        buf_printf(&f->out, "%s%s%s", i ? "," : "",
                   k->columns[i].form == COL_INSTANCE ? "value," : "", k->columns[i].name);
    BUF_LIT(&f->out, "\r\n");
    if (!err)
        err = write_out(f, e);
    return err ? err : each_row(f, kind, kind_row, e);
}

/* --- entities by type --- */

/* Columns of RECORD_ENTITY behind its key. */
enum { AT_TENANT = 1, AT_DOC = 5 };

static const struct json *entity_at(struct folder *f, const struct store_rows *r)
{
    if (store_is_null(r, AT_DOC))
        return NULL; /* it was deleted */
    return json_parse(&f->row, store_text(r, AT_DOC), &JSON_DEFAULT, NULL);
}

static struct str first_type(const struct json *doc)
{
    return json_text(json_at(entity_types(doc), 0));
}

static struct sheet *sheet_of(struct folder *f, struct str type)
{
    struct sheet *s = map_get(&f->sheets, type);
    if (s)
        return s;
    s = ARENA_NEW(&f->arena, struct sheet);
    s->path = file_path(f, "entities-", ld_compact(ld_core(), &f->row, type));
    map_put(&f->sheets, str_dup(&f->arena, type), s);
    *vec_push(&f->arena, &f->all) = s;
    return s;
}

static enum err look_at(struct folder *f, const struct store_rows *r, struct error *e)
{
    const struct json *doc = entity_at(f, r);
    (void)e;
    if (!doc)
        return OK;
    struct sheet *s = sheet_of(f, first_type(doc));
    for (uint32_t i = 0; i < doc->n; i++) {
        struct str iri = json_key(&doc->members[i]);
        if (!entity_attr(doc, iri) || map_get(&s->known, iri) || s->columns.n == COLUMNS_MAX)
            continue;
        iri = str_dup(&f->arena, iri);
        map_put(&s->known, iri, s);
        *vec_push(&f->arena, &s->columns) = iri;
    }
    return OK;
}

static enum err write_head(struct folder *f, struct sheet *s, struct error *e)
{
    enum err err = open_file(f, s->path, true, e);
    BUF_LIT(&f->out, "\xef\xbb\xbftenant,id,type");
    for (size_t i = 0; i < N_MEMBERS; i++)
        buf_printf(&f->out, ",%s", members[i]);
    for (size_t i = 0; i < s->columns.n; i++) {
        buf_char(&f->out, ',');
        csv_field(&f->out, ld_compact(ld_core(), &f->row, s->columns.v[i]));
    }
    BUF_LIT(&f->out, "\r\n");
    return err ? err : write_out(f, e);
}

/* Texts of a list with blanks between. */
static struct str joined(struct folder *f, const struct json *list, bool names)
{
    struct str out = S("");
    if (json_is(list, JSON_STRING))
        return json_text(list);
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++) {
        struct str text = json_text(&list->items[i]);
        out = str_concat(&f->row, str_concat(&f->row, out, i ? S(" ") : S("")),
                         names ? ld_compact(ld_core(), &f->row, text) : text);
    }
    return out;
}

static enum err entity_row_out(struct folder *f, const struct store_rows *r, struct error *e)
{
    const struct json *doc = entity_at(f, r);
    struct sheet *s = doc ? map_get(&f->sheets, first_type(doc)) : NULL;
    if (!s)
        return OK;
    if (open_file(f, s->path, false, e))
        return e->code;
    csv_field(&f->out, store_text(r, AT_TENANT));
    buf_char(&f->out, ',');
    csv_field(&f->out, entity_id(doc));
    buf_char(&f->out, ',');
    csv_field(&f->out, joined(f, entity_types(doc), true));
    for (size_t i = 0; i < N_MEMBERS; i++) {
        buf_char(&f->out, ',');
        csv_field(&f->out, joined(f, json_get(doc, str_c(members[i])), false));
    }
    for (size_t i = 0; i < s->columns.n; i++) {
        const struct json *instances = entity_attr(doc, s->columns.v[i]);
        buf_char(&f->out, ',');
        if (instances)
            csv_field(&f->out, csv_value(&f->row, instances));
    }
    BUF_LIT(&f->out, "\r\n");
    return write_out(f, e);
}

static enum err write_entities(struct folder *f, struct error *e)
{
    enum err err = each_row(f, RECORD_ENTITY, look_at, e);
    for (size_t i = 0; !err && i < f->all.n; i++)
        err = write_head(f, f->all.v[i], e);
    return err ? err : each_row(f, RECORD_ENTITY, entity_row_out, e);
}

enum err everything_csv(struct store_conn *c, int64_t tenant, const char *folder, struct error *e)
{
    struct folder f = {.c = c, .path = folder, .at = {.tenant = tenant}};
    enum err err = OK;
    for (size_t i = 0; !err && i < n_kinds; i++)
        err = i == RECORD_ENTITY ? write_entities(&f, e) : write_kind(&f, i, e);
    enum err end = close_file(&f, err ? NULL : e);
    for (size_t i = 0; i < f.all.n; i++)
        map_release(&f.all.v[i]->known);
    map_release(&f.sheets);
    map_release(&f.names);
    everything_release(&f.at);
    buf_release(&f.out);
    arena_release(&f.row);
    arena_release(&f.arena);
    return err ? err : end;
}
