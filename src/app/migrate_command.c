/*
 * marugoto migrate orion --from URL: copy a running FIWARE Orion into this city's store.
 *
 * It opens the store itself, which only works while no server runs on it.
 */
#include "app.h"
#include "link/orion.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MAX = 100 };

struct arguments {
    const char *from, *token;
    struct str services[LIST_MAX], paths[LIST_MAX];
    size_t n_services, n_paths;
    bool dry_run, json;
};

static void print_usage(FILE *out)
{
    fprintf(out, "usage: marugoto migrate orion --from http://HOST:1026 [options]\n\n"
                 "  --from URL     the running Orion, without /v2\n"
                 "  --service S    Fiware-Service; may be given several times\n"
                 "  --path P       Fiware-ServicePath, perhaps with /# at the end; several times\n"
                 "                 (/#: all; an Orion before 4.0 does not tell paths: name each)\n"
                 "  --token T      X-Auth-Token\n"
                 "  --dry-run      read and compare, write nothing\n"
                 "  --json         the report as JSON, a line for each service\n");
}

static int usage(const char *what, const char *which)
{
    fprintf(stderr, "marugoto migrate: %s%s\n\n", what, which);
    print_usage(stderr);
    return 2;
}

static bool add(struct str *list, size_t *n, const char *text)
{
    if (*n == LIST_MAX)
        return false;
    list[(*n)++] = str_c(text);
    return true;
}

/* 0, or not when usage() was shown. */
static int parse(struct arguments *o, int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "orion"))
        return usage("from where? only orion is known", "");
    for (int i = 2; i < argc; i++) {
        const char *flag = argv[i];
        if (!strcmp(flag, "--dry-run")) {
            o->dry_run = true;
        } else if (!strcmp(flag, "--json")) {
            o->json = true;
        } else if (i + 1 >= argc) {
            return usage("unknown, or a value is missing: ", flag);
        } else if (!strcmp(flag, "--from")) {
            o->from = argv[++i];
        } else if (!strcmp(flag, "--token")) {
            o->token = argv[++i];
        } else if (!strcmp(flag, "--service") || !strcmp(flag, "--path")) {
            bool service = flag[2] == 's';
            if (!add(service ? o->services : o->paths, service ? &o->n_services : &o->n_paths,
                     argv[++i]))
                return usage("too often: ", flag);
        } else {
            return usage("unknown option ", flag);
        }
    }
    if (!o->from || (strncmp(o->from, "http://", 7) && strncmp(o->from, "https://", 8)))
        return usage("--from needs an http URL", "");
    for (size_t i = 0; i < o->n_paths; i++)
        if (!str_starts(o->paths[i], S("/")))
            return usage("a service path begins with /: ", o->paths[i].p);
    if (!o->n_services)
        o->services[o->n_services++] = S("");
    return 0;
}

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto migrate: %s\n", e->text);
    return 1;
}

static void show_progress(void *ctx, const char *what, uint64_t done)
{
    (void)ctx;
    fprintf(stderr, "\r\x1b[K%llu %s", (unsigned long long)done, what);
}

static void show(const struct arguments *o, const struct orion_report *r)
{
    struct buf out = BUF_INIT;
    if (o->json) {
        orion_report_json(&out, r);
        buf_char(&out, '\n');
    } else {
        orion_report_text(&out, r);
    }
    fwrite(out.p, 1, out.n, stdout);
    fflush(stdout);
    buf_release(&out);
}

/* The service as the tenant is called. */
static struct str lower(struct arena *a, struct str name)
{
    char *low = str_z(a, name);
    for (size_t i = 0; i < name.n; i++)
        if (low[i] >= 'A' && low[i] <= 'Z')
            low[i] = (char)(low[i] | 0x20);
    return str_n(low, name.n);
}

static enum err migrate(struct app *app, const struct arguments *o, struct str service,
                        bool *differ, struct error *e)
{
    struct orion_report report;
    struct str from = str_c(o->from);
    while (str_ends(from, S("/")))
        from = str_sub(from, 0, from.n - 1);
    struct orion_job job = {.link = &app->link,
                            .arena = &app->arena,
                            .from = from,
                            .service = lower(&app->arena, service),
                            .paths = o->paths,
                            .n_paths = o->n_paths,
                            .token = str_c(o->token),
                            .dry_run = o->dry_run};
    bool on_terminal = isatty(STDERR_FILENO);
    if (on_terminal)
        job.progress = show_progress;
    enum err err = orion_migrate(&job, &report, e);
    if (on_terminal)
        fprintf(stderr, "\r\x1b[K");
    show(o, &report);
    *differ = *differ || report.differences.n;
    return err;
}

int command_migrate(struct app *app, int argc, char **argv)
{
    struct arguments o = {0};
    struct error e = {0};
    bool differ = false;
    if (app_asks_help(argc, argv)) {
        print_usage(stdout);
        return 0;
    }
    if (parse(&o, argc, argv))
        return 2;
    app->options.client.allow_private = true; /* the Orion that was named is trusted */
    app->options.client.response_bytes = 256 << 20;
    app->options.client.total_ms = 60000;
    if (app_open(app, &e) || app_start_link(app, &e))
        return failed(&e);
    for (size_t i = 0; i < o.n_services; i++)
        if (migrate(app, &o, o.services[i], &differ, &e)) {
            failed(&e);
            fprintf(stderr, "What was copied stays; the same command goes on from there.\n");
            return 1;
        }
    return differ && !o.dry_run ? 1 : 0;
}
