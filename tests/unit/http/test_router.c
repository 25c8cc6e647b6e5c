#include "router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static enum http_answer none(struct request *req, struct response *res, void *ctx)
{
    (void)req, (void)res, (void)ctx;
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/", none, 0},
    {"GET", "/things", none, 0},
    {"POST", "/things", none, 0},
    {"GET", "/things/{id}", none, 0},
    {"DELETE", "/things/{thing}", none, 0},
    {"GET", "/things/special", none, 0},
    {"GET", "/things/{id}/attrs/{attr}", none, ROUTE_PUBLIC_CORS},
    {"PATCH", "/things/{id}/attrs/{attr}", none, 0},
    {"GET", "/things/special/more", none, 0},
    {"GET", "/tiles/{layer}/{z:int}/{x:int}/{y:int}.mvt", none, 0},
    {"GET", "/tiles/{layer}/{z:int}/{x:int}/{name}", none, 0},
    {"GET", "/static/{path:rest}", none, 0},
    {"GET", "/static/robots.txt", none, 0},
    {"GET", "/slash/", none, 0},
    {"OPTIONS", "/own", none, 0},
};

struct fixture {
    struct router *router;
    struct arena arena;
    struct route_match m;
};

static int setup(void **state)
{
    static struct fixture f;
    f = (struct fixture){.router = router_new(), .arena = ARENA_INIT};
    router_add(f.router, routes, sizeof(routes) / sizeof(routes[0]), &f);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    router_free(f->router);
    arena_release(&f->arena);
    return 0;
}

static enum route_found match(struct fixture *f, const char *method, const char *path)
{
    return router_match(f->router, &f->arena, str_c(method), str_c(path), &f->m);
}

static void assert_route(struct fixture *f, const char *path, const char *pattern)
{
    assert_int_equal(match(f, "GET", path), ROUTE_FOUND);
    assert_string_equal(f->m.route->pattern, pattern);
    assert_ptr_equal(f->m.ctx, f);
}

static void assert_param(const struct fixture *f, size_t i, const char *name, const char *value)
{
    assert_true(i < f->m.n_params);
    assert_true(str_eq(f->m.params[i].name, str_c(name)));
    if (!str_eq(f->m.params[i].value, str_c(value)))
        fail_msg("%s is \"%" STR_F "\", not \"%s\"", name, STR_A(f->m.params[i].value), value);
}

static void test_literals_and_parameters(void **state)
{
    struct fixture *f = *state;
    assert_route(f, "/", "/");
    assert_route(f, "/things", "/things");
    assert_route(f, "/th%69ngs", "/things"); /* the same address by RFC 3986 */
    assert_route(f, "/slash/", "/slash/");
    assert_route(f, "/things/special", "/things/special");
    assert_route(f, "/things/other", "/things/{id}");
    assert_param(f, 0, "id", "other");
    assert_route(f, "/things/a/attrs/b", "/things/{id}/attrs/{attr}");
    assert_param(f, 0, "id", "a");
    assert_param(f, 1, "attr", "b");
    /* The literal leads nowhere here, so the parameter is taken after all. */
    assert_route(f, "/things/special/attrs/b", "/things/{id}/attrs/{attr}");
    assert_param(f, 0, "id", "special");
    /* The names are those of the route, not of the position. */
    assert_int_equal(match(f, "DELETE", "/things/x"), ROUTE_FOUND);
    assert_param(f, 0, "thing", "x");
    assert_int_equal(match(f, "DELETE", "/things/special"), ROUTE_FOUND);
}

static void test_decoding(void **state)
{
    struct fixture *f = *state;
    assert_route(f, "/things/urn%3Angsi-ld%3AA%2Fb", "/things/{id}");
    assert_param(f, 0, "id", "urn:ngsi-ld:A/b");
    assert_route(f, "/things/%E3%81%82+b", "/things/{id}");
    assert_param(f, 0, "id", "\xE3\x81\x82+b");
    assert_route(f, "/things/%252F", "/things/{id}");
    assert_param(f, 0, "id", "%2F");
    assert_int_equal(match(f, "GET", "/things/%"), ROUTE_BAD_PATH);
    assert_int_equal(match(f, "GET", "/things/%4"), ROUTE_BAD_PATH);
    assert_int_equal(match(f, "GET", "/things/%GG"), ROUTE_BAD_PATH);
    assert_int_equal(match(f, "GET", "/things/a%00b"), ROUTE_BAD_PATH);
    assert_int_equal(match(f, "GET", "/things/%c0%af"), ROUTE_BAD_PATH);
    assert_int_equal(match(f, "GET", "/things/%e3%81"), ROUTE_BAD_PATH);
    assert_int_equal(match(f, "GET", ""), ROUTE_BAD_PATH);
    assert_int_equal(match(f, "GET", "things"), ROUTE_BAD_PATH);
}

static void test_not_found(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(match(f, "GET", "/nothing"), ROUTE_NO_PATH);
    assert_int_equal(match(f, "GET", "/things/"), ROUTE_NO_PATH); /* parameters are never empty */
    assert_int_equal(match(f, "GET", "/things//attrs/b"), ROUTE_NO_PATH);
    assert_int_equal(match(f, "GET", "/slash"), ROUTE_NO_PATH);
    assert_int_equal(match(f, "GET", "/things/a/attrs"), ROUTE_NO_PATH);
    assert_int_equal(match(f, "GET", "/THINGS"), ROUTE_NO_PATH);
    char deep[400] = {0};
    for (int i = 0; i < 100; i++)
        memcpy(deep + 2 * i, "/a", 2);
    assert_int_equal(match(f, "GET", deep), ROUTE_NO_PATH);
}

