/*
 * geo_cell.c - a quadtree as ranges of integers.
 *
 * Longitude and latitude become whole numbers of GEO_CELL_LEVEL bits; all comparisons are made on
 * those. The step is monotone, so that a point of a closed box stays between the box's corners:
 * nothing that meets can be missed, wherever rounding falls.
 */
#include "core/geo.h"

#include <stdlib.h>

struct cell {
    int level;
    uint32_t x, y; /* 0 .. 2^level - 1 */
};

struct span { /* a box in whole numbers, closed */
    uint32_t x0, y0, x1, y1;
};

static uint32_t quantise(double v, double low, double size)
{
    const double leaves = (double)(UINT32_C(1) << GEO_CELL_LEVEL);
    double at = (v - low) / size * leaves;
    if (!(at > 0)) {
        return 0;
    }
    return at < leaves ? (uint32_t)at : (UINT32_C(1) << GEO_CELL_LEVEL) - 1;
}

static struct span span_of(struct geo_box box)
{
    return (struct span){quantise(box.west, -180, 360), quantise(box.south, -90, 180),
                         quantise(box.east, -180, 360), quantise(box.north, -90, 180)};
}

/* --- ids --- */

static int64_t low_bit(int level)
{
    return INT64_C(1) << (2 * (GEO_CELL_LEVEL - level));
}

/* Bit i of v goes to bit 2i. */
static uint64_t spread(uint32_t v)
{
    uint64_t s = v;
    s = (s | s << 16) & UINT64_C(0x0000FFFF0000FFFF);
    s = (s | s << 8) & UINT64_C(0x00FF00FF00FF00FF);
    s = (s | s << 4) & UINT64_C(0x0F0F0F0F0F0F0F0F);
    s = (s | s << 2) & UINT64_C(0x3333333333333333);
    s = (s | s << 1) & UINT64_C(0x5555555555555555);
    return s;
}

static int64_t cell_id(struct cell c)
{
    int64_t path = (int64_t)(spread(c.x) | spread(c.y) << 1);
    return (2 * path + 1) * low_bit(c.level);
}

int64_t geo_cell(double lon, double lat, int level)
{
    int shift = GEO_CELL_LEVEL - level;
    return cell_id(
        (struct cell){level, quantise(lon, -180, 360) >> shift, quantise(lat, -90, 180) >> shift});
}

/* --- covers --- */

static struct span clip(struct span s, struct cell c)
{
    int shift = GEO_CELL_LEVEL - c.level;
    uint32_t last = (UINT32_C(1) << shift) - 1;
    struct span k = {c.x << shift, c.y << shift, (c.x << shift) + last, (c.y << shift) + last};
    return (struct span){s.x0 > k.x0 ? s.x0 : k.x0, s.y0 > k.y0 ? s.y0 : k.y0,
                         s.x1 < k.x1 ? s.x1 : k.x1, s.y1 < k.y1 ? s.y1 : k.y1};
}

/* The smallest cell that holds the whole span. */
static struct cell shrink(struct span s)
{
    uint32_t differ = (s.x0 ^ s.x1) | (s.y0 ^ s.y1);
    int shift = differ ? 32 - __builtin_clz(differ) : 0;
    return (struct cell){GEO_CELL_LEVEL - shift, s.x0 >> shift, s.y0 >> shift};
}

/* The finest level at which at most max cells hold the span, each then shrunk to its share. */
static size_t cover(struct span s, size_t max, struct cell *out)
{
    int shift = 0;
    size_t n = 0;
    if (s.x0 > s.x1 || s.y0 > s.y1) {
        return 0;
    }
    while ((uint64_t)((s.x1 >> shift) - (s.x0 >> shift) + 1) *
               ((s.y1 >> shift) - (s.y0 >> shift) + 1) >
           max) {
        shift++;
    }
    for (uint32_t y = s.y0 >> shift; y <= s.y1 >> shift; y++) {
        for (uint32_t x = s.x0 >> shift; x <= s.x1 >> shift; x++) {
            out[n++] = shrink(clip(s, (struct cell){GEO_CELL_LEVEL - shift, x, y}));
        }
    }
    return n;
}

