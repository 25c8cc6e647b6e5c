/* Geo-queries: parameters and what they find. */
#include "query_lab.h"

#define LOCATION "https://uri.etsi.org/ngsi-ld/location"
#define SQUARE   "[[[140,36],[141,36],[141,37],[140,37],[140,36]]]"

static bool finds(const char *georel, const char *geometry, const char *coordinates,
                  const char *property, const char *attrs)
{
    struct error e = {0};
    struct geo_query g;
    enum err rc = query_parse_geo(&lab, str_c(georel), str_c(geometry), str_c(coordinates),
                                  str_c(property), ld_core(), &g, &e);
    if (rc)
        fail_msg("%s %s %s: %s", georel, geometry, coordinates, e.text);
    struct entity_query q = {.geo = &g};
    bool hit = false;
    assert_int_equal(query_holds(&q, lab_entity(attrs), &hit, &e), OK);
    entity_query_release(&q);
    return hit;
}

static enum err refused(const char *georel, const char *geometry, const char *coordinates)
{
    struct error e = {0};
    struct geo_query g;
    enum err rc = query_parse_geo(&lab, str_c(georel), str_c(geometry), str_c(coordinates),
                                  STR_NONE, ld_core(), &g, &e);
    if (!rc)
        fail_msg("%s %s %s was accepted", georel, geometry, coordinates);
    assert_int_equal(rc, e.code);
    assert_true(e.text[0] != 0);
    return rc;
}

#define PLACE(geometry) "'" LOCATION "': [{'type': 'GeoProperty', 'value': " geometry "}]"
#define POINT(xy)       PLACE("{'type': 'Point', 'coordinates': " xy "}")

static void near(void **state)
{
    (void)state;
    /* a thousandth of a degree of latitude is about 111 m */
    const char *there = POINT("[140.1, 36.001]");
    assert_true(finds("near;maxDistance==112", "Point", "[140.1,36]", NULL, there));
    assert_false(finds("near;maxDistance==110", "Point", "[140.1,36]", NULL, there));
    assert_true(finds("near;minDistance==110", "Point", "[140.1,36]", NULL, there));
    assert_false(finds("near;minDistance==112", "Point", "[140.1,36]", NULL, there));
    assert_true(finds("near;maxDistance==1.12e2", "Point", "[140.1,36]", NULL, there));
}

static void relations(void **state)
{
    (void)state;
    const char *inside = POINT("[140.5, 36.5]"), *outside = POINT("[142, 36.5]");
    const char *half = PLACE("{'type': 'Polygon', 'coordinates': "
                             "[[[140.5,36],[142,36],[142,37],[140.5,37],[140.5,36]]]}");
    const char *same = PLACE("{'type': 'Polygon', 'coordinates': " SQUARE "}");
    assert_true(finds("within", "Polygon", SQUARE, NULL, inside));
    assert_false(finds("within", "Polygon", SQUARE, NULL, outside));
    assert_false(finds("within", "Polygon", SQUARE, NULL, half));
    assert_true(finds("intersects", "Polygon", SQUARE, NULL, half));
    assert_true(finds("overlaps", "Polygon", SQUARE, NULL, half));
    assert_false(finds("overlaps", "Polygon", SQUARE, NULL, same));
    assert_true(finds("equals", "Polygon", SQUARE, NULL, same));
    assert_true(finds("contains", "Point", "[140.5,36.5]", NULL, same));
    assert_false(finds("contains", "Point", "[142,36.5]", NULL, same));
    assert_true(finds("disjoint", "Polygon", SQUARE, NULL, outside));
    assert_false(finds("disjoint", "Polygon", SQUARE, NULL, inside));
}

static void only_geo_properties_count(void **state)
{
    (void)state;
    assert_false(finds("disjoint", "Polygon", SQUARE, NULL, ""));
    assert_false(finds("within", "Polygon", SQUARE, NULL,
                       "'" LOCATION "': [{'type': 'Property', 'value': "
                       "{'type': 'Point', 'coordinates': [140.5, 36.5]}}]"));
    assert_false(finds("within", "Polygon", SQUARE, NULL, PLACE("{'type': 'Point'}")));
    assert_false(finds("within", "Polygon", SQUARE, NULL, POINT("[1000, 36.5]")));
}

static void any_instance(void **state)
{
    (void)state;
    const char *two = "'D:area': [{'type': 'GeoProperty', 'value': "
                      "{'type': 'Point', 'coordinates': [0, 0]}}, {'type': 'GeoProperty', "
                      "'datasetId': 'urn:d:2', 'value': "
                      "{'type': 'Point', 'coordinates': [140.5, 36.5]}}]";
    assert_true(finds("within", "Polygon", SQUARE, "area", two));
    assert_false(finds("within", "Polygon", SQUARE, NULL, two));
}

static void bad_parameters(void **state)
{
    (void)state;
    assert_int_equal(refused("near", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("near;maxDistance=5", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("near;maxDistance==0", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("near;maxDistance==-1", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("near;maxDistance==inf", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("near;maxDistance==5m", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("inside", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("within", "Circle", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("within", "GeometryCollection", "[]"), ERR_INVALID);
    assert_int_equal(refused("within", "Point", "[1,2"), ERR_INVALID);
    assert_int_equal(refused("within", "Point", "1,2"), ERR_INVALID);
    assert_int_equal(refused("within", "Point", "[181,2]"), ERR_INVALID);
    assert_int_equal(refused("within", "Polygon", "[[[0,0],[1,1],[0,0]]]"), ERR_INVALID);
    assert_int_equal(refused("within", "Polygon", "[[[0,0],[1,1],[1,0],[0,1],[0,0]]]"),
                     ERR_INVALID);
    assert_int_equal(refused("within", "Point", ""), ERR_INVALID);
    assert_int_equal(refused("", "Point", "[1,2]"), ERR_INVALID);
    assert_int_equal(refused("within", "", "[1,2]"), ERR_INVALID);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_open, lab_close)
    const struct CMUnitTest tests[] = {
        TEST(near),         TEST(relations),      TEST(only_geo_properties_count),
        TEST(any_instance), TEST(bad_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
