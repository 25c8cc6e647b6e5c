/*
 * Operations in one transaction: each has a result of its own, later ones see what earlier ones
 * did, and what changes nothing leaves no trace.
 */
#include <stdlib.h>
#include <string.h>

#include "../store/fixture.h"
#include "expiry.h"
#include "link/ops.h"

struct world {
    void *fixture;
    struct store *store;
    struct link link;
    struct clock_fake clock;
    struct arena arena;
};

static int make_world(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    struct error e;
    fixture_new(&w->fixture);
    struct fixture *f = w->fixture;
    w->clock = clock_fake_at(INT64_C(1700000000) * SECOND_US);
    if (store_open(&w->store, &f->options, &w->clock.base, &link_module, 1, &e))
        fail_msg("%s", e.text);
    struct config_bind bind = {&link_config, &w->link.options};
    config_defaults(&bind);
    w->link.store = w->store;
    w->link.clock = &w->clock.base;
    *state = w;
    return 0;
}

static int drop_world(void **state)
{
    struct world *w = *state;
    store_close(w->store);
    arena_release(&w->arena);
    int rc = fixture_free(&w->fixture);
    free(w);
    return rc;
}

static const struct json *expand(struct world *w, const char *text, enum entity_in mode)
{
    struct error e;
    const struct json *v =
        json_parse(&w->arena, str_dup(&w->arena, str_c(text)), &JSON_DEFAULT, &e);
    assert_non_null(v);
    v = entity_expand(&w->arena, v, mode, false, ld_core(), &e);
    if (!v)
        fail_msg("%s", e.text);
    return v;
}

static struct op whole(struct world *w, enum op_kind kind, const char *text)
{
    const struct json *in = expand(w, text, ENTITY_WHOLE);
    return (struct op){.kind = kind, .id = entity_id(in), .input = in};
}

static struct op part(struct world *w, enum op_kind kind, const char *id, const char *text)
{
    enum entity_in mode = kind == OP_MERGE ? ENTITY_MERGE : ENTITY_FRAGMENT;
    return (struct op){.kind = kind, .id = str_c(id), .input = text ? expand(w, text, mode) : NULL};
}

static enum err run_as(struct world *w, const char *tenant, struct op *ops, size_t n)
{
    struct error e;
    struct ops all = {.arena = &w->arena, .tenant = str_c(tenant), .ops = ops, .n = n};
    clock_fake_move(&w->clock, SECOND_US);
    return ops_run(&w->link, &all, &e);
}

static void run(struct world *w, struct op *ops, size_t n)
{
    assert_int_equal(run_as(w, "", ops, n), OK);
}

static const struct json *state_of(struct world *w, const char *id, struct entity_row *row)
{
    struct error e;
    struct store_conn *c = store_read(w->store, &e);
    assert_non_null(c);
    enum err err = repo_get(c, &w->arena, 1, str_c(id), row, &e);
    store_read_done(c);
    return err ? NULL : json_parse(&w->arena, row->doc, &JSON_DEFAULT, &e);
}

static double number_of(const struct json *stored, const char *attr)
{
    double v = -1;
    for (uint32_t i = 0; i < stored->n; i++)
        if (str_ends(json_key(&stored->members[i]), str_c(attr)))
            json_double(instance_value(&stored->members[i].value.items[0]), &v);
    return v;
}

static void one_that_fails_leaves_the_others_alone(void **state)
{
    struct world *w = *state;
    struct op ops[] = {
        whole(w, OP_CREATE, "{\"id\":\"urn:x:1\",\"type\":\"T\",\"a\":1}"),
        whole(w, OP_CREATE, "{\"id\":\"urn:x:1\",\"type\":\"T\",\"a\":2}"),
        part(w, OP_DELETE, "urn:x:none", NULL),
        part(w, OP_APPEND, "urn:x:1", "{\"b\":3}"),
        whole(w, OP_UPSERT, "{\"id\":\"urn:x:2\",\"type\":\"T\",\"a\":4}"),
    };
    struct entity_row row;
    run(w, ops, 5);
    assert_int_equal(ops[0].result, OK);
    assert_int_equal(ops[1].result, ERR_EXISTS);
    assert_int_equal(ops[2].result, ERR_NOT_FOUND);
    assert_int_equal(ops[3].result, OK);
    assert_true(ops[0].created && !ops[3].created && ops[4].created);
    const struct json *v = state_of(w, "urn:x:1", &row);
    assert_true(number_of(v, "/a") == 1 && number_of(v, "/b") == 3);
    assert_int_equal(row.version, ops[3].seq);
}