static void test_integers_and_suffixes(void **state)
{
    struct fixture *f = *state;
    assert_route(f, "/tiles/l/3/4/5.mvt", "/tiles/{layer}/{z:int}/{x:int}/{y:int}.mvt");
    assert_param(f, 3, "y", "5");
    assert_route(f, "/tiles/l/3/4/five.mvt", "/tiles/{layer}/{z:int}/{x:int}/{name}");
    assert_param(f, 3, "name", "five.mvt");
    assert_route(f, "/tiles/l/3/4/.mvt", "/tiles/{layer}/{z:int}/{x:int}/{name}");
    assert_int_equal(match(f, "GET", "/tiles/l/-3/4/5.mvt"), ROUTE_NO_PATH);
    assert_int_equal(match(f, "GET", "/tiles/l/x/4/5.mvt"), ROUTE_NO_PATH);
    assert_int_equal(match(f, "GET", "/tiles/l/99999999999999999999/4/5.mvt"), ROUTE_NO_PATH);
}

static void test_rest(void **state)
{
    struct fixture *f = *state;
    assert_route(f, "/static/js/map/a.js", "/static/{path:rest}");
    assert_param(f, 0, "path", "js/map/a.js");
    assert_route(f, "/static/robots.txt", "/static/robots.txt");
    assert_route(f, "/static/..a/b..", "/static/{path:rest}");
    static const char *const climbing[] = {
        "/static/../secret",   "/static/a/../../secret",       "/static/%2e%2e/secret",
        "/static/..%2fsecret", "/static/a%2F..%2f..%2fsecret", "/static/./a",
        "/static/..",
    };
    for (size_t i = 0; i < sizeof(climbing) / sizeof(climbing[0]); i++)
        assert_int_equal(match(f, "GET", climbing[i]), ROUTE_NO_PATH);
    assert_int_equal(match(f, "GET", "/static/"), ROUTE_NO_PATH);
}

static void test_methods(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(match(f, "HEAD", "/things"), ROUTE_FOUND);
    assert_string_equal(f->m.route->method, "GET");
    assert_int_equal(match(f, "PUT", "/things"), ROUTE_NO_METHOD);
    assert_true(str_eq(f->m.allow, S("GET, POST, HEAD, OPTIONS")));
    assert_false(f->m.any_cors);
    assert_int_equal(match(f, "OPTIONS", "/things/a/attrs/b"), ROUTE_NO_METHOD);
    assert_true(str_eq(f->m.allow, S("GET, PATCH, HEAD, OPTIONS")));
    assert_true(f->m.any_cors);
    assert_int_equal(match(f, "OPTIONS", "/own"), ROUTE_FOUND);
    assert_int_equal(match(f, "HEAD", "/own"), ROUTE_NO_METHOD);
    assert_int_equal(match(f, "get", "/things"), ROUTE_NO_METHOD); /* methods have case */
}

struct listing {
    size_t n;
    const struct route *last;
};

static void count(void *arg, const struct route *route)
{
    struct listing *l = arg;
    assert_ptr_equal(route, &routes[l->n]);
    l->n++;
    l->last = route;
}

static void test_each(void **state)
{
    struct fixture *f = *state;
    struct listing l = {0};
    router_each(f->router, count, &l);
    assert_int_equal(l.n, sizeof(routes) / sizeof(routes[0]));
}

/* A wrong table is a bug and ends the program; it is tried in a child. */
static void test_wrong_tables_abort(void **state)
{
    static const struct route wrong[][2] = {
        {{"GET", "things", none, 0}, {"GET", "/", none, 0}},
        {{"GET", "/a{id}", none, 0}, {"GET", "/", none, 0}},
        {{"GET", "/{id", none, 0}, {"GET", "/", none, 0}},
        {{"GET", "/{}", none, 0}, {"GET", "/", none, 0}},
        {{"GET", "/{id:float}", none, 0}, {"GET", "/", none, 0}},
        {{"GET", "/{a}/{a}", none, 0}, {"GET", "/", none, 0}},
        {{"GET", "/{p:rest}/more", none, 0}, {"GET", "/", none, 0}},
        {{"GET", "/{a}", none, 0}, {"GET", "/{b}", none, 0}},
        {{"GET", "/a", NULL, 0}, {"GET", "/", none, 0}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int status;
        fflush(NULL);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            signal(SIGABRT, SIG_DFL);
            fclose(stderr);
            router_add(router_new(), wrong[i], 2, NULL);
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
            fail_msg("%s was taken", wrong[i][0].pattern);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_literals_and_parameters),
        TEST(test_decoding),
        TEST(test_not_found),
        TEST(test_integers_and_suffixes),
        TEST(test_rest),
        TEST(test_methods),
        TEST(test_each),
        cmocka_unit_test(test_wrong_tables_abort),
    };
    return cmocka_run_group_tests_name("router", tests, NULL, NULL);
}
