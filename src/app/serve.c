/*
 * Opening, serving, closing. Order of opening: store, client, pool, link, trust, texts, frame,
 * services, server; closing goes the other way, so that whatever may still call into a part is gone
 * before it.
 */
#include "app.h"
#include "city/demo.h"
#include "city/page.h"
#include "core/log.h"
#include "services.h"
#include "trust/oidc.h"
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum err make_dirs(struct arena *a, const char *path, struct error *e)
{
    char *p = arena_dup(a, path, strlen(path));
    for (char *s = p + 1;; s++) {
        if (*s != '/' && *s != '\0')
            continue;
        char old = *s;
        *s = '\0';
        if (mkdir(p, 0750) && errno != EEXIST)
            return error_set(e, ERR_IO, "cannot make the folder %s: %s", p, strerror(errno));
        *s = old;
        if (!old)
            return OK;
    }
}

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {{"debug", LOG_DEBUG},
              {"info", LOG_INFO},
              {"warn", LOG_WARN},
              {"error", LOG_ERROR},
              {"off", LOG_OFF}};

static enum err set_log_level(const char *name, struct error *e)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (!strcmp(levels[i].name, name)) {
            log_set_level(levels[i].level);
            return OK;
        }
    }
    return error_set(e, ERR_INVALID, "app.log_level: no level \"%s\"", name);
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Installed as PREFIX/bin/marugoto the folder is PREFIX/share/marugoto/web; a program that was not
 * installed uses that of its sources. */
static void place_web(struct app *app)
{
    char self[4096];
    const char **dir = &app->options.app.web_dir;
    if ((*dir)[0])
        return;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
    while (n > 0 && self[n - 1] != '/')
        n--;
    if (n > 0)
        *dir = arena_printf(&app->arena, "%.*s../share/marugoto/web", (int)n, self);
    if (!is_folder(*dir))
        *dir = MARUGOTO_WEB;
}

enum err app_make_data_dir(struct app *app, struct error *e)
{
    return make_dirs(&app->arena, app->options.app.data_dir, e);
}

void app_place_store(struct app *app)
{
    struct options *o = &app->options;
    if (!o->store.url[0])
        o->store.url = arena_printf(&app->arena, "sqlite:%s/city.db", o->app.data_dir);
}

static size_t list_modules(struct store_module list[static APP_MODULES_MAX])
{
    size_t n = 0;
    list[n++] = link_module;
    list[n++] = trust_module;
    list[n++] = oidc_module;
    for (size_t i = 0; i < services_n; i++)
        if (services[i]->module)
            list[n++] = *services[i]->module;
    return n;
}

enum err app_open(struct app *app, struct error *e)
{
    struct options *o = &app->options;
    struct store_module list[APP_MODULES_MAX];
    enum err err = set_log_level(o->app.log_level, e);
    if (!err)
        err = app_make_data_dir(app, e);
    if (err)
        return err;
    app_place_store(app);
    return store_open(&app->store, &o->store, &clock_system, list, list_modules(list), e);
}

enum err app_open_to_read(struct app *app, bool any_version, struct error *e)
{
    struct options *o = &app->options;
    struct store_module list[APP_MODULES_MAX];
    size_t n = any_version ? 0 : list_modules(list);
    enum err err = set_log_level(o->app.log_level, e);
    if (err)
        return err;
    app_place_store(app);
    return store_open_to_read(&app->store, &o->store, &clock_system, list, n, e);
}

enum err app_start_link(struct app *app, struct error *e)
{
    struct options *o = &app->options;
    app->client = client_new(&o->client, e);
    if (!app->client)
        return e->code;
    app->pool = pool_new((unsigned)o->app.pool_threads, (size_t)o->app.pool_queue);
    app->link = (struct link){.store = app->store,
                              .client = app->client,
                              .pool = app->pool,
                              .clock = &clock_system,
                              .options = o->link,
                              .edge = o->edge};
    enum err err = link_start(&app->link, e);
    app->link_started = err == OK;
    return err;
}

static struct str manager(void *ctx, const struct request *req)
{
    struct app *app = ctx;
    struct str actor = access_asks(req)->actor;
    if (!access_manages_city(app->link.access, req))
        return STR_NONE;
    return actor.p ? actor : S("local");
}

static enum err start_trust(struct app *app, struct error *e)
{
    app->trust = (struct trust){.store = app->store,
                                .pool = app->pool,
                                .client = app->client,
                                .clock = &clock_system,
                                .data_dir = app->options.app.data_dir,
                                .base_url = app->options.link.public_url,
                                .options = app->options.trust,
                                .oidc_options = &app->options.oidc,
                                .manager = manager,
                                .manager_ctx = app};
    enum err err = trust_start(&app->trust, e);
    app->trust_started = err == OK;
    return err;
}

