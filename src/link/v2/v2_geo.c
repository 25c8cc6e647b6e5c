/*
 * Places in NGSIv2's simple form ("latitude, longitude") to GeoJSON and back, and geo-queries.
 *
 * Numbers keep their text: only the axes change places.
 */
#include "v2.h"

enum { PAIRS_MAX = 10000 };

/* --- simple form to GeoJSON --- */

static const struct {
    struct str v2, geojson;
} simple[] = {{S_INIT("geo:point"), S_INIT("Point")},
              {S_INIT("geo:line"), S_INIT("LineString")},
              {S_INIT("geo:polygon"), S_INIT("Polygon")},
              {S_INIT("geo:box"), S_INIT("Polygon")}};

bool v2_is_simple_geo(struct str type)
{
    for (size_t i = 0; i < sizeof(simple) / sizeof(*simple); i++)
        if (str_eq(type, simple[i].v2))
            return true;
    return false;
}

static struct str geojson_type(struct str type)
{
    for (size_t i = 0; i < sizeof(simple) / sizeof(*simple); i++)
        if (str_eq(type, simple[i].v2))
            return simple[i].geojson;
    return STR_NONE;
}

static struct json position(struct arena *a, struct json lon, struct json lat)
{
    struct json *xy = ARENA_ARRAY(a, struct json, 2);
    xy[0] = lon;
    xy[1] = lat;
    return json_v_array(xy, 2);
}

/* "lat, lon" as a GeoJSON position. */
static bool read_pair(struct arena *a, struct str text, struct json *out)
{
    ptrdiff_t comma = str_find_char(text, ',');
    if (comma < 0)
        return false;
    struct str lat = str_trim(str_sub(text, 0, (size_t)comma));
    struct str lon = str_trim(str_from(text, (size_t)comma + 1));
    const struct json *y = json_parse(a, lat, &JSON_DEFAULT, NULL);
    const struct json *x = json_parse(a, lon, &JSON_DEFAULT, NULL);
    if (!json_is(x, JSON_NUMBER) || !json_is(y, JSON_NUMBER))
        return false;
    *out = position(a, *x, *y);
    return true;
}

/* The corners of a box whose first pair is the lower left one, as a ring. */
static struct json box_ring(struct arena *a, const struct json *corners)
{
    const struct json *low = corners[0].items, *high = corners[1].items;
    struct json *ring = ARENA_ARRAY(a, struct json, 5);
    ring[0] = corners[0];
    ring[1] = position(a, high[0], low[1]);
    ring[2] = corners[1];
    ring[3] = position(a, low[0], high[1]);
    ring[4] = corners[0];
    return json_v_array(ring, 5);
}

/* Coordinates of a geometry from its pairs. */
static enum err coordinates(struct arena *a, struct str type, struct json *pairs, size_t n,
                            struct json *out, struct error *e)
{
    if (str_eq(type, S("geo:point"))) {
        if (n != 1)
            return error_set(e, ERR_INVALID, "a point has one pair of coordinates");
        *out = pairs[0];
        return OK;
    }
    if (str_eq(type, S("geo:line"))) {
        *out = json_v_array(pairs, n);
        return n >= 2 ? OK : error_set(e, ERR_INVALID, "a line has two pairs of coordinates");
    }
    struct json *ring = ARENA_NEW(a, struct json);
    if (str_eq(type, S("geo:box"))) {
        if (n != 2)
            return error_set(e, ERR_INVALID, "a box has two pairs of coordinates");
        *ring = box_ring(a, pairs);
    } else {
        if (n < 4)
            return error_set(e, ERR_INVALID, "a polygon has four pairs of coordinates or more");
        *ring = json_v_array(pairs, n);
    }
    *out = json_v_array(ring, 1);
    return OK;
}

static enum err bad_pair(struct error *e)
{
    return error_set(e, ERR_INVALID,
                     "coordinates must be a latitude and a longitude with a comma between");
}

static struct json geometry(struct arena *a, struct str type, struct json coords)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
    m[0] = json_m(S("type"), json_v_str(geojson_type(type)));
    m[1] = json_m(S("coordinates"), coords);
    return json_v_object(m, 2);
}

const struct json *v2_geo_in(struct arena *a, struct str type, const struct json *value,
                             struct error *e)
{
    bool one = json_is(value, JSON_STRING);
    size_t n = one ? 1 : json_is(value, JSON_ARRAY) ? value->n : 0;
    struct json *pairs = ARENA_ARRAY(a, struct json, n + 1), coords;
    if (n > PAIRS_MAX)
        error_set(e, ERR_INVALID, "too many coordinates");
    for (size_t i = 0; i < n && n <= PAIRS_MAX; i++) {
        const struct json *text = one ? value : &value->items[i];
        if (!json_is(text, JSON_STRING) || !read_pair(a, json_text(text), &pairs[i])) {
            bad_pair(e);
            return NULL;
        }
    }
    if (n > PAIRS_MAX || coordinates(a, type, pairs, n, &coords, e))
        return NULL;
    struct json *out = ARENA_NEW(a, struct json);
    *out = geometry(a, type, coords);
    return geo_parse(a, out, GEO_MAX_POSITIONS, e) ? out : NULL;
}

