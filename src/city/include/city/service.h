/*
 * service.h - what a service of the city is.
 *
 * A service stands on link (facts about the town) and trust (facts about a person) and on no other
 * service. Adding one is a folder under src/city/ and one line in src/app/services.c.
 */
#ifndef CITY_SERVICE_H
#define CITY_SERVICE_H

#include "core/config.h"
#include "http/locale.h"
#include "http/template.h"
#include "link/freshness.h"
#include "link/link.h"
#include "trust/trust.h"

struct frame;

/* What the program gives to each service at start; everything outlives the service. */
struct city {
    struct link *link;
    struct trust *trust;
    struct frame *frame; /* of all pages, see page.h */
    struct freshness *freshness;
    struct store *store;
    struct client *client;
    struct pool *pool;
    const struct clock *clock;
    struct locales *locales;
    struct templates *templates;
    const char *web_dir; /* static files: scripts, styles, fonts */
    const char *data_dir;
    const char *base_url; /* "" or what the operator configured */
};

struct service {
    const char *name;
    const struct config_table *config; /* NULL: nothing to set */
    void *options;                     /* filled from config before start */
    const struct store_module *module; /* migrations, or NULL */
    /* Makes the service's state; adds routes. NULL start: nothing to do. */
    enum err (*start)(const struct city *city, struct router *router, void **state,
                      struct error *e);
    void (*stop)(void *state);
};

#endif