size_t geo_cover(struct geo_box box, int64_t cells[GEO_COVER_MAX])
{
    struct cell c[GEO_COVER_MAX];
    size_t n = cover(span_of(box), GEO_COVER_MAX, c);
    for (size_t i = 0; i < n; i++) {
        cells[i] = cell_id(c[i]);
    }
    return n;
}

/* --- ranges --- */

enum { RANGES_MAX = 256, SINGLES_MAX = 4 * GEO_CELL_LEVEL };

struct search {
    struct span span;
    struct cell cells[RANGES_MAX]; /* together they hold the span */
    size_t n, max;
    struct geo_range *out; /* single ids first, then the ranges of the cells */
    size_t singles;
};

static void add_single(struct search *q, struct cell c)
{
    int64_t id = cell_id(c);
    for (size_t i = 0; i < q->singles; i++) {
        if (q->out[i].from == id) {
            return;
        }
    }
    q->out[q->singles++] = (struct geo_range){id, id};
}

static void add_ancestors(struct search *q, struct cell c)
{
    while (c.level > 0) {
        c = (struct cell){c.level - 1, c.x >> 1, c.y >> 1};
        add_single(q, c);
    }
}

static bool is_filled(const struct search *q, struct cell c)
{
    int shift = GEO_CELL_LEVEL - c.level;
    uint32_t side = UINT32_C(1) << shift;
    struct span k = clip(q->span, c);
    return k.x1 - k.x0 == side - 1 && k.y1 - k.y0 == side - 1;
}

static size_t children(const struct search *q, struct cell c, struct cell out[4])
{
    size_t n = 0;
    for (uint32_t i = 0; i < 4; i++) {
        struct cell child = {c.level + 1, c.x * 2 + (i & 1), c.y * 2 + (i >> 1)};
        struct span k = clip(q->span, child);
        if (k.x0 <= k.x1 && k.y0 <= k.y1) {
            out[n++] = child;
        }
    }
    return n;
}

/* Splits the coarsest cell that reaches out of the span and whose parts still fit; false at the
 * end. */
static bool refine(struct search *q)
{
    size_t best = q->n, n_best = 0;
    struct cell parts[4], best_parts[4];
    for (size_t i = 0; i < q->n; i++) {
        if ((best < q->n && q->cells[i].level >= q->cells[best].level) ||
            is_filled(q, q->cells[i])) {
            continue;
        }
        size_t n = children(q, q->cells[i], parts);
        if (q->n - 1 + n <= q->max) {
            best = i;
            n_best = n;
            for (size_t k = 0; k < n; k++) {
                best_parts[k] = parts[k];
            }
        }
    }
    if (best == q->n || q->singles == SINGLES_MAX) {
        return false;
    }
    add_single(q, q->cells[best]);
    q->cells[best] = best_parts[0];
    for (size_t k = 1; k < n_best; k++) {
        q->cells[q->n++] = best_parts[k];
    }
    return true;
}

static int by_from(const void *x, const void *y)
{
    const struct geo_range *a = x, *b = y;
    return (a->from > b->from) - (a->from < b->from);
}

size_t geo_ranges(struct geo_box box, size_t max_ranges, struct geo_range *out)
{
    struct search q = {.span = span_of(box), .out = out};
    q.max = max_ranges < 1 ? 1 : max_ranges > RANGES_MAX ? RANGES_MAX : max_ranges;
    q.n = cover(q.span, q.max < GEO_COVER_MAX ? q.max : GEO_COVER_MAX, q.cells);
    if (q.n == 0) {
        return 0;
    }
    for (size_t i = 0; i < q.n; i++) {
        add_ancestors(&q, q.cells[i]);
    }
    while (refine(&q)) {
    }
    size_t n = q.singles, merged = 0;
    for (size_t i = 0; i < q.n; i++) {
        int64_t id = cell_id(q.cells[i]), half = low_bit(q.cells[i].level) - 1;
        out[n++] = (struct geo_range){id - half, id + half};
    }
    qsort(out, n, sizeof *out, by_from);
    for (size_t i = 1; i < n; i++) {
        /* the number between neighbours is no id, or that of a parent which is in the list */
        if (out[i].from <= out[merged].to + 2) {
            out[merged].to = out[i].to > out[merged].to ? out[i].to : out[merged].to;
        } else {
            out[++merged] = out[i];
        }
    }
    return merged + 1;
}
