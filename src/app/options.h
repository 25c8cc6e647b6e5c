/*
 * options.h - everything that can be set, gathered from the modules' tables and the command line.
 */
#ifndef APP_OPTIONS_H
#define APP_OPTIONS_H

#include "city/service.h"
#include "core/config.h"
#include "gate.h"
#include "trust/oidc_options.h"
#include "trust/trust.h"

struct app_options {
    const char *data_dir;
    const char *web_dir;
    const char *log_level;
    int64_t pool_threads;
    int64_t pool_queue;
};
extern const struct config_table app_config;

struct options {
    struct app_options app;
    struct gate_options gate;
    struct store_options store;
    struct http_options http;
    struct client_options client;
    struct link_options link;
    struct trust_options trust;
    struct oidc_options oidc;
    struct edge_options edge;
    bool demo;        /* --demo: load the demo city first */
    const char *file; /* --config */
};

enum { OPTIONS_ARGS_MAX = 64 };

/*
 * Take the options out of argv[1..]: short forms (--data, --port, --address, --store, --demo,
 * --allow-private, --edge, --upstream, --config) and --module.key=value. What is left, the
 * command's own arguments, is moved to the front of argv and counted in *argc. Then the
 * configuration is loaded.
 */
enum err options_load(struct arena *a, int *argc, char **argv, struct options *o, struct error *e);

/* All tables, in the order of the documentation. */
size_t options_tables(const struct config_table *const **tables);

#endif
