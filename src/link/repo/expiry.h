/* expiry.h - deletes entities and attributes whose expiresAt has passed. Private to link. */
#ifndef LINK_EXPIRY_H
#define LINK_EXPIRY_H

#include "link/link.h"

void expiry_start(struct link *l); /* a periodic job on the pool */
void expiry_stop(struct link *l);
void expiry_run(struct link *l); /* one run, at most 10,000 entities of a tenant: for tests */

#endif
