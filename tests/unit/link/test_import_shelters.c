/*
 * The open shelters of Nanao after the Noto earthquake, 117 snapshots replayed in order: what is
 * open, how many people, the history of each shelter. Nothing is done without the shared data.
 */
#include "import_lab.h"

#include <dirent.h>

#define HISTORY "shelters/nanao-2024/history"
#define OPEN    "dataset==\"open_shelter\";status==\"open\""

enum { SNAPSHOTS = 117, ROWS = 1466, SHELTERS = 34 };

static int by_name(const void *x, const void *y)
{
    return strcmp(*(const char *const *)x, *(const char *const *)y);
}

/* Names of the snapshots in order of time; 0 without the data. */
static size_t snapshots(struct lab *lab, const char **names)
{
    DIR *dir = opendir(lab_path(&lab->arena, HISTORY));
    struct dirent *d;
    size_t n = 0;
    if (!dir)
        return 0;
    while ((d = readdir(dir)) && n < SNAPSHOTS)
        if (strstr(d->d_name, ".csv"))
            names[n++] = arena_dup(&lab->arena, d->d_name, strlen(d->d_name));
    closedir(dir);
    qsort(names, n, sizeof(*names), by_name);
    return n;
}

static void import_snapshot(struct lab *lab, const char *name)
{
    lab_import(lab, NULL, arena_printf(&lab->arena, HISTORY "/%s", name));
    assert_true(str_eq(lab->report.kind, S("open_shelter")));
    assert_int_equal(lab->report.rejected, 0);
    assert_int_equal(lab->report.deleted, 0);
}

/* --- what the files say, read without the importer --- */

struct expected {
    struct str id;
    size_t points;   /* files that list it */
    double sum;      /* of its headcounts */
    bool in_last;    /* the newest file lists it */
    size_t closings; /* times that it vanished */
};

struct truth {
    struct expected of[SHELTERS + 8];
    size_t n, rows;
    double last_total;
};

static void read_snapshot(struct lab *lab, struct truth *t, const char *name)
{
    struct str bytes = lab_file(lab, arena_printf(&lab->arena, HISTORY "/%s", name));
    struct error e;
    struct table_row row;
    struct table *table = table_open(bytes, str_c(name), &TABLE_DEFAULT, &e);
    bool listed[SHELTERS + 8] = {false};
    assert_non_null(table);
    t->last_total = 0;
    while (table_next(table, &lab->arena, &row, &e) == TABLE_ROW) {
        double people;
        size_t i = 0;
        if (row.number == 1)
            continue;
        while (i < t->n && !str_eq(t->of[i].id, row.cells[0].text))
            i++;
        if (i == t->n)
            t->of[t->n++].id = row.cells[0].text;
        assert_true(str_to_double(row.cells[3].text, &people));
        t->of[i].points++;
        t->of[i].sum += people;
        t->last_total += people;
        listed[i] = true;
        t->rows++;
    }
    table_close(table);
    for (size_t i = 0; i < t->n; i++) {
        t->of[i].closings += t->of[i].in_last && !listed[i];
        t->of[i].in_last = listed[i];
    }
}

struct points {
    size_t n;
    double sum;
};

static bool add_point(void *ctx, const struct history_row *row)
{
    struct points *p = ctx;
    p->n++;
    p->sum += row->number;
    return true;
}

static struct points history_of(struct lab *lab, int64_t eid)
{
    struct points p = {0, 0};
    struct str iri = ld_expand(ld_core(), &lab->arena, S("occupancy"));
    struct history_query q = {.property = TIME_OBSERVED, .attrs = &iri, .n_attrs = 1, .max = 10000};
    struct history_cut cut;
    struct error e = {0};
    struct store_conn *c = store_read(lab->link.store, &e);
    assert_non_null(c);
    assert_int_equal(history_read(c, eid, &q, add_point, &p, &cut, &e), OK);
    store_read_done(c);
    return p;
}