/* --- GeoJSON to simple form --- */

static bool show_pair(struct arena *a, const struct json *xy, struct json *out)
{
    struct str lon = json_text(json_at(xy, 0)), lat = json_text(json_at(xy, 1));
    if (!lon.p || !lat.p)
        return false;
    *out = json_v_str(str_printf(a, "%" STR_F ", %" STR_F, STR_A(lat), STR_A(lon)));
    return true;
}

static bool show_pairs(struct arena *a, const struct json *list, struct json *out)
{
    if (!json_is(list, JSON_ARRAY))
        return false;
    struct json *items = ARENA_ARRAY(a, struct json, list->n);
    for (uint32_t i = 0; i < list->n; i++)
        if (!show_pair(a, &list->items[i], &items[i]))
            return false;
    *out = json_v_array(items, list->n);
    return true;
}

bool v2_geo_out(struct arena *a, struct str type, const struct json *g, struct json *out)
{
    const struct json *coords = json_get(g, S("coordinates"));
    if (!str_eq(json_text(json_get(g, S("type"))), geojson_type(type)))
        return false;
    if (str_eq(type, S("geo:point")))
        return show_pair(a, coords, out);
    if (str_eq(type, S("geo:line")))
        return show_pairs(a, coords, out);
    if (!json_is(coords, JSON_ARRAY) || coords->n != 1)
        return false;
    const struct json *ring = &coords->items[0];
    if (str_eq(type, S("geo:polygon")))
        return show_pairs(a, ring, out);
    if (!json_is(ring, JSON_ARRAY) || ring->n != 5)
        return false;
    struct json corners[2] = {ring->items[0], ring->items[2]};
    if (!json_is(&corners[0], JSON_ARRAY) || !json_is(&corners[1], JSON_ARRAY) ||
        corners[0].n < 2 || corners[1].n < 2)
        return false;
    struct json again = box_ring(a, corners), pair = json_v_array(corners, 2);
    return json_equal(&again, ring, false) && show_pairs(a, &pair, out);
}

/* --- queries --- */

static enum err read_coords(struct arena *a, struct str type, struct str text, struct json *out,
                            struct error *e)
{
    VEC(struct json) pairs = VEC_INIT;
    struct str field;
    while (text.n && str_split(&text, ';', &field)) {
        if (pairs.n == PAIRS_MAX || !read_pair(a, field, vec_push(a, &pairs)))
            return bad_pair(e);
    }
    return coordinates(a, type, pairs.v, pairs.n, out, e);
}

static enum err add_test(struct v2_geo *g, enum geo_relation relation, double metres,
                         struct error *e)
{
    struct geo_query *q = &g->tests[g->n];
    *q = (struct geo_query){.relation = relation, .reference = g->reference, .metres = metres};
    q->test = geo_test_new(relation, g->reference, metres, e);
    if (!q->test)
        return ERR_INVALID;
    g->n++;
    return OK;
}

/* maxDistance:1000 and minDistance:10, one or both. */
static enum err near(struct v2_geo *g, struct str modifiers, struct error *e)
{
    struct str field;
    while (modifiers.n && str_split(&modifiers, ';', &field)) {
        bool max = str_starts(field, S("maxDistance:"));
        double metres;
        if ((!max && !str_starts(field, S("minDistance:"))) || g->n == 2 ||
            !str_to_double(str_from(field, 12), &metres) || !(metres > 0))
            return error_set(e, ERR_INVALID,
                             "georel: near goes with maxDistance:METRES and minDistance:METRES");
        if (add_test(g, max ? GEO_REL_NEAR_MAX : GEO_REL_NEAR_MIN, metres, e))
            return ERR_INVALID;
    }
    g->near = true;
    return g->n ? OK : error_set(e, ERR_INVALID, "georel: near needs maxDistance or minDistance");
}

static enum err relate(struct v2_geo *g, struct str georel, struct error *e)
{
    static const struct {
        struct str name;
        enum geo_relation relation;
    } names[] = {{S_INIT("coveredBy"), GEO_REL_WITHIN},
                 {S_INIT("intersects"), GEO_REL_INTERSECTS},
                 {S_INIT("equals"), GEO_REL_EQUALS},
                 {S_INIT("disjoint"), GEO_REL_DISJOINT}};
    struct str rest = georel, word = STR_NONE;
    str_split(&rest, ';', &word);
    if (str_eq(word, S("near")))
        return near(g, rest, e);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        if (!str_eq(georel, names[i].name))
            continue;
        if (i == 0) {
            g->covered = true;
            g->border = (struct geo_query){.reference = g->reference};
            g->border.test = geo_test_new(GEO_REL_INTERSECTS, g->reference, 0, e);
            if (!g->border.test)
                return ERR_INVALID;
        }
        return add_test(g, names[i].relation, 0, e);
    }
    return error_set(e, ERR_INVALID,
                     "georel: expected near, coveredBy, intersects, equals or disjoint");
}

