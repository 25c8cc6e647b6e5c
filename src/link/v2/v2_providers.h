/*
 * v2_providers.h - registrations of NGSIv2: who else knows or keeps something, and asking them.
 *
 * A registration is a row; nothing of it is held in memory, so that several processes agree. Keys
 * find the few that may concern a request. What is here always comes first: a context provider is
 * asked only for attributes that are not, and its answer is not stored. Requests go to
 * URL/op/query and URL/op/update, all at once, through forward.h: with Via, so that a request
 * never comes back to where it was, and Fiware-Service, Fiware-ServicePath, Fiware-Correlator.
 *
 * The stored document: {"description"?, "dataProvided": {"entities", "attrs"?, "expression"?},
 * "provider": {"http": {"url"}, "supportedForwardingMode"?}, "expires"?, "status"?}
 */
#ifndef LINK_V2_PROVIDERS_H
#define LINK_V2_PROVIDERS_H

#include "forward.h"
#include "v2.h"

/* --- documents: v2_registrations.c --- */

/* The known members of what a broker shows; NULL with ERR_INVALID. */
const struct json *v2_registration_doc(struct arena *a, const struct json *body, struct error *e);
/* Make or replace the row of an id; inside a change. */
enum err v2_registration_put(struct store_conn *c, struct arena *a, int64_t tenant, struct str id,
                             struct str path, const struct json *doc, int64_t now, struct error *e);

/* --- which --- */

struct v2_provider {
    int64_t rid;
    const struct json *entities; /* of dataProvided: objects with id, idPattern, type ... */
    const struct str *attrs;     /* names; none: all */
    size_t n_attrs;
    struct registration reg; /* for forward.h */
};

struct v2_providers {
    VEC(struct v2_provider *) list;
};

enum v2_mode { V2_ASK_QUERY, V2_ASK_UPDATE };

/* What somebody asks about: ids or a pattern, types or a pattern; absent: any. Names. */
struct v2_subject {
    const struct str *ids;
    size_t n_ids;
    const struct str *types;
    size_t n_types;
    struct str id_pattern, type_pattern;
};

/* Keys of a registration, for its table; inside a change. */
enum err v2_provider_keys(struct store_conn *c, struct arena *a, int64_t tenant, int64_t rid,
                          const struct json *doc, struct error *e);
/* Those that are active and may know of a subject, in the order they were made. None when options
 * has skipForwarding or the request has been here before. */
enum err v2_providers_find(struct api *c, struct store_conn *conn, int64_t tenant,
                           const struct v2_paths *paths, enum v2_mode mode,
                           const struct v2_subject *subjects, size_t n, struct v2_providers *out,
                           struct error *e);

/* --- queries --- */

struct v2_wanted {
    const struct v2_subject *subjects;
    size_t n;
    const struct str *attrs; /* names; none: all */
    size_t n_attrs;
    const struct json *local; /* the one entity that is here, of one subject; or NULL */
};
/* The requests to send, none for what is here. */
size_t v2_query_forwards(struct api *c, const struct v2_providers *p, const struct v2_wanted *w,
                         struct forward **out);

/* What providers know of an entity. */
struct v2_remote {
    struct str id, type;       /* names */
    const struct json *stored; /* in stored form, without times */
    bool used;                 /* the caller's */
};
struct v2_remotes {
    VEC(struct v2_remote) list;
};
/* Their answers, joined by entity; also counts what came of asking. */
void v2_take_answers(struct api *c, struct forward *f, size_t n, struct v2_remotes *out);
/* What they know of that entity; NULL: nothing. */
struct v2_remote *v2_remote_of(struct v2_remotes *r, struct arena *a, const struct json *stored);
/* The entity here with the attributes that it lacks. */
const struct json *v2_joined(struct arena *a, const struct json *local, const struct json *remote);

/* --- updates --- */

/* As api_write() for operations of v2_op(); what an update does not find here goes to providers. */
enum http_answer v2_write(struct api *c, const struct v2_paths *paths, struct op *ops, size_t n,
                          void (*then)(struct api *));

#endif
