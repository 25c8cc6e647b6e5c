/*
 * orion_impl.h - the parts of orion.h.
 *
 *     orion_migrate.c    the order of things, requests, how far it came
 *     orion_entities.c   entities compared and written
 *     orion_documents.c  subscriptions and registrations
 *     orion_report.c     the report in words
 */
#ifndef LINK_ORION_IMPL_H
#define LINK_ORION_IMPL_H

#include "link/orion.h"
#include "v2_notify.h"
#include "v2_providers.h"

enum { ORION_PAGE = 200 };

struct migration {
    const struct orion_job *job;
    struct orion_report *report;
    struct arena page;          /* of one page */
    bool skips_forwarding;      /* it knows options=skipForwarding */
    VEC(struct str) seen_paths; /* of entities; in the job's arena */
    int64_t tenant;             /* number; 0: there is none (dry run) */
};

/* A page of /v2/..., as an array in the page's arena. path: Fiware-ServicePath; absent: none. */
enum err orion_fetch(struct migration *m, struct str target, struct str path,
                     const struct json **out, struct error *e);
void orion_differs(struct migration *m, const char *what, struct str id, struct str type,
                   struct str path, struct str why);

/* An entity of a page. */
struct orion_entity {
    const struct json *body; /* without servicePath */
    struct str id, type, path;
    struct v2_input input;
    enum { ENTITY_NEW, ENTITY_SAME, ENTITY_CHANGED, ENTITY_REFUSED } state;
    struct error why;   /* of a refused one */
    struct str differs; /* of a changed one */
};
/* The entities of a page against what is here. asked: the service path of the request. */
enum err orion_look(struct migration *m, const struct json *page, struct str asked,
                    struct orion_entity **out, struct error *e);
/* Write the new and the changed ones; those that cannot be written become refused. */
enum err orion_put(struct migration *m, struct orion_entity *list, size_t n, struct error *e);

/* All subscriptions; all registrations. */
enum err orion_documents(struct migration *m, bool registrations, struct error *e);

#endif
