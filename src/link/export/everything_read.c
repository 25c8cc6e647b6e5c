/* Rows of the store as lines, some at a time, and the marks to go on from. */
#include "core/datetime.h"
#include "core/json.h"
#include "core/vec.h"
#include "crypto/hash.h"
#include "everything_impl.h"
#include "link/entity.h"

/* --- marks: KIND.RECORDS.KEY..., texts in hexadecimal --- */

static void write_mark(struct everything *x, struct arena *a, struct buf *out)
{
    const struct record_kind *k = &kinds[x->kind];
    buf_printf(out, "{\"kind\":\"mark\",\"after\":\"%s.%llu", k->name,
               (unsigned long long)x->records);
    for (size_t i = 0; k->keys[i]; i++) {
        buf_char(out, '.');
        if (k->keys[i] == 'i')
            buf_i64(out, x->at[i].i);
        else
            buf_str(out, hex_encode(a, x->at[i].s));
    }
    BUF_LIT(out, "\"}\n");
}

static bool read_key(struct everything *x, size_t i, char letter, struct str field)
{
    struct str text;
    if (letter == 'i') {
        x->at[i] = SV_INT(0);
        return str_to_i64(field, &x->at[i].i);
    }
    if (!hex_decode(&x->texts, field, &text))
        return false;
    x->at[i] = SV_TEXT(str_dup(&x->texts, text));
    return true;
}

static bool read_mark(struct everything *x, struct str mark)
{
    struct str field;
    size_t i = 0;
    if (!str_split(&mark, '.', &field))
        return false;
    while (x->kind < n_kinds && !str_eq(field, str_c(kinds[x->kind].name)))
        x->kind++;
    if (x->kind == n_kinds || !str_split(&mark, '.', &field) || !str_to_u64(field, &x->records))
        return false;
    const char *keys = kinds[x->kind].keys;
    for (; keys[i] && str_split(&mark, '.', &field); i++)
        if (!read_key(x, i, keys[i], field))
            return false;
    return !keys[i] && !mark.n;
}

enum err everything_after(struct everything *x, struct str mark, struct error *e)
{
    x->kind = 0;
    x->begun = true;
    if (read_mark(x, mark))
        return OK;
    return error_set(e, ERR_INVALID, "no mark of an export: %" STR_F, STR_A(mark));
}

void everything_release(struct everything *x)
{
    arena_release(&x->texts);
}

/* --- rows --- */

static void write_json(struct json_writer *w, struct str text)
{
    buf_str(w->out, text);
    w->comma = true;
}

/* A list of types, or the journal row of a deletion, which holds the state before it. */
static void write_types(struct json_writer *w, struct arena *a, struct str text)
{
    const struct json *v = json_parse(a, text, &JSON_DEFAULT, NULL);
    const struct json *types = json_is(v, JSON_OBJECT) ? entity_types(json_get(v, S("doc"))) : v;
    if (types)
        json_w_value(w, types);
    else
        json_w_null(w);
}

static void write_column(struct json_writer *w, struct arena *a, enum column_form form,
                         const struct store_rows *r, int column)
{
    if (store_is_null(r, column) || (form == COL_TIME && !store_int(r, column))) {
        json_w_null(w);
        return;
    }
    switch (form) {
    case COL_TYPES:
        write_types(w, a, store_text(r, column));
        break;
    case COL_INSTANCE:
    case COL_JSON:
        write_json(w, store_text(r, column));
        break;
    case COL_INT:
    case COL_SEQ:
        json_w_i64(w, store_int(r, column));
        break;
    case COL_TIME:
        json_w_str(w, datetime_text(a, store_int(r, column)));
        break;
    case COL_REAL:
        json_w_double(w, store_real(r, column));
        break;
    case COL_BLOB:
        json_w_str(w, hex_encode(a, store_blob(r, column)));
        break;
    default:
        json_w_str(w, store_text(r, column));
    }
}

static void write_row(const struct record_kind *k, struct arena *a, const struct store_rows *r,
                      struct buf *out)
{
    int column = (int)strlen(k->keys);
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    json_w_kstr(&w, S("kind"), str_c(k->name));
    for (size_t i = 0, n = kind_columns(k); i < n; i++) {
        json_w_key(&w, str_c(k->columns[i].name));
        write_column(&w, a, k->columns[i].form, r, column++);
    }
    json_w_end(&w);
    buf_char(out, '\n');
}

static void finish(struct everything *x, struct buf *out)
{
    buf_printf(out, "{\"kind\":\"end\",\"records\":%llu}\n", (unsigned long long)x->records);
    x->ended = true;
}

enum err everything_more(struct everything *x, struct store_conn *c, struct buf *out,
                         struct error *e)
{
    const struct record_kind *k = &kinds[x->kind];
    struct arena a = ARENA_INIT;
    struct store_rows r;
    size_t n = 0;
    if (!x->begun)
        buf_printf(out, "{\"kind\":\"marugoto\",\"format\":%d}\n", EVERYTHING_FORMAT);
    x->begun = true;
    kind_query(c, &r, x);
    for (; store_next(&r); n++) {
        write_row(k, &a, &r, out);
        kind_passed(x, &r);
        x->records++;
        arena_reset(&a);
    }
    enum err err = store_end(&r, e);
    if (!err && n)
        write_mark(x, &a, out);
    arena_release(&a);
    if (err || n >= k->rows)
        return err;
    x->kind++;
    memset(x->at, 0, sizeof(x->at));
    if (x->kind == n_kinds)
        finish(x, out);
    return OK;
}
