#include "compress.h"

#include <stdlib.h>
#include <zlib.h>

/* Level 4 costs half of the default level's time for a few per cent more bytes. */
enum { LEVEL = 4, GZIP_WINDOW = 15 + 16, MEMORY = 8 };

struct str gzip_text(struct z_stream_s **z, struct arena *a, struct str text)
{
    if (text.n == 0 || text.n > UINT32_MAX / 2)
        return STR_NONE;
    if (!*z) {
        z_stream *made = calloc(1, sizeof(*made));
        if (!made ||
            deflateInit2(made, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
            abort();
        *z = made;
    }
    z_stream *s = *z;
    deflateReset(s);
    char *out = arena_alloc(a, text.n);
    s->next_in = (z_const Bytef *)(uintptr_t)text.p;
    s->avail_in = (uInt)text.n;
    s->next_out = (Bytef *)out;
    s->avail_out = (uInt)text.n; /* no more: a longer result is of no use */
    if (deflate(s, Z_FINISH) != Z_STREAM_END)
        return STR_NONE;
    return str_n(out, text.n - s->avail_out);
}

void gzip_free(struct z_stream_s *z)
{
    if (!z)
        return;
    deflateEnd(z);
    free(z);
}

bool gzip_suits(struct str type)
{
    static const struct str exact[] = {
        S_INIT("application/javascript"),
        S_INIT("application/xml"),
        S_INIT("image/svg+xml"),
        S_INIT("application/wasm"),
        S_INIT("application/vnd.mapbox-vector-tile"),
    };
    ptrdiff_t semicolon = str_find_char(type, ';');
    if (semicolon >= 0)
        type = str_trim(str_sub(type, 0, (size_t)semicolon));
    for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
        if (str_eq(type, exact[i]))
            return true;
    return (str_starts(type, S("text/")) && !str_eq(type, S("text/event-stream"))) ||
           str_ends(type, S("json")) || str_ends(type, S("+xml"));
}
