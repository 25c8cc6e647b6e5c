/* A DPoP proof, or an address when it holds "://": what is read as a proof is whole, and an address
 * that counts as the same as a registered one leads to the same host and path. */
#include "oidc_impl.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_dpop: %s\n", what);
    abort();
}

static void try_address(struct str text)
{
    static const struct str here[] = {S_INIT("http://127.0.0.1/back"),
                                      S_INIT("http://[::1]:1/back?x"),
                                      S_INIT("https://app.example/back")};
    for (size_t i = 0; i < sizeof(here) / sizeof(here[0]); i++)
        if (uri_matches(here[i], text)) {
            check(uri_is_web(text, true), "an address that is none counts as the same");
            check(str_eq(uri_host(text), uri_host(here[i])), "another host counts as the same");
        }
    if (uri_is_web(text, true))
        check(uri_host(text).n > 0, "an address without a host");
    check(!(uri_is_web(text, true) && uri_is_private_use(text)), "two kinds of address at once");
}

static void try_proof(struct arena *a, struct str text)
{
    static struct key_cache *keys;
    struct dpop_claims k;
    struct error e = {0};
    if (!keys)
        keys = key_cache_new();
    if (dpop_read(keys, a, text, &k, &e))
        check(e.code != OK && e.text[0], "an error without text");
    else
        check(k.jkt.n == 43 && k.jti.n && k.htm.n && k.htu.n, "a proof that is not whole");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct str text = str_n((const char *)data, size);
    if (str_find(text, S("://")) >= 0)
        try_address(text);
    else
        try_proof(&a, text);
    arena_release(&a);
    return 0;
}
