/* tls.h - the server's certificate and key. Private to src/http. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "core/arena.h"
#include "core/error.h"
#include <stdbool.h>

struct tls_pair {
    char *cert, *key; /* PEM texts; NULL: no TLS */
    bool trial;       /* self-signed, made here */
};

/* Read both files, or make a pair for "self" that is good for a year; an empty cert gives none. */
enum err tls_load(struct arena *a, const char *cert, const char *key, struct tls_pair *out,
                  struct error *e);

#endif
