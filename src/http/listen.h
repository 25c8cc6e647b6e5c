/* listen.h - the listening socket and what surrounds it. Private to src/http. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "core/error.h"
#include <stdint.h>

/* Listen on an address ("::" is both families); *port is the one that was taken. */
enum err listen_open(const char *address, int64_t port, int *fd, int *bound, struct error *e);
/* As many open files as the system permits: each connection is one. */
void listen_raise_limit(void);
/* TMPDIR or /tmp. */
const char *listen_spool_dir(void);

#endif
