/*
 * app.h - the running program: everything opened in order, closed in the opposite order.
 */
#ifndef APP_APP_H
#define APP_APP_H

#include "options.h"

enum { APP_SERVICES_MAX = 32, APP_MODULES_MAX = APP_SERVICES_MAX + 3 };

struct app {
    struct options options;
    struct arena arena; /* for the options' texts */
    struct store *store;
    struct client *client;
    struct pool *pool;
    struct link link;
    bool link_started;
    struct trust trust;
    bool trust_started;
    struct freshness *freshness;
    struct demo *demo; /* keeps the demo city alive; NULL without one */
    struct locales *locales;
    struct templates *templates;
    struct router *router;
    struct server *server;
    struct city city;
    struct frame *frame;
    void *states[APP_SERVICES_MAX]; /* of the services, in the order of the list */
    size_t n_started;
};

/* Make the data folder and open the store in it. */
enum err app_open(struct app *app, struct error *e);
/* Open an existing store only to read, also beside the process that serves it. With any_version
 * its schema may be older or newer than this program's. */
enum err app_open_to_read(struct app *app, bool any_version, struct error *e);
enum err app_make_data_dir(struct app *app, struct error *e);
/* Where the store is when nothing says so: a file in the data folder. */
void app_place_store(struct app *app);
/* Client, pool, link: what importing and the demo city need. */
enum err app_start_link(struct app *app, struct error *e);
void app_close(struct app *app);

enum err app_serve(struct app *app, struct error *e);

/* /healthz, /readyz, /metrics, /openapi.json; ctx is the app. */
void health_routes(struct app *app, struct router *r);

/* Does a command's last argument ask what it is for? */
bool app_asks_help(int argc, char **argv);

/* The commands; each returns the exit status. */
int command_serve(struct app *app, int argc, char **argv);
int command_import(struct app *app, int argc, char **argv);
int command_migrate(struct app *app, int argc, char **argv);
int command_backup(struct app *app, int argc, char **argv);
int command_restore(struct app *app, int argc, char **argv);
int command_export(struct app *app, int argc, char **argv);
int command_check(struct app *app, int argc, char **argv);
int command_edge(struct app *app, int argc, char **argv);
int command_account(struct app *app, int argc, char **argv);
int command_audit(struct app *app, int argc, char **argv);
int command_key(struct app *app, int argc, char **argv);
int command_client(struct app *app, int argc, char **argv);
int command_policy(struct app *app, int argc, char **argv);
int command_config(struct app *app, int argc, char **argv);

/* marugoto import FILE --as everything */
int import_everything(struct app *app, const char *path);

#endif
