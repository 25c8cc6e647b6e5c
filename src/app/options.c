#include "options.h"
#include "services.h"
#include <string.h>

static const struct config_key app_keys[] = {
    CONFIG_STR("app.data_dir", struct app_options, data_dir, "var/city",
               "folder of the city's data"),
    CONFIG_STR("app.web_dir", struct app_options, web_dir, "",
               "folder of templates, texts, styles and scripts; empty: where it was installed"),
    CONFIG_STR("app.log_level", struct app_options, log_level, "info",
               "debug, info, warn, error or off"),
    CONFIG_INT("app.pool_threads", struct app_options, pool_threads, 3, 1, 64,
               "threads for slow work: imports, tiles, long queries; a tenant has all but one"),
    CONFIG_INT("app.pool_queue", struct app_options, pool_queue, 1000, 1, 1000000,
               "tasks that may wait for such a thread"),
};
const struct config_table app_config = {"app", app_keys, sizeof(app_keys) / sizeof(app_keys[0])};

enum { TABLES_MAX = 32 };

/* Every table and what it fills, in the order of the documentation. */
static size_t bind_all(struct options *o, struct config_bind binds[static TABLES_MAX])
{
    const struct config_bind own[] = {
        {&app_config, &o->app},     {&gate_config, &o->gate},     {&http_config, &o->http},
        {&store_config, &o->store}, {&client_config, &o->client}, {&link_config, &o->link},
        {&edge_config, &o->edge},   {&trust_config, &o->trust},   {&oidc_config, &o->oidc},
    };
    size_t n = sizeof(own) / sizeof(own[0]);
    memcpy(binds, own, sizeof(own));
    for (size_t i = 0; i < services_n && n < TABLES_MAX; i++)
        if (services[i]->config)
            binds[n++] = (struct config_bind){services[i]->config, services[i]->options};
    return n;
}

size_t options_tables(const struct config_table *const **tables)
{
    static const struct config_table *all[TABLES_MAX];
    struct options unused;
    struct config_bind binds[TABLES_MAX];
    size_t n = bind_all(&unused, binds);
    for (size_t i = 0; i < n; i++)
        all[i] = binds[i].table;
    *tables = all;
    return n;
}

/* Short forms of the options that everybody needs. */
static const struct {
    const char *flag;
    const char *key;   /* takes the next argument */
    const char *fixed; /* or stands for this setting */
} shorts[] = {
    {"--data", "app.data_dir", NULL},
    {"--port", "http.port", NULL},
    {"--address", "http.address", NULL},
    {"--store", "store.url", NULL},
    {"--allow-private", NULL, "client.allow_private=true"},
    {"--edge", NULL, "edge.on=true"},
    {"--upstream", "edge.upstream", NULL},
};

struct args {
    struct str set[OPTIONS_ARGS_MAX];
    size_t n;
};

static enum err add_setting(struct args *s, struct str text, struct error *e)
{
    if (s->n == OPTIONS_ARGS_MAX)
        return error_set(e, ERR_INVALID, "more than %d options", OPTIONS_ARGS_MAX);
    s->set[s->n++] = text;
    return OK;
}

/* One option at argv[*i]; *i is left at its last word. */
static enum err take_option(struct arena *a, struct options *o, struct args *s, int argc,
                            char **argv, int *i, struct error *e)
{
    struct str arg = str_c(argv[*i]);
    if (str_eq(arg, S("--demo"))) {
        o->demo = true;
        return OK;
    }
    if (str_eq(arg, S("--config"))) {
        if (++*i >= argc)
            return error_set(e, ERR_INVALID, "--config needs a file");
        o->file = argv[*i];
        return OK;
    }
    for (size_t k = 0; k < sizeof(shorts) / sizeof(shorts[0]); k++) {
        if (!str_eq(arg, str_c(shorts[k].flag)))
            continue;
        if (shorts[k].fixed)
            return add_setting(s, str_c(shorts[k].fixed), e);
        if (++*i >= argc)
            return error_set(e, ERR_INVALID, "%s needs a value", shorts[k].flag);
        return add_setting(s, str_printf(a, "%s=%s", shorts[k].key, argv[*i]), e);
    }
    if (str_find_char(arg, '.') > 0 && str_find_char(arg, '=') > 0)
        return add_setting(s, str_from(arg, 2), e);
    return error_set(e, ERR_NOT_FOUND, "unknown option %s", argv[*i]);
}

static enum err take_options(struct arena *a, int *argc, char **argv, struct options *o,
                             struct args *s, struct error *e)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (!str_starts(str_c(argv[i]), S("--"))) {
            argv[kept++] = argv[i];
            continue;
        }
        int at = i;
        enum err err = take_option(a, o, s, *argc, argv, &i, e);
        if (err == ERR_NOT_FOUND)
            argv[kept++] = argv[at]; /* the command's own */
        else if (err)
            return err;
    }
    *argc = kept;
    return OK;
}

extern char **environ;

enum err options_load(struct arena *a, int *argc, char **argv, struct options *o, struct error *e)
{
    struct args s = {.n = 0};
    struct config_bind binds[TABLES_MAX];
    *o = (struct options){0};
    size_t n = bind_all(o, binds);
    enum err err = take_options(a, argc, argv, o, &s, e);
    if (err)
        return err;
    return config_load(a, binds, n, o->file, environ, s.set, s.n, e);
}
