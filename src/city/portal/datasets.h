/*
 * datasets.h - what the city publishes: one data set for each type of entity.
 *
 * A DataSource entity that covers the type tells its publisher and how fresh it is, a Dataset
 * entity (DCAT-AP) its title, description, licence and origin. Both are optional.
 */
#ifndef PORTAL_DATASETS_H
#define PORTAL_DATASETS_H

#include "core/vec.h"
#include "look.h"
#include "portal_impl.h"

struct dataset {
    struct str iri;   /* of the type */
    struct str name;  /* its short name, as in addresses */
    struct str label; /* in the reader's language */
    struct str description, publisher, license, origin;
    int64_t entities;
    int64_t interval_us, last_update, stale_since; /* 0: unknown */
    enum fresh_state state;
    bool internal; /* about the data rather than the town: sources, alerts, descriptors */
};

struct datasets {
    VEC(struct dataset) all; /* by label */
};

/* All of the default tenant; texts in the page's arena. */
enum err datasets_list(struct page *p, struct store_conn *c, struct datasets *out, struct error *e);
const struct dataset *datasets_find(const struct datasets *d, struct str name);
/* The members of one: label, href, count, freshness. Inside an object. */
void dataset_write(struct page *p, const struct dataset *d);

/* Entities of a type in order of creation. after, offset, limit as in repo.h. */
struct scan {
    struct str iri;
    int64_t after;
    uint64_t offset, limit;
    int64_t deadline; /* steady clock; 0: none */
};
enum err scan_type(struct store_conn *c, const struct clock *clock, const struct scan *s,
                   bool (*each)(void *ctx, const struct entity_row *row, const struct json *stored),
                   void *ctx, struct repo_result *result, struct error *e);

/* GET /open/{type}.csv and its kin (download.c). */
enum http_answer download_csv(struct request *req, struct response *res, void *ctx);
enum http_answer download_json(struct request *req, struct response *res, void *ctx);
enum http_answer download_geojson(struct request *req, struct response *res, void *ctx);

#endif
