/*
 * Real files as cities published them: row counts, what is refused, updates, formats that agree.
 * They do nothing without the shared data.
 */
#include "import_lab.h"

#define TAKAMATSU "municipal/takamatsu/"
#define TSUKUBA   "municipal/tsukuba/"
#define MESSY     "municipal/templates/messy/"

struct real {
    const char *path;
    const char *kind; /* recognised by the header */
    bool told;        /* the header says too little: the kind is named */
    unsigned rows, loaded, rejected;
};

static const struct real files[] = {
    {TAKAMATSU "evacuation_space.xlsx", "evacuation_space", false, 195, 195, 0},
    {TAKAMATSU "evacuation_space_previous.xlsx", "evacuation_space", false, 193, 193, 0},
    {TAKAMATSU "evacuation_space_old.csv", "evacuation_space", false, 193, 193, 0},
    {TAKAMATSU "tsunami_evacuation_building.xlsx", "tsunami_evacuation_building", false, 112, 112,
     0},
    {TAKAMATSU "tsunami_evacuation_building.csv", "tsunami_evacuation_building", false, 113, 113,
     0},
    {TAKAMATSU "aed_location.xlsx", "aed", false, 450, 450, 0},
    {TAKAMATSU "aed_location_old.csv", "aed", false, 514, 514, 0},
    {TAKAMATSU "hospital.xlsx", "hospital", false, 617, 617, 0},
    {TAKAMATSU "hospital.csv", "hospital", false, 628, 628, 0},
    {TAKAMATSU "public_toilet.xlsx", "public_toilet", false, 169, 169, 0},
    {TAKAMATSU "public_toilet.csv", "public_toilet", false, 169, 169, 0},
    {TAKAMATSU "events.xlsx", "event", false, 51, 51, 0},
    {TAKAMATSU "population_202512.xlsx", "population", false, 235, 235, 0},
    {TAKAMATSU "population_202601.xlsx", "population", false, 235, 235, 0},
    {TAKAMATSU "population_202602.xlsx", "population", false, 235, 235, 0},
    {TAKAMATSU "population_202303_old.csv", "population", false, 235, 235, 0},
    {TAKAMATSU "garbage_collection_date.xlsx", "garbage_collection", false, 8, 8, 0},
    {TAKAMATSU "garbage_separation_list.xlsx", "garbage_separation", false, 613, 606, 0},
    {TAKAMATSU "garbage_separation_list_old.csv", "garbage_separation", false, 613, 606, 0},
    {TAKAMATSU "community_center.xlsx", "public_facility", true, 52, 52, 0},
    {TAKAMATSU "regional_comprehensive_support_center.xlsx", "public_facility", true, 7, 7, 0},
    {TAKAMATSU "elderly_welfare_facility.xlsx", "care_service", false, 47, 47, 0},
    {TAKAMATSU "elderly_welfare_facility.csv", "care_service", false, 47, 47, 0},
    {TAKAMATSU "polling_place_list.xlsx", "polling_place", false, 70, 70, 0},
    {TAKAMATSU "open_data_list.xlsx", "open_data_list", false, 113, 113, 0},
    {TSUKUBA "nurseries-2026.csv", "preschool", false, 119, 119, 0},
    {MESSY "tsukuba_nurseries_sjis.csv", "preschool", false, 119, 119, 0},
    {MESSY "takamatsu_public_toilet_utf16le.tsv", "public_toilet", false, 169, 169, 0},
    {"shelters/nanao-2024/reference_data.csv", "evacuation_space", false, 112, 112, 0},
};

static void test_every_file(void **state)
{
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const struct real *f = &files[i];
        lab->job.dataset = str_printf(&lab->arena, "set%zu", i);
        lab_import(lab, f->told ? f->kind : NULL, f->path);
        const struct import_report *r = &lab->report;
        if (getenv("IMPORT_SHOW")) {
            fprintf(stderr, "== %s\n", f->path);
            lab_show(lab);
        }
        bool as_told = str_eq(r->kind, str_c(f->kind)) && r->rows == f->rows &&
                       r->created == f->loaded && r->rejected == f->rejected;
        if (!as_told)
            lab_show(lab);
        assert_true(as_told);
    }
}

/* --- templates --- */

