/*
 * marugoto import FILE|URL: load open data and say what became of each row.
 *
 * It opens the store itself, which only works while no server runs on it; with --server it hands
 * the file to the running one and waits for its report.
 */
#include "app.h"
#include "core/datetime.h"
#include "link/import.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FILE_BYTES_MAX = 256 << 20, POLL_MS = 200 };

struct arguments {
    const char *from; /* FILE or URL */
    const char *kind, *type, *dataset, *tenant, *source, *server, *observed;
    bool keep_vanished, json;
};

static const struct {
    const char *flag;
    size_t offset;
} valued[] = {
    {"--as", offsetof(struct arguments, kind)},
    {"--type", offsetof(struct arguments, type)},
    {"--dataset", offsetof(struct arguments, dataset)},
    {"--tenant", offsetof(struct arguments, tenant)},
    {"--source", offsetof(struct arguments, source)},
    {"--server", offsetof(struct arguments, server)},
    {"--observed", offsetof(struct arguments, observed)},
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: marugoto import FILE|URL [--as KIND] [options]\n\n"
                 "  --as KIND        what it is; without it the header tells\n"
                 "  --dataset ID     name under which it is remembered (the kind)\n"
                 "  --type TYPE      entity type, for the kinds table and geojson\n"
                 "  --source TEXT    publisher\n"
                 "  --tenant NAME    where to\n"
                 "  --observed TIME  instant that the file speaks of (ISO 8601)\n"
                 "  --keep-vanished  do not delete entities whose rows are gone\n"
                 "  --json           the report as JSON\n"
                 "  --server URL     through a running server\n\n"
                 "kinds:\n");
    for (const struct import_kind *k = import_kinds(); k->name; k++)
        fprintf(out, "  %-28s %s\n", k->name, k->title);
    fprintf(out, "  %-28s %s\n", "everything",
            "what marugoto export wrote, into an empty store; takes no option");
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "marugoto import: %s%s\n\n", what, which);
    print_usage(stderr);
    return 2;
}

/* 0, or not when usage() was shown. */
static int parse(struct arguments *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t v = 0, n = sizeof(valued) / sizeof(valued[0]);
        while (v < n && strcmp(argv[i], valued[v].flag))
            v++;
        if (v < n && i + 1 >= argc)
            return usage("a value is missing after ", argv[i]);
        if (v < n)
            *(const char **)((char *)o + valued[v].offset) = argv[++i];
        else if (!strcmp(argv[i], "--keep-vanished"))
            o->keep_vanished = true;
        else if (!strcmp(argv[i], "--json"))
            o->json = true;
        else if (!strncmp(argv[i], "--", 2))
            return usage("unknown option ", argv[i]);
        else if (o->from)
            return usage("one file at a time, not also ", argv[i]);
        else
            o->from = argv[i];
    }
    return o->from ? 0 : usage("which file?", "");
}

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto import: %s\n", e->text);
    return 1;
}

/* --- the file --- */

static bool is_url(const char *s)
{
    return !strncmp(s, "http://", 7) || !strncmp(s, "https://", 8);
}

static enum err read_file(struct arena *a, const char *path, struct str *out, struct error *e)
{
    struct stat st;
    enum err err = OK;
    FILE *f = fopen(path, "rb");
    if (!f)
        return error_set(e, ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode)) {
        err = error_set(e, ERR_INVALID, "%s is no file", path);
    } else if (st.st_size > FILE_BYTES_MAX) {
        err = error_set(e, ERR_TOO_LARGE, "%s is larger than %d MiB", path, FILE_BYTES_MAX >> 20);
    } else {
        char *p = arena_alloc(a, (size_t)st.st_size + 1);
        *out = str_n(p, fread(p, 1, (size_t)st.st_size, f));
        if (ferror(f))
            err = error_set(e, ERR_IO, "cannot read %s", path);
    }
    fclose(f);
    return err;
}

static struct str file_name(const char *from)
{
    const char *slash = strrchr(from, '/');
    struct str name = str_c(slash ? slash + 1 : from);
    ptrdiff_t query = is_url(from) ? str_find_char(name, '?') : -1;
    return query < 0 ? name : str_sub(name, 0, (size_t)query);
}

static enum err fetch(struct client *c, struct arena *a, const char *url, struct str *out,
                      struct error *e)
{
    struct client_answer answer;
    struct client_request r = {.url = str_c(url), .timeout_ms = 60000};
    enum err err = client_fetch(c, a, &r, &answer, e);
    if (err)
        return err;
    if (answer.status != 200)
        return error_set(e, ERR_UNAVAILABLE, "%s answered %d", url, answer.status);
    *out = answer.body;
    return OK;
}

static enum err get_bytes(struct app *app, const char *from, struct str *out, struct error *e)
{
    if (!is_url(from))
        return read_file(&app->arena, from, out, e);
    return fetch(app->client, &app->arena, from, out, e);
}

/* --- into the store --- */

static void show(const struct arguments *o, const struct import_report *r)
{
    struct buf out = BUF_INIT;
    if (o->json) {
        import_report_json(&out, r);
        buf_char(&out, '\n');
    } else {
        import_report_text(&out, r);
    }
    fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
}

static void show_progress(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    fprintf(stderr, "\r%llu of %llu rows", (unsigned long long)done, (unsigned long long)total);
}

