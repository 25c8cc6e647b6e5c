/* The first entities of an order, kept in a heap with the last of them on top. */
#include "api_order.h"
#include "link/query.h"
#include <stdlib.h>

/* --- what is asked --- */

/* A text of the query string, or of an object in the body. */
static bool take(struct api *c, const struct json *object, const char *param, const char *member,
                 struct str *out)
{
    const struct json *v = json_get(object, str_c(member));
    *out = v ? json_text(v) : request_query(c->req, param);
    if (!v || json_is(v, JSON_STRING))
        return true;
    api_fail_text(c, ERR_INVALID, "ordering: %s is a text", member);
    return false;
}

/* orderBy of a body is a list. */
static bool take_by(struct api *c, const struct json *object, struct str *out)
{
    const struct json *list = json_get(object, S("orderBy"));
    bool good = json_is(list, JSON_ARRAY) && list->n;
    *out = STR_NONE;
    for (uint32_t i = 0; good && i < list->n; i++) {
        good = json_is(&list->items[i], JSON_STRING);
        *out = str_printf(c->arena, "%" STR_F "%s%" STR_F, STR_A(*out), i ? "," : "",
                          STR_A(json_text(&list->items[i])));
    }
    if (!good)
        api_fail_text(c, ERR_INVALID, "ordering: orderBy is a list of texts");
    return good;
}

static bool take_body(struct api *c, const struct json *object, struct order_texts *t)
{
    const struct json *coordinates = json_get(object, S("coordinates"));
    if (!json_is(object, JSON_OBJECT) || (coordinates && !json_is(coordinates, JSON_ARRAY))) {
        api_fail_text(c, ERR_INVALID,
                      coordinates ? "ordering: coordinates are a list" : "ordering is an object");
        return false;
    }
    if (coordinates)
        t->coordinates = json_to_text(c->arena, coordinates);
    return take_by(c, object, &t->by);
}

bool api_order_read(struct api *c, const struct json *body, struct order **out)
{
    struct order_texts t = {.lang = request_query(c->req, "lang")};
    const struct json *object = json_get(body, S("ordering"));
    struct error e = {0};
    *out = NULL;
    if (object && !take_body(c, object, &t))
        return false;
    if (!object) {
        t.by = request_query(c->req, "orderBy");
        t.coordinates = request_query(c->req, "orderFrom");
    }
    if (!take(c, object, "collation", "collation", &t.collation) ||
        !take(c, object, "orderGeometry", "geometry", &t.geometry))
        return false;
    if (!t.by.p && !t.coordinates.p && !t.geometry.p && !t.collation.p)
        return true;
    bool in_vain = !t.by.p; /* what stands beside no orderBy must make sense all the same */
    if (in_vain)
        t.by = S("id");
    struct order *o = order_parse(c->arena, &t, c->ctx, &QUERY_DEFAULT, &e);
    if (!o)
        api_fail(c, &e);
    if (in_vain)
        order_release(o);
    else
        *out = o;
    return o != NULL;
}

/* --- the heap --- */

bool api_ordered_open(struct api *c, struct api_ordered *o)
{
    if (o->skip <= API_ORDER_DEPTH && o->skip + o->want <= API_ORDER_DEPTH) {
        o->cap = (size_t)(o->skip + o->want + 1);
        return true;
    }
    api_fail_text(c, ERR_TOO_MANY, "orderBy: offset and limit reach to entity %d at most",
                  API_ORDER_DEPTH);
    return false;
}

struct str order_entry_id(const struct order_entry *e)
{
    return str_n(e->bytes + e->n_key, e->n_id);
}

struct str order_entry_key(const struct order_entry *e)
{
    return str_n(e->bytes, e->n_key);
}

static int compare(const struct order_entry *x, const struct order_entry *y)
{
    return str_cmp(order_entry_key(x), order_entry_key(y));
}

static void sift_down(struct order_entry **v, size_t n, size_t i)
{
    struct order_entry *moved = v[i];
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && compare(v[child + 1], v[child]) > 0)
            child++;
        if (compare(v[child], moved) <= 0)
            break;
        v[i] = v[child];
    }
    v[i] = moved;
}

static void sift_up(struct order_entry **v, size_t i)
{
    struct order_entry *moved = v[i];
    for (; i && compare(moved, v[(i - 1) / 2]) > 0; i = (i - 1) / 2)
        v[i] = v[(i - 1) / 2];
    v[i] = moved;
}

static struct order_entry *new_entry(struct str key, const struct entity_row *row)
{
    struct order_entry *e = malloc(sizeof(*e) + key.n + row->id.n);
    if (!e)
        abort();
    e->eid = row->eid;
    e->n_key = (uint32_t)key.n;
    e->n_id = (uint32_t)row->id.n;
    memcpy(e->bytes, key.p, key.n);
    memcpy(e->bytes + key.n, row->id.p, row->id.n);
    return e;
}

static void push(struct api_ordered *o, struct order_entry *e)
{
    if (!(o->n & (o->n - 1))) { /* a power of two: the room is used up */
        o->v = realloc(o->v, (o->n ? 2 * o->n : 1) * sizeof(struct order_entry *));
        if (!o->v)
            abort();
    }
    o->v[o->n++] = e;
    sift_up(o->v, o->n - 1);
}

void api_ordered_offer(struct api_ordered *o, const struct entity_row *row,
                       const struct json *stored)
{
    struct buf key = BUF_INIT;
    order_key(o->order, stored, &key);
    for (int shift = 56; shift >= 0; shift -= 8) /* alike: by creation */
        buf_char(&key, (char)((uint64_t)row->eid >> shift));
    struct str k = buf_view(&key);
    o->met++;
    bool full = o->n == o->cap;
    if ((!o->after.p || str_cmp(k, o->after) > 0) &&
        (!full || str_cmp(k, order_entry_key(o->v[0])) < 0)) {
        if (full) {
            free(o->v[0]);
            o->v[0] = o->v[--o->n];
            sift_down(o->v, o->n, 0);
        }
        push(o, new_entry(k, row));
    }
    buf_release(&key);
}

static int by_key(const void *x, const void *y)
{
    return compare(*(struct order_entry *const *)x, *(struct order_entry *const *)y);
}

void api_ordered_page(struct api_ordered *o, size_t *from, size_t *to, bool *more)
{
    if (o->n)
        qsort(o->v, o->n, sizeof(struct order_entry *), by_key);
    *from = o->skip < o->n ? (size_t)o->skip : o->n;
    *to = o->n - *from > o->want ? *from + (size_t)o->want : o->n;
    *more = *to < o->n;
}

void api_ordered_empty(struct api_ordered *o)
{
    for (size_t i = 0; i < o->n; i++)
        free(o->v[i]);
    free(o->v);
    o->v = NULL;
    o->n = 0;
    o->met = 0;
}

void api_ordered_release(struct api_ordered *o)
{
    api_ordered_empty(o);
    if (o->order)
        order_release(o->order);
    *o = (struct api_ordered){0};
}