static void check_shelter(struct lab *lab, const struct expected *x)
{
    struct lab_list all = lab_query(lab, "dataset==\"open_shelter\"");
    for (size_t i = 0; i < all.entities.n; i++) {
        const struct json *entity = all.entities.v[i];
        if (!str_ends(entity_id(entity), x->id))
            continue;
        struct points p = history_of(lab, all.eids.v[i]);
        if (p.n != x->points + x->closings || p.sum != x->sum)
            fail_msg("%.*s: %zu points, %g people; the files have %zu and %g", (int)x->id.n,
                     x->id.p, p.n, p.sum, x->points + x->closings, x->sum);
        assert_value(lab, entity, "status", x->in_last ? "\"open\"" : "\"closed\"");
        return;
    }
    fail_msg("shelter %.*s is not there", (int)x->id.n, x->id.p);
}

static void test_replay(void **state)
{
    struct lab *lab = *state;
    const char *names[SNAPSHOTS];
    struct truth *truth = ARENA_NEW(&lab->arena, struct truth);
    assert_int_equal(snapshots(lab, names), SNAPSHOTS);
    for (size_t i = 0; i < SNAPSHOTS; i++) {
        read_snapshot(lab, truth, names[i]);
        import_snapshot(lab, names[i]);
        double open = lab_sum(lab, OPEN, "occupancy");
        if (open != truth->last_total)
            fail_msg("%s: %g people, the file has %g", names[i], open, truth->last_total);
        if (i == 0)
            assert_int_equal(open, 1886);
    }
    assert_int_equal(truth->rows, ROWS);
    assert_int_equal(truth->n, SHELTERS);
    assert_int_equal(lab_sum(lab, OPEN, "occupancy"), 40);
    assert_int_equal(lab_sum(lab, "dataset==\"open_shelter\"", "occupancy"), 40);
    assert_int_equal(lab_query(lab, "dataset==\"open_shelter\"").entities.n, SHELTERS);
    for (size_t i = 0; i < truth->n; i++)
        check_shelter(lab, &truth->of[i]);
}

/* The first layout tells the time in the column's name, the others in a column of its own. */
static void test_layouts(void **state)
{
    struct lab *lab = *state;
    const char *names[SNAPSHOTS];
    assert_int_equal(snapshots(lab, names), SNAPSHOTS);
    import_snapshot(lab, names[0]);
    assert_counts(lab, 29, 0, 0, 0);
    const struct json *school = lab_named(lab, "山王小学校");
    assert_value(lab, school, "occupancy", "180");
    assert_true(str_eq(lab_observed(lab, school, "occupancy"), S("2024-01-09T09:00:00.000Z")));
    assert_value(lab, school, "capacity", "480");
    assert_value(lab, school, "capacityNote", "\"屋内480人／屋外3,350人(面積の1/2)\"");
    assert_value(lab, school, "earthquake", "true");
    assert_value(lab, school, "nameKana", "\"サンノウショウガッコウ\"");
    assert_null(lab_value(lab, school, "volcano"));
    import_snapshot(lab, names[1]);
    assert_int_equal(lab_drift(lab, "column_gone"), 2); /* kana and romaji */
    assert_int_equal(lab_drift(lab, "column_new"), 1);  /* 時点 */
    import_snapshot(lab, "open_shelter_Nanao-shi_2024-06-20-1200.csv");
    assert_int_equal(lab_problems(lab, "unknown_column"), 0); /* geometry is known, and skipped */
}

/* An older snapshot after a newer one does not turn time back. */
static void test_late_file(void **state)
{
    struct lab *lab = *state;
    const char *names[SNAPSHOTS];
    assert_int_equal(snapshots(lab, names), SNAPSHOTS);
    import_snapshot(lab, names[1]);
    double after = lab_sum(lab, OPEN, "occupancy");
    import_snapshot(lab, names[0]);
    assert_int_equal(lab_problems(lab, "older_than_stored"), 1);
    assert_value(lab, lab_named(lab, "御祓地区コミュニティセンター"), "occupancy", "123");
    import_snapshot(lab, names[1]);
    assert_true(lab_sum(lab, OPEN, "occupancy") == after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(test_replay),
        LAB_TEST(test_layouts),
        LAB_TEST(test_late_file),
    };
    return lab_has_data() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
