/* table_kit.h - what the tests of tables share: files, rows as one text, ZIPs made in memory. */
#ifndef TABLE_KIT_H
#define TABLE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/buf.h"
#include "core/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zip.h>

/* A file of the shared open data into b; false when the data is not here. */
static inline bool kit_shared_file(const char *path, struct buf *b)
{
    const char *const roots[] = {getenv("MARUGOTO_SHARED"), "../shared", "../../shared"};
    FILE *f = NULL;
    for (size_t i = 0; i < 3 && !f; i++) {
        char name[512];
        if (!roots[i])
            continue;
        snprintf(name, sizeof name, "%s/data/%s", roots[i], path);
        f = fopen(name, "rb");
    }
    if (!f)
        return false;
    buf_clear(b);
    for (size_t n = 1; n;) {
        char chunk[8192];
        n = fread(chunk, 1, sizeof chunk, f);
        buf_add(b, chunk, n);
    }
    fclose(f);
    return true;
}

/* All rows as text: "1:a|b;3:c;" with !...; for a row that cannot be read. */
static inline char *kit_rows(struct table *t, struct arena *a)
{
    struct buf out = BUF_INIT;
    struct table_row row;
    struct error e;
    for (enum table_step s; (s = table_next(t, a, &row, &e)) != TABLE_END;) {
        if (s == TABLE_BAD) {
            buf_printf(&out, "!%s;", e.text);
            continue;
        }
        buf_printf(&out, "%llu:", (unsigned long long)row.number);
        for (size_t i = 0; i < row.n; i++) {
            if (i)
                buf_char(&out, '|');
            buf_str(&out, row.cells[i].text);
        }
        buf_char(&out, ';');
    }
    buf_add(&out, "", 0);
    char *text = arena_dup(a, out.p ? out.p : "", out.n);
    buf_release(&out);
    return text;
}

/* Open, read all, close: the rows, or "?" and the reason when it does not open. */
static inline char *kit_read(struct str bytes, const struct table_limits *l, struct arena *a,
                             struct table_info *info)
{
    struct error e = {.code = OK};
    struct table *t = table_open(bytes, S("f"), l, &e);
    if (!t) {
        assert_int_not_equal(e.code, OK);
        return arena_printf(a, "?%s", e.text);
    }
    if (info)
        *info = *table_info(t);
    char *text = kit_rows(t, a);
    struct table_row row;
    assert_int_equal(table_next(t, a, &row, &e), TABLE_END); /* and it stays so */
    table_close(t);
    return text;
}

struct kit_part {
    const char *name;
    struct str bytes;
};

/* A ZIP of these parts into b. password: NULL, or all parts are encrypted. */
static inline void kit_zip(struct buf *b, const struct kit_part *parts, size_t n,
                           const char *password)
{
    zip_error_t e;
    zip_error_init(&e);
    zip_source_t *archive = zip_source_buffer_create(NULL, 0, 0, &e);
    zip_source_keep(archive);
    zip_t *z = zip_open_from_source(archive, ZIP_TRUNCATE, &e);
    assert_non_null(z);
    for (size_t i = 0; i < n; i++) {
        zip_source_t *s = zip_source_buffer(z, parts[i].bytes.p, parts[i].bytes.n, 0);
        zip_int64_t at = zip_file_add(z, parts[i].name, s, ZIP_FL_ENC_UTF_8);
        assert_true(at >= 0);
        if (password)
            assert_int_equal(zip_file_set_encryption(z, (zip_uint64_t)at, ZIP_EM_AES_256, password),
                             0);
    }
    assert_int_equal(zip_close(z), 0);
    assert_int_equal(zip_source_open(archive), 0);
    buf_clear(b);
    for (zip_int64_t got = 1; got > 0;) {
        char chunk[4096];
        got = zip_source_read(archive, chunk, sizeof chunk);
        assert_true(got >= 0);
        buf_add(b, chunk, (size_t)got);
    }
    zip_source_close(archive);
    zip_source_free(archive);
    zip_error_fini(&e);
}

#endif
