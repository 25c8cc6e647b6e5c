/*
 * query_order.c - the order of entities (ETSI GS CIM 009 v1.9.1 clause 4.23) as an order of bytes.
 *
 * The key of an entity is one piece for each term of orderBy, each with an end of its own, so that
 * pieces can stand one behind the other:
 *
 *     rank (1 byte, clause 4.23.2)   payload: 8 bytes of a number or instant, a key of the
 * collation (ends in 0), or a text with 0 as 0 1, ending in 0 0
 *
 * For a descending term the bytes are inverted, but for the ranks of distances and of what is not
 * there, which keep their places.
 */
#include "query_impl.h"

#include "core/collate.h"

enum { TERMS_MAX = 16, TEXT_MAX = 4096 /* bytes of objects and arrays that count */ };

enum rank {
    RANK_DISTANCE = 2, /* first in either direction */
    RANK_NUMBER,
    RANK_TEXT,
    RANK_OBJECT,
    RANK_ARRAY,
    RANK_BOOL,
    RANK_TIME,
    RANK_DATE,
    RANK_DATETIME,
    RANK_NULL = 254,
    RANK_ABSENT = 255
};

struct order_term {
    struct q_term path;
    bool descending, by_distance;
};

struct order {
    const struct order_term *terms;
    size_t n;
    struct collation *collation;
    const struct geo *reference; /* NULL: no term is by distance */
    struct str lang;
};

/* --- reading --- */

static bool parse_direction(struct query_parser *p, struct order_term *t)
{
    static const struct {
        struct str name;
        bool descending, by_distance;
    } directions[] = {{S_INIT("dist-desc"), true, true},
                      {S_INIT("dist-asc"), false, true},
                      {S_INIT("desc"), true, false},
                      {S_INIT("asc"), false, false}};
    if (query_peek(p) != ';')
        return true;
    p->at++;
    struct str rest = str_from(p->text, p->at);
    for (size_t i = 0; i < 4; i++)
        if (str_starts(rest, directions[i].name)) {
            t->descending = directions[i].descending;
            t->by_distance = directions[i].by_distance;
            p->at += directions[i].name.n;
            return true;
        }
    return query_fail(p, "asc, desc, dist-asc or dist-desc");
}

static bool parse_terms(struct query_parser *p, const struct ld_context *ctx, struct order *o)
{
    struct order_term *terms = ARENA_ARRAY(p->arena, struct order_term, TERMS_MAX);
    o->terms = terms;
    for (;;) {
        if (o->n == TERMS_MAX)
            return query_fail(p, "fewer members");
        query_skip_blanks(p);
        struct order_term *t = &terms[o->n++];
        if (!query_path(p, ctx, true, &t->path) || !parse_direction(p, t))
            return false;
        query_skip_blanks(p);
        if (query_peek(p) < 0)
            return true;
        if (query_peek(p) != ',')
            return query_fail(p, "',' or the end");
        p->at++;
    }
}

static bool parse_reference(struct arena *a, const struct order_texts *texts, struct order *o,
                            struct error *e)
{
    struct error why = {0};
    bool wanted = false;
    for (size_t i = 0; i < o->n; i++)
        wanted = wanted || o->terms[i].by_distance;
    if (!texts->coordinates.p) {
        if (wanted || texts->geometry.p)
            error_set(e, ERR_INVALID, "an order by distance needs orderFrom, its coordinates");
        return !wanted && !texts->geometry.p;
    }
    struct str kind = texts->geometry.p ? texts->geometry : S("Point");
    const struct json *v = json_parse(a, texts->coordinates, &JSON_DEFAULT, &why);
    if (v && !str_eq(kind, S("GeometryCollection")))
        o->reference = geo_parse_query(a, kind, v, &why);
    if (!o->reference)
        error_set(e, ERR_INVALID, "orderFrom: these are not the coordinates of a %" STR_F,
                  STR_A(str_cut(kind, 40)));
    return o->reference != NULL;
}

struct order *order_parse(struct arena *a, const struct order_texts *texts,
                          const struct ld_context *ctx, const struct query_limits *l,
                          struct error *e)
{
    struct order *o = ARENA_NEW(a, struct order);
    struct query_parser p = {.arena = a, .what = "orderBy", .text = texts->by, .limits = l, .e = e};
    if (texts->by.n > l->max_text) {
        error_set(e, ERR_TOO_COMPLEX, "orderBy: longer than %zu bytes", l->max_text);
        return NULL;
    }
    if (!str_is_utf8(texts->by)) {
        error_set(e, ERR_INVALID, "orderBy: not well-formed UTF-8");
        return NULL;
    }
    o->lang = texts->lang;
    if (!parse_terms(&p, ctx, o) || !parse_reference(a, texts, o, e))
        return NULL;
    o->collation = collation_open(texts->collation, e);
    return o->collation ? o : NULL;
}

