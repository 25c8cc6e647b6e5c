#include "minimap.h"
#include <math.h>

enum { WIDTH = 400, HEIGHT = 256 };
#define PI           3.14159265358979323846
#define DEGREE_M     111194.93
#define POSITION_MAX 100000.0 /* far outside; keeps numbers short */

static double x_of(const struct minimap *m, double lon)
{
    double metres = (lon - m->lon) * DEGREE_M * cos(m->lat * PI / 180);
    double x = WIDTH / 2.0 + metres / m->metres * (WIDTH / 2.0);
    return fmax(-POSITION_MAX, fmin(POSITION_MAX, x));
}

static double y_of(const struct minimap *m, double lat)
{
    double metres = (lat - m->lat) * DEGREE_M;
    double y = HEIGHT / 2.0 - metres / m->metres * (WIDTH / 2.0);
    return fmax(-POSITION_MAX, fmin(POSITION_MAX, y));
}

void minimap_begin(struct buf *out, const struct minimap *m)
{
    (void)m;
    buf_printf(out,
               "<svg class=\"mini\" viewBox=\"0 0 %d %d\" aria-hidden=\"true\" focusable=\"false\" "
               "xmlns=\"http://www.w3.org/2000/svg\"><path class=\"mini-ground\" "
               "d=\"M0 0h%dv%dH0z\"/>",
               WIDTH, HEIGHT, WIDTH, HEIGHT);
}

static void draw(struct buf *out, const struct minimap *m, const struct geo *g,
                 const char *classes[2])
{
    for (size_t i = 0; i < g->n; i++) {
        const struct geo_part *part = &g->parts[i];
        if (part->kind == GEO_POINT)
            continue;
        bool area = part->kind == GEO_POLYGON;
        buf_printf(out, "<path class=\"%s\" d=\"", classes[area]);
        for (size_t r = 0; r < part->n; r++) {
            for (size_t k = 0; k < part->rings[r].n; k++)
                buf_printf(out, "%c%.1f %.1f", k ? 'L' : 'M', x_of(m, part->rings[r].xy[2 * k]),
                           y_of(m, part->rings[r].xy[2 * k + 1]));
            if (area)
                buf_char(out, 'Z');
        }
        BUF_LIT(out, "\"/>");
    }
}

void minimap_add(struct buf *out, const struct minimap *m, const struct geo *g)
{
    static const char *classes[2] = {"mini-line", "mini-area"};
    draw(out, m, g, classes);
}

/* The longest round length that takes at most a third of the width. */
static double scale_length(const struct minimap *m)
{
    double most = 2 * m->metres / 3, power = pow(10, floor(log10(most)));
    double lead = most / power;
    return (lead >= 5 ? 5 : lead >= 2 ? 2 : 1) * power;
}

void minimap_end(struct buf *out, const struct minimap *m, const struct geo *place)
{
    static const char *classes[2] = {"mini-own-line", "mini-own-area"};
    double metres = scale_length(m);
    double width = metres / m->metres * (WIDTH / 2.0);
    if (place && place->kind != GEO_POINT)
        draw(out, m, place, classes);
    else
        buf_printf(out,
                   "<path class=\"mini-pin\" d=\"M%d %dc-12-15-17-22-17-30a17 17 0 0 1 34 0c0 8-5 "
                   "15-17 30Z\"/><circle class=\"mini-eye\" cx=\"%d\" cy=\"%d\" r=\"6\"/>",
                   WIDTH / 2, HEIGHT / 2, WIDTH / 2, HEIGHT / 2 - 30);
    buf_printf(out,
               "<path class=\"mini-scale\" d=\"M12 %dv5h%.1fv-5\"/><text class=\"mini-text\" "
               "x=\"%.1f\" y=\"%d\">%g %s</text></svg>",
               HEIGHT - 18, width, 20 + width, HEIGHT - 11, metres >= 1000 ? metres / 1000 : metres,
               metres >= 1000 ? "km" : "m");
}
