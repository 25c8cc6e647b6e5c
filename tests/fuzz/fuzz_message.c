/* Any text compiles or is refused; what compiles prints with any arguments. */
#include "message.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *const arguments[] = {
    "{}", "{\"n\":1,\"name\":\"a\",\"kind\":\"bus\",\"when\":\"2026-11-23T05:05:00Z\"}",
    "{\"n\":-1.5e30,\"name\":[1],\"kind\":true,\"when\":9223372036854775807}"};
static const char *const languages[] = {"ja", "en", "pt"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct arena a = ARENA_INIT;
    struct message m;
    struct error e = {0};
    struct str text = str_n((const char *)data, n);
    if (message_compile(&a, text, &m, &e)) {
        if (!e.text[0])
            abort();
    } else {
        for (size_t i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
            struct buf out = BUF_INIT;
            const struct json *args = json_parse(&a, str_c(arguments[i]), &JSON_DEFAULT, NULL);
            message_format(&m, style_of(str_c(languages[i])), args, &out);
            buf_release(&out);
        }
    }
    arena_release(&a);
    return 0;
}