static enum err load_texts(struct app *app, struct error *e)
{
    place_web(app);
    const char *web = app->options.app.web_dir;
    app->locales = locales_load(arena_printf(&app->arena, "%s/locales", web), e);
    if (!app->locales)
        return e->code;
    app->templates =
        templates_load(arena_printf(&app->arena, "%s/templates", web), app->locales, e);
    return app->templates ? OK : e->code;
}

static enum err start_services(struct app *app, struct error *e)
{
    app->city = (struct city){.link = &app->link,
                              .trust = &app->trust,
                              .freshness = app->freshness,
                              .store = app->store,
                              .client = app->client,
                              .pool = app->pool,
                              .clock = &clock_system,
                              .locales = app->locales,
                              .templates = app->templates,
                              .web_dir = app->options.app.web_dir,
                              .data_dir = app->options.app.data_dir,
                              .base_url = app->options.link.public_url};
    app->frame = frame_new(&app->city, app->router, e);
    if (!app->frame)
        return e->code;
    app->city.frame = app->frame;
    for (size_t i = 0; i < services_n; i++) {
        enum err err = services[i]->start(&app->city, app->router, &app->states[i], e);
        if (err)
            return err;
        app->n_started = i + 1;
    }
    return OK;
}

/* --- hooks of the server --- */

static bool before(void *ctx, struct request *req, struct response *res)
{
    struct app *app = ctx;
    return gate_allows(&app->options.gate, app->link.access, &app->trust, req, res);
}

static void error_page(void *ctx, struct request *req, struct response *res, int status,
                       struct str title, struct str detail)
{
    struct app *app = ctx;
    frame_error_page(app->frame, req, res, status, title, detail);
}

enum err app_serve(struct app *app, struct error *e)
{
    struct options *o = &app->options;
    app->freshness = freshness_new(&app->link, e);
    if (!app->freshness || start_trust(app, e))
        return e->code;
    app->router = router_new();
    health_routes(app, app->router);
    link_routes(&app->link, app->router);
    trust_routes(&app->trust, app->router);
    freshness_routes(app->freshness, app->router);
    enum err err = load_texts(app, e);
    if (!err)
        err = start_services(app, e);
    if (err)
        return err;
    app->demo = demo_start(&app->link);
    struct server_hooks hooks = {.ctx = app, .before = before, .error_page = error_page};
    return server_start(&app->server, &o->http, &clock_system, app->router, &hooks, e);
}

void app_close(struct app *app)
{
    if (app->server)
        server_stop(app->server);
    if (app->store)
        store_drain(app->store);
    if (app->demo)
        demo_stop(app->demo);
    for (size_t i = app->n_started; i-- > 0;)
        if (services[i]->stop)
            services[i]->stop(app->states[i]);
    frame_free(app->frame);
    if (app->trust_started)
        trust_stop(&app->trust);
    if (app->freshness)
        freshness_free(app->freshness);
    if (app->link_started)
        link_stop(&app->link);
    if (app->pool)
        pool_free(app->pool);
    if (app->client)
        client_free(app->client);
    if (app->store)
        store_close(app->store);
    if (app->router)
        router_free(app->router);
    if (app->templates)
        templates_free(app->templates);
    if (app->locales)
        locales_free(app->locales);
    arena_release(&app->arena);
}

int command_serve(struct app *app, int argc, char **argv)
{
    struct error e = {0};
    sigset_t set;
    int got = 0;
    (void)argv;
    if (argc > 1) {
        fprintf(stderr, "marugoto serve: unexpected argument %s\n", argv[1]);
        return 2;
    }
    /* All threads inherit the blocked signals; this one waits for them. */
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like a full disk */
    if (gate_check(&app->options.gate, &e) || app_open(app, &e) || app_start_link(app, &e) ||
        (app->options.demo && demo_load(&app->link, &e)) || app_serve(app, &e)) {
        fprintf(stderr, "marugoto: %s\n", e.text);
        return 1;
    }
    printf("marugoto %s serves %s://%s:%d/\n", MARUGOTO_VERSION,
           app->options.http.tls_cert[0] ? "https" : "http",
           strcmp(app->options.http.address, "0.0.0.0") && strcmp(app->options.http.address, "::")
               ? app->options.http.address
               : "localhost",
           server_port(app->server));
    fflush(stdout);
    malloc_trim(0); /* what starting needed and running does not */
    while (sigwait(&set, &got) != 0)
        continue;
    log_event(LOG_INFO, "app.stop", LOG_I("signal", got));
    return 0;
}
