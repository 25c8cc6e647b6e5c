/*
 * xlsx_impl.h - what a workbook tells before its rows are read. Private to core.
 *
 * xlsx_parts.c fills a struct xlsx_book from the small parts of the package (ECMA-376 Part 1:
 * workbook 18.2, shared strings 18.4, styles 18.8; Part 2: relationships); xlsx_date.c knows which
 * number formats mean a date; xlsx.c reads the sheet.
 */
#ifndef CORE_XLSX_IMPL_H
#define CORE_XLSX_IMPL_H

#include "core/buf.h"
#include "core/vec.h"
#include "table_impl.h"
#include "zip_guard.h"

enum xlsx_format {
    FORMAT_PLAIN,
    FORMAT_DATE,   /* date, time or both */
    FORMAT_ELAPSED /* [h]:mm - a time of day only while it is less than a day */
};

struct xlsx_book {
    struct arena mem;
    struct str sheet_name;
    ptrdiff_t sheet;            /* member of the ZIP */
    bool from_1904;             /* days count from 1904-01-01 */
    struct buf text;            /* all shared strings, one behind the other */
    VEC(size_t) ends;           /* of each in text */
    VEC(unsigned char) formats; /* enum xlsx_format of each cell style */
};

/* Read all parts but the sheet. xlsx_book_release() in any case. */
enum err xlsx_book_read(struct xlsx_book *b, struct zip_guard *zip, const struct table_limits *l,
                        struct error *e);
void xlsx_book_release(struct xlsx_book *b);
bool xlsx_book_string(const struct xlsx_book *b, uint64_t index, struct str *out);

/* Decode "_x000D_" in place; the new length. */
size_t xlsx_unescape(char *p, size_t n);

enum xlsx_format xlsx_builtin_format(uint64_t id);
enum xlsx_format xlsx_format_of_code(struct str code);
/* "2024-01-11", "18:00:00" or both joined by 'T'; false when this is no date that Excel can show.
 */
enum { XLSX_DATE_MAX = 40 };
bool xlsx_date_text(struct str number, enum xlsx_format format, bool from_1904,
                    char out[XLSX_DATE_MAX]);
/* The same for the ISO 8601 text of a cell with t="d". */
bool xlsx_iso_text(struct str iso, char out[XLSX_DATE_MAX]);

#endif
