/*
 * zip_guard.h - a ZIP from a stranger, read without trusting what it says of itself.
 *
 * Refused before libzip looks at the archive: more members than max_members. Refused before a byte
 * is unpacked: encryption, methods other than stored and deflated, a stated size over the limits.
 * Refused while unpacking: more than max_ratio bytes out of one byte in (small members are spared),
 * more than max_unzipped bytes from the whole archive, a wrong check sum. Private to core.
 *
 *     struct zip_guard *g = zip_guard_open(bytes, &limits, &e);
 *     struct zip_member m;
 *     if (!zip_member_open(&m, g, zip_guard_find(g, "xl/workbook.xml"), &e))
 *         while (!zip_member_read(&m, chunk, sizeof chunk, &n, &e) && n) ...
 *     zip_member_close(&m);
 *     zip_guard_close(g);
 */
#ifndef CORE_ZIP_GUARD_H
#define CORE_ZIP_GUARD_H

#include "core/table.h"

struct zip_guard;
struct zip_file;

/* bytes and limits outlive the guard. */
struct zip_guard *zip_guard_open(struct str bytes, const struct table_limits *l, struct error *e);
void zip_guard_close(struct zip_guard *g);

size_t zip_guard_count(const struct zip_guard *g);
/* Name of a member as stored; lives as long as the guard. */
struct str zip_guard_name(const struct zip_guard *g, size_t index);
/* Index of the member with this name (upper and lower case alike), or -1. */
ptrdiff_t zip_guard_find(const struct zip_guard *g, const char *name);

struct zip_member {
    struct zip_guard *guard;
    struct zip_file *file;
    struct str name;
    size_t got;  /* bytes unpacked so far */
    size_t most; /* bytes that the ratio allows */
};

/* On an error the member is closed already; closing it once more is harmless. */
enum err zip_member_open(struct zip_member *m, struct zip_guard *g, ptrdiff_t index,
                         struct error *e);
/* Up to cap bytes; *n is 0 at the end. */
enum err zip_member_read(struct zip_member *m, void *to, size_t cap, size_t *n, struct error *e);
void zip_member_close(struct zip_member *m);

#endif
