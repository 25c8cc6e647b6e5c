/*
 * What stands in a request line and its headers: percent-encoding, query pairs, paths against a
 * table of routes, Accept headers.
 */
#include "negotiate.h"
#include "router.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_urlquery: %s\n", what);
    abort();
}

static enum http_answer none(struct request *req, struct response *res, void *ctx)
{
    (void)req, (void)res, (void)ctx;
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/", none, 0},
    {"GET", "/a/{id}", none, 0},
    {"POST", "/a/b", none, 0},
    {"GET", "/a/{id}/b/{c:int}", none, 0},
    {"GET", "/a/{id}/b/{c}.d", none, 0},
    {"GET", "/f/{path:rest}", none, 0},
};

static void check_codes(struct arena *a, struct str s)
{
    struct str encoded = url_encode(a, s);
    check(str_eq(url_decode(a, encoded, true), s), "decoding undoes encoding");
    struct str decoded = url_decode(a, s, false);
    check(decoded.n <= s.n, "decoding never grows");
    struct str escaped = html_escape(a, s);
    check(str_find_char(escaped, '<') < 0 && str_find_char(escaped, '"') < 0, "escaping");
}

static void check_path(struct arena *a, const struct router *r, struct str path)
{
    struct route_match m;
    if (router_match(r, a, S("GET"), path, &m) != ROUTE_FOUND)
        return;
    for (size_t i = 0; i < m.n_params; i++) {
        struct str v = m.params[i].value, part;
        check(v.n > 0 && str_find_char(v, '\0') < 0, "parameters hold something, and no NUL");
        if (!str_eq(m.params[i].name, S("path")))
            continue;
        while (str_split(&v, '/', &part))
            check(!str_eq(part, S("..")), "a rest of a path does not climb");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const offers[] = {"application/json", "text/html;level=1", "text/html"};
    static struct router *router;
    struct arena a = ARENA_INIT;
    struct str s = str_n((const char *)data, size);
    const struct http_pair *pairs;
    if (!router) {
        router = router_new();
        router_add(router, routes, sizeof(routes) / sizeof(routes[0]), NULL);
    }
    check_codes(&a, s);
    check_path(&a, router, s);
    size_t n = url_pairs(&a, s, &pairs);
    check(n <= URL_PAIRS_MAX, "number of pairs");
    for (size_t i = 0; i < n; i++)
        check(pairs[i].name.p && pairs[i].value.p, "pairs are complete");
    int best = negotiate_type(s, offers, 3);
    check(best >= -1 && best < 3, "an offer is chosen, or none");
    negotiate_gzip(s);
    arena_release(&a);
    return 0;
}
