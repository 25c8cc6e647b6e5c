#include "zip_guard.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

/* A member may always grow to this size: repetitive sheets of a few rows pack better than 200:1. */
enum { RATIO_FREE_BYTES = 1024 * 1024 };

/* APPNOTE.TXT 4.3.14 to 4.3.16: records at the end of the archive. */
enum { END_SIZE = 22, END_COMMENT_MAX = 65535, LOCATOR_SIZE = 20, END64_SIZE = 56 };

struct zip_guard {
    zip_t *zip;
    const struct table_limits *limits;
    size_t size;     /* of the archive */
    size_t unzipped; /* bytes unpacked so far */
};

static uint64_t little_endian(const char *p, size_t n)
{
    uint64_t v = 0;
    while (n--)
        v = v << 8 | (unsigned char)p[n];
    return v;
}

/* Number of members that the end record at `at` states, itself or through its ZIP64 twin. */
static uint64_t stated_members(struct str bytes, size_t at)
{
    uint64_t n = little_endian(bytes.p + at + 10, 2);
    if (at < LOCATOR_SIZE || memcmp(bytes.p + at - LOCATOR_SIZE, "PK\6\7", 4) != 0)
        return n;
    uint64_t end64 = little_endian(bytes.p + at - LOCATOR_SIZE + 8, 8);
    if (bytes.n < END64_SIZE || end64 > bytes.n - END64_SIZE)
        return n;
    uint64_t n64 = little_endian(bytes.p + end64 + 32, 8);
    return n64 > n ? n64 : n;
}

/*
 * libzip builds its whole directory on opening, so the count is looked at before that. An archive
 * may carry several end records; libzip tries them all, and so none of them may state too many.
 */
static enum err check_member_count(struct str bytes, uint32_t most, struct error *e)
{
    size_t from = bytes.n > END_SIZE + END_COMMENT_MAX ? bytes.n - END_SIZE - END_COMMENT_MAX : 0;
    bool seen = false;
    for (size_t i = from; i + END_SIZE <= bytes.n; i++) {
        if (memcmp(bytes.p + i, "PK\5\6", 4) != 0)
            continue;
        seen = true;
        uint64_t n = stated_members(bytes, i);
        if (n > most)
            return error_set(e, ERR_TOO_LARGE, "zip holds %llu files, more than %u",
                             (unsigned long long)n, most);
    }
    return seen ? OK : error_set(e, ERR_INVALID, "zip is cut short: it has no directory");
}

struct zip_guard *zip_guard_open(struct str bytes, const struct table_limits *l, struct error *e)
{
    if (check_member_count(bytes, l->max_members, e))
        return NULL;
    zip_error_t why;
    zip_error_init(&why);
    zip_t *zip = NULL;
    zip_source_t *source = zip_source_buffer_create(bytes.p, bytes.n, 0, &why);
    if (source)
        zip = zip_open_from_source(source, ZIP_RDONLY, &why);
    if (!zip) {
        error_set(e, ERR_INVALID, "zip cannot be read: %s", zip_error_strerror(&why));
        if (source)
            zip_source_free(source);
    }
    zip_error_fini(&why);
    if (!zip)
        return NULL;
    struct zip_guard *g = calloc(1, sizeof *g);
    if (!g)
        abort();
    *g = (struct zip_guard){.zip = zip, .limits = l, .size = bytes.n};
    return g;
}

void zip_guard_close(struct zip_guard *g)
{
    if (!g)
        return;
    zip_discard(g->zip);
    free(g);
}

size_t zip_guard_count(const struct zip_guard *g)
{
    zip_int64_t n = zip_get_num_entries(g->zip, 0);
    return n < 0 ? 0 : (size_t)n;
}

struct str zip_guard_name(const struct zip_guard *g, size_t index)
{
    return str_c(zip_get_name(g->zip, index, ZIP_FL_ENC_GUESS));
}

ptrdiff_t zip_guard_find(const struct zip_guard *g, const char *name)
{
    return (ptrdiff_t)zip_name_locate(g->zip, name, ZIP_FL_NOCASE | ZIP_FL_ENC_GUESS);
}

static enum err check_stat(struct zip_member *m, const zip_stat_t *st, struct error *e)
{
    const zip_uint64_t need =
        ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
    if ((st->valid & need) != need)
        return error_set(e, ERR_INVALID, "zip member '%" STR_F "': no size stated", STR_A(m->name));
    if (st->encryption_method != ZIP_EM_NONE)
        return error_set(e, ERR_UNSUPPORTED, "zip member '%" STR_F "' is encrypted",
                         STR_A(m->name));
    if (st->comp_method != ZIP_CM_STORE && st->comp_method != ZIP_CM_DEFLATE)
        return error_set(e, ERR_UNSUPPORTED, "zip member '%" STR_F "': unknown packing method %u",
                         STR_A(m->name), st->comp_method);
    /* The stated packed size may be a lie too, but no member is larger than its archive. */
    uint64_t packed = st->comp_size < m->guard->size ? st->comp_size : m->guard->size;
    uint64_t most = packed * m->guard->limits->max_ratio;
    m->most = most > RATIO_FREE_BYTES ? (size_t)most : RATIO_FREE_BYTES;
    if (st->size > m->most)
        return error_set(e, ERR_TOO_LARGE, "zip member '%" STR_F "' grows more than %u times",
                         STR_A(m->name), m->guard->limits->max_ratio);
    if (st->size > m->guard->limits->max_unzipped)
        return error_set(e, ERR_TOO_LARGE, "zip member '%" STR_F "' grows to more than %zu bytes",
                         STR_A(m->name), m->guard->limits->max_unzipped);
    return OK;
}

enum err zip_member_open(struct zip_member *m, struct zip_guard *g, ptrdiff_t index,
                         struct error *e)
{
    *m = (struct zip_member){.guard = g};
    if (index < 0)
        return error_set(e, ERR_NOT_FOUND, "zip has no such member");
    m->name = zip_guard_name(g, (size_t)index);
    zip_stat_t st;
    zip_stat_init(&st);
    if (zip_stat_index(g->zip, (zip_uint64_t)index, 0, &st))
        return error_set(e, ERR_INVALID, "zip member '%" STR_F "': %s", STR_A(m->name),
                         zip_strerror(g->zip));
    enum err err = check_stat(m, &st, e);
    if (err)
        return err;
    m->file = zip_fopen_index(g->zip, (zip_uint64_t)index, 0);
    if (!m->file)
        return error_set(e, ERR_INVALID, "zip member '%" STR_F "': %s", STR_A(m->name),
                         zip_strerror(g->zip));
    return OK;
}

enum err zip_member_read(struct zip_member *m, void *to, size_t cap, size_t *n, struct error *e)
{
    zip_int64_t r = zip_fread(m->file, to, cap);
    if (r < 0)
        return error_set(e, ERR_INVALID, "zip member '%" STR_F "': %s", STR_A(m->name),
                         zip_file_strerror(m->file));
    *n = (size_t)r;
    m->got += *n;
    m->guard->unzipped += *n;
    if (m->got > m->most)
        return error_set(e, ERR_TOO_LARGE, "zip member '%" STR_F "' grows more than %u times",
                         STR_A(m->name), m->guard->limits->max_ratio);
    if (m->guard->unzipped > m->guard->limits->max_unzipped)
        return error_set(e, ERR_TOO_LARGE, "zip grows to more than %zu bytes",
                         m->guard->limits->max_unzipped);
    return OK;
}

void zip_member_close(struct zip_member *m)
{
    if (m->file)
        zip_fclose(m->file);
    m->file = NULL;
}
