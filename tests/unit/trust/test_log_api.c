/*
 * The log as it is published, over a real server: read by our own verifier, and by one that is made
 * of another implementation's packages where MARUGOTO_LOG_VERIFIER names it.
 */
#include "../store/fixture.h"
#include "http/server.h"
#include "trust/verify.h"
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static struct arena arena = ARENA_INIT;
static struct trust trust;
static struct router *router;
static struct server *server;
static struct client *client;
static struct note_key key;

static int open_city(void **state)
{
    fixture_new(state);
    struct fixture *f = *state;
    struct error e = {0};
    struct http_options http;
    struct client_options outgoing;
    config_defaults(&(struct config_bind){&http_config, &http});
    config_defaults(&(struct config_bind){&client_config, &outgoing});
    http.port = 0;
    http.address = "127.0.0.1";
    http.rate_per_s = 0;
    http.access_log = false;
    outgoing.allow_private = true;
    trust = (struct trust){.clock = &clock_system, .data_dir = f->folder};
    config_defaults(&(struct config_bind){&trust_config, &trust.options});
    trust.options.log_origin = "city.example/log";
    trust.options.log_sign_ms = 3600000;
    if (store_open(&trust.store, &f->options, &clock_system, &trust_module, 1, &e))
        fail_msg("%s", e.text);
    trust.pool = pool_new(1, 10);
    router = router_new();
    client = client_new(&outgoing, &e);
    if (!client || trust_start(&trust, &e))
        fail_msg("%s", e.text);
    trust_routes(&trust, router);
    if (server_start(&server, &http, &clock_system, router, &(struct server_hooks){0}, &e))
        fail_msg("%s", e.text);
    return note_key_parse(&arena, log_public_key(&arena, trust.log), &key, &e);
}

static int close_city(void **state)
{
    server_stop(server);
    trust_stop(&trust);
    client_free(client);
    pool_free(trust.pool);
    store_close(trust.store);
    router_free(router);
    arena_release(&arena);
    return fixture_free(state);
}

static enum err append(struct store_conn *c, void *ctx, struct error *e)
{
    int64_t index;
    enum err err = OK;
    for (int i = 0; !err && i < *(int *)ctx; i++) {
        struct log_salt salt = log_salt_new();
        struct log_entry entry = {.kind = S("access"),
                                  .at = clock_now(&clock_system),
                                  .commitment = log_commitment(&salt, S("x"))};
        err = log_append(c, &entry, &index, e);
    }
    return err;
}

static void append_and_sign(int n)
{
    struct error e = {0};
    if (store_write(trust.store, append, &n, &e) || log_sign(trust.log, &e))
        fail_msg("%s", e.text);
}

static enum err run_sql(struct store_conn *c, void *ctx, struct error *e)
{
    return store_exec(c, ctx, SV_EMPTY, NULL, e);
}

static void sql(const char *text)
{
    struct error e = {0};
    if (store_write(trust.store, run_sql, (void *)text, &e))
        fail_msg("%s", e.text);
}

static struct str url(const char *path)
{
    return str_printf(&arena, "http://127.0.0.1:%d/log%s", server_port(server), path);
}

static struct client_answer get(const char *path)
{
    struct client_answer answer = {0};
    struct error e = {0};
    client_fetch(client, &arena, &(struct client_request){.url = url(path)}, &answer, &e);
    return answer;
}

static enum err verify(const char *file, struct log_verify *v, struct error *e)
{
    *v = (struct log_verify){.client = client, .url = url(""), .key = &key, .state = file};
    return log_verify_from(v, e);
}

/* --- tests --- */

static void what_is_published_adds_up(void **state)
{
    struct log_verify v;
    struct error e = {0};
    (void)state;
    assert_int_equal(verify(NULL, &v, &e), OK); /* nothing yet, and that is signed too */
    assert_int_equal(v.size, 0);
    append_and_sign(700);
    assert_int_equal(verify(NULL, &v, &e), OK);
    assert_int_equal(v.size, 700);
    struct note_key other;
    assert_int_equal(note_key_make(&arena, S("city.example/log"), &other, &e), OK);
    v.key = &other;
    assert_int_equal(log_verify_from(&v, &e), ERR_UNAUTHENTICATED);
}

static void what_was_seen_once_must_stay(void **state)
{
    struct fixture *f = *state;
    struct log_verify v;
    struct error e = {0};
    char file[200];
    fixture_path(f, "seen.json", file, sizeof(file));
    append_and_sign(300);
    assert_int_equal(verify(file, &v, &e), OK);
    assert_int_equal(v.before, 0);
    append_and_sign(300);
    assert_int_equal(verify(file, &v, &e), OK);
    assert_int_equal(v.before, 300);
    assert_int_equal(v.size, 600);
    assert_int_equal(verify(file, &v, &e), OK); /* nothing new */
    /* an entry that was shown is replaced, and everything signed anew over the new text */
    sql("DELETE FROM log_head");
    sql("DELETE FROM log_leaf");
    sql("DELETE FROM log_node");
    sql("UPDATE log_state SET size = 0");
    append_and_sign(700);
    assert_int_equal(verify(NULL, &v, &e), OK); /* by itself it looks good */
    assert_int_equal(verify(file, &v, &e), ERR_CORRUPT);
    sql("DELETE FROM log_head");
    sql("DELETE FROM log_leaf");
    sql("DELETE FROM log_node");
    sql("UPDATE log_state SET size = 0");
    append_and_sign(10);
    assert_int_equal(verify(file, &v, &e), ERR_CORRUPT);
    assert_non_null(strstr(e.text, "fewer entries"));
    assert_int_equal(unlink(file), 0);
}

