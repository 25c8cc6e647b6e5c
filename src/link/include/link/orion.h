/*
 * orion.h - a running FIWARE Orion copied through its own interface (NGSIv2): entities,
 * subscriptions, registrations of one service.
 *
 * What is here already and equal is left alone, what differs is replaced, nothing is deleted: so a
 * copy may be repeated, also to catch up with what changed meanwhile. How far it came is kept in
 * the store; after a kill it goes on there. At the end everything is read back from both sides and
 * compared.
 *
 *     struct orion_job job = {.link = link, .arena = &arena, .from = S("http://orion:1026")};
 *     struct orion_report report;
 *     if (!orion_migrate(&job, &report, &e)) orion_report_text(&out, &report);
 *
 * Orion tells the service path of an entity (attribute servicePath, Orion 4) or not (before): then
 * each path must be named. It never tells that of subscriptions and registrations: it is found by
 * asking for each path that is in use.
 */
#ifndef LINK_ORION_H
#define LINK_ORION_H

#include "core/vec.h"
#include "link/link.h"

struct orion_job {
    struct link *link;
    struct arena *arena;     /* of the report; one thread */
    struct str from;         /* http://host:1026 */
    struct str service;      /* Fiware-Service; empty: the default one */
    const struct str *paths; /* service paths, perhaps with "/#" at the end; none: all */
    size_t n_paths;
    struct str token; /* X-Auth-Token; empty: none */
    bool dry_run;     /* read and compare only */
    void (*progress)(void *ctx, const char *what, uint64_t done);
    void *ctx;
};

struct orion_counts {
    uint64_t there;                        /* at Orion */
    uint64_t made, changed, same, refused; /* here; in a dry run what would become of them */
    uint64_t differ;                       /* when read back from both sides */
};

struct orion_difference {
    const char *what; /* "entity", "subscription", "registration" */
    struct str id, type, path;
    struct str why;
};

struct orion_report {
    struct str service;
    bool dry_run;
    struct orion_counts entities, subscriptions, registrations;
    VEC(struct orion_difference) differences; /* at most ORION_DIFFERENCES; counters go on */
};
enum { ORION_DIFFERENCES = 1000 };

/* ERR_UNAVAILABLE when Orion cannot be reached or answers with an error: what was copied stays, and
 * the next run goes on from there. */
enum err orion_migrate(const struct orion_job *job, struct orion_report *report, struct error *e);
void orion_report_text(struct buf *out, const struct orion_report *r);
void orion_report_json(struct buf *out, const struct orion_report *r);

#endif
