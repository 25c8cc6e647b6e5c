/* pack.h - messages between nodes: JSON, gzip (RFC 1952), "application/gzip" on the line. */
#ifndef LINK_EDGE_PACK_H
#define LINK_EDGE_PACK_H

#include "core/json.h"

#define PACK_TYPE "application/gzip"

enum { PACK_MAX = 32 << 20 }; /* bytes of a message when unpacked */

struct str pack(struct arena *a, struct str text);
/* ERR_INVALID for what is not gzip, ERR_TOO_LARGE beyond PACK_MAX. */
enum err unpack(struct arena *a, struct str packed, struct str *text, struct error *e);
/* Unpacked and read; NULL with *e. */
const struct json *unpack_json(struct arena *a, struct str packed, struct error *e);

#endif
