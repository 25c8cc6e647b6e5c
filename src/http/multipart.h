/* multipart.h - multipart/form-data (RFC 7578, RFC 2046 section 5.1). Private to src/http. */
#ifndef HTTP_MULTIPART_H
#define HTTP_MULTIPART_H

#include "http/http.h"

enum { MULTIPART_PARTS = 256 }; /* more are refused */

/* Cut a body whose Content-Type header is type into its parts; bodies of parts point into it. */
enum err multipart_read(struct arena *a, struct str type, struct str body,
                        const struct multipart_part **parts, size_t *n, struct error *e);

#endif
