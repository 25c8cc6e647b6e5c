#include "part.h"
#include "http/http.h"

/* "west,south,east,north" as the coordinates of a polygon. */
static bool box_coordinates(struct arena *a, struct str area, struct str *out)
{
    double v[4];
    struct str one;
    size_t n = 0;
    while (str_split(&area, ',', &one))
        if (n == 4 || !str_to_double(str_trim(one), &v[n++]))
            return false;
    if (n != 4 || v[0] >= v[2] || v[1] >= v[3])
        return false;
    *out =
        str_printf(a, "[[[%.17g,%.17g],[%.17g,%.17g],[%.17g,%.17g],[%.17g,%.17g],[%.17g,%.17g]]]",
                   v[0], v[1], v[2], v[1], v[2], v[3], v[0], v[3], v[0], v[1]);
    return true;
}

enum err part_read(struct arena *a, struct str types, struct str scope, struct str area,
                   struct part *out, struct error *e)
{
    struct str box = STR_NONE;
    *out = (struct part){.types = types, .scope = scope, .area = area};
    out->key = str_printf(a, "types=%" STR_F "\nscope=%" STR_F "\narea=%" STR_F, STR_A(types),
                          STR_A(scope), STR_A(area));
    if (types.n && !(out->query.types = query_parse_types(a, types, ld_core(), &QUERY_DEFAULT, e)))
        return e->code;
    if (scope.n && !(out->query.scope = query_parse_scope(a, scope, &QUERY_DEFAULT, e)))
        return e->code;
    if (!area.n)
        return OK;
    if (!box_coordinates(a, area, &box))
        return error_set(e, ERR_INVALID, "area \"%" STR_F "\": west,south,east,north is expected",
                         STR_A(str_cut(area, 100)));
    enum err err =
        query_parse_geo(a, S("intersects"), S("Polygon"), box, STR_NONE, ld_core(), &out->geo, e);
    out->query.geo = err ? NULL : &out->geo;
    return err;
}

void part_release(struct part *p)
{
    if (p->query.geo)
        geo_query_release(&p->geo);
    p->query.geo = NULL;
}

bool part_all(const struct part *p)
{
    return !p->types.n && !p->scope.n && !p->area.n;
}

bool part_holds(const struct part *p, const struct json *doc)
{
    bool hit = false;
    struct error e;
    return doc && query_holds(&p->query, doc, &hit, &e) == OK && hit;
}

struct str part_params(struct arena *a, const struct part *p)
{
    if (part_all(p))
        return S("");
    return str_printf(a, "&types=%" STR_F "&scope=%" STR_F "&area=%" STR_F,
                      STR_A(url_encode(a, p->types)), STR_A(url_encode(a, p->scope)),
                      STR_A(url_encode(a, p->area)));
}
