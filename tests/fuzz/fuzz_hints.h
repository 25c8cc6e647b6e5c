/*
 * fuzz_hints.h - what the targets of conditions that indexes help with have in common: lines of the
 * input, and that no hint loses a match.
 */
#ifndef TESTS_FUZZ_HINTS_H
#define TESTS_FUZZ_HINTS_H

#include "../unit/link/hint_meets.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "a broken promise: %s\n", what);
    abort();
}

static struct str next_line(struct str *rest)
{
    struct str line;
    return str_split(rest, '\n', &line) ? line : S("");
}

static void check_hints(struct arena *a, const struct entity_query *q, const struct json *x)
{
    struct error e = {0};
    const struct query_hint *hints;
    size_t n = query_hints(a, q, &hints);
    bool hit = false;
    enum err rc = query_holds(q, x, &hit, &e);
    check(rc == OK || rc == ERR_TOO_COMPLEX, "evaluation");
    for (size_t i = 0; i < n && rc == OK && hit; i++)
        check(hint_meets(a, &hints[i], x), "a hint loses a match");
}

#endif
