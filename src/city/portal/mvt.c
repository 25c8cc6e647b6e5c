#include "mvt.h"
#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
/* Where Web Mercator is cut so that the world is a square. */
#define LATITUDE_MAX 85.051128779806592

enum { COMMAND_MOVE = 1, COMMAND_LINE = 2, COMMAND_CLOSE = 7 };
enum { POINTS = 1, LINES = 2, POLYGONS = 3 };

/* --- projection --- */

void mvt_project(int z, int64_t x, int64_t y, double lon, double lat, double *px, double *py)
{
    double tiles = ldexp(1, z);
    double clamped = fmax(-LATITUDE_MAX, fmin(LATITUDE_MAX, lat)) * PI / 180;
    double wx = (lon + 180) / 360 * tiles;
    double wy = (1 - asinh(tan(clamped)) / PI) / 2 * tiles;
    *px = (wx - (double)x) * MVT_EXTENT;
    *py = (wy - (double)y) * MVT_EXTENT;
}

static double longitude(int z, double wx)
{
    return fmax(-180, fmin(180, wx / ldexp(1, z) * 360 - 180));
}

static double latitude(int z, double wy)
{
    double n = PI * (1 - 2 * wy / ldexp(1, z));
    return fmax(-90, fmin(90, atan(sinh(n)) * 180 / PI));
}

struct geo_box mvt_box(int z, int64_t x, int64_t y)
{
    double margin = (double)MVT_MARGIN / MVT_EXTENT;
    return (struct geo_box){.west = longitude(z, (double)x - margin),
                            .east = longitude(z, (double)x + 1 + margin),
                            .north = latitude(z, (double)y - margin),
                            .south = latitude(z, (double)y + 1 + margin)};
}

/* --- clipping: against one side of the square after another --- */

struct dot {
    double x, y;
};
struct dots {
    VEC(struct dot) all;
};

static const double clip_low = -MVT_MARGIN, clip_high = MVT_EXTENT + MVT_MARGIN;

/* How far inside of side 0..3 (left, right, top, bottom). */
static double inside(struct dot p, int side)
{
    switch (side) {
    case 0:
        return p.x - clip_low;
    case 1:
        return clip_high - p.x;
    case 2:
        return p.y - clip_low;
    default:
        return clip_high - p.y;
    }
}

static struct dot between(struct dot p, struct dot q, double dp, double dq)
{
    double t = dp / (dp - dq);
    return (struct dot){p.x + (q.x - p.x) * t, p.y + (q.y - p.y) * t};
}

/* Sutherland-Hodgman: a ring stays one ring, with edges along the border. */
static struct dots clip_ring(struct arena *a, struct dots in)
{
    for (int side = 0; side < 4; side++) {
        struct dots out = {.all = VEC_INIT};
        for (size_t i = 0; i < in.all.n; i++) {
            struct dot p = in.all.v[i], q = in.all.v[(i + 1) % in.all.n];
            double dp = inside(p, side), dq = inside(q, side);
            if (dp >= 0)
                *vec_push(a, &out.all) = p;
            if ((dp >= 0) != (dq >= 0))
                *vec_push(a, &out.all) = between(p, q, dp, dq);
        }
        in = out;
    }
    return in;
}

/* Liang-Barsky: the visible part of a segment. */
static bool clip_segment(struct dot *p, struct dot *q)
{
    for (int side = 0; side < 4; side++) {
        double dp = inside(*p, side), dq = inside(*q, side);
        if (dp < 0 && dq < 0)
            return false;
        if (dp < 0)
            *p = between(*p, *q, dp, dq);
        else if (dq < 0)
            *q = between(*p, *q, dp, dq);
    }
    return true;
}

/* --- geometry commands --- */

struct pen {
    struct mvt *m;
    struct mvt_feature *f;
    int32_t x, y; /* the cursor, where the last command left it */
};

static void put(struct pen *p, uint32_t n)
{
    *vec_push(p->m->arena, &p->f->geometry) = n;
}

