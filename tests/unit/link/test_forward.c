/* The engine of federation: a real client, a server of a few lines that answers as the path says.
 */
#include "../store/fixture.h"
#include "forward.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PEERS_MAX = 64, HEAD_MAX = 8192 };

struct peer {
    int fd;
    pthread_t thread;
};

struct lab {
    struct fixture *fixture;
    struct store *store;
    struct link link;
    struct client_options options;
    struct arena arena;
    int fd, port;
    pthread_t thread;
    struct peer peers[PEERS_MAX];
    size_t n_peers;
    atomic_int requests;
    atomic_int done;
    char endpoint[64];
};

static void say(int fd, const char *text)
{
    (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

/* /echo gives back the head of the request; /hang never answers; /N answers status N. */
static void serve(struct lab *l, int fd, const char *head)
{
    char path[64] = "", out[HEAD_MAX + 200];
    (void)l;
    sscanf(head, "%*s %63s", path);
    if (strcmp(path, "/hang") == 0)
        return;
    if (strcmp(path, "/echo") == 0)
        snprintf(out, sizeof(out), "HTTP/1.1 200 x\r\nContent-Length: %zu\r\n\r\n%s", strlen(head),
                 head);
    else if (strcmp(path, "/made") == 0)
        snprintf(out, sizeof(out),
                 "HTTP/1.1 201 x\r\nContent-Length: 2\r\nLocation: /x/1\r\n"
                 "ngsild-results-count: 7\r\nNGSILD-EntityMap: /m/1\r\n\r\n{}");
    else if (strcmp(path, "/away") == 0)
        snprintf(out, sizeof(out),
                 "HTTP/1.1 302 x\r\nContent-Length: 0\r\n"
                 "Location: http://192.0.2.1/\r\n\r\n");
    else if (strcmp(path, "/long") == 0)
        snprintf(out, sizeof(out), "HTTP/1.1 200 x\r\nContent-Length: 100000\r\n\r\n");
    else
        snprintf(out, sizeof(out), "HTTP/1.1 %s x\r\nContent-Length: 0\r\n\r\n", path + 1);
    say(fd, out);
}

struct served {
    struct lab *lab;
    int fd;
};

static void *peer_run(void *ctx)
{
    struct served s = *(struct served *)ctx;
    char head[HEAD_MAX];
    size_t n = 0;
    free(ctx);
    for (;;) {
        ssize_t got = recv(s.fd, head + n, sizeof(head) - 1 - n, 0);
        if (got <= 0)
            return NULL;
        n += (size_t)got;
        head[n] = 0;
        if (!strstr(head, "\r\n\r\n"))
            continue;
        atomic_fetch_add(&s.lab->requests, 1);
        serve(s.lab, s.fd, head);
        n = 0;
    }
}

static void *accept_run(void *ctx)
{
    struct lab *l = ctx;
    for (int fd; l->n_peers < PEERS_MAX && (fd = accept(l->fd, NULL, NULL)) >= 0;) {
        struct served *s = malloc(sizeof(*s));
        *s = (struct served){l, fd};
        struct peer *p = &l->peers[l->n_peers++];
        p->fd = fd;
        pthread_create(&p->thread, NULL, peer_run, s);
    }
    return NULL;
}

static void listen_here(struct lab *l)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(a);
    l->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(l->fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(l->fd, 64), 0);
    getsockname(l->fd, (struct sockaddr *)&a, &n);
    l->port = ntohs(a.sin_port);
    snprintf(l->endpoint, sizeof(l->endpoint), "http://127.0.0.1:%d", l->port);
    pthread_create(&l->thread, NULL, accept_run, l);
}

static int setup(void **state)
{
    struct lab *l = calloc(1, sizeof(*l));
    struct error e = {0};
    assert_int_equal(fixture_new((void **)&l->fixture), 0);
    if (store_open(&l->store, &l->fixture->options, &clock_system, &link_module, 1, &e))
        fail_msg("%s", e.text);
    struct config_bind bind_link = {&link_config, &l->link.options};
    struct config_bind bind_client = {&client_config, &l->options};
    config_defaults(&bind_link);
    config_defaults(&bind_client);
    l->options.allow_private = true;
    l->link.store = l->store;
    l->link.clock = &clock_system;
    l->link.pool = pool_new(1, 16);
    l->link.client = client_new(&l->options, &e);
    l->link.options.forward_bytes = 4096;
    l->link.forwarding = forwarding_new(&l->link, &e);
    assert_non_null(l->link.forwarding);
    listen_here(l);
    *state = l;
    return 0;
}

static int teardown(void **state)
{
    struct lab *l = *state;
    forwarding_free(l->link.forwarding);
    pool_free(l->link.pool);
    client_free(l->link.client);
    shutdown(l->fd, SHUT_RDWR);
    pthread_join(l->thread, NULL);
    close(l->fd);
    for (size_t i = 0; i < l->n_peers; i++) {
        shutdown(l->peers[i].fd, SHUT_RDWR);
        pthread_join(l->peers[i].thread, NULL);
        close(l->peers[i].fd);
    }
    arena_release(&l->arena);
    store_close(l->store);
    fixture_free((void **)&l->fixture);
    free(l);
    return 0;
}

static void note_done(void *ctx)
{
    atomic_fetch_add(&((struct lab *)ctx)->done, 1);
}

static void ask(struct lab *l, const struct forward_cause *cause, struct forward *f, size_t n)
{
    atomic_store(&l->done, 0);
    forward_start(&l->link, &l->arena, cause, f, n, note_done, l);
    while (!atomic_load(&l->done))
        usleep(1000);
    assert_int_equal(atomic_load(&l->done), 1);
}

static void source(struct lab *l, struct registration *reg)
{
    reg->id = S("urn:ngsi-ld:ContextSourceRegistration:x");
    reg->endpoint = str_c(l->endpoint);
}

static const struct forward_cause nothing;

static bool holds(struct str text, const char *part)
{
    return str_find(text, str_c(part)) >= 0;
}

static void test_headers(void **state)
{
    struct lab *l = *state;
    static const struct http_header info[] = {
        {S_INIT("X-Key"), S_INIT("secret")},
        {S_INIT("Content-Length"), S_INIT("3")},
        {S_INIT("host"), S_INIT("other")},
        {S_INIT("accept"), S_INIT("application/json")},
        {S_INIT("NGSILD-Tenant"), S_INIT("no")},
        {S_INIT("Authorization"), S_INIT("urn:ngsi-ld:request")}};
    struct registration reg = {.remote_tenant = S("theirs"),
                               .headers = info,
                               .n_headers = sizeof(info) / sizeof(info[0])};
    struct forward_cause cause = {.tenant = S("ours"),
                                  .via = S("1.1 a (b, c), 1.0 d:80"),
                                  .context = S("http://c.example/c.jsonld")};
    struct forward f = {.reg = &reg, .method = "POST", .target = S("/echo"), .body = S("{}")};
    char via[200];
    source(l, &reg);
    reg.accept = S("application/json");
    ask(l, &cause, &f, 1);
    snprintf(via, sizeof(via), "\r\nVia: 1.1 a (b, c), 1.0 d:80, 1.1 %" STR_F "\r\n",
             STR_A(forward_alias(&l->arena, &l->link, S("ours"))));
    assert_int_equal(f.status, 200);
    assert_true(forward_succeeded(&f));
    assert_true(holds(f.answer, via));
    assert_true(holds(f.answer, "\r\nNGSILD-Tenant: theirs\r\n"));
    assert_false(holds(f.answer, "Tenant: no"));
    assert_true(holds(f.answer, "\r\nX-Key: secret\r\n"));
    assert_true(holds(f.answer, "\r\nContent-Length: 2\r\n"));
    assert_false(holds(f.answer, "Host: other"));
    assert_true(holds(f.answer, "\r\nAccept: application/json\r\n"));
    assert_true(holds(f.answer, "\r\nContent-Type: application/json\r\n"));
    assert_true(holds(f.answer, "\r\nLink: <http://c.example/c.jsonld>; rel="));
    assert_false(holds(f.answer, "Authorization")); /* nothing caused it that had one */
    f = (struct forward){.reg = &reg,
                         .method = "PUT",
                         .target = S("/echo"),
                         .body = S("{}"),
                         .with_context = true,
                         .accept = S("text/x")};
    reg.accept = STR_NONE;
    ask(l, &cause, &f, 1);
    assert_true(holds(f.answer, "\r\nContent-Type: application/ld+json\r\n"));
    assert_true(holds(f.answer, "\r\nAccept: text/x\r\n"));
    assert_false(holds(f.answer, "\r\nLink:"));
}

static void test_answers(void **state)
{
    struct lab *l = *state;
    struct registration reg = {.timeout_ms = 100};
    struct forward f[] = {{.reg = &reg, .method = "POST", .target = S("/made")},
                          {.reg = &reg, .method = "GET", .target = S("/404")},
                          {.reg = &reg, .method = "GET", .target = S("/long")},
                          {.reg = &reg, .method = "GET", .target = S("/away")},
                          {.reg = &reg, .method = "GET", .target = S("/hang")}};
    source(l, &reg);
    ask(l, &nothing, f, 5);
    assert_int_equal(f[0].status, 201);
    assert_true(str_eq(f[0].location, S("/x/1")));
    assert_true(str_eq(f[0].results_count, S("7")));
    assert_true(str_eq(f[0].entity_map, S("/m/1")));
    assert_true(str_eq(f[0].answer, S("{}")));
    assert_int_equal(f[1].status, 404);
    assert_false(forward_succeeded(&f[1]));
    assert_int_equal(f[2].error.code, ERR_TOO_LARGE);
    assert_int_equal(f[3].error.code, ERR_FORBIDDEN);
    assert_int_equal(f[4].error.code, ERR_TIMEOUT);
}

/* After a failure nothing is sent for a while; what the client did wrong is no failure. */
static void test_cooldown(void **state)
{
    struct lab *l = *state;
    struct registration reg = {.cooldown_us = HOUR_US};
    struct forward bad = {.reg = &reg, .method = "GET", .target = S("/503")}, f = bad;
    source(l, &reg);
    f.target = S("/403");
    ask(l, &nothing, &f, 1);
    assert_int_equal(f.status, 403);
    f = bad;
    ask(l, &nothing, &f, 1);
    assert_int_equal(f.status, 503);
    int before = atomic_load(&l->requests);
    f = bad;
    ask(l, &nothing, &f, 1);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.error.code, ERR_TIMEOUT);
    assert_int_equal(atomic_load(&l->requests), before);
    atomic_store(&reg.not_before, 0);
    f = bad;
    f.target = S("/200");
    ask(l, &nothing, &f, 1);
    assert_int_equal(f.status, 200);
}

