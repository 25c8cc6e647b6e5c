/*
 * subscription_write.h - writing a subscription: the row, and after its commit the outbox. Shared
 * by the interfaces.
 *
 *     struct sub_write_call *w = ARENA_NEW(c.arena, struct sub_write_call);
 *     w->kind = WRITE_DELETE;
 *     w->id = id;
 *     return sub_write_submit(&c, w);
 */
#ifndef LINK_SUBSCRIPTION_WRITE_H
#define LINK_SUBSCRIPTION_WRITE_H

#include "api.h"
#include "subscription_impl.h"

struct sub_write_call {
    struct api api;
    struct store_change change;
    enum { WRITE_CREATE, WRITE_PATCH, WRITE_DELETE } kind;
    struct str id;
    const struct json *in;                /* stored form; of a patch a fragment */
    const struct ld_context *ctx, *shown; /* shown: of jsonldContext, or NULL */
    const struct sub_face *face;          /* NULL: NGSI-LD. Of a face also: */
    struct str service_path;              /* of a new one */
    struct str place;                     /* path of the address of a new one, with '/' */
    bool wakes;                           /* of a patch: it works again if it had switched off */
    const struct json *(*patched)(struct arena *a, const struct json *doc,
                                  const struct json *patch);
    enum err (*check)(struct arena *a, const struct json *doc, struct error *e);
    /* private */
    enum err result; /* of the operation, when the store was fine */
    struct error error;
    int64_t tenant, sid, cursor;
    struct sub_spec *spec; /* what the outbox takes over */
};

/* The id of the body, or a new one put there. */
void sub_write_name(struct api *c, struct sub_write_call *w);
/* Is the body's id, if it has one, that of the path? false: the response is filled. */
bool sub_write_same(struct api *c, const struct sub_write_call *w);
/* Answers 201 with Location or 204 after the commit, or the error. */
enum http_answer sub_write_submit(struct api *c, struct sub_write_call *w);

/* Is the subscription theirs who ask, to read and to change? */
bool sub_owned(const struct api *c, int64_t tenant, const struct json *doc);
/* It as they may read it: without headers and passwords for others (access_secrets()). */
const struct json *sub_readable(const struct api *c, int64_t tenant, const struct json *doc);
/* One, and a page, of the subscriptions to registrations or (path absent) to entities. */
enum http_answer sub_read_one(struct request *req, struct response *res, void *ctx,
                              http_handler handler, struct str service_path);
enum http_answer sub_read_list(struct request *req, struct response *res, void *ctx,
                               http_handler handler, struct str service_path, const char *place);

#endif