static const struct {
    const char *file, *kind;
} templates[] = {
    {"aed", "aed"},
    {"care_service", "care_service"},
    {"cultural_property", "cultural_property"},
    {"evacuation_space", "evacuation_space"},
    {"event", "event"},
    {"fire_hydrant", "fire_hydrant"},
    {"food_business_all", "food_business"},
    {"food_business_new_yyyymmdd_yyyymmdd", "food_business"},
    {"hospital", "hospital"},
    {"open_data_list", "open_data_list"},
    {"population_yyyymmdd", "population"},
    {"preschool", "preschool"},
    {"public_facility", "public_facility"},
    {"public_toilet", "public_toilet"},
    {"public_wireless_lan", "public_wireless_lan"},
    {"tourism", "tourism"},
};

/* The header alone, without the help of the file's name, tells the kind; every column is known. */
static void test_templates(void **state)
{
    struct lab *lab = *state;
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
        const char *path =
            arena_printf(&lab->arena, "municipal/templates/xxxxxx_%s.csv", templates[i].file);
        struct str bytes = lab_file(lab, path);
        if (lab_import_bytes(lab, NULL, "file.csv", bytes))
            fail_msg("%s: %s", path, lab->error.text);
        if (!str_eq(lab->report.kind, str_c(templates[i].kind)) ||
            lab_problems(lab, "unknown_column")) {
            lab_show(lab);
            fail_msg("%s was taken for %.*s", path, (int)lab->report.kind.n, lab->report.kind.p);
        }
        assert_int_equal(lab->report.rows, 0);
    }
}

/* --- again and newer --- */

static void test_newer_edition(void **state)
{
    struct lab *lab = *state;
    lab_import(lab, NULL, TAKAMATSU "evacuation_space_previous.xlsx");
    assert_counts(lab, 193, 0, 0, 0);
    lab_import(lab, NULL, TAKAMATSU "evacuation_space_previous.xlsx");
    assert_counts(lab, 0, 0, 193, 0);
    lab_import(lab, NULL, TAKAMATSU "evacuation_space.xlsx");
    assert_counts(lab, 4, 95, 96, 2);
    assert_int_equal(lab->report.drift.n, 0);
    assert_int_equal(lab_problems(lab, "default_label"), 1);
    assert_int_equal(lab_query(lab, "dataset==\"evacuation_space\"").entities.n, 195);
    assert_int_equal(lab_query(lab, "name==\"香南小学校\"").entities.n, 0);
    const struct json *school = lab_named(lab, "新番丁小学校");
    assert_value(lab, school, "capacity", "1530");
    assert_value(lab, school, "flood", "true");
    assert_value(lab, school, "floodMaximum", "\"conditional\"");
    assert_value(lab, school, "telephone", "\"087-851-1316\"");
    assert_value(lab, school, "address",
                 "{\"streetAddress\":\"高松市錦町2-14-1\",\"addressCountry\":\"JP\"}");
    assert_value(lab, school, "location",
                 "{\"type\":\"Point\",\"coordinates\":[134.0409936,34.34583944]}");
}

/* The old CSV edition has a column less and its position in one cell. */
static void test_older_layout(void **state)
{
    struct lab *lab = *state;
    lab_import(lab, NULL, TAKAMATSU "evacuation_space_old.csv");
    assert_counts(lab, 193, 0, 0, 0);
    assert_value(lab, lab_named(lab, "日新小学校跡施設"), "dataProvider", "\"高松市\"");
    lab_import(lab, NULL, TAKAMATSU "evacuation_space_previous.xlsx");
    assert_int_equal(lab->report.created, 1);           /* 鶴尾中学校跡施設 */
    assert_int_equal(lab->report.deleted, 1);           /* 鶴尾中学校 */
    assert_int_equal(lab_drift(lab, "column_gone"), 1); /* location */
    assert_int_equal(lab_drift(lab, "column_new"), 2);  /* latitude, longitude */
}

/* The same rows in another encoding or format are the same entities. */
static void test_formats_agree(void **state)
{
    struct lab *lab = *state;
    lab_import(lab, NULL, TAKAMATSU "public_toilet.csv");
    assert_counts(lab, 169, 0, 0, 0);
    lab_import(lab, NULL, MESSY "takamatsu_public_toilet_utf16le.tsv");
    assert_true(str_starts(lab->report.encoding, S("UTF-16LE, tab")));
    assert_counts(lab, 0, 0, 169, 0);
    lab_import(lab, NULL, TAKAMATSU "public_toilet.xlsx");
    assert_int_equal(lab->report.created + lab->report.deleted, 0);
    lab_import(lab, NULL, TSUKUBA "nurseries-2026.csv");
    assert_counts(lab, 119, 0, 0, 0);
    lab_import(lab, NULL, MESSY "tsukuba_nurseries_sjis.csv");
    assert_true(str_starts(lab->report.encoding, S("CP932")));
    assert_int_equal(lab->report.created + lab->report.deleted, 0);
}

