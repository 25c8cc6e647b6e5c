/*
 * Any text compiles or is refused. What compiles must not let a value out of its place: a value
 * full of quotes and brackets is printed without one of them.
 */
#include "http/template.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char values[] =
    "{\"x\":\"\\u0001<'\\\"&>\",\"l\":[1,{\"x\":\"\\u0001<'\\\"&>\"},\"\"],"
    "\"t\":true,\"f\":false,\"o\":{\"l\":[[]]}}";

/* Raw values print as they are, so only templates without them can be judged. */
static void check(struct str page, struct str output)
{
    if (str_find(page, S("{{{")) >= 0 || str_find_char(page, 1) >= 0)
        return;
    for (size_t i = 0; i + 1 < output.n; i++)
        if (output.p[i] == 1 && output.p[i + 1] != '&')
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = ARENA_INIT;
    struct error e = {0};
    struct str page = str_n((const char *)data, n);
    const struct template_source sources[] = {{S("page"), page}, {S("p"), S("{{x}}{{#l}}-{{/l}}")}};
    struct templates *t = templates_new(sources, 2, NULL, &e);
    if (t) {
        struct buf out = BUF_INIT;
        out.limit = 64 * 1024;
        const struct json *v = json_parse(&a, S(values), &JSON_DEFAULT, NULL);
        if (!template_render(t, "page", v, NULL, &out, &e))
            check(page, buf_view(&out));
        buf_release(&out);
        templates_free(t);
    } else if (!e.text[0]) {
        abort();
    }
    arena_release(&a);
    return 0;
}
