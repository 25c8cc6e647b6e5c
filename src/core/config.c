#include "core/config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_LIMIT = 1024 * 1024, SECRET_LIMIT = 64 * 1024 };

#define ENV_PREFIX "MARUGOTO_"

/* What is being loaded, and where the value at hand comes from (for messages). */
struct loader {
    struct arena *arena;
    const struct config_bind *binds;
    size_t n;
    const char *source;
    struct error *error;
};

/* --- one value --- */

static void *field(const struct config_bind *bind, const struct config_key *key)
{
    return (char *)bind->options + key->offset;
}

static bool read_bool(struct str text, bool *out)
{
    static const char *const names[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_eq_nocase(text, str_c(names[i]))) {
            *out = i % 2;
            return true;
        }
    }
    return false;
}

/* A number of bytes: "512", "64k", "16m", "2g". */
static bool read_size(struct str text, int64_t *out)
{
    int shift = 0;
    if (text.n > 1) {
        switch (text.p[text.n - 1] | 0x20) {
        case 'k':
            shift = 10;
            break;
        case 'm':
            shift = 20;
            break;
        case 'g':
            shift = 30;
            break;
        }
    }
    if (shift)
        text.n--;
    return str_to_i64(text, out) && !__builtin_mul_overflow(*out, INT64_C(1) << shift, out);
}

/* Parse text into the field; NULL when that worked, else what was expected. */
static const char *put_scalar(const struct config_bind *bind, const struct config_key *key,
                              struct str text)
{
    if (key->kind == CONFIG_KIND_BOOL) {
        bool v;
        if (!read_bool(text, &v))
            return "true or false";
        *(bool *)field(bind, key) = v;
        return NULL;
    }
    int64_t v;
    bool size = key->kind == CONFIG_KIND_SIZE;
    if (!(size ? read_size(text, &v) : str_to_i64(text, &v)))
        return size ? "a number of bytes such as 512, 64k, 16m or 2g" : "a whole number";
    if (v < key->min || v > key->max)
        return "a value within its bounds";
    *(int64_t *)field(bind, key) = v;
    return NULL;
}

static enum err read_file(struct arena *a, const char *path, size_t limit, struct str *out,
                          struct error *e)
{
    enum err err = OK;
    struct stat st;
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, ERR_IO, "config: cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        err = error_set(e, ERR_IO, "config: %s is not a regular file", path);
        goto out;
    }
    if ((uint64_t)st.st_size > limit) {
        err = error_set(e, ERR_TOO_LARGE, "config: %s is larger than %zu bytes", path, limit);
        goto out;
    }
    size_t size = (size_t)st.st_size;
    char *text = arena_alloc(a, size + 1);
    while (n < size) {
        ssize_t got = read(fd, text + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            err = error_set(e, ERR_IO, "config: cannot read %s: %s", path, strerror(errno));
            goto out;
        }
        if (got == 0)
            break;
        n += (size_t)got;
    }
    *out = str_n(text, n);
out:
    close(fd);
    return err;
}

static enum err put_text(const struct loader *l, const struct config_bind *bind,
                         const struct config_key *key, struct str text)
{
    if (key->secret && str_starts(text, S("file:"))) {
        const char *path = str_z(l->arena, str_from(text, 5));
        enum err err = read_file(l->arena, path, SECRET_LIMIT, &text, l->error);
        if (err)
            return err;
        text = str_trim(text); /* editors end a file with a newline */
    }
    if (str_find_char(text, '\0') >= 0)
        return error_set(l->error, ERR_INVALID, "config: %s: %s: expected text without NUL bytes",
                         l->source, key->name);
    *(const char **)field(bind, key) = str_z(l->arena, text);
    return OK;
}

static enum err put_value(const struct loader *l, const struct config_bind *bind,
                          const struct config_key *key, struct str text)
{
    if (key->kind == CONFIG_KIND_STR)
        return put_text(l, bind, key, text);
    const char *expected = put_scalar(bind, key, text);
    if (!expected)
        return OK;
    text = key->secret ? S("the value") : str_cut(text, 80);
    if (key->kind == CONFIG_KIND_BOOL)
        return error_set(l->error, ERR_INVALID, "config: %s: %s: expected %s, not \"%" STR_F "\"",
                         l->source, key->name, expected, STR_A(text));
    return error_set(l->error, ERR_INVALID,
                     "config: %s: %s: expected %s (%" PRId64 " to %" PRId64 "), not \"%" STR_F "\"",
                     l->source, key->name, expected, key->min, key->max, STR_A(text));
}

/* --- sources --- */

void config_defaults(const struct config_bind *bind)
{
    for (size_t i = 0; i < bind->table->n; i++) {
        const struct config_key *key = &bind->table->keys[i];
        if (key->kind == CONFIG_KIND_STR) {
            *(const char **)field(bind, key) = key->preset;
        } else if (put_scalar(bind, key, str_c(key->preset)) != NULL) {
            fprintf(stderr, "config: %s: bad default \"%s\" in the program\n", key->name,
                    key->preset);
            abort(); /* a table that contradicts itself: the first start shows it */
        }
    }
}

/* "http.max_body" as MARUGOTO_HTTP_MAX_BODY. */
static struct str env_name(struct arena *a, const char *name)
{
    char *text = arena_printf(a, ENV_PREFIX "%s", name);
    for (char *p = text; *p; p++)
        *p = *p == '.' || *p == '-' ? '_' : (char)toupper((unsigned char)*p);
    return str_c(text);
}

