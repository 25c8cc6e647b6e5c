/*
 * marugoto export: everything as lines of JSON, the way to another engine, or as CSV to look at;
 * and marugoto import FILE --as everything, the way back.
 *
 * It reads beside the server, in one snapshot. What is written may hold secrets of subscriptions:
 * its owner alone may read it.
 */
#include "app.h"
#include "link/everything.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct arguments {
    const char *to, *tenant, *format;
    bool resume, all;
};

static void print_usage(FILE *out)
{
    fprintf(
        out,
        "usage: marugoto export --to FILE|FOLDER [options]\n\n"
        "  --to PLACE       a file for ndjson, a folder for csv\n"
        "  --format FORMAT  ndjson (default), which marugoto import FILE --as everything reads,\n"
        "                   or csv, a file for each kind and type\n"
        "  --tenant NAME    only this one (\"\" is the default tenant)\n"
        "  --all-tenants    all (default)\n"
        "  --resume         go on with a file that was cut off\n");
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "marugoto export: %s%s\n\n", what, which);
    print_usage(stderr);
    return 2;
}

/* 0, or not when usage() was shown. */
static int parse(struct arguments *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i];
        bool valued =
            !strcmp(flag, "--to") || !strcmp(flag, "--tenant") || !strcmp(flag, "--format");
        if (valued && i + 1 >= argc)
            return usage("a value is missing after ", flag);
        if (!strcmp(flag, "--to"))
            o->to = argv[++i];
        else if (!strcmp(flag, "--tenant"))
            o->tenant = argv[++i];
        else if (!strcmp(flag, "--format"))
            o->format = argv[++i];
        else if (!strcmp(flag, "--all-tenants"))
            o->all = true;
        else if (!strcmp(flag, "--resume"))
            o->resume = true;
        else
            return usage("unknown option ", flag);
    }
    if (!o->to)
        return usage("where to? --to is missing", "");
    if (o->all && o->tenant)
        return usage("one tenant or all, not both", "");
    if (o->format && strcmp(o->format, "ndjson") && strcmp(o->format, "csv"))
        return usage("no format ", o->format);
    if (o->resume && o->format && !strcmp(o->format, "csv"))
        return usage("csv begins afresh, into an empty folder", "");
    return 0;
}

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto export: %s\n", e->text);
    return 1;
}

/* --- going on with a file --- */

static bool is_kind(const struct json *v, struct str kind)
{
    return str_eq(json_text(json_get(v, S("kind"))), kind);
}

/* Cut the file behind its last mark and start there; *ended: nothing is missing. */
static enum err find_mark(struct arena *a, FILE *file, struct everything *x, bool *ended,
                          struct error *e)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t n;
    off_t at = 0, keep = -1;
    struct str mark = STR_NONE;
    while ((n = getline(&line, &cap, file)) > 0) {
        struct str text = str_n(line, (size_t)n);
        at += n;
        bool mine = str_starts(text, S("{\"kind\":\"mark\"")) && str_ends(text, S("\n"));
        if (str_starts(text, S("{\"kind\":\"end\"")) && str_ends(text, S("\n")))
            *ended = true;
        const struct json *v = mine ? json_parse(a, text, &JSON_DEFAULT, NULL) : NULL;
        if (v && is_kind(v, S("mark"))) {
            mark = str_dup(a, json_text(json_get(v, S("after"))));
            keep = at;
        }
    }
    free(line);
    if (*ended)
        return OK;
    if (keep < 0)
        return error_set(e, ERR_INVALID, "nothing to go on from in the file; begin it afresh");
    enum err err = everything_after(x, mark, e);
    if (!err && (ftruncate(fileno(file), keep) || fseeko(file, 0, SEEK_END)))
        err = error_set(e, ERR_IO, "cannot cut the file: %s", strerror(errno));
    return err;
}

/* --- writing --- */

static enum err write_lines(struct store_conn *c, struct everything *x, FILE *file, struct error *e)
{
    struct buf out = BUF_INIT;
    enum err err = OK;
    while (!err && !x->ended) {
        buf_clear(&out);
        err = everything_more(x, c, &out, e);
        if (!err && out.n && fwrite(out.p, 1, out.n, file) != out.n)
            err = error_set(e, ERR_IO, "cannot write: %s", strerror(errno));
    }
    buf_release(&out);
    if (!err && (fflush(file) || fsync(fileno(file))))
        err = error_set(e, ERR_IO, "cannot write: %s", strerror(errno));
    return err;
}

static enum err export_lines(struct app *app, const struct arguments *o, struct store_conn *c,
                             int64_t tenant, struct error *e)
{
    struct everything x = {.tenant = tenant};
    bool ended = false;
    int fd = open(o->to, O_RDWR | O_CLOEXEC | (o->resume ? 0 : O_CREAT | O_EXCL), 0600);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r+");
    if (!file)
        return error_set(e, ERR_IO, "cannot %s %s: %s", o->resume ? "open" : "make", o->to,
                         strerror(errno));
    enum err err = o->resume ? find_mark(&app->arena, file, &x, &ended, e) : OK;
    if (!err && !ended)
        err = write_lines(c, &x, file, e);
    everything_release(&x);
    if (fclose(file) && !err)
        err = error_set(e, ERR_IO, "cannot write %s: %s", o->to, strerror(errno));
    return err;
}

static enum err export_tables(const struct arguments *o, struct store_conn *c, int64_t tenant,
                              struct error *e)
{
    if (mkdir(o->to, 0700) && errno != EEXIST)
        return error_set(e, ERR_IO, "cannot make the folder %s: %s", o->to, strerror(errno));
    return everything_csv(c, tenant, o->to, e);
}

int command_export(struct app *app, int argc, char **argv)
{
    struct arguments o = {0};
    struct error e = {0};
    int64_t tenant = 0;
    if (app_asks_help(argc, argv)) {
        print_usage(stdout);
        return 0;
    }
    if (parse(&o, argc, argv))
        return 2;
    if (app_open_to_read(app, false, &e))
        return failed(&e);
    struct store_conn *c = store_read(app->store, &e);
    if (!c)
        return failed(&e);
    enum err err = o.tenant ? repo_tenant(c, str_c(o.tenant), &tenant, &e) : OK;
    if (!err && o.format && !strcmp(o.format, "csv"))
        err = export_tables(&o, c, tenant, &e);
    else if (!err)
        err = export_lines(app, &o, c, tenant, &e);
    store_read_done(c);
    if (err)
        return failed(&e);
    printf("exported to %s\n", o.to);
    return 0;
}

/* --- the way back --- */

int import_everything(struct app *app, const char *path)
{
    struct error e = {0};
    struct everything_report report;
    FILE *file = fopen(path, "rbe");
    if (!file) {
        fprintf(stderr, "marugoto import: cannot open %s: %s\n", path, strerror(errno));
        return 1;
    }
    enum err err = app_open(app, &e);
    if (!err)
        err = everything_restore(app->store, file, &report, &e);
    fclose(file);
    if (err) {
        fprintf(stderr, "marugoto import: %s\n", e.text);
        return 1;
    }
    printf("%llu records of %llu lines", (unsigned long long)report.records,
           (unsigned long long)report.lines);
    if (report.went_on)
        printf(", from line %llu on", (unsigned long long)report.went_on + 1);
    if (report.skipped)
        printf("; skipped %llu rows without their entity or snapshot",
               (unsigned long long)report.skipped);
    printf("\n");
    return 0;
}
