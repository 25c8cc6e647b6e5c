/*
 * api_order.h - entities in the order that orderBy= asks for (clause 4.23). Private to link.
 *
 * An index cannot give them in that order, so all matches are looked at and the first few kept, by
 * the bytes of their keys (order_key()) and, where those are alike, by the order of creation. The
 * key of a page's last entity is the cursor of the next: pages do not shift while entities come and
 * go.
 */
#ifndef LINK_API_ORDER_H
#define LINK_API_ORDER_H

#include "api.h"
#include "core/vec.h"

#define API_ORDER_PARAMS " orderBy collation orderFrom orderGeometry"

enum {
    API_ORDER_DEPTH = 100000, /* entities that offset= and limit= reach */
    API_ORDER_CURSOR = 1500   /* bytes of a key that a cursor holds */
};

/* orderBy= and its like, or the member "ordering" of a body (clause 5.2.43); *out NULL without
 * them. To be released. false: the response is filled. */
bool api_order_read(struct api *c, const struct json *body, struct order **out);

struct api_ordered {
    struct order *order;
    uint64_t skip, want; /* entities to leave out, to give */
    struct str after;    /* key to begin behind; absent: from the start */
    /* results */
    uint64_t met;           /* all that were offered */
    struct str last;        /* key of the last one given; kept by the caller */
    struct order_entry **v; /* a heap, afterwards sorted */
    size_t n, cap;
};

struct order_entry {
    int64_t eid;
    uint32_t n_key, n_id;
    char bytes[]; /* key, id */
};

/* Begin: false when skip and want reach too deep; the response is filled. */
bool api_ordered_open(struct api *c, struct api_ordered *o);
void api_ordered_offer(struct api_ordered *o, const struct entity_row *row,
                       const struct json *stored);
/* The page, in order: v[*from] up to v[*to]; *more: others follow. */
void api_ordered_page(struct api_ordered *o, size_t *from, size_t *to, bool *more);
struct str order_entry_id(const struct order_entry *e);
struct str order_entry_key(const struct order_entry *e);
void api_ordered_empty(struct api_ordered *o);   /* to offer again what is to be ordered */
void api_ordered_release(struct api_ordered *o); /* the order as well */

#endif