static void test_bounds(void **state)
{
    struct lab *l = *state;
    struct registration reg = {.timeout_ms = 60000};
    struct forward f[3];
    struct forward_cause late = {.deadline = clock_steady(&clock_system) - 1};
    source(l, &reg);
    l->link.options.forward_max = 2;
    l->link.options.forward_budget_ms = 200;
    for (size_t i = 0; i < 3; i++)
        f[i] = (struct forward){.reg = &reg, .method = "GET", .target = S("/hang")};
    ask(l, &nothing, f, 3); /* ends although the registration permits a minute */
    assert_int_equal(f[0].error.code, ERR_TIMEOUT);
    assert_int_equal(f[1].error.code, ERR_TIMEOUT);
    assert_int_equal(f[2].error.code, ERR_TOO_MANY);
    atomic_store(&reg.not_before, 0);
    f[0] = (struct forward){.reg = &reg, .method = "GET", .target = S("/200")};
    ask(l, &late, f, 1);
    assert_int_equal(f[0].error.code, ERR_TIMEOUT);
    reg.endpoint = S("ftp://127.0.0.1");
    ask(l, &nothing, f, 1);
    assert_int_equal(f[0].error.code, ERR_INVALID);
    ask(l, &nothing, f, 0);
}

static void test_alias(void **state)
{
    struct lab *l = *state;
    struct error e = {0};
    struct str alias = str_dup(&l->arena, forward_alias(&l->arena, &l->link, STR_NONE));
    assert_true(str_starts(alias, S("marugoto-")));
    assert_false(str_eq(alias, forward_alias(&l->arena, &l->link, S("t"))));
    forwarding_free(l->link.forwarding);
    l->link.forwarding = forwarding_new(&l->link, &e);
    assert_true(str_eq(alias, forward_alias(&l->arena, &l->link, STR_NONE)));
    struct link named = l->link;
    named.options.alias = "city, of";
    assert_null(forwarding_new(&named, &e));
    assert_int_equal(e.code, ERR_INVALID);
    named.options.alias = "nanao.example:443";
    named.forwarding = forwarding_new(&named, &e);
    assert_true(str_eq(forward_alias(&l->arena, &named, STR_NONE), S("nanao.example:443")));
    forwarding_free(named.forwarding);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_headers), TEST(test_answers), TEST(test_cooldown),
                                       TEST(test_bounds), TEST(test_alias)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