static void test_elderly_csv_and_xlsx(void **state)
{
    struct lab *lab = *state;
    lab_import(lab, NULL, TAKAMATSU "elderly_welfare_facility.csv");
    assert_counts(lab, 47, 0, 0, 0);
    lab_import(lab, NULL, TAKAMATSU "elderly_welfare_facility.xlsx");
    assert_int_equal(lab->report.created, lab->report.deleted);
    assert_true(lab->report.created <= 5);
}

/* --- time --- */

struct points {
    size_t n;
    double last;
};

static bool count_point(void *ctx, const struct history_row *row)
{
    struct points *p = ctx;
    p->n++;
    p->last = row->number;
    return true;
}

static struct points history_of(struct lab *lab, int64_t eid, const char *attr)
{
    struct points p = {0, 0};
    struct str iri = ld_expand(ld_core(), &lab->arena, str_c(attr));
    struct history_query q = {.property = TIME_OBSERVED, .attrs = &iri, .n_attrs = 1, .max = 10000};
    struct history_cut cut;
    struct error e = {0};
    struct store_conn *c = store_read(lab->link.store, &e);
    assert_non_null(c);
    if (history_read(c, eid, &q, count_point, &p, &cut, &e))
        fail_msg("%s", e.text);
    store_read_done(c);
    return p;
}

static void test_population_by_month(void **state)
{
    struct lab *lab = *state;
    static const char *const months[] = {"202512", "202601", "202602"};
    for (size_t i = 0; i < 3; i++) {
        lab_import(lab, NULL, arena_printf(&lab->arena, TAKAMATSU "population_%s.xlsx", months[i]));
        assert_int_equal(lab->report.created, i ? 0 : 235);
        assert_int_equal(lab->report.updated, i ? 235 : 0);
        assert_int_equal(lab->report.deleted, 0);
    }
    struct lab_list l = lab_query(lab, "name==\"塩屋町\"");
    assert_int_equal(l.entities.n, 1);
    assert_value(lab, l.entities.v[0], "totalPopulation", "402");
    assert_true(str_eq(lab_observed(lab, l.entities.v[0], "totalPopulation"),
                       S("2026-01-31T15:00:00.000Z")));
    struct points p = history_of(lab, l.eids.v[0], "totalPopulation");
    assert_int_equal(p.n, 3);
    assert_int_equal(p.last, 402);
    const struct json *ages = lab_value(lab, l.entities.v[0], "ageGroups");
    assert_int_equal(ages->n, 18);
    struct str first = json_to_text(&lab->arena, json_at(ages, 0));
    assert_true(str_eq(first, S("{\"from\":0,\"to\":4,\"male\":16,\"female\":10}")));
    struct str last = json_to_text(&lab->arena, json_at(ages, 17));
    assert_true(str_eq(last, S("{\"from\":85,\"male\":2,\"female\":10}")));
}

static void test_mojibake_is_refused(void **state)
{
    struct lab *lab = *state;
    struct str bytes = lab_file(lab, TAKAMATSU "population_202304_mojibake.xlsx");
    assert_int_equal(lab_import_bytes(lab, "population", "p.xlsx", bytes), ERR_INVALID);
    assert_int_equal(lab_problems(lab, "mojibake"), 1);
    assert_true(lab->report.refused.n > 0);
    assert_int_equal(lab->report.created, 0);
    assert_int_equal(lab_query(lab, "dataset==\"population\"").entities.n, 0);
}

static void test_bus_stops(void **state)
{
    struct lab *lab = *state;
    lab_import(lab, NULL, "gtfs/yamanashi.zip");
    assert_counts(lab, 2196, 0, 0, 0);
    assert_true(str_eq(lab->report.type, S("GtfsStop")));
    lab_import(lab, NULL, "gtfs/yamanashi.zip");
    assert_counts(lab, 0, 0, 2196, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(test_every_file),          LAB_TEST(test_templates),
        LAB_TEST(test_newer_edition),       LAB_TEST(test_older_layout),
        LAB_TEST(test_formats_agree),       LAB_TEST(test_elderly_csv_and_xlsx),
        LAB_TEST(test_population_by_month), LAB_TEST(test_mojibake_is_refused),
        LAB_TEST(test_bus_stops),
    };
    return lab_has_data() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
