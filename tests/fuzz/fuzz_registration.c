/*
 * Bodies of registrations. Whatever is taken compiles, matches itself, is written and reads back
 * the same; a fragment that is taken leaves a whole.
 */
#include "registration_impl.h"
#include "subscription_impl.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_registration: %s\n", what);
    abort();
}

static const struct json *again(struct arena *a, const struct json *doc)
{
    struct buf out = BUF_INIT;
    struct error e = {0};
    struct reg_view v = {.ctx = ld_core()};
    reg_write(&out, a, doc, &v);
    const struct json *tree = json_parse(a, buf_dup(&out, a), &JSON_DEFAULT, &e);
    buf_release(&out);
    check(tree != NULL, "what is written is no JSON");
    return reg_expand(a, tree, false, ld_core(), &e);
}

static void use(struct arena *a, const struct json *doc)
{
    struct error e = {0};
    struct sub_slab *slab = sub_slab_new();
    struct reg_source src = {.tenant = 1, .rid = 1, .doc = doc};
    struct registration *reg = reg_compile(slab, &src, NULL, &e);
    check(reg != NULL, "what was taken does not compile");
    struct reg_ask ask = {.tenant = 1};
    struct reg_asking q = {.ask = &ask, .arena = a};
    for (size_t i = 0; i < reg->n_infos; i++) {
        struct reg_part part;
        bool hit = false;
        check(!reg_info_meets(&q, &reg->infos[i], &hit, &part, &e) && hit,
              "an ask for anything does not match");
    }
    reg_overlaps(reg, reg);
    registration_let_go(reg);
    sub_slab_unref(slab);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct json_limits limits = JSON_DEFAULT;
    limits.max_depth = 40;
    const struct json *v = json_parse(&a, str_n((const char *)data, size), &limits, &e);
    const struct json *doc = v ? reg_expand(&a, v, false, ld_core(), &e) : NULL;
    if (v && !doc)
        check(e.code != OK && e.text[0], "an error without text");
    if (doc && !reg_check(doc, &e)) {
        const struct json *back = again(&a, doc);
        check(back && json_equal(back, doc, true), "it does not read back the same");
        use(&a, doc);
    }
    const struct json *patch = v ? reg_expand(&a, v, true, ld_core(), &e) : NULL;
    if (patch && doc)
        reg_check(reg_patched(&a, doc, patch), &e);
    arena_release(&a);
    return 0;
}
