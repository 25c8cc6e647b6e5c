#include "pack.h"
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16, MEMORY = 8, LEVEL = 4, STEP = 64 << 10 };

struct str pack(struct arena *a, struct str text)
{
    z_stream z = {0};
    if (deflateInit2(&z, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY, Z_DEFAULT_STRATEGY) != Z_OK)
        abort();
    uLong room = deflateBound(&z, (uLong)text.n);
    char *out = arena_alloc(a, room);
    z.next_in = (z_const Bytef *)(uintptr_t)text.p;
    z.avail_in = (uInt)text.n;
    z.next_out = (Bytef *)out;
    z.avail_out = (uInt)room;
    deflate(&z, Z_FINISH);
    size_t n = room - z.avail_out;
    deflateEnd(&z);
    return str_n(out, n);
}

enum err unpack(struct arena *a, struct str packed, struct str *text, struct error *e)
{
    z_stream z = {.next_in = (z_const Bytef *)(uintptr_t)packed.p, .avail_in = (uInt)packed.n};
    struct buf out = BUF_INIT;
    int rc = packed.n <= PACK_MAX ? inflateInit2(&z, GZIP_WINDOW) : Z_MEM_ERROR;
    if (rc != Z_OK)
        return error_set(e, ERR_TOO_LARGE, "a message of %zu bytes", packed.n);
    while (rc == Z_OK && out.n <= PACK_MAX) {
        buf_reserve(&out, STEP);
        z.next_out = (Bytef *)out.p + out.n;
        z.avail_out = STEP;
        rc = inflate(&z, Z_NO_FLUSH);
        out.n += STEP - z.avail_out;
    }
    bool whole = rc == Z_STREAM_END && z.avail_in == 0;
    inflateEnd(&z);
    bool large = out.n > PACK_MAX;
    if (whole && !large)
        *text = buf_dup(&out, a);
    buf_release(&out);
    if (large)
        return error_set(e, ERR_TOO_LARGE, "a message of more than %d bytes", (int)PACK_MAX);
    return whole ? OK : error_set(e, ERR_INVALID, "the message is not whole gzip");
}

const struct json *unpack_json(struct arena *a, struct str packed, struct error *e)
{
    static const struct json_limits limits = {128, PACK_MAX + 1, JSON_DUP_REFUSE};
    struct str text = STR_NONE;
    return unpack(a, packed, &text, e) ? NULL : json_parse(a, text, &limits, e);
}
