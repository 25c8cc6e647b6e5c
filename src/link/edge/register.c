#include "register.h"
#include "core/datetime.h"

/* --- order --- */

static int64_t observed(const struct sync_value *v)
{
    int64_t at;
    return datetime_parse(json_text(json_get(v->value, S("observedAt"))), &at) ? at : v->dot.hlc;
}

int sync_value_cmp(const struct sync_value *x, const struct sync_value *y)
{
    int64_t tx = observed(x), ty = observed(y);
    if (tx != ty)
        return tx > ty ? -1 : 1;
    if (x->dot.hlc != y->dot.hlc)
        return x->dot.hlc > y->dot.hlc ? -1 : 1;
    return str_cmp(y->dot.node, x->dot.node);
}

/* --- what was seen --- */

int64_t sync_seen(const struct sync_register *r, struct str node)
{
    for (size_t i = 0; i < r->seen.n; i++)
        if (str_eq(r->seen.v[i].node, node))
            return r->seen.v[i].hlc;
    return 0;
}

bool sync_has_seen(const struct sync_register *r, const struct sync_dot *dot)
{
    return sync_seen(r, dot->node) >= dot->hlc;
}

void sync_see(struct arena *a, struct sync_register *r, const struct sync_dot *dot)
{
    size_t at = 0;
    while (at < r->seen.n && str_cmp(r->seen.v[at].node, dot->node) < 0)
        at++;
    if (at < r->seen.n && str_eq(r->seen.v[at].node, dot->node)) {
        if (r->seen.v[at].hlc < dot->hlc)
            r->seen.v[at].hlc = dot->hlc;
        return;
    }
    vec_push(a, &r->seen);
    memmove(&r->seen.v[at + 1], &r->seen.v[at], (r->seen.n - 1 - at) * sizeof(*r->seen.v));
    r->seen.v[at] = *dot;
}

static void put_value(struct arena *a, struct sync_register *r, const struct sync_value *v)
{
    size_t at = 0;
    while (at < r->values.n && sync_value_cmp(&r->values.v[at], v) < 0)
        at++;
    vec_push(a, &r->values);
    memmove(&r->values.v[at + 1], &r->values.v[at], (r->values.n - 1 - at) * sizeof(*r->values.v));
    r->values.v[at] = *v;
}

static bool has_value(const struct sync_register *r, const struct sync_dot *dot)
{
    for (size_t i = 0; i < r->values.n; i++)
        if (r->values.v[i].dot.hlc == dot->hlc && str_eq(r->values.v[i].dot.node, dot->node))
            return true;
    return false;
}

/* --- writing and joining --- */

void sync_write(struct arena *a, struct sync_register *r, const struct sync_dot *dot,
                const struct json *value)
{
    struct sync_value v = {*dot, value};
    r->values.n = 0;
    sync_see(a, r, dot);
    put_value(a, r, &v);
}

bool sync_stand(struct arena *a, struct sync_register *r, const struct sync_value *v)
{
    for (size_t i = 0; i < r->values.n; i++)
        if (str_eq(r->values.v[i].dot.node, v->dot.node))
            return false;
    put_value(a, r, v);
    return true;
}

void sync_join(struct arena *a, struct sync_register *r, const struct sync_register *with)
{
    struct sync_register out = {.seen = VEC_INIT, .values = VEC_INIT};
    for (size_t i = 0; i < r->values.n; i++) {
        const struct sync_value *v = &r->values.v[i];
        if (has_value(with, &v->dot) || !sync_has_seen(with, &v->dot))
            put_value(a, &out, v);
    }
    for (size_t i = 0; i < with->values.n; i++) {
        const struct sync_value *v = &with->values.v[i];
        if (!sync_has_seen(r, &v->dot))
            put_value(a, &out, v);
    }
    for (size_t i = 0; i < r->seen.n; i++)
        sync_see(a, &out, &r->seen.v[i]);
    for (size_t i = 0; i < with->seen.n; i++)
        sync_see(a, &out, &with->seen.v[i]);
    *r = out;
}

/* --- looking --- */

const struct json *sync_effect(const struct sync_register *r)
{
    return r->values.n ? r->values.v[0].value : NULL;
}

static bool is_time_of_node(struct str key)
{
    return str_eq(key, S("createdAt")) || str_eq(key, S("modifiedAt"));
}

static size_t counted(const struct json *object)
{
    size_t n = 0;
    for (uint32_t i = 0; i < object->n; i++)
        n += !is_time_of_node(json_key(&object->members[i]));
    return n;
}

bool sync_same_value(const struct json *x, const struct json *y)
{
    if (!x || !y)
        return x == y;
    if (!json_is(x, JSON_OBJECT) || !json_is(y, JSON_OBJECT) || counted(x) != counted(y))
        return false;
    for (uint32_t i = 0; i < x->n; i++) {
        struct str key = json_key(&x->members[i]);
        const struct json *a = &x->members[i].value, *b = json_get(y, key);
        if (is_time_of_node(key))
            continue;
        if (!b)
            return false;
        /* A sub-attribute is an array of instances, which have times of their own. */
        bool subs = json_is(a, JSON_ARRAY) && a->n && json_get(&a->items[0], S("modifiedAt"));
        if (!subs ? !json_equal(a, b, true) : !json_is(b, JSON_ARRAY) || a->n != b->n)
            return false;
        for (uint32_t k = 0; subs && k < a->n; k++)
            if (!sync_same_value(&a->items[k], &b->items[k]))
                return false;
    }
    return true;
}

bool sync_differs(const struct sync_register *r)
{
    for (size_t i = 1; i < r->values.n; i++)
        if (!sync_same_value(r->values.v[0].value, r->values.v[i].value))
            return true;
    return false;
}

/* --- as text --- */

bool sync_node_ok(struct str node)
{
    bool good = node.n > 0 && node.n <= SYNC_NODE_BYTES;
    for (size_t i = 0; good && i < node.n; i++)
        good = (node.p[i] >= 'a' && node.p[i] <= 'z') || (node.p[i] >= '0' && node.p[i] <= '9');
    return good;
}

struct str sync_seen_text(struct arena *a, const struct sync_register *r)
{
    struct buf b = BUF_INIT;
    for (size_t i = 0; i < r->seen.n; i++) {
        if (i)
            buf_char(&b, ',');
        buf_str(&b, r->seen.v[i].node);
        buf_char(&b, ':');
        buf_i64(&b, r->seen.v[i].hlc);
    }
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

bool sync_seen_parse(struct arena *a, struct str text, struct sync_register *r)
{
    struct str one;
    while (str_split(&text, ',', &one)) {
        ptrdiff_t colon = str_find_char(one, ':');
        struct sync_dot dot = {.node = str_sub(one, 0, colon < 0 ? 0 : (size_t)colon)};
        if (!sync_node_ok(dot.node) || !str_to_i64(str_from(one, (size_t)colon + 1), &dot.hlc) ||
            dot.hlc <= 0)
            return false;
        sync_see(a, r, &dot);
    }
    return true;
}