static void later_ones_see_earlier_ones(void **state)
{
    struct world *w = *state;
    struct op ops[] = {
        whole(w, OP_UPSERT, "{\"id\":\"urn:x:s\",\"type\":\"T\",\"a\":1,\"b\":1}"),
        part(w, OP_MERGE, "urn:x:s", "{\"a\":2}"),
        part(w, OP_DELETE, "urn:x:s", NULL),
        whole(w, OP_CREATE, "{\"id\":\"urn:x:s\",\"type\":\"T\",\"a\":3}"),
    };
    struct entity_row row;
    run(w, ops, 4);
    const struct json *v = state_of(w, "urn:x:s", &row);
    assert_true(number_of(v, "/a") == 3 && number_of(v, "/b") == -1);
    assert_true(ops[3].created);
}

static void what_changes_nothing_leaves_no_trace(void **state)
{
    struct world *w = *state;
    struct op make = whole(w, OP_UPSERT, "{\"id\":\"urn:x:n\",\"type\":\"T\",\"a\":1}");
    struct op same = part(w, OP_UPDATE, "urn:x:n", "{\"none\":1}");
    struct entity_row before, after;
    run(w, &make, 1);
    state_of(w, "urn:x:n", &before);
    run(w, &same, 1);
    state_of(w, "urn:x:n", &after);
    assert_int_equal(same.result, OK);
    assert_int_equal(same.delta.not_updated.n, 1);
    assert_int_equal(same.seq, 0);
    assert_int_equal(after.version, before.version);
}

static void a_new_expiry_is_a_change(void **state)
{
    struct world *w = *state;
    struct op make = whole(w, OP_UPSERT, "{\"id\":\"urn:x:e\",\"type\":\"T\",\"a\":1}");
    struct op later = part(w, OP_MERGE, "urn:x:e", "{\"expiresAt\":\"2100-01-01T00:00:00Z\"}");
    struct entity_row row;
    run(w, &make, 1);
    run(w, &later, 1);
    assert_true(later.seq > make.seq);
    const struct json *v = state_of(w, "urn:x:e", &row);
    assert_string_equal(str_z(&w->arena, json_text(json_get(v, S("expiresAt")))),
                        "2100-01-01T00:00:00Z");
}

static void versions_and_types_are_conditions(void **state)
{
    struct world *w = *state;
    struct error e;
    struct op make = whole(w, OP_UPSERT, "{\"id\":\"urn:x:c\",\"type\":\"T\",\"a\":1}");
    run(w, &make, 1);
    struct op wrong = part(w, OP_APPEND, "urn:x:c", "{\"a\":2}");
    struct op right = wrong, any = wrong, other = wrong;
    wrong.if_version = S("\"0\", \"999999\"");
    right.if_version = str_printf(&w->arena, "\"0\", W/\"%lld\"", (long long)make.seq);
    any.if_version = S("*");
    other.types = query_parse_types(&w->arena, S("Other"), ld_core(), &QUERY_DEFAULT, &e);
    run(w, &wrong, 1);
    assert_int_equal(wrong.result, ERR_PRECONDITION);
    run(w, &right, 1);
    assert_int_equal(right.result, OK);
    run(w, &any, 1);
    assert_int_equal(any.result, OK);
    run(w, &other, 1);
    assert_int_equal(other.result, ERR_NOT_FOUND);
}