static uint32_t zigzag(int32_t n)
{
    return ((uint32_t)n << 1) ^ (uint32_t)(n >> 31);
}

static void command(struct pen *p, uint32_t id, size_t count)
{
    put(p, id | (uint32_t)count << 3);
}

struct cell {
    int32_t x, y;
};
struct cells {
    VEC(struct cell) all;
};

static void go_to(struct pen *p, struct cell c)
{
    put(p, zigzag(c.x - p->x));
    put(p, zigzag(c.y - p->y));
    p->x = c.x;
    p->y = c.y;
}

/* On the grid, without repetitions. */
static struct cells snap(struct arena *a, const struct dots *d)
{
    struct cells out = {.all = VEC_INIT};
    for (size_t i = 0; i < d->all.n; i++) {
        struct cell c = {(int32_t)lround(d->all.v[i].x), (int32_t)lround(d->all.v[i].y)};
        if (out.all.n && out.all.v[out.all.n - 1].x == c.x && out.all.v[out.all.n - 1].y == c.y)
            continue;
        *vec_push(a, &out.all) = c;
    }
    return out;
}

static void draw_line(struct pen *p, const struct dots *d)
{
    struct cells c = snap(p->m->arena, d);
    if (c.all.n < 2)
        return;
    command(p, COMMAND_MOVE, 1);
    go_to(p, c.all.v[0]);
    command(p, COMMAND_LINE, c.all.n - 1);
    for (size_t i = 1; i < c.all.n; i++)
        go_to(p, c.all.v[i]);
}

/* Twice the area; positive when it runs clockwise on the screen (y grows downwards). */
static int64_t area(const struct cells *c)
{
    int64_t sum = 0;
    for (size_t i = 0; i < c->all.n; i++) {
        struct cell p = c->all.v[i], q = c->all.v[(i + 1) % c->all.n];
        sum += (int64_t)p.x * q.y - (int64_t)q.x * p.y;
    }
    return sum;
}

static bool draw_ring(struct pen *p, const struct dots *d, bool outer)
{
    struct cells c = snap(p->m->arena, d);
    if (c.all.n > 1 && c.all.v[0].x == c.all.v[c.all.n - 1].x &&
        c.all.v[0].y == c.all.v[c.all.n - 1].y)
        c.all.n--;
    int64_t twice = area(&c);
    if (c.all.n < 3 || twice == 0)
        return false;
    bool backwards = (twice > 0) != outer;
    for (size_t i = 0; i < c.all.n; i++) {
        if (i == 0)
            command(p, COMMAND_MOVE, 1);
        if (i == 1)
            command(p, COMMAND_LINE, c.all.n - 1);
        go_to(p, c.all.v[backwards ? c.all.n - 1 - i : i]);
    }
    command(p, COMMAND_CLOSE, 1);
    return true;
}

/* --- features --- */

static struct dots project_ring(const struct mvt *m, const struct geo_ring *r)
{
    struct dots out = {.all = VEC_INIT};
    for (size_t i = 0; i < r->n; i++) {
        struct dot *d = vec_push(m->arena, &out.all);
        mvt_project(m->z, m->x, m->y, r->xy[2 * i], r->xy[2 * i + 1], &d->x, &d->y);
    }
    return out;
}

static void add_lines(struct pen *p, const struct geo_part *part)
{
    struct dots in = project_ring(p->m, &part->rings[0]);
    struct dots run = {.all = VEC_INIT};
    for (size_t i = 0; i + 1 < in.all.n; i++) {
        struct dot from = in.all.v[i], to = in.all.v[i + 1];
        bool visible = clip_segment(&from, &to);
        bool joins = visible && run.all.n && run.all.v[run.all.n - 1].x == from.x &&
                     run.all.v[run.all.n - 1].y == from.y;
        if (!joins) {
            draw_line(p, &run);
            run.all.n = 0;
        }
        if (visible && !joins)
            *vec_push(p->m->arena, &run.all) = from;
        if (visible)
            *vec_push(p->m->arena, &run.all) = to;
    }
    draw_line(p, &run);
}