static int import_here(struct app *app, const struct arguments *o, int64_t observed)
{
    struct error e = {0};
    struct import_report report;
    struct import_job job = {.link = &app->link,
                             .arena = &app->arena,
                             .tenant = str_c(o->tenant),
                             .actor = S("command"),
                             .name = file_name(o->from),
                             .kind = str_c(o->kind),
                             .type = str_c(o->type),
                             .dataset = str_c(o->dataset),
                             .source = str_c(o->source),
                             .observed = observed,
                             .keep_vanished = o->keep_vanished};
    bool on_terminal = isatty(STDERR_FILENO);
    if (on_terminal)
        job.progress = show_progress;
    if (app_open(app, &e)) {
        failed(&e);
        if (e.code == ERR_CONFLICT || e.code == ERR_UNAVAILABLE)
            fprintf(stderr, "If the city's server is running, import through it: add "
                            "--server http://localhost:PORT, or upload the file on its page.\n");
        return 1;
    }
    if (app_start_link(app, &e) || get_bytes(app, o->from, &job.bytes, &e))
        return failed(&e);
    enum err err = import_run(&job, &report, &e);
    if (on_terminal)
        fprintf(stderr, "\r\x1b[K");
    show(o, &report);
    if (err && !report.refused.p)
        return failed(&e);
    return err || report.rejected ? 1 : 0;
}

/* --- through a server --- */

static void add_parameter(struct arena *a, struct buf *url, const char *name, struct str value)
{
    if (!value.n)
        return;
    buf_printf(url, "%s%s=", str_find_char(buf_view(url), '?') < 0 ? "?" : "&", name);
    buf_str(url, url_encode(a, value));
}

static struct str upload_url(struct arena *a, const struct arguments *o)
{
    struct buf url = BUF_INIT;
    size_t n = strlen(o->server);
    while (n && o->server[n - 1] == '/')
        n--;
    buf_add(&url, o->server, n);
    buf_str(&url, S("/link/v1/import"));
    add_parameter(a, &url, "as", str_c(o->kind));
    add_parameter(a, &url, "type", str_c(o->type));
    add_parameter(a, &url, "dataset", str_c(o->dataset));
    add_parameter(a, &url, "source", str_c(o->source));
    add_parameter(a, &url, "observed", str_c(o->observed));
    add_parameter(a, &url, "name", file_name(o->from));
    add_parameter(a, &url, "keepVanished", o->keep_vanished ? S("true") : STR_NONE);
    struct str out = buf_dup(&url, a);
    buf_release(&url);
    return out;
}

/* A JSON answer with the status that is expected. */
static const struct json *ask(struct app *app, const struct client_request *r, int want,
                              struct error *e)
{
    struct client_answer answer;
    if (client_fetch(app->client, &app->arena, r, &answer, e))
        return NULL;
    const struct json *v = json_parse(&app->arena, answer.body, &JSON_DEFAULT, NULL);
    if (v && answer.status == want)
        return v;
    struct str detail = json_text(json_get(v, S("detail")));
    error_set(e, ERR_UNAVAILABLE, "the server answered %d %" STR_F, answer.status, STR_A(detail));
    return NULL;
}

static int wait_for_report(struct app *app, const struct arguments *o,
                           const struct client_request *r)
{
    struct error e = {0};
    for (;;) {
        const struct json *v = ask(app, r, 200, &e);
        if (!v)
            return failed(&e);
        struct str state = json_text(json_get(v, S("state")));
        if (str_eq(state, S("waiting")) || str_eq(state, S("running"))) {
            struct timespec pause = {0, POLL_MS * 1000000L};
            nanosleep(&pause, NULL);
            continue;
        }
        struct import_report report;
        import_report_read(&app->arena, json_get(v, S("report")), &report);
        show(o, &report);
        if (str_eq(state, S("done")))
            return report.rejected ? 1 : 0;
        struct str why = json_text(json_get(v, S("error")));
        if (!report.refused.p)
            fprintf(stderr, "marugoto import: %" STR_F "\n", STR_A(why));
        return 1;
    }
}

static int import_there(struct app *app, const struct arguments *o)
{
    struct error e = {0};
    struct arena *a = &app->arena;
    struct http_header headers[2] = {{S("Content-Type"), S("application/octet-stream")},
                                     {S("NGSILD-Tenant"), str_c(o->tenant)}};
    struct client_options options = app->options.client;
    options.allow_private = true; /* the server that was named is trusted */
    options.response_bytes = FILE_BYTES_MAX;
    app->client = client_new(&options, &e);
    if (!app->client)
        return failed(&e);
    struct client_request r = {.method = "POST",
                               .url = upload_url(a, o),
                               .headers = headers,
                               .n_headers = o->tenant ? 2 : 1,
                               .timeout_ms = 600000};
    if (get_bytes(app, o->from, &r.body, &e))
        return failed(&e);
    const struct json *started = ask(app, &r, 202, &e);
    if (!started)
        return failed(&e);
    struct str base = str_sub(r.url, 0, (size_t)str_find(r.url, S("/link/v1/import")));
    struct client_request poll = {.url =
                                      str_concat(a, base, json_text(json_get(started, S("href")))),
                                  .headers = &headers[1],
                                  .n_headers = o->tenant ? 1 : 0};
    return wait_for_report(app, o, &poll);
}

int command_import(struct app *app, int argc, char **argv)
{
    struct arguments o = {0};
    int64_t observed = 0;
    if (app_asks_help(argc, argv)) {
        print_usage(stdout);
        return 0;
    }
    if (parse(&o, argc, argv) || !o.from)
        return 2;
    if (o.kind && !strcmp(o.kind, "everything")) {
        if (o.type || o.dataset || o.tenant || o.source || o.server || o.observed ||
            o.keep_vanished || o.json || is_url(o.from))
            return usage("everything is read from a file and takes no option", "");
        return import_everything(app, o.from);
    }
    if (o.observed && !datetime_parse(str_c(o.observed), &observed))
        return usage("no date-time with its zone: ", o.observed);
    if (o.server && !is_url(o.server))
        return usage("no http URL: ", o.server);
    return o.server ? import_there(app, &o) : import_here(app, &o, observed);
}