static void entities_do_not_outgrow_their_limit(void **state)
{
    struct world *w = *state;
    char *text = malloc(5000);
    memset(text, 'x', 4999);
    text[4999] = '\0';
    w->link.options.entity_bytes = 8000;
    struct op ops[] = {
        whole(w, OP_UPSERT,
              str_printf(&w->arena, "{\"id\":\"urn:x:big\",\"type\":\"T\",\"a\":\"%s\"}", text).p),
        part(w, OP_APPEND, "urn:x:big", str_printf(&w->arena, "{\"b\":\"%s\"}", text).p),
        part(w, OP_APPEND, "urn:x:big", "{\"c\":1}"),
    };
    struct entity_row row;
    for (size_t i = 0; i < 3; i++)
        ops[i].input_bytes = 5100;
    run(w, ops, 3);
    assert_int_equal(ops[0].result, OK);
    assert_int_equal(ops[1].result, ERR_TOO_LARGE);
    assert_int_equal(ops[2].result, OK);
    const struct json *v = state_of(w, "urn:x:big", &row);
    assert_true(number_of(v, "/c") == 1 && row.doc.n < 8000);
    w->link.options.entity_bytes = 1 << 20;
    free(text);
}

static void tenants_are_made_by_creating_only(void **state)
{
    struct world *w = *state;
    struct op gone = part(w, OP_DELETE, "urn:x:t", NULL);
    struct op make = whole(w, OP_CREATE, "{\"id\":\"urn:x:t\",\"type\":\"T\"}");
    struct entity_row row;
    assert_int_equal(run_as(w, "north", &gone, 1), ERR_NOT_FOUND);
    w->link.options.tenants_auto = false;
    assert_int_equal(run_as(w, "north", &make, 1), ERR_NOT_FOUND);
    w->link.options.tenants_auto = true;
    assert_int_equal(run_as(w, "north", &make, 1), OK);
    assert_int_equal(run_as(w, "north", &gone, 1), OK);
    assert_int_equal(gone.result, OK);
    assert_null(state_of(w, "urn:x:t", &row));
}

static bool is_there(struct world *w, const char *tenant, const char *id)
{
    struct error e;
    struct entity_row row;
    int64_t n;
    struct store_conn *c = store_read(w->store, &e);
    assert_non_null(c);
    assert_int_equal(repo_tenant(c, str_c(tenant), &n, &e), OK);
    enum err err = repo_get(c, &w->arena, n, str_c(id), &row, &e);
    store_read_done(c);
    return err == OK;
}

static void ignore(void *ctx, const char *what)
{
    (void)ctx;
    print_message("%s\n", what);
}

/* What has expired is as good as deleted at once, and is deleted by the next sweep. */
static void expiry(void **state)
{
    struct world *w = *state;
    struct op made[] = {
        whole(w, OP_CREATE,
              "{\"id\":\"urn:e:1\",\"type\":\"T\",\"expiresAt\":\"2023-11-14T22:20:00Z\"}"),
        whole(w, OP_CREATE,
              "{\"id\":\"urn:e:2\",\"type\":\"T\",\"expiresAt\":\"2023-11-14T22:20:00Z\"}"),
        whole(w, OP_CREATE,
              "{\"id\":\"urn:e:3\",\"type\":\"T\",\"expiresAt\":\"2030-01-01T00:00:00Z\"}"),
        whole(w, OP_CREATE, "{\"id\":\"urn:e:4\",\"type\":\"T\"}")};
    assert_int_equal(run_as(w, "", made, 4), OK);
    assert_int_equal(run_as(w, "elsewhere", made, 1), OK);
    struct op later[] = {part(w, OP_MERGE, "urn:e:2", "{\"expiresAt\":\"2030-01-01T00:00:00Z\"}"),
                         part(w, OP_MERGE, "urn:e:3", "{\"expiresAt\":\"2023-11-14T22:21:00Z\"}")};
    assert_int_equal(run_as(w, "", later, 2), OK);
    expiry_run(&w->link);
    assert_true(is_there(w, "", "urn:e:1"));

    clock_fake_move(&w->clock, HOUR_US);
    struct op late[] = {part(w, OP_APPEND, "urn:e:1", "{\"a\":1}"),
                        whole(w, OP_CREATE, "{\"id\":\"urn:e:3\",\"type\":\"U\"}")};
    assert_int_equal(run_as(w, "", late, 2), OK);
    assert_int_equal(late[0].result, ERR_NOT_FOUND);
    assert_int_equal(late[1].result, OK); /* a new one in its place */
    assert_true(late[1].created);
    assert_null(json_get(late[1].delta.after, S("expiresAt")));

    expiry_run(&w->link);
    assert_false(is_there(w, "", "urn:e:1"));
    assert_false(is_there(w, "elsewhere", "urn:e:1"));
    assert_true(is_there(w, "", "urn:e:2"));
    assert_true(is_there(w, "", "urn:e:3"));
    assert_true(is_there(w, "", "urn:e:4"));
    struct error e;
    struct store_conn *c = store_read(w->store, &e);
    assert_int_equal(repo_check(c, ignore, NULL), 0);
    store_read_done(c);
}

