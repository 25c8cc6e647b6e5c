#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
    size_t n = wrote < 0 ? 0 : (size_t)wrote;
    if (n >= sizeof(text)) { /* cut, but not within a UTF-8 sequence */
        n = sizeof(text) - 1;
        size_t lead = n; /* of the last sequence */
        while (lead > 0 && ((unsigned char)text[--lead] & 0xC0) == 0x80)
            ;
        unsigned char c = (unsigned char)text[lead];
        if (lead + (c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1) > n)
            n = lead;
    }
    text[n] = '\0';
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