static void a_changed_leaf_does_not_add_up(void **state)
{
    struct log_verify v;
    struct error e = {0};
    (void)state;
    append_and_sign(300);
    sql("UPDATE log_leaf SET leaf = '{}' WHERE n = 270");
    assert_int_equal(verify(NULL, &v, &e), ERR_CORRUPT);
}

static void tiles_are_served_as_far_as_the_head_reaches(void **state)
{
    static const struct {
        const char *path;
        int status;
        size_t bytes;
    } cases[] = {
        {"/tile/0/000", 200, 256 * 32},
        {"/tile/0/001", 200, 256 * 32},
        {"/tile/0/002", 404, 0},
        {"/tile/0/002.p/88", 200, 88 * 32},
        {"/tile/0/002.p/1", 200, 32},
        {"/tile/0/002.p/89", 404, 0},
        {"/tile/0/002.p/0", 404, 0},
        {"/tile/0/002.p/088", 404, 0},
        {"/tile/0/002.p/256", 404, 0},
        {"/tile/1/000.p/2", 200, 2 * 32},
        {"/tile/1/000", 404, 0},
        {"/tile/2/000.p/1", 404, 0},
        {"/tile/63/000", 404, 0},
        {"/tile/0/0", 404, 0},
        {"/tile/0/x000/000", 404, 0},
        {"/tile/0/x001/000", 404, 0},
        {"/tile/0/x999/x999/x999/x999/x999/x999/x999/999", 404, 0},
        {"/tile/entries/003", 404, 0},
    };
    (void)state;
    append_and_sign(600);
    int n = 5;
    struct error e = {0};
    assert_int_equal(store_write(trust.store, append, &n, &e), OK); /* not signed yet */
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client_answer a = get(cases[i].path);
        if (a.status != cases[i].status || (a.status == 200 && a.body.n != cases[i].bytes))
            fail_msg("%s: %d, %zu bytes", cases[i].path, a.status, a.body.n);
    }
}

static void proofs_come_ready_made(void **state)
{
    struct error e = {0};
    struct merkle_proof proof = {0};
    struct hash root;
    struct str text, origin, bytes;
    int64_t size;
    (void)state;
    append_and_sign(600);
    struct client_answer a = get("/v1/entries/511");
    const struct json *v = json_parse(&arena, a.body, &JSON_DEFAULT, &e);
    const struct json *path = json_get(v, S("proof"));
    assert_int_equal(a.status, 200);
    for (uint32_t i = 0; i < path->n; i++) {
        assert_true(base64_decode(&arena, json_text(&path->items[i]), &bytes));
        memcpy(proof.path[proof.n++].b, bytes.p, HASH_BYTES);
    }
    struct hash leaf = merkle_leaf(json_text(json_get(v, S("leaf"))));
    assert_int_equal(note_open(&arena, json_text(json_get(v, S("checkpoint"))), &key, 1, &text,
                               NULL, &e),
                     OK);
    assert_int_equal(log_checkpoint_parse(&arena, text, &origin, &size, &root, &e), OK);
    assert_true(merkle_has_leaf(&root, (uint64_t)size, &leaf, 511, &proof));
    assert_int_equal(get("/v1/entries/600").status, 404);
    assert_int_equal(get("/v1/entries/5?size=5").status, 404);
    assert_int_equal(get("/v1/entries/5?size=601").status, 400);
    assert_int_equal(get("/v1/entries/5?size=x").status, 400);
    assert_int_equal(get("/v1/growth?from=5").status, 200);
    assert_int_equal(get("/v1/growth").status, 400);
    assert_int_equal(get("/v1/growth?from=6&to=5").status, 400);
    assert_int_equal(get("/key").status, 200);
}

static int run_foreign(const char *program)
{
    const char *at = str_z(&arena, url("")), *vkey = str_z(&arena, note_key_public(&arena, &key));
    char *const argv[] = {(char *)program, (char *)at, (char *)vkey, NULL};
    pid_t pid;
    int status;
    assert_int_equal(posix_spawn(&pid, program, NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void another_implementation_agrees(void **state)
{
    const char *program = getenv("MARUGOTO_LOG_VERIFIER");
    (void)state;
    if (!program) {
        print_message("# no other verifier here\n");
        return;
    }
    append_and_sign(1);
    assert_int_equal(run_foreign(program), 0);
    append_and_sign(66000); /* tiles of three levels */
    assert_int_equal(run_foreign(program), 0);
    sql("UPDATE log_leaf SET leaf = '{}' WHERE n = 270");
    assert_int_equal(run_foreign(program), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, open_city, close_city)
    const struct CMUnitTest tests[] = {
        T(what_is_published_adds_up),      T(what_was_seen_once_must_stay),
        T(a_changed_leaf_does_not_add_up), T(tiles_are_served_as_far_as_the_head_reaches),
        T(proofs_come_ready_made),         T(another_implementation_agrees),
    };
    return cmocka_run_group_tests_name("trust/log_api", tests, NULL, NULL);
}