/* Attributes whose time is over are deleted one by one, the entity stays. */
static void expiry_of_attributes(void **state)
{
    struct world *w = *state;
    struct op made[] = {
        whole(w, OP_CREATE,
              "{\"id\":\"urn:e:1\",\"type\":\"T\",\"a\":{\"value\":1,\"expiresAt\":\"2023-11-14T22:"
              "20:00Z\"},"
              "\"b\":[{\"value\":2},{\"value\":3,\"datasetId\":\"urn:d\",\"expiresAt\":\"2023-11-"
              "14T22:20:"
              "00Z\"}],\"c\":{\"value\":4,\"expiresAt\":\"2030-01-01T00:00:00Z\"}}"),
        whole(w, OP_CREATE,
              "{\"id\":\"urn:e:2\",\"type\":\"T\",\"a\":{\"value\":1,\"expiresAt\":\"2023-11-14T22:"
              "20:"
              "00Z\"}}")};
    assert_int_equal(run_as(w, "", made, 2), OK);
    struct op kept = part(w, OP_APPEND, "urn:e:2", "{\"a\":{\"value\":2}}");
    assert_int_equal(run_as(w, "", &kept, 1), OK);
    clock_fake_move(&w->clock, HOUR_US);
    expiry_run(&w->link);
    struct op look[] = {part(w, OP_APPEND, "urn:e:1", "{\"z\":1}"),
                        part(w, OP_APPEND, "urn:e:2", "{\"z\":1}")};
    assert_int_equal(run_as(w, "", look, 2), OK);
    const struct json *v = look[0].delta.after;
    assert_null(entity_attr(v, S(LD_DEFAULT_PREFIX "a")));
    assert_int_equal(entity_attr(v, S(LD_DEFAULT_PREFIX "b"))->n, 1);
    assert_non_null(entity_attr(v, S(LD_DEFAULT_PREFIX "c")));
    assert_non_null(entity_attr(look[1].delta.after, S(LD_DEFAULT_PREFIX "a")));
    struct error e;
    struct store_conn *c = store_read(w->store, &e);
    assert_int_equal(repo_check(c, ignore, NULL), 0);
    store_read_done(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_fails_leaves_the_others_alone),
        cmocka_unit_test(later_ones_see_earlier_ones),
        cmocka_unit_test(what_changes_nothing_leaves_no_trace),
        cmocka_unit_test(a_new_expiry_is_a_change),
        cmocka_unit_test(versions_and_types_are_conditions),
        cmocka_unit_test(entities_do_not_outgrow_their_limit),
        cmocka_unit_test(tenants_are_made_by_creating_only),
        cmocka_unit_test(expiry),
        cmocka_unit_test(expiry_of_attributes),
    };
    return cmocka_run_group_tests_name("link/ops", tests, make_world, drop_world);
}
