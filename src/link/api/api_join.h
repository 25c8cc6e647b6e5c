/*
 * api_join.h - linked entities (clause 4.5.23): join=inline puts what a Relationship points to
 * beside its object, join=flat gives it after the entities asked for. Private to link.
 */
#ifndef LINK_API_JOIN_H
#define LINK_API_JOIN_H

#include "api.h"
#include "core/map.h"
#include "link/query.h"

#define API_JOIN_PARAMS " join joinLevel containedBy"

struct api_linked;

struct api_join {
    struct api *c;
    enum { JOIN_NONE, JOIN_INLINE, JOIN_FLAT } kind;
    int64_t level;               /* of links to follow */
    const struct str *contained; /* entities that the client has already */
    size_t n_contained;
    struct store_conn *conn; /* set before use, with tenant */
    int64_t tenant;
    size_t loaded;
    bool remote;        /* others may have what is linked to: api_join_fetch() comes first */
    struct map fetched; /* id -> stored form: what is linked to, when remote */
    struct query_linker linker;
    struct arena linked; /* what the linker loaded */
    struct map given;    /* flat: ids of entities that were or will be given */
    VEC(struct api_linked *) queue;
};

/* join, joinLevel and containedBy of a body (may be NULL), else of the query string. false: the
 * response is filled. */
bool api_join_texts(struct api *c, const struct json *body, struct api_join *j);
/* The same, and whether they fit what is picked and omitted; after api_view(). */
bool api_join_read(struct api *c, const struct json *body, struct api_join *j);
/* Where q finds linked entities; conn and tenant must be set. It belongs to j, as does its arena.
 */
const struct query_linker *api_join_linker(struct api_join *j);
/*
 * Everything that n entities link to, as deep as is asked, from here and from context sources: one
 * question to all of them for each level. For remote ones, before anything is written; on a pool
 * thread, without a reader.
 */
enum err api_join_fetch(struct api_join *j, const struct json *const *entities, size_t n,
                        struct error *e);
/* Appends the entity with what it links to inside. */
enum err api_join_inline(struct api_join *j, struct buf *out, const struct json *stored,
                         const struct entity_view *v, struct error *e);
/* Flat: note what an entity that is given links to; the tree must live on. */
void api_join_note(struct api_join *j, const struct json *stored);
/* Flat: append all that was noted and what that links to, each after a comma. *n: how many. */
enum err api_join_flush(struct api_join *j, struct buf *out, const struct entity_view *v, size_t *n,
                        struct error *e);
void api_join_release(struct api_join *j);

#endif
