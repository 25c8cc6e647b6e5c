/*
 * An item of CBOR. What is read is canonical: written again, shortest and in order, it gives the
 * same bytes.
 */
#include "core/buf.h"
#include "core/cbor.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_cbor: %s\n", what);
    abort();
}

static void put_head(struct buf *b, unsigned major, uint64_t n)
{
    int bytes = n < 24 ? 0 : n <= 0xff ? 1 : n <= 0xffff ? 2 : n <= 0xffffffff ? 4 : 8;
    int info = bytes == 0 ? (int)n : bytes == 1 ? 24 : bytes == 2 ? 25 : bytes == 4 ? 26 : 27;
    buf_char(b, (char)(major << 5 | (unsigned)info));
    while (bytes-- > 0)
        buf_char(b, (char)(n >> (8 * bytes)));
}

/* Recursion is bounded by the reader's depth. */
static void put(struct buf *b, const struct cbor *v)
{
    if (v->type >= CBOR_FALSE) {
        buf_char(b, (char)(0xf4 + (v->type - CBOR_FALSE)));
        return;
    }
    put_head(b, (unsigned)v->type, v->number);
    if (v->type == CBOR_BYTES || v->type == CBOR_TEXT)
        buf_add(b, v->bytes, v->number);
    uint64_t n = v->type == CBOR_ARRAY ? v->number : v->type == CBOR_MAP ? 2 * v->number : 0;
    for (uint64_t i = 0; i < n; i++)
        put(b, &v->items[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct buf b = BUF_INIT;
    struct cbor_limits limits = {CBOR_DEPTH_MAX, (size_t)64 * 1024};
    struct str in = str_n((const char *)data, size), rest = in;
    struct error e = {0};
    const struct cbor *v = cbor_read(&a, &rest, &limits, &e);
    if (v) {
        put(&b, v);
        check(str_eq(buf_view(&b), str_n(in.p, in.n - rest.n)), "written, it differs");
        for (uint64_t i = 0; cbor_is(v, CBOR_MAP) && i < v->number; i++)
            if (v->items[2 * i].type == CBOR_TEXT)
                check(cbor_get(v, cbor_text(&v->items[2 * i])) == &v->items[2 * i + 1],
                      "a key is not found");
    } else {
        check(e.code != OK && e.text[0], "an error without text");
        check(rest.p == in.p && rest.n == in.n, "an error that took something");
    }
    buf_release(&b);
    arena_release(&a);
    return 0;
}
