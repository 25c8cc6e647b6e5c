/*
 * import_lab.h - a small city for the tests of importing: a store in a folder of its own, a clock
 * that stands still, files read from the shared data, entities looked up by id or counted.
 */
#ifndef IMPORT_LAB_H
#define IMPORT_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../store/fixture.h"
#include "core/datetime.h"
#include "core/table.h"
#include "link/history.h"
#include "link/import.h"
#include "link/ops.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct lab {
    struct fixture *fixture;
    struct clock_fake clock;
    struct link link;
    struct arena arena;
    struct import_job job; /* what the next import does */
    struct import_report report;
    struct error error;
};

static inline int lab_up(void **state)
{
    struct lab *lab = calloc(1, sizeof(*lab));
    struct error e = {0};
    void *fixture = NULL;
    assert_non_null(lab);
    fixture_new(&fixture);
    lab->fixture = fixture;
    lab->clock = clock_fake_at(INT64_C(1790000000000000));
    lab->fixture->options.durability = "none";
    if (store_open(&lab->link.store, &lab->fixture->options, &lab->clock.base, &link_module, 1, &e))
        fail_msg("%s", e.text);
    lab->fixture->store = lab->link.store;
    lab->link.clock = &lab->clock.base;
    lab->link.options.history = true;
    lab->link.options.tenants_auto = true;
    lab->link.contexts = ld_contexts_new(NULL, &lab->clock.base, NULL, &e);
    assert_non_null(lab->link.contexts);
    *state = lab;
    return 0;
}

static inline int lab_down(void **state)
{
    struct lab *lab = *state;
    void *fixture = lab->fixture;
    ld_contexts_free(lab->link.contexts);
    fixture_free(&fixture);
    arena_release(&lab->arena);
    free(lab);
    return 0;
}

#define LAB_TEST(fn) cmocka_unit_test_setup_teardown(fn, lab_up, lab_down)

/* --- files --- */

static inline const char *lab_path(struct arena *a, const char *path)
{
    const char *shared = getenv("MARUGOTO_SHARED");
    return arena_printf(a, "%s/data/%s", shared ? shared : "../shared", path);
}

/* Tests of real files do nothing where the shared data is not. */
static inline bool lab_has_data(void)
{
    struct arena a = ARENA_INIT;
    bool there = access(lab_path(&a, "README.md"), R_OK) == 0;
    arena_release(&a);
    if (!there)
        printf("1..0 # SKIP no shared data\n");
    return there;
}

/* A file of the shared data. */
static inline struct str lab_file(struct lab *lab, const char *path)
{
    FILE *f = fopen(lab_path(&lab->arena, path), "rb");
    if (!f)
        fail_msg("%s is not there", path);
    fseek(f, 0, SEEK_END);
    long n = ftell(f);
    rewind(f);
    char *p = arena_alloc(&lab->arena, (size_t)n + 1);
    assert_int_equal(fread(p, 1, (size_t)n, f), n);
    fclose(f);
    return str_n(p, (size_t)n);
}

/* --- importing --- */

static inline enum err lab_import_bytes(struct lab *lab, const char *kind, const char *name,
                                        struct str bytes)
{
    lab->job.link = &lab->link;
    lab->job.arena = &lab->arena;
    lab->job.bytes = bytes;
    lab->job.name = str_c(name);
    lab->job.kind = str_c(kind);
    lab->error.text[0] = '\0';
    lab->clock.at += SECOND_US;
    return import_run(&lab->job, &lab->report, &lab->error);
}

static inline enum err lab_import_text(struct lab *lab, const char *kind, const char *text)
{
    return lab_import_bytes(lab, kind, "test.csv", str_c(text));
}

static inline void lab_show(const struct lab *lab)
{
    struct buf b = BUF_INIT;
    import_report_text(&b, &lab->report);
    fprintf(stderr, "%s%s\n", b.p, lab->error.text);
    buf_release(&b);
}

/* Import a real file; skips the test where it is not. */
static inline void lab_import(struct lab *lab, const char *kind, const char *path)
{
    struct str bytes = lab_file(lab, path);
    const char *slash = strrchr(path, '/');
    if (lab_import_bytes(lab, kind, slash ? slash + 1 : path, bytes)) {
        lab_show(lab);
        fail_msg("%s: %s", path, lab->error.text);
    }
}