static void add_polygon(struct pen *p, const struct geo_part *part)
{
    for (size_t i = 0; i < part->n; i++) {
        struct dots ring = project_ring(p->m, &part->rings[i]);
        if (ring.all.n)
            ring.all.n--; /* GeoJSON repeats the first position */
        ring = clip_ring(p->m->arena, ring);
        if (!draw_ring(p, &ring, i == 0) && i == 0)
            return; /* no shell, no holes */
    }
}

static int kind_of(const struct geo *g)
{
    switch (g->n ? g->parts[0].kind : GEO_COLLECTION) {
    case GEO_POINT:
        return POINTS;
    case GEO_LINESTRING:
        return LINES;
    case GEO_POLYGON:
        return POLYGONS;
    default:
        return 0;
    }
}

static struct mvt_feature *feature(struct mvt *m, int kind)
{
    struct mvt_feature *f = ARENA_NEW(m->arena, struct mvt_feature);
    f->kind = kind;
    return f;
}

static void add_points(struct pen *p, const struct geo *g)
{
    struct cells c = {.all = VEC_INIT};
    for (size_t i = 0; i < g->n; i++) {
        double x, y;
        if (g->parts[i].kind != GEO_POINT)
            continue;
        mvt_project(p->m->z, p->m->x, p->m->y, g->parts[i].rings[0].xy[0],
                    g->parts[i].rings[0].xy[1], &x, &y);
        if (x >= 0 && x < MVT_EXTENT && y >= 0 && y < MVT_EXTENT)
            *vec_push(p->m->arena, &c.all) = (struct cell){(int32_t)floor(x), (int32_t)floor(y)};
    }
    if (c.all.n)
        command(p, COMMAND_MOVE, c.all.n);
    for (size_t i = 0; i < c.all.n; i++)
        go_to(p, c.all.v[i]);
}

/* A feature has one kind of geometry: of a mixed collection the kind of its first part is drawn. */
struct mvt_feature *mvt_add(struct mvt *m, const struct geo *g)
{
    int kind = kind_of(g);
    if (!kind)
        return NULL;
    struct pen p = {.m = m, .f = feature(m, kind)};
    if (kind == POINTS)
        add_points(&p, g);
    for (size_t i = 0; kind != POINTS && i < g->n; i++) {
        if (kind == LINES && g->parts[i].kind == GEO_LINESTRING)
            add_lines(&p, &g->parts[i]);
        else if (kind == POLYGONS && g->parts[i].kind == GEO_POLYGON)
            add_polygon(&p, &g->parts[i]);
    }
    if (!p.f->geometry.n)
        return NULL;
    *vec_push(m->arena, &m->features) = p.f;
    return p.f;
}

struct mvt_feature *mvt_add_point(struct mvt *m, int32_t px, int32_t py)
{
    struct pen p = {.m = m, .f = feature(m, POINTS)};
    command(&p, COMMAND_MOVE, 1);
    go_to(&p, (struct cell){px, py});
    *vec_push(m->arena, &m->features) = p.f;
    return p.f;
}

void mvt_begin(struct mvt *m, struct arena *a, struct str layer, int z, int64_t x, int64_t y)
{
    *m = (struct mvt){.arena = a, .name = layer, .z = z, .x = x, .y = y};
}

/* --- tags: keys and values are written once and meant by number --- */

static uint32_t key_number(struct mvt *m, struct str key)
{
    uintptr_t known = (uintptr_t)map_get(&m->key_index, key);
    if (known)
        return (uint32_t)(known - 1);
    *vec_push(m->arena, &m->keys) = key;
    map_put(&m->key_index, key, (void *)(uintptr_t)m->keys.n);
    return (uint32_t)(m->keys.n - 1);
}

