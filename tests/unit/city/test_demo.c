/*
 * The demo city: whole and sound after loading, the same at every load, alive afterwards, honest
 * about what is real. Runs on SQLite, and on PostgreSQL when MARUGOTO_TEST_PG names a server.
 */
#include "../store/fixture.h"

#include "core/geo.h"
#include "core/map.h"
#include "demo_impl.h"
#include "link/history.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define START (INT64_C(1795392000) * SECOND_US) /* 2026-11-23T00:00:00Z */

struct lab {
    void *fixture;
    struct clock_fake clock;
    struct link link;
    struct arena arena;
};

static struct lab *lab_new(int64_t at)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    struct error e;
    fixture_new(&lab->fixture);
    lab->clock = clock_fake_at(at);
    lab->link = (struct link){.clock = &lab->clock.base,
                              .options = {.history = true, .entity_bytes = 1 << 20}};
    if (store_open(&lab->link.store, &((struct fixture *)lab->fixture)->options, &lab->clock.base,
                   &link_module, 1, &e))
        fail_msg("%s", e.text);
    return lab;
}

static void lab_free(struct lab *lab)
{
    store_close(lab->link.store);
    fixture_free(&lab->fixture);
    arena_release(&lab->arena);
    free(lab);
}

static void load(struct lab *lab)
{
    struct error e = {0};
    if (demo_load(&lab->link, &e))
        fail_msg("%s", e.text);
}

static struct lab *city; /* loaded once, for the tests that only look */

static int make_city(void **state)
{
    (void)state;
    city = lab_new(START);
    load(city);
    return 0;
}

static int drop_city(void **state)
{
    (void)state;
    lab_free(city);
    return 0;
}

/* --- looking --- */

static struct str iri(const char *name)
{
    return ld_expand(ld_core(), &city->arena, str_c(name));
}

static const struct json *get(struct lab *lab, const char *id, struct entity_row *row)
{
    struct error e;
    struct store_conn *c = store_read(lab->link.store, &e);
    assert_non_null(c);
    enum err err = repo_get(c, &lab->arena, 1, str_c(id), row, &e);
    store_read_done(c);
    return err ? NULL : json_parse(&lab->arena, row->doc, &JSON_DEFAULT, &e);
}

static const struct json *value(const struct json *stored, const char *attr)
{
    const struct json *instances = entity_attr(stored, iri(attr));
    return instances ? instance_value(instance_default(instances)) : NULL;
}

struct listing {
    struct arena *arena;
    VEC(struct str) docs;
};

static bool list_one(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct listing *l = ctx;
    (void)stored;
    *vec_push(l->arena, &l->docs) = str_dup(l->arena, row->doc);
    return true;
}

