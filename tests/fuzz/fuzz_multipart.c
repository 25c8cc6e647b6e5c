/*
 * multipart/form-data: the first line is the Content-Type, the rest the body. Whatever they are,
 * parts lie inside of the body, in order, and none contains its own delimiter.
 */
#include "multipart.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_multipart: %s\n", what);
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct str rest = str_n((const char *)data, size), type = STR_NONE;
    const struct multipart_part *parts;
    struct error e = {0};
    size_t n;
    str_split(&rest, '\n', &type);
    enum err err = multipart_read(&a, type, rest, &parts, &n, &e);
    check(err == OK || (err == e.code && n == 0 && e.text[0]), "an error explains itself");
    check(n <= MULTIPART_PARTS, "number of parts");
    const char *at = rest.p;
    for (size_t i = 0; i < n && err == OK; i++) {
        const struct multipart_part *p = &parts[i];
        check(p->name.p && str_is_utf8(p->name), "name");
        check(!memchr(p->filename.n ? p->filename.p : "", '/', p->filename.n), "file name");
        check(p->body.p >= at && p->body.p + p->body.n <= rest.p + rest.n, "body");
        at = p->body.p + p->body.n;
    }
    arena_release(&a);
    return 0;
}
