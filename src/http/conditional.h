/* conditional.h - conditional requests and ranges (RFC 9110 sections 13 and 14). Private. */
#ifndef HTTP_CONDITIONAL_H
#define HTTP_CONDITIONAL_H

#include "http/http.h"

/* What a GET or HEAD that would answer 200 with this tag and date is answered with: 200, 304 or
 * 412. */
int conditional_status(const struct request *req, struct str etag, int64_t modified);

enum range_kind { RANGE_NONE, RANGE_ONE, RANGE_BAD };

/* The single byte range that a request asks for. Several ranges, other units and an If-Range that
 * does not match give RANGE_NONE: the whole is sent. RANGE_BAD: 416. */
enum range_kind conditional_range(const struct request *req, struct str etag, int64_t modified,
                                  uint64_t size, uint64_t *from, uint64_t *n);

#endif
