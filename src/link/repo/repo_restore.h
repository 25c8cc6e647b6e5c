/* repo_restore.h - an entity as another store had it, and one that goes without a trace (private to
 * link). */
#ifndef LINK_REPO_RESTORE_H
#define LINK_REPO_RESTORE_H

#include "link/repo.h"

struct repo_restored {
    int64_t tenant;
    struct str id, text; /* the stored form as text; absent: it was deleted */
    const struct json *doc;
    int64_t version, modified;
};
/* Inside a change: the row with its index and names, without journal and history. It must not be
 * there. */
enum err repo_restore(struct store_conn *c, struct arena *a, const struct repo_restored *x,
                      struct error *e);

/* Inside a change: the index rows of a state go. */
enum err repo_unindex(struct store_conn *c, struct arena *a, int64_t tenant, int64_t eid,
                      const struct json *doc, struct error *e);

#endif
