#include "core/error.h"

#include "utf8.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A text may quote anything, and cutting may split a character: such bytes become '?'. */
static void make_utf8(char *text, size_t n)
{
    const unsigned char *end = (const unsigned char *)text + n;
    for (size_t i = 0; i < n;) {
        size_t length = utf8_sequence((const unsigned char *)text + i, end);
        if (length == 0)
            text[i] = '?';
        i += length ? length : 1;
    }
}

enum err error_set(struct error *e, enum err code, const char *fmt, ...)
{
    if (!e)
        return code;
    /* Formatted aside first: the arguments may quote e->text itself. */
    char text[sizeof(e->text)];
    va_list ap;
    va_start(ap, fmt);
    int wrote = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    size_t n = wrote < 0 ? 0 : strlen(text);
    text[n] = '\0';
    make_utf8(text, n);
    memcpy(e->text, text, n + 1);
    e->code = code;
    return code;
}

const char *err_name(enum err code)
{
    switch (code) {
    case OK:
        return "ok";
    case ERR_INVALID:
        return "invalid";
    case ERR_UNAUTHENTICATED:
        return "unauthenticated";
    case ERR_FORBIDDEN:
        return "forbidden";
    case ERR_NOT_FOUND:
        return "not found";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_EXISTS:
        return "exists";
    case ERR_PRECONDITION:
        return "precondition failed";
    case ERR_TOO_LARGE:
        return "too large";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_UNPROCESSABLE:
        return "unprocessable";
    case ERR_TOO_MANY:
        return "too many";
    case ERR_TOO_COMPLEX:
        return "too complex";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_UNAVAILABLE:
        return "unavailable";
    case ERR_IO:
        return "i/o";
    case ERR_CORRUPT:
        return "corrupt";
    case ERR_INTERNAL:
        return "internal";
    }
    return "unknown";
}
