/* retention.h - trims the journal by age, see link.journal_hours. Private to link. */
#ifndef LINK_RETENTION_H
#define LINK_RETENTION_H

#include "link/link.h"

void retention_start(struct link *l); /* a periodic job on the pool */
void retention_stop(struct link *l);
void retention_run(struct link *l); /* one run, at most 100,000 rows: for tests */

#endif
