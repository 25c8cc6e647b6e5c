#include "chart.h"
#include "core/clock.h"
#include "core/datetime.h"
#include "http/http.h"
#include <math.h>

enum { WIDTH = 720, HEIGHT = 260, LEFT = 56, RIGHT = 12, TOP = 14, BOTTOM = 34, LINES = 5 };

size_t chart_ticks(double min, double max, double *first, double *step)
{
    if (!(max > min)) {
        /* A level line: some room around it. */
        double room = fabs(min) > 1 ? fabs(min) * 0.05 : 1;
        min -= room;
        max += room;
    }
    double rough = (max - min) / (LINES - 1);
    double power = pow(10, floor(log10(rough)));
    double lead = rough / power;
    *step = (lead <= 1 ? 1 : lead <= 2 ? 2 : lead <= 5 ? 5 : 10) * power;
    *first = floor(min / *step) * *step;
    return (size_t)(ceil((max - *first) / *step - 1e-9)) + 1;
}

struct frame {
    const struct chart *c;
    double low, high; /* of the value axis */
};

static double x_of(const struct frame *f, int64_t at)
{
    double span = (double)(f->c->to - f->c->from);
    return LEFT + (double)(at - f->c->from) / (span > 0 ? span : 1) * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct frame *f, double v)
{
    return TOP + (f->high - v) / (f->high - f->low) * (HEIGHT - TOP - BOTTOM);
}

static void value_axis(struct buf *out, struct arena *a, const struct locale *l,
                       const struct frame *f, double step)
{
    int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    int lines = (int)lround((f->high - f->low) / step);
    for (int i = 0; i <= lines; i++) {
        double v = f->low + i * step;
        double y = y_of(f, v);
        struct str text = str_printf(a, "%.*f", digits, v == 0 ? 0.0 : v);
        buf_printf(out,
                   "<line class=\"chart-grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                   "<text class=\"chart-label\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%" STR_F
                   "</text>",
                   LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4,
                   STR_A(html_escape(a, locale_number(l, a, text))));
    }
}

/* Full hours or days of Japan's time, at most eight of them. */
static void time_axis(struct buf *out, struct arena *a, const struct frame *f)
{
    static const int64_t hours[] = {1, 3, 6, 12, 24, 48, 96, 168, 336, 720, 2160, 8760};
    int64_t span = f->c->to - f->c->from, offset = JST_OFFSET_S * SECOND_US;
    size_t i = 0;
    while (i + 1 < sizeof(hours) / sizeof(hours[0]) && span / (hours[i] * HOUR_US) > 8)
        i++;
    int64_t step = hours[i] * HOUR_US;
    int64_t at = ((f->c->from + offset + step - 1) / step) * step - offset;
    for (; at <= f->c->to; at += step) {
        struct civil t = civil_of(at, JST_OFFSET_S);
        double x = x_of(f, at);
        struct str text = step < DAY_US && t.hour != 0 ? str_printf(a, "%d:00", t.hour)
                                                       : str_printf(a, "%d/%d", t.month, t.day);
        buf_printf(out,
                   "<line class=\"chart-tick\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                   "<text class=\"chart-label\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%" STR_F
                   "</text>",
                   x, x, HEIGHT - BOTTOM, HEIGHT - BOTTOM + 5, x, HEIGHT - BOTTOM + 20,
                   STR_A(text));
    }
}

static size_t run_end(const struct chart *c, size_t from)
{
    size_t i = from + 1;
    while (i < c->n && c->points[i].at - c->points[i - 1].at <= c->gap)
        i++;
    return i;
}

static void band(struct buf *out, const struct frame *f, size_t from, size_t to)
{
    const struct chart_point *p = f->c->points;
    BUF_LIT(out, "<polygon class=\"chart-band\" points=\"");
    for (size_t i = from; i < to; i++)
        buf_printf(out, "%.1f,%.1f ", x_of(f, p[i].at), y_of(f, p[i].max));
    for (size_t i = to; i-- > from;)
        buf_printf(out, "%.1f,%.1f ", x_of(f, p[i].at), y_of(f, p[i].min));
    BUF_LIT(out, "\"/>");
}

static void line(struct buf *out, const struct frame *f, size_t from, size_t to)
{
    const struct chart_point *p = f->c->points;
    if (to - from == 1) {
        buf_printf(out, "<circle class=\"chart-dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"3\"/>",
                   x_of(f, p[from].at), y_of(f, p[from].mean));
        return;
    }
    BUF_LIT(out, "<polyline class=\"chart-line\" points=\"");
    for (size_t i = from; i < to; i++)
        buf_printf(out, "%.1f,%.1f ", x_of(f, p[i].at), y_of(f, p[i].mean));
    BUF_LIT(out, "\"/>");
}

void chart_svg(struct buf *out, struct arena *a, const struct locale *l, const struct chart *c)
{
    double low = INFINITY, high = -INFINITY, step;
    if (c->n == 0)
        return;
    for (size_t i = 0; i < c->n; i++) {
        low = fmin(low, c->points[i].min);
        high = fmax(high, c->points[i].max);
    }
    struct frame f = {.c = c};
    size_t lines = chart_ticks(low, high, &f.low, &step);
    f.high = f.low + step * (double)(lines - 1);
    buf_printf(out,
               "<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" "
               "aria-labelledby=\"chart-title chart-text\" xmlns=\"http://www.w3.org/2000/svg\">"
               "<title id=\"chart-title\">%" STR_F "</title><desc id=\"chart-text\">%" STR_F
               "</desc>",
               WIDTH, HEIGHT, STR_A(html_escape(a, c->title)), STR_A(html_escape(a, c->text)));
    value_axis(out, a, l, &f, step);
    time_axis(out, a, &f);
    for (size_t i = 0; i < c->n;) {
        size_t end = run_end(c, i);
        if (end - i > 1)
            band(out, &f, i, end);
        line(out, &f, i, end);
        i = end;
    }
    const struct chart_point *last = &c->points[c->n - 1];
    buf_printf(out, "<circle class=\"chart-last\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/></svg>",
               x_of(&f, last->at), y_of(&f, last->mean));
}
