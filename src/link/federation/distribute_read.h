/*
 * distribute_read.h - reading what is spread over this server and its context sources (clauses
 * 4.3.6, 4.5.5, 5.7). Private to link.
 *
 * A handler asks distribute_begin() whether somebody else may know something of what it was asked.
 * If nobody does, which costs one look at a counter where there are no registrations, it goes on by
 * itself. Otherwise the sources are asked in parallel, and when all have answered or run out of
 * time, then() goes on with what they said on a pool thread: whatever they do, what is here is
 * never lost.
 *
 * A source is first asked for what clients see. Only when two sources disagree about an attribute
 * that has no observedAt are those asked once more, with the system's times, so that the newer one
 * can be told (clause 4.5.5.3).
 */
#ifndef LINK_DISTRIBUTE_READ_H
#define LINK_DISTRIBUTE_READ_H

#include "api_select.h"
#include "core/map.h"
#include "forward.h"

/* --- merging: pure --- */

/* One version of an entity. */
struct merge_version {
    const struct json *entity; /* stored form; times may be missing */
    enum reg_mode mode;        /* what is here counts as inclusive */
    size_t source;             /* the caller's */
};

/*
 * Versions of one entity as one (clauses 4.5.5.2, 4.5.5.3, 4.3.6): an attribute is an exclusive
 * source's if there is one, else a redirect one's, else that of all others, instance by instance
 * the one observed last, else modified last, else named first. Auxiliary versions only add
 * attributes that nobody else has. What has expired is left out. NULL: nothing is left. doubtful
 * (may be NULL) is called for both sources where nothing tells which of two values is newer.
 */
const struct json *merge_versions(struct arena *a, const struct merge_version *v, size_t n,
                                  int64_t now, void (*doubtful)(void *ctx, size_t source),
                                  void *ctx);

/* --- asking --- */

enum distribute_kind {
    DISTRIBUTE_RETRIEVE,
    DISTRIBUTE_QUERY,
    DISTRIBUTE_IDS /* entities by id alone, whatever the call itself asks */
};
struct entity_map_use;

/* What one source is asked, and has answered so far. */
struct distribute_source {
    const struct reg_part *part;
    size_t selector;              /* of the body's, that it is asked for */
    const struct ld_context *ctx; /* of the names that are sent and answered */
    struct str context;           /* its URL where it is not the caller's */
    struct str map;               /* address of its entity map; absent: it has none */
    bool sys_attrs;               /* asked with the system's times */
    bool doubtful;                /* to be asked with them */
    bool filters;                 /* q and the like went along */
    size_t began;                 /* versions before those of its present pass */
    int64_t got, rounds;          /* entities of its present pass; requests */
    bool more;                    /* it has a further page */
    bool cut;                     /* it has more than is read of a source */
};

struct distribute_version {
    const struct json *entity;
    size_t source;
    bool stale; /* replaced by a later pass */
};

struct distribute {
    struct api *c;
    enum distribute_kind kind;
    int64_t tenant;
    struct str id;                   /* to retrieve */
    const struct api_select *select; /* of a query */
    struct reg_ask ask;
    bool split;                       /* entities may be split: filters apply to the whole only */
    const struct entity_map_use *map; /* NULL: there is no talk of maps */
    struct reg_parts *parts;
    size_t n_parts; /* selectors of a body, each with its parts */
    struct distribute_source *sources;
    size_t n_sources;
    VEC(struct distribute_version) versions;
    struct map by_id; /* id -> struct distribute_entity */
    VEC(struct distribute_entity *) entities;
    size_t *asked;  /* sources of the requests on their way */
    size_t bytes;   /* of answers */
    bool wait;      /* distribute_wait() */
    bool unseen;    /* nothing is hidden: the caller looks at what may be seen */
    struct str but; /* id of a registration that is not asked; absent: none */
    /* On a pool thread, with everything that was answered; must call distribute_end(). */
    void (*then)(struct distribute *d);
    void *ctx;
};

/* What the sources said of one entity. */
struct distribute_entity {
    struct str id;
    VEC(size_t) versions;
    bool used;
};

/*
 * Whom to ask. false: nobody, go on alone, unless *failed: then the response is filled. d lies in
 * the call's arena; c, kind, tenant, id or select, ask (all but tenant, via and now), then and ctx
 * are set.
 */
bool distribute_begin(struct distribute *d, bool *failed);
/* The idPattern of a query as it was sent. */
struct str distribute_pattern(const struct distribute *d);
/* Ask them; returns what the handler returns. */
enum http_answer distribute_go(struct distribute *d);
/*
 * The same for somebody on a pool thread who waits: when it returns all have answered or run out
 * of time, which is that of all that the call asks. then() is not called. Hold no reader meanwhile.
 */
void distribute_wait(struct distribute *d);
/* The entity of an id from what is here (NULL: nothing) and from the sources; NULL: nothing. */
const struct json *distribute_whole(struct distribute *d, struct arena *a, struct str id,
                                    const struct json *local);
void distribute_end(struct distribute *d);

/* --- answers merged as a whole --- */

enum distribute_answer_kind {
    ANSWER_DISCOVERY, /* of types and attributes: lists together, numbers added */
    ANSWER_EVOLUTION  /* of the temporal interface: instances together, in order of time */
};
/* Of a list of evolutions, which page is asked; here() gives them from the first on. */
struct answer_page {
    int64_t limit, offset;
    bool count;
    bool more;                                   /* here() has more than it gave */
    void (*link)(struct api *c, int64_t offset); /* puts the link to the next page there */
};

/*
 * Does somebody else have a say in what the call asks? Then *out is what the handler returns:
 * here() fills the response on a pool thread as if nobody had, with ctx as ctx_then, and what the
 * sources answer to the same question is put into it. page: of a list, or NULL; it must live as
 * long as the call. false: nobody, go on alone.
 */
bool distribute_answer(struct api *c, const struct reg_ask *about, enum distribute_answer_kind kind,
                       const struct answer_page *page, void (*here)(struct api *c), void *ctx,
                       enum http_answer *out);

/* Is there a next page, says a Link header? */
bool distribute_names_next(struct str link);
/* "?" or "&", name, "=" and the value encoded, unless that is empty. */
void distribute_param(struct buf *b, const char *name, struct str value);
/* IRIs in the terms of a context, joined by ','. */
struct str distribute_names(struct arena *a, const struct ld_context *ctx, const struct str *iris,
                            size_t n);

#endif