void order_release(struct order *o)
{
    if (o)
        collation_free(o->collation);
}

bool order_is_by(const struct order *o, struct str member)
{
    const struct q_term *path = &o->terms[0].path;
    return o->n == 1 && path->n_steps == 1 && path->steps[0].member &&
           str_eq(path->steps[0].name, member);
}

/* --- keys --- */

static void put_u64(struct buf *out, uint64_t v)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(v >> (56 - 8 * i));
    buf_add(out, bytes, sizeof(bytes));
}

/* Doubles sort as integers once the sign is turned. */
static void put_number(struct buf *out, double v)
{
    uint64_t bits;
    if (v == 0)
        v = 0; /* not -0 */
    memcpy(&bits, &v, sizeof(bits));
    put_u64(out, bits >> 63 ? ~bits : bits | UINT64_C(1) << 63);
}

static void put_instant(struct buf *out, int64_t at)
{
    put_u64(out, (uint64_t)at ^ UINT64_C(1) << 63);
}

static void put_bytes(struct buf *out, const struct json *v)
{
    struct buf text = BUF_INIT;
    json_write(&text, v);
    struct str s = str_cut(buf_view(&text), TEXT_MAX);
    for (size_t i = 0; i < s.n; i++) {
        buf_char(out, s.p[i]);
        if (!s.p[i])
            buf_char(out, 1);
    }
    buf_add(out, "\0", 2);
    buf_release(&text);
}

static void put_text(const struct order *o, struct str text, struct buf *out)
{
    int64_t at;
    struct civil c;
    if (datetime_parse(text, &at)) {
        buf_char(out, RANK_DATETIME);
        put_instant(out, at);
    } else if (date_parse(text, &c)) {
        buf_char(out, RANK_DATE);
        put_instant(out, civil_to_instant(&c, 0));
    } else if (str_ends(text, S("Z")) && time_parse(text, &c)) {
        buf_char(out, RANK_TIME);
        put_instant(out, ((c.hour * 60 + c.minute) * 60 + c.second) * INT64_C(1000000) + c.micro);
    } else {
        buf_char(out, RANK_TEXT);
        collation_key(o->collation, text, out);
    }
}

static void put_value(const struct order *o, const struct json *v, struct buf *out)
{
    v = query_unwrap(v);
    switch (json_type(v)) {
    case JSON_NUMBER:
        buf_char(out, RANK_NUMBER);
        put_number(out, query_number(json_text(v)));
        break;
    case JSON_STRING:
        put_text(o, json_text(v), out);
        break;
    case JSON_OBJECT:
    case JSON_ARRAY:
        buf_char(out, v->type == JSON_OBJECT ? RANK_OBJECT : RANK_ARRAY);
        put_bytes(out, v);
        break;
    case JSON_FALSE:
    case JSON_TRUE:
        buf_char(out, RANK_BOOL);
        buf_char(out, v->type == JSON_TRUE);
        break;
    case JSON_NULL:
        buf_char(out, (char)RANK_NULL);
        break;
    }
}

/* type and scope of an entity are lists: one of one item is that item. */
static const struct json *lone_item(const struct json *v, const struct q_term *path)
{
    return path->steps[0].member && json_is(v, JSON_ARRAY) && v->n == 1 ? &v->items[0] : v;
}

static bool put_distance(const struct order *o, const struct json *v, struct buf *out)
{
    struct arena a = ARENA_INIT;
    const struct geo *g = geo_parse(&a, v, GEO_MAX_POSITIONS, NULL);
    if (g) {
        buf_char(out, RANK_DISTANCE);
        put_number(out, geo_distance(o->reference, g));
    }
    arena_release(&a);
    return g != NULL;
}

void order_key(const struct order *o, const struct json *stored, struct buf *out)
{
    for (size_t i = 0; i < o->n; i++) {
        const struct order_term *t = &o->terms[i];
        struct str kind;
        const struct json *v = lone_item(query_target(stored, &t->path, o->lang, &kind), &t->path);
        if (!v) {
            buf_char(out, (char)RANK_ABSENT);
            continue;
        }
        size_t from = out->n;
        bool far = t->by_distance && str_eq(kind, S("GeoProperty")) && put_distance(o, v, out);
        if (!far)
            put_value(o, v, out);
        bool inverted = t->descending && (unsigned char)out->p[from] != RANK_NULL;
        for (size_t k = from + far; inverted && k < out->n; k++)
            out->p[k] = (char)~out->p[k];
    }
}
