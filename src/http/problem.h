/* problem.h - texts of error answers. Private to src/http. */
#ifndef HTTP_PROBLEM_H
#define HTTP_PROBLEM_H

#include "http/http.h"

/* A problem document (RFC 9457); type NULL is about:blank, detail and instance may be absent. */
struct str problem_json(struct arena *a, int status, const char *type, struct str title,
                        struct str detail, struct str instance);

#endif
