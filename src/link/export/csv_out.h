/* csv_out.h - fields of CSV (RFC 4180) for spreadsheets. */
#ifndef LINK_CSV_OUT_H
#define LINK_CSV_OUT_H

#include "core/json.h"

/* Quoted where it must be; what a spreadsheet would take for a formula gets a ' before it. */
void csv_field(struct buf *out, struct str s);
/* The value of an attribute's instances: texts and numbers as they are, all else as JSON. */
struct str csv_value(struct arena *a, const struct json *instances);

#endif