enum err v2_geo_parse(struct arena *a, struct str georel, struct str geometry, struct str coords,
                      struct v2_geo *out, struct error *e)
{
    struct json c;
    *out = (struct v2_geo){.n = 0};
    struct str type = str_concat(a, S("geo:"), geometry);
    if (!georel.n || !geometry.n || !coords.n)
        return error_set(e, ERR_INVALID, "georel, geometry and coords go together");
    if (!v2_is_simple_geo(type))
        return error_set(e, ERR_INVALID, "geometry: expected point, line, polygon or box");
    if (read_coords(a, type, coords, &c, e))
        return ERR_INVALID;
    out->reference = geo_parse_query(a, geojson_type(type), &c, e);
    if (!out->reference)
        return ERR_INVALID;
    if (str_starts(georel, S("near")) && !str_eq(geometry, S("point")))
        return error_set(e, ERR_UNPROCESSABLE, "near is answered for points only");
    enum err err = relate(out, georel, e);
    if (err)
        v2_geo_release(out);
    return err;
}

void v2_geo_release(struct v2_geo *g)
{
    for (size_t i = 0; i < g->n; i++)
        geo_query_release(&g->tests[i]);
    geo_query_release(&g->border);
    g->n = 0;
}

/* --- which location --- */

static const struct json *location_value(const struct json *instances)
{
    const struct json *one = instance_default(instances);
    bool geo = str_eq(json_text(json_get(one, S("type"))), S("GeoProperty"));
    return geo ? instance_value(one) : NULL;
}

static bool is_default_location(struct arena *a, const struct json *instances)
{
    struct str iri = v2_iri(a, S("defaultLocation"));
    const struct json *flag = json_get(instance_default(instances), iri);
    return flag && json_true(instance_value(instance_default(flag)));
}

/* The attribute (IRI) that places the entity; absent when it has none or, with *unclear, several:
 * of several the one marked defaultLocation counts, and if none is the one named location. */
static struct str location_of(struct arena *a, const struct json *stored, bool *unclear)
{
    struct str only = STR_NONE, marked = STR_NONE;
    size_t n = 0, n_marked = 0;
    for (uint32_t i = 0; i < stored->n; i++) {
        const struct json_member *m = &stored->members[i];
        if (entity_is_member(json_key(m)) || !location_value(&m->value))
            continue;
        n++;
        only = json_key(m);
        if (is_default_location(a, &m->value)) {
            n_marked++;
            marked = only;
        }
    }
    struct str named = S(LD_NGSI_PREFIX "location");
    *unclear = false;
    if (n_marked == 1)
        return marked;
    if (n <= 1)
        return only;
    if (n_marked == 0 && location_value(entity_attr(stored, named)))
        return named;
    *unclear = true;
    return STR_NONE;
}

/* A candidate of one point meets a border without being within. */
static bool is_point(const struct json *stored, struct str iri)
{
    const struct json *g = location_value(entity_attr(stored, iri));
    return str_eq(json_text(json_get(g, S("type"))), S("Point"));
}

enum err v2_geo_holds(struct v2_geo *g, struct arena *a, const struct json *stored, bool *hit,
                      struct error *e)
{
    bool unclear;
    struct str iri = location_of(a, stored, &unclear);
    *hit = iri.p != NULL;
    if (unclear)
        return error_set(e, ERR_CONFLICT,
                         "entity %" STR_F " has several locations and no single defaultLocation",
                         QUOTE(v2_id(a, entity_id(stored))));
    for (size_t i = 0; i < g->n && *hit; i++) {
        struct geo_query *q = g->covered && is_point(stored, iri) ? &g->border : &g->tests[i];
        q->property = iri;
        *hit = query_geo_holds(q, stored);
    }
    return OK;
}

bool v2_geo_distance(const struct v2_geo *g, struct arena *a, const struct json *stored,
                     double *metres)
{
    bool unclear;
    struct str iri = location_of(a, stored, &unclear);
    const struct json *value = iri.p ? location_value(entity_attr(stored, iri)) : NULL;
    const struct geo *place = value ? geo_parse(a, value, GEO_MAX_POSITIONS, NULL) : NULL;
    if (!place)
        return false;
    *metres = geo_distance(place, g->reference);
    return true;
}
