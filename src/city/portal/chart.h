/*
 * chart.h - a line through time as SVG: no script, no inline style, classes and attributes only.
 *
 * The band shows least and greatest, the line the mean of each period.
 */
#ifndef PORTAL_CHART_H
#define PORTAL_CHART_H

#include "core/buf.h"
#include "http/locale.h"

struct chart_point {
    int64_t at; /* instant: middle of the period */
    double mean, min, max;
};

struct chart {
    const struct chart_point *points; /* by time */
    size_t n;
    int64_t from, to;       /* of the time axis */
    int64_t gap;            /* points further apart than this are not joined */
    struct str title, text; /* accessible name and description, unescaped */
    struct str unit;
};

/* Round steps that cover [min, max]: sets the first line and the distance, gives their number. */
size_t chart_ticks(double min, double max, double *first, double *step);
void chart_svg(struct buf *out, struct arena *a, const struct locale *l, const struct chart *c);

#endif