#define assert_counts(lab, want_created, want_updated, want_unchanged, want_deleted)               \
    do {                                                                                           \
        const struct import_report *r_ = &(lab)->report;                                           \
        if (r_->created != (want_created) || r_->updated != (want_updated) ||                      \
            r_->unchanged != (want_unchanged) || r_->deleted != (want_deleted)) {                  \
            lab_show(lab);                                                                         \
            fail_msg("created %d updated %d unchanged %d deleted %d", (int)r_->created,            \
                     (int)r_->updated, (int)r_->unchanged, (int)r_->deleted);                      \
        }                                                                                          \
    } while (0)

/* Problems with this reason. */
static inline size_t lab_problems(const struct lab *lab, const char *reason)
{
    size_t n = 0;
    for (size_t i = 0; i < lab->report.problems.n; i++)
        n += str_eq(lab->report.problems.v[i].reason, str_c(reason));
    return n;
}

static inline const struct import_problem *lab_problem(const struct lab *lab, const char *reason)
{
    for (size_t i = 0; i < lab->report.problems.n; i++)
        if (str_eq(lab->report.problems.v[i].reason, str_c(reason)))
            return &lab->report.problems.v[i];
    return NULL;
}

static inline size_t lab_drift(const struct lab *lab, const char *reason)
{
    size_t n = 0;
    for (size_t i = 0; i < lab->report.drift.n; i++)
        n += str_eq(lab->report.drift.v[i].reason, str_c(reason));
    return n;
}

/* --- looking --- */

struct lab_list {
    struct lab *lab;
    VEC(const struct json *) entities; /* stored form */
    VEC(int64_t) eids;
};

static inline bool lab_collect(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct lab_list *l = ctx;
    struct json *copy = ARENA_NEW(&l->lab->arena, struct json);
    *copy = json_copy(&l->lab->arena, stored);
    *vec_push(&l->lab->arena, &l->entities) = copy;
    *vec_push(&l->lab->arena, &l->eids) = row->eid;
    return true;
}

/* Entities that match a q expression. */
static inline struct lab_list lab_query(struct lab *lab, const char *q)
{
    struct lab_list l = {.lab = lab, .entities = VEC_INIT, .eids = VEC_INIT};
    struct entity_query query = {0};
    struct repo_result result;
    struct error e = {0};
    struct repo_query rq = {.query = &query,
                            .tenant = 1,
                            .limit = UINT64_MAX,
                            .clock = lab->link.clock};
    query.q = query_parse_q(&lab->arena, str_c(q), ld_core(), NULL, 0, &QUERY_DEFAULT, &e);
    if (!query.q)
        fail_msg("%s", e.text);
    struct store_conn *c = store_read(lab->link.store, &e);
    assert_non_null(c);
    assert_int_equal(repo_query(c, &rq, lab_collect, &l, &result, &e), OK);
    store_read_done(c);
    query_q_release(query.q);
    return l;
}

/* The value of an attribute's default instance; NULL when it has none. */
static inline const struct json *lab_value(struct lab *lab, const struct json *stored,
                                           const char *attr)
{
    struct str iri = ld_expand(ld_core(), &lab->arena, str_c(attr));
    return json_get(instance_default(entity_attr(stored, iri)), S("value"));
}

static inline struct str lab_observed(struct lab *lab, const struct json *stored, const char *attr)
{
    struct str iri = ld_expand(ld_core(), &lab->arena, str_c(attr));
    return json_text(json_get(instance_default(entity_attr(stored, iri)), S("observedAt")));
}

/* The only entity with this name. */
static inline const struct json *lab_named(struct lab *lab, const char *name)
{
    struct lab_list l = lab_query(lab, arena_printf(&lab->arena, "name==\"%s\"", name));
    if (l.entities.n != 1)
        fail_msg("%zu entities are called %s", l.entities.n, name);
    return l.entities.v[0];
}

static inline void assert_value(struct lab *lab, const struct json *stored, const char *attr,
                                const char *want_json)
{
    const struct json *v = lab_value(lab, stored, attr);
    struct str got = v ? json_to_text(&lab->arena, v) : S("(none)");
    if (!str_eq(got, str_c(want_json)))
        fail_msg("%s is %.*s, not %s", attr, (int)got.n, got.p, want_json);
}

static inline double lab_sum(struct lab *lab, const char *q, const char *attr)
{
    struct lab_list l = lab_query(lab, q);
    double sum = 0, v;
    for (size_t i = 0; i < l.entities.n; i++)
        if (json_double(lab_value(lab, l.entities.v[i], attr), &v))
            sum += v;
    return sum;
}

#endif
