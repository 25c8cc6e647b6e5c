/* import_gtfs.c - stops.txt out of a GTFS feed, with the limits of the table reader. */
#include "import_impl.h"

#include <zip.h>

static enum err read_member(struct import *im, zip_t *z, zip_uint64_t index, struct str *out)
{
    zip_stat_t st;
    const struct table_limits *l = &TABLE_DEFAULT;
    if (zip_stat_index(z, index, 0, &st) || !(st.valid & ZIP_STAT_SIZE) ||
        !(st.valid & ZIP_STAT_COMP_SIZE))
        return error_set(im->e, ERR_INVALID, "the ZIP tells no size");
    if (st.size > l->max_bytes || st.size / l->max_ratio > st.comp_size + 1)
        return error_set(im->e, ERR_TOO_LARGE, "it is too large unpacked");
    zip_file_t *f = zip_fopen_index(z, index, 0);
    if (!f)
        return error_set(im->e, ERR_INVALID, "%s", zip_strerror(z));
    char *p = arena_alloc(im->arena, (size_t)st.size + 1);
    zip_int64_t got = 0, n = 1;
    while (n > 0 && (zip_uint64_t)got < st.size) {
        n = zip_fread(f, p + got, st.size - (zip_uint64_t)got);
        got += n > 0 ? n : 0;
    }
    zip_fclose(f);
    if (n < 0 || (zip_uint64_t)got != st.size)
        return error_set(im->e, ERR_INVALID, "the ZIP is damaged");
    *out = str_n(p, (size_t)got);
    return OK;
}

enum err import_gtfs_stops(struct import *im, struct str bytes, struct str *stops)
{
    zip_error_t why;
    zip_error_init(&why);
    zip_source_t *source = zip_source_buffer_create(bytes.p, bytes.n, 0, &why);
    zip_t *z = source ? zip_open_from_source(source, ZIP_RDONLY, &why) : NULL;
    zip_error_fini(&why);
    if (!z) {
        if (source)
            zip_source_free(source);
        return ERR_NOT_FOUND; /* what the table reader says about it is better */
    }
    zip_int64_t index = zip_name_locate(z, "stops.txt", ZIP_FL_NODIR);
    enum err err = index < 0 ? ERR_NOT_FOUND : read_member(im, z, (zip_uint64_t)index, stops);
    zip_discard(z);
    return err;
}
