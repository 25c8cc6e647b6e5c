/* compress.h - gzip of answers (RFC 1952, zlib). Private to src/http. */
#ifndef HTTP_COMPRESS_H
#define HTTP_COMPRESS_H

#include "core/arena.h"
#include "core/str.h"

struct z_stream_s;

/* Compress text into the arena; absent when that does not make it smaller. *z is made at the first
 * use and kept for the next. One thread at a time. */
struct str gzip_text(struct z_stream_s **z, struct arena *a, struct str text);
void gzip_free(struct z_stream_s *z);

/* Text, JSON, XML, SVG, scripts: what is worth compressing. */
bool gzip_suits(struct str media_type);

#endif