static enum err put_named(const struct loader *l, struct str name, struct str text)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct config_table *table = l->binds[i].table;
        for (size_t k = 0; k < table->n; k++)
            if (str_eq(name, str_c(table->keys[k].name)))
                return put_value(l, &l->binds[i], &table->keys[k], text);
    }
    name = str_cut(name, 80);
    return error_set(l->error, ERR_INVALID, "config: %s: unknown name \"%" STR_F "\"", l->source,
                     STR_A(name));
}

/* "name = value" with blanks around both. */
static enum err put_line(const struct loader *l, struct str line)
{
    ptrdiff_t at = str_find_char(line, '=');
    if (at < 0)
        return error_set(l->error, ERR_INVALID, "config: %s: expected \"name = value\"", l->source);
    return put_named(l, str_trim(str_sub(line, 0, (size_t)at)),
                     str_trim(str_from(line, (size_t)at + 1)));
}

static enum err load_file(struct loader *l, const char *path)
{
    struct str text = STR_NONE, line;
    enum err err = read_file(l->arena, path, FILE_LIMIT, &text, l->error);
    if (!err && str_starts(text, S("\xEF\xBB\xBF")))
        text = str_from(text, 3); /* Windows editors */
    for (size_t number = 1; !err && str_split(&text, '\n', &line); number++) {
        line = str_trim(line);
        if (line.n == 0 || line.p[0] == '#')
            continue;
        l->source = arena_printf(l->arena, "%s:%zu", path, number);
        err = put_line(l, line);
    }
    return err;
}

/*
 * A variable belongs to a module when it begins with its name. Others with our prefix are left
 * alone: they may be meant for scripts around the program.
 */
static enum err load_variable(struct loader *l, struct str variable)
{
    ptrdiff_t at = str_find_char(variable, '=');
    if (at < 0 || !str_starts(variable, S(ENV_PREFIX)))
        return OK;
    struct str name = str_sub(variable, 0, (size_t)at);
    bool ours = false;
    l->source = "environment";
    for (size_t i = 0; i < l->n; i++) {
        const struct config_table *table = l->binds[i].table;
        struct str prefix = env_name(l->arena, table->module);
        ours = ours || (name.n > prefix.n && str_starts(name, prefix) && name.p[prefix.n] == '_');
        for (size_t k = 0; k < table->n; k++)
            if (str_eq(name, env_name(l->arena, table->keys[k].name)))
                return put_value(l, &l->binds[i], &table->keys[k],
                                 str_from(variable, (size_t)at + 1));
    }
    if (!ours)
        return OK;
    name = str_cut(name, 80);
    return error_set(l->error, ERR_INVALID, "config: environment: unknown name \"%" STR_F "\"",
                     STR_A(name));
}

enum err config_load(struct arena *a, const struct config_bind *binds, size_t n, const char *file,
                     char **env, const struct str *args, size_t n_args, struct error *e)
{
    struct loader l = {.arena = a, .binds = binds, .n = n, .error = e};
    for (size_t i = 0; i < n; i++)
        config_defaults(&binds[i]);
    enum err err = file ? load_file(&l, file) : OK;
    for (char **v = env; !err && v && *v; v++)
        err = load_variable(&l, str_c(*v));
    l.source = "command line";
    for (size_t i = 0; !err && i < n_args; i++)
        err = put_line(&l, args[i]);
    return err;
}

/* --- documentation --- */

/* What a key accepts, for people. */
static void describe_values(struct buf *out, const struct config_key *key)
{
    switch (key->kind) {
    case CONFIG_KIND_INT:
        buf_printf(out, "%" PRId64 " to %" PRId64, key->min, key->max);
        break;
    case CONFIG_KIND_SIZE:
        buf_printf(out, "%" PRId64 " to %" PRId64 " bytes; k, m, g", key->min, key->max);
        break;
    case CONFIG_KIND_BOOL:
        BUF_LIT(out, "true or false");
        break;
    case CONFIG_KIND_STR:
        buf_str(out, key->secret ? S("secret text, or file:/path") : S("text"));
        break;
    }
}

static struct str shown_default(const struct config_key *key)
{
    return key->secret || !key->preset ? S("") : str_c(key->preset);
}

void config_help(struct buf *out, const struct config_table *const *tables, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < tables[i]->n; k++) {
            const struct config_key *key = &tables[i]->keys[k];
            buf_printf(out, "  --%s=%" STR_F "\n      %s (", key->name, STR_A(shown_default(key)),
                       key->help);
            describe_values(out, key);
            BUF_LIT(out, ")\n");
        }
    }
}

/* Text for a table cell: '|' would end it. */
static void add_cell(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '|')
            buf_char(out, '\\');
        buf_char(out, text.p[i]);
    }
}

void config_markdown(struct buf *out, const struct config_table *const *tables, size_t n)
{
    struct arena a = ARENA_INIT;
    for (size_t i = 0; i < n; i++) {
        buf_printf(out,
                   "%s## %s\n\n| name | environment | default | values | meaning |\n"
                   "|---|---|---|---|---|\n",
                   i ? "\n" : "", tables[i]->module);
        for (size_t k = 0; k < tables[i]->n; k++) {
            const struct config_key *key = &tables[i]->keys[k];
            struct str preset = shown_default(key), variable = env_name(&a, key->name);
            buf_printf(out, "| `%s` | `%" STR_F "` | ", key->name, STR_A(variable));
            if (preset.n) {
                buf_char(out, '`');
                add_cell(out, preset);
                buf_char(out, '`');
            }
            BUF_LIT(out, " | ");
            describe_values(out, key);
            BUF_LIT(out, " | ");
            add_cell(out, str_c(key->help));
            BUF_LIT(out, " |\n");
        }
    }
    arena_release(&a);
}
