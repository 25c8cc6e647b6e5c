/*
 * table_impl.h - what table.c and its two readers share. Private to core.
 *
 * A reader is opened on bytes that outlive it, fills its part of *info, and gives rows as
 * table_next() promises. Limits are copied by the table and outlive the reader too.
 */
#ifndef CORE_TABLE_IMPL_H
#define CORE_TABLE_IMPL_H

#include "core/table.h"

struct csv_reader;
struct csv_reader *csv_open(struct str bytes, const struct table_limits *l,
                            struct table_info *info);
enum table_step csv_next(struct csv_reader *r, struct arena *a, struct table_row *row,
                         struct error *e);
void csv_close(struct csv_reader *r);

struct xlsx_reader;
struct zip_guard; /* taken over by the reader only when it opens */
struct xlsx_reader *xlsx_open(struct zip_guard *zip, const struct table_limits *l,
                              struct table_info *info, struct error *e);
enum table_step xlsx_next(struct xlsx_reader *r, struct arena *a, struct table_row *row,
                          struct error *e);
void xlsx_close(struct xlsx_reader *r);

/* Cells without the empty ones at the end. */
size_t table_cells_used(const struct table_cell *cells, size_t n);

#endif