static void tag(struct mvt *m, struct mvt_feature *f, struct str key, uint32_t value)
{
    *vec_push(m->arena, &f->tags) = key_number(m, key);
    *vec_push(m->arena, &f->tags) = value;
}

void mvt_text(struct mvt *m, struct mvt_feature *f, struct str key, struct str value)
{
    uintptr_t known = (uintptr_t)map_get(&m->text_index, value);
    if (!known) {
        struct mvt_value *v = vec_push(m->arena, &m->values);
        v->text = str_dup(m->arena, value);
        known = m->values.n;
        map_put(&m->text_index, v->text, (void *)known);
    }
    tag(m, f, key, (uint32_t)(known - 1));
}

void mvt_number(struct mvt *m, struct mvt_feature *f, struct str key, double value)
{
    vec_push(m->arena, &m->values)->number = value;
    tag(m, f, key, (uint32_t)(m->values.n - 1));
}

/* --- protocol buffers --- */

static void varint(struct buf *b, uint64_t n)
{
    while (n >= 0x80) {
        buf_char(b, (char)((n & 0x7F) | 0x80));
        n >>= 7;
    }
    buf_char(b, (char)n);
}

enum { WIRE_VARINT = 0, WIRE_DOUBLE = 1, WIRE_BYTES = 2 };

static void field(struct buf *b, unsigned number, unsigned wire)
{
    varint(b, number << 3 | wire);
}

static void bytes_field(struct buf *b, unsigned number, struct str s)
{
    field(b, number, WIRE_BYTES);
    varint(b, s.n);
    buf_str(b, s);
}

static void packed(struct buf *b, unsigned number, const uint32_t *v, size_t n, struct buf *tmp)
{
    buf_clear(tmp);
    for (size_t i = 0; i < n; i++)
        varint(tmp, v[i]);
    bytes_field(b, number, buf_view(tmp));
}

static void write_feature(struct buf *layer, const struct mvt_feature *f, struct buf *message,
                          struct buf *tmp)
{
    buf_clear(message);
    if (f->id) {
        field(message, 1, WIRE_VARINT);
        varint(message, f->id);
    }
    packed(message, 2, f->tags.v, f->tags.n, tmp);
    field(message, 3, WIRE_VARINT);
    varint(message, (uint64_t)f->kind);
    packed(message, 4, f->geometry.v, f->geometry.n, tmp);
    bytes_field(layer, 2, buf_view(message));
}

static void write_value(struct buf *layer, const struct mvt_value *v, struct buf *message)
{
    buf_clear(message);
    if (v->text.p) {
        bytes_field(message, 1, v->text);
    } else {
        unsigned char le[8];
        uint64_t bits;
        memcpy(&bits, &v->number, sizeof(bits));
        for (int i = 0; i < 8; i++)
            le[i] = (unsigned char)(bits >> (8 * i));
        field(message, 3, WIRE_DOUBLE);
        buf_add(message, le, sizeof(le));
    }
    bytes_field(layer, 4, buf_view(message));
}

void mvt_write(struct mvt *m, struct buf *out)
{
    struct buf layer = BUF_INIT, message = BUF_INIT, tmp = BUF_INIT;
    if (m->features.n) {
        bytes_field(&layer, 1, m->name);
        for (size_t i = 0; i < m->features.n; i++)
            write_feature(&layer, m->features.v[i], &message, &tmp);
        for (size_t i = 0; i < m->keys.n; i++)
            bytes_field(&layer, 3, m->keys.v[i]);
        for (size_t i = 0; i < m->values.n; i++)
            write_value(&layer, &m->values.v[i], &message);
        field(&layer, 5, WIRE_VARINT);
        varint(&layer, MVT_EXTENT);
        field(&layer, 15, WIRE_VARINT);
        varint(&layer, 2);
        bytes_field(out, 3, buf_view(&layer));
    }
    buf_release(&layer);
    buf_release(&message);
    buf_release(&tmp);
    map_release(&m->key_index);
    map_release(&m->text_index);
}