/* All entities of a type (NULL: all), in order of creation. */
static void list(struct lab *lab, const char *type, struct listing *out)
{
    struct error e;
    struct repo_result result;
    struct entity_query query = {0};
    *out = (struct listing){.arena = &lab->arena};
    if (type)
        query.types = query_parse_types(&lab->arena, iri(type), ld_core(), &QUERY_DEFAULT, &e);
    struct repo_query q = {.query = &query,
                           .tenant = 1,
                           .limit = UINT64_MAX,
                           .clock = &lab->clock.base};
    struct store_conn *c = store_read(lab->link.store, &e);
    assert_non_null(c);
    if (repo_query(c, &q, list_one, out, &result, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
}

static int64_t newest_seq(struct lab *lab)
{
    struct error e;
    int64_t oldest, newest;
    struct store_conn *c = store_read(lab->link.store, &e);
    assert_int_equal(journal_range(c, 1, &oldest, &newest, &e), OK);
    store_read_done(c);
    return newest;
}

/* --- the land --- */

static void towns_lie_in_their_districts(void **state)
{
    struct demo_rng r = {7};
    (void)state;
    for (size_t i = 0; i < DEMO_TOWNS; i++) {
        const struct demo_town *t = &demo_towns[i];
        for (int d = 0; d < DEMO_DISTRICTS; d++)
            assert_int_equal(demo_inside(&demo_districts[d], t->at), d == t->district);
        for (int k = 0; k < 50; k++)
            assert_true(demo_inside(&demo_districts[t->district], demo_near(&r, t)));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(t->name, demo_towns[j].name);
    }
}

static void districts_do_not_overlap(void **state)
{
    struct demo_rng r = {8};
    int hits[DEMO_DISTRICTS] = {0};
    (void)state;
    for (int k = 0; k < 20000; k++) {
        struct demo_point p = {140.0 + 0.18 * demo_unit(&r), 35.94 + 0.31 * demo_unit(&r)};
        int in = 0;
        for (int d = 0; d < DEMO_DISTRICTS; d++)
            if (demo_inside(&demo_districts[d], p)) {
                hits[d]++;
                in++;
            }
        assert_true(in <= 1);
    }
    for (int d = 0; d < DEMO_DISTRICTS; d++)
        assert_true(hits[d] > 500);
}

static void buses_stay_on_their_lines(void **state)
{
    (void)state;
    for (int bus = 0; bus < demo_fleets[DEMO_BUS].n; bus++) {
        struct demo_bus before = demo_bus(bus, START);
        for (int k = 1; k < 3000; k++) {
            struct demo_bus b = demo_bus(bus, START + k * 2 * SECOND_US);
            assert_true(b.bearing >= 0 && b.bearing < 360);
            /* 25 km/h are 14 metres in two seconds */
            assert_true(demo_metres(before.at, b.at) < 15);
            before = b;
        }
    }
}

/* --- what instruments read --- */

static void readings_are_plausible(void **state)
{
    double warmest = -99, coldest = 99, wettest = 0, highest = 0;
    (void)state;
    for (int64_t t = START; t < START + 366 * DAY_US; t += 3 * HOUR_US) {
        struct demo_sky s = demo_sky(3, t);
        struct demo_air a = demo_air(3, t);
        double level = demo_river(2, t);
        assert_true(s.humidity > 0 && s.humidity < 1);
        assert_true(s.pressure > 980 && s.pressure < 1040);
        assert_true(s.wind >= 0 && s.wind < 12 && s.wind_from >= 0 && s.wind_from < 360);
        assert_true(s.rain >= 0 && s.rain < 30);
        assert_true(a.pm25 >= 1 && a.pm25 < 60 && a.pm10 > a.pm25 && a.pm10 < 100);
        assert_true(a.no2 >= 1 && a.no2 < 80 && a.o3 >= 4 && a.o3 < 150);
        assert_true(level > 0 && level < 6);
        warmest = fmax(warmest, s.temperature);
        coldest = fmin(coldest, s.temperature);
        wettest = fmax(wettest, s.rain);
        highest = fmax(highest, level);
    }
    assert_true(warmest > 27 && warmest < 38);
    assert_true(coldest < 2 && coldest > -10);
    assert_true(wettest > 1);
    assert_true(highest > 1.3); /* rain swells the rivers */
}

static void readings_move_in_small_steps(void **state)
{
    (void)state;
    for (int64_t t = START; t < START + 10 * DAY_US; t += 10 * MINUTE_US) {
        struct demo_sky s = demo_sky(1, t), next = demo_sky(1, t + SECOND_US);
        assert_true(fabs(s.temperature - next.temperature) < 0.1 || s.rain > 0 || next.rain > 0);
        assert_true(fabs(demo_river(1, t) - demo_river(1, t + SECOND_US)) < 0.02);
        assert_true(abs(demo_bikes(4, 20, t) - demo_bikes(4, 20, t + SECOND_US)) <= 1);
        for (uint64_t port = 0; port < 4; port++) {
            int there = demo_bikes(port, 20, t), spots = demo_free_spots(port, 100, t);
            assert_true(there >= 0 && there <= 20);
            assert_true(spots >= 0 && spots <= 100);
        }
    }
}

/* --- after loading --- */

static void everything_is_there(void **state)
{
    static const struct {
        const char *type;
        size_t n;
    } want[] = {
        {"AdministrativeArea", 7},  {"EvacuationShelter", 60}, {"AED", 120},
        {"MedicalFacility", 80},    {"GtfsStop", 200},         {"WifiPointOfInterest", 36},
        {"GtfsRoute", 8},           {"Vehicle", 10},           {"BikeHireDockingStation", 40},
        {"AirQualityObserved", 12}, {"WeatherObserved", 12},   {"FloodMonitoring", 6},
        {"OffStreetParking", 12},   {"NoiseLevelObserved", 4}, {"PopulationProjection", 6},
        {"DataSource", 12},         {"Dataset", 15},           {"ImportedDataset", 5}};
    size_t sum = 0;
    struct listing l;
    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        list(city, want[i].type, &l);
        if (l.docs.n != want[i].n)
            fail_msg("%zu entities of type %s, not %zu", l.docs.n, want[i].type, want[i].n);
        sum += l.docs.n;
    }
    list(city, NULL, &l);
    assert_int_equal(l.docs.n, sum);
}

static void places_are_in_the_city(void **state)
{
    struct error e;
    struct listing l;
    size_t n = 0;
    (void)state;
    list(city, NULL, &l);
    for (size_t i = 0; i < l.docs.n; i++) {
        const struct json *stored = json_parse(&city->arena, l.docs.v[i], &JSON_DEFAULT, &e);
        const struct json *where = value(stored, "location");
        if (!where)
            continue;
        const struct geo *g = geo_parse(&city->arena, where, GEO_MAX_POSITIONS, &e);
        if (!g)
            fail_msg("%s", e.text);
        assert_true(g->flat.west >= 140.0 && g->flat.east <= 140.17);
        assert_true(g->flat.south >= 35.94 && g->flat.north <= 36.25);
        n++;
    }
    assert_true(n > 550);
}

static void names_addresses_and_telephones_are_invented(void **state)
{
    struct listing l;
    (void)state;
    list(city, NULL, &l);
    for (size_t i = 0; i < l.docs.n; i++) {
        struct str doc = l.docs.v[i];
        for (ptrdiff_t at; (at = str_find(doc, S("029-"))) >= 0;
             doc = str_from(doc, (size_t)at + 4))
            assert_true(str_starts(str_from(doc, (size_t)at), S("029-000-")));
        assert_true(str_find(l.docs.v[i], S("架空")) >= 0 || /* said in the entity itself */
                    str_find(l.docs.v[i], S("\"demo\"")) >= 0);
    }
}

/* The school in the list of shelters and the one in the list of AEDs are the same school. */
static void places_of_one_name_are_one_place(void **state)
{
    static const char *const lists[] = {"EvacuationShelter", "AED", "WifiPointOfInterest",
                                        "MedicalFacility"};
    struct map places = MAP_INIT;
    struct listing l;
    struct error e;
    size_t met = 0;
    (void)state;
    for (size_t k = 0; k < sizeof(lists) / sizeof(lists[0]); k++) {
        list(city, lists[k], &l);
        for (size_t i = 0; i < l.docs.n; i++) {
            const struct json *v = json_parse(&city->arena, l.docs.v[i], &JSON_DEFAULT, &e);
            const struct json *other = map_get(&places, json_text(value(v, "name")));
            if (!other) {
                map_put(&places, json_text(value(v, "name")), (void *)v);
                continue;
            }
            met++;
            assert_true(json_equal(value(v, "location"), value(other, "location"), true));
            assert_true(json_equal(value(v, "address"), value(other, "address"), true));
            assert_true(json_equal(value(v, "telephone"), value(other, "telephone"), true));
        }
    }
    assert_true(met > 60);
    map_release(&places);
}

static void population_figures_are_real_and_say_their_source(void **state)
{
    struct entity_row row;
    struct listing l;
    struct error e;
    int64_t n;
    (void)state;
    const struct json *area = get(city, DEMO_CITY_ID, &row);
    assert_non_null(area);
    assert_true(json_i64(value(area, "population"), &n));
    assert_int_equal(n, 241656);
    assert_true(str_find(row.doc, S("国勢調査")) >= 0);
    list(city, "PopulationProjection", &l);
    for (size_t i = 0; i < l.docs.n; i++) {
        static const char *const parts[] = {"population0to14", "population15to64",
                                            "population65andOver"};
        const struct json *p = json_parse(&city->arena, l.docs.v[i], &JSON_DEFAULT, &e);
        int64_t total, sum = 0;
        assert_true(json_i64(value(p, "totalPopulation"), &total));
        for (size_t k = 0; k < 3; k++) {
            assert_true(json_i64(value(p, parts[k]), &n));
            sum += n;
        }
        assert_int_equal(sum, total);
        assert_true(str_find(l.docs.v[i], S("国立社会保障・人口問題研究所")) >= 0);
    }
    list(city, "AdministrativeArea", &l);
    for (size_t i = 0; i < l.docs.n; i++)
        assert_true(str_find(l.docs.v[i], S("opulation")) < 0 ||
                    str_find(l.docs.v[i], S("出典：")) >= 0);
}

static size_t findings;

static void finding(void *ctx, const char *what)
{
    (void)ctx;
    print_message("%s\n", what);
    findings++;
}

static void the_store_is_sound(void **state)
{
    struct error e;
    (void)state;
    findings = 0;
    assert_int_equal(store_check(city->link.store, finding, NULL), 0);
    struct store_conn *c = store_read(city->link.store, &e);
    assert_int_equal(repo_check(c, finding, NULL), 0);
    store_read_done(c);
    assert_int_equal(findings, 0);
}

/* --- history --- */

struct series {
    int64_t first, last, previous;
    double value, biggest_step;
    size_t n;
    bool ordered;
};

static bool walk(void *ctx, const struct history_row *row)
{
    struct series *s = ctx;
    assert_true(row->is_number);
    if (s->n++ == 0)
        s->first = row->at;
    else
        s->biggest_step = fmax(s->biggest_step, fabs(row->number - s->value));
    s->ordered = s->n == 1 || (s->ordered && row->at > s->previous);
    s->previous = s->last = row->at;
    s->value = row->number;
    return true;
}

static struct series history_of(struct lab *lab, const char *id, const char *attr)
{
    struct entity_row row = {0};
    struct series s = {0};
    struct history_cut cut;
    struct error e;
    struct str name = iri(attr);
    struct history_query q = {.relation = TIME_ANY,
                              .property = TIME_OBSERVED,
                              .attrs = &name,
                              .n_attrs = 1};
    assert_non_null(get(lab, id, &row));
    struct store_conn *c = store_read(lab->link.store, &e);
    if (history_read(c, row.eid, &q, walk, &s, &cut, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    return s;
}

static void a_day_of_history_leads_to_now(void **state)
{
    static const struct {
        const char *id, *attr;
        double step;
    } want[] = {{"urn:ngsi-ld:WeatherObserved:demo:01", "temperature", 4},
                {"urn:ngsi-ld:AirQualityObserved:demo:12", "pm25", 6},
                {"urn:ngsi-ld:FloodMonitoring:demo:06", "currentLevel", 0.5},
                {"urn:ngsi-ld:BikeHireDockingStation:demo:40", "availableBikeNumber", 12},
                {"urn:ngsi-ld:OffStreetParking:demo:12", "availableSpotNumber", 60}};
    (void)state;
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct series s = history_of(city, want[i].id, want[i].attr);
        assert_int_equal(s.n, 145); /* 144 before, and the state itself */
        assert_true(s.ordered);
        assert_int_equal(s.first, START - DAY_US);
        assert_int_equal(s.last, START);
        assert_true(s.biggest_step < want[i].step);
    }
}

static void censuses_are_the_history_of_the_city(void **state)
{
    (void)state;
    struct series s = history_of(city, DEMO_CITY_ID, "population");
    assert_int_equal(s.n, 9);
    assert_true(s.ordered);
    assert_int_equal(civil_of(s.first, JST_OFFSET_S).year, 1980);
    assert_int_equal(civil_of(s.last, JST_OFFSET_S).year, 2020);
    assert_true(s.value == 241656);
}

/* --- again --- */

static void loading_again_does_nothing(void **state)
{
    (void)state;
    int64_t before = newest_seq(city);
    clock_fake_move(&city->clock, HOUR_US);
    load(city);
    assert_int_equal(newest_seq(city), before);
    clock_fake_move(&city->clock, -HOUR_US);
}

/* Every instant in the text made the same: "YYYY-MM-DDThh:mm:ss...Z". */
static struct str without_times(struct str doc)
{
    char *p = str_z(&city->arena, doc);
    for (size_t i = 0; i + 20 < doc.n; i++)
        if (p[i] == '"' && p[i + 11] == 'T' && p[i + 14] == ':' && p[i + 17] == ':')
            for (size_t k = i + 1; p[k] != '"'; k++)
                p[k] = '.';
    return str_n(p, doc.n);
}

static bool has_readings(struct str doc)
{
    for (int k = 0; k < DEMO_KINDS; k++) {
        struct str id = str_printf(&city->arena, "{\"id\":\"urn:ngsi-ld:%s:", demo_fleets[k].type);
        if (str_starts(doc, id))
            return true;
    }
    return false;
}

static void every_load_gives_the_same_city(void **state)
{
    struct listing here, same, later;
    (void)state;
    list(city, NULL, &here);
    struct lab *twin = lab_new(START);
    load(twin);
    list(twin, NULL, &same);
    assert_int_equal(here.docs.n, same.docs.n);
    for (size_t i = 0; i < here.docs.n; i++)
        if (!str_eq(here.docs.v[i], same.docs.v[i]))
            fail_msg("%s\n%s", here.docs.v[i].p, same.docs.v[i].p);
    lab_free(twin);

    twin = lab_new(START + 1000 * HOUR_US + 345000);
    twin->link.options.history = false;
    load(twin);
    list(twin, NULL, &later);
    assert_int_equal(here.docs.n, later.docs.n);
    for (size_t i = 0; i < here.docs.n; i++) {
        struct str a = without_times(here.docs.v[i]), b = without_times(later.docs.v[i]);
        if (!has_readings(a) && !str_eq(a, b))
            fail_msg("%s\n%s", a.p, b.p);
    }
    lab_free(twin);
}

static void an_interrupted_load_is_completed(void **state)
{
    struct error e = {0};
    struct arena a = ARENA_INIT;
    struct lab *lab = lab_new(START);
    struct listing l;
    (void)state;
    lab->link.options.history = false;
    load(lab);
    struct op list_of[] = {
        {.kind = OP_DELETE_ATTR, .id = S(DEMO_CITY_ID), .attr = iri(DEMO_LOADED)},
        {.kind = OP_DELETE, .id = S("urn:ngsi-ld:AirQualityObserved:demo:03")},
    };
    struct ops ops = {.arena = &a, .ops = list_of, .n = 2};
    assert_int_equal(ops_run(&lab->link, &ops, &e), OK);
    assert_int_equal(list_of[0].result, OK);
    assert_int_equal(list_of[1].result, OK);
    assert_int_equal(demo_present(&lab->link, &e), ERR_NOT_FOUND);
    load(lab);
    assert_int_equal(demo_present(&lab->link, &e), OK);
    list(lab, "AirQualityObserved", &l);
    assert_int_equal(l.docs.n, 12);
    list(lab, "EvacuationShelter", &l);
    assert_int_equal(l.docs.n, 60);
    arena_release(&a);
    lab_free(lab);
}

/* --- afterwards --- */

static void everything_reports_within_three_minutes(void **state)
{
    struct error e = {0};
    struct arena a = ARENA_INIT;
    struct entity_row row;
    int64_t loaded = newest_seq(city);
    (void)state;
    for (uint64_t turn = 0; turn < 90; turn++) {
        clock_fake_move(&city->clock, DEMO_TURN_MS * 1000);
        if (demo_turn(&city->link, turn, &e))
            fail_msg("%s", e.text);
    }
    for (int k = 0; k < DEMO_KINDS; k++) {
        for (int i = 0; i < demo_fleets[k].n; i++) {
            struct str id = demo_fleet_id(&a, (enum demo_kind)k, i);
            assert_non_null(get(city, id.p, &row));
            if ((row.version > loaded) != demo_fleets[k].live)
                fail_msg("%s: live %d, version %lld", id.p, demo_fleets[k].live,
                         (long long)row.version);
        }
    }
    struct series s = history_of(city, "urn:ngsi-ld:WeatherObserved:demo:01", "temperature");
    assert_true(s.n > 145 && s.ordered);
    assert_true(s.biggest_step < 4);
    arena_release(&a);
}

static void what_was_deleted_stays_deleted(void **state)
{
    struct error e = {0};
    struct arena a = ARENA_INIT;
    struct entity_row row;
    struct op op = {.kind = OP_DELETE, .id = S("urn:ngsi-ld:Vehicle:demo:01")};
    struct ops ops = {.arena = &a, .ops = &op, .n = 1};
    (void)state;
    assert_int_equal(ops_run(&city->link, &ops, &e), OK);
    int64_t before = newest_seq(city);
    for (uint64_t turn = 0; turn < 10; turn++)
        assert_int_equal(demo_turn(&city->link, turn, &e), OK);
    assert_null(get(city, "urn:ngsi-ld:Vehicle:demo:01", &row));
    assert_true(newest_seq(city) > before);
    arena_release(&a);
}

static void the_thread_runs_only_where_the_city_is(void **state)
{
    struct lab *empty = lab_new(START);
    (void)state;
    assert_null(demo_start(&empty->link));
    demo_stop(NULL);
    lab_free(empty);
    struct demo *d = demo_start(&city->link);
    assert_non_null(d);
    demo_stop(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(towns_lie_in_their_districts),
        cmocka_unit_test(districts_do_not_overlap),
        cmocka_unit_test(buses_stay_on_their_lines),
        cmocka_unit_test(readings_are_plausible),
        cmocka_unit_test(readings_move_in_small_steps),
        cmocka_unit_test(everything_is_there),
        cmocka_unit_test(places_are_in_the_city),
        cmocka_unit_test(names_addresses_and_telephones_are_invented),
        cmocka_unit_test(places_of_one_name_are_one_place),
        cmocka_unit_test(population_figures_are_real_and_say_their_source),
        cmocka_unit_test(the_store_is_sound),
        cmocka_unit_test(a_day_of_history_leads_to_now),
        cmocka_unit_test(censuses_are_the_history_of_the_city),
        cmocka_unit_test(loading_again_does_nothing),
        cmocka_unit_test(every_load_gives_the_same_city),
        cmocka_unit_test(an_interrupted_load_is_completed),
        cmocka_unit_test(everything_reports_within_three_minutes),
        cmocka_unit_test(what_was_deleted_stays_deleted),
        cmocka_unit_test(the_thread_runs_only_where_the_city_is),
    };
    return cmocka_run_group_tests_name("demo", tests, make_city, drop_city);
}
