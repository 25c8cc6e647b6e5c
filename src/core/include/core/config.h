/*
 * config.h - one typed table per module, from which parsing, --help and docs/CONFIGURATION.md come.
 *
 * A module declares what can be set, where the value goes, its default and its bounds:
 *
 *     static const struct config_key keys[] = {
 *         CONFIG_INT("http.header_deadline_s", struct http_options, header_deadline_s, 10, 1, 600,
 *                    "seconds until a request's headers must be complete"),
 *     };
 *     const struct config_table http_config = {"http", keys, COUNT};
 *
 * Sources, later wins: default, file (lines "name = value", '#' comments), environment
 * (MARUGOTO_HTTP_HEADER_DEADLINE_S), command line (--http.header_deadline_s=5). Unknown names, bad
 * values and values out of bounds are errors that name the source and line. Variables that begin
 * with MARUGOTO_ but not with a module's name are left alone. Keys marked secret are never printed;
 * a value "file:/path" of a secret key is read from that file.
 */
#ifndef CORE_CONFIG_H
#define CORE_CONFIG_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/error.h"
#include "core/str.h"

enum config_kind { CONFIG_KIND_INT, CONFIG_KIND_BOOL, CONFIG_KIND_STR, CONFIG_KIND_SIZE };

struct config_key {
    const char *name; /* "module.key" */
    enum config_kind kind;
    size_t offset;      /* of int64_t, bool or const char * in the options struct */
    const char *preset; /* default, as text */
    int64_t min, max;   /* INT and SIZE */
    bool secret;
    const char *help; /* one line, lower case, with the unit */
};

#define CONFIG_INT(name, type, field, preset, min, max, help)                                      \
    {                                                                                              \
        name, CONFIG_KIND_INT, offsetof(type, field), #preset, min, max, false, help               \
    }
/* bytes; accepts k, m and g suffixes (1024) */
#define CONFIG_SIZE(name, type, field, preset, min, max, help)                                     \
    {                                                                                              \
        name, CONFIG_KIND_SIZE, offsetof(type, field), preset, min, max, false, help               \
    }
#define CONFIG_BOOL(name, type, field, preset, help)                                               \
    {                                                                                              \
        name, CONFIG_KIND_BOOL, offsetof(type, field), preset, 0, 0, false, help                   \
    }
#define CONFIG_STR(name, type, field, preset, help)                                                \
    {                                                                                              \
        name, CONFIG_KIND_STR, offsetof(type, field), preset, 0, 0, false, help                    \
    }
#define CONFIG_SECRET(name, type, field, preset, help)                                             \
    {                                                                                              \
        name, CONFIG_KIND_STR, offsetof(type, field), preset, 0, 0, true, help                     \
    }

struct config_table {
    const char *module;
    const struct config_key *keys;
    size_t n;
};

/* A table and the options struct that it fills: INT and SIZE into int64_t, STR into const char *.
 */
struct config_bind {
    const struct config_table *table;
    void *options;
};

/* Fill every bound struct. args are "name=value" texts from the command line; file and env may be
 * NULL. Texts live in the arena. */
enum err config_load(struct arena *a, const struct config_bind *binds, size_t n, const char *file,
                     char **env, const struct str *args, size_t n_args, struct error *e);
/* Defaults only: for tests and tools. */
void config_defaults(const struct config_bind *bind);
void config_help(struct buf *out, const struct config_table *const *tables, size_t n);
void config_markdown(struct buf *out, const struct config_table *const *tables, size_t n);

#endif
