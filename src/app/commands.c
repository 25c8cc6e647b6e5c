/* The commands besides serve. */
#include "app.h"
#include "link/import.h"
#include "trust/log.h"
#include <stdio.h>
#include <string.h>

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto: %s\n", e->text);
    return 1;
}

static int usage_error(const char *text)
{
    fprintf(stderr, "marugoto: %s\n", text);
    return 2;
}

int command_backup(struct app *app, int argc, char **argv)
{
    struct error e = {0};
    if (argc != 2)
        return usage_error("backup needs one file name");
    if (app_open_to_read(app, true, &e) || store_backup(app->store, argv[1], &e))
        return failed(&e);
    printf("backup written to %s\n", argv[1]);
    return 0;
}

int command_restore(struct app *app, int argc, char **argv)
{
    struct error e = {0};
    bool force = false;
    const char *file = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--force"))
            force = true;
        else if (file || argv[i][0] == '-')
            return usage_error("restore takes one file name and --force");
        else
            file = argv[i];
    }
    if (!file)
        return usage_error("restore needs a file name");
    if (app_make_data_dir(app, &e))
        return failed(&e);
    app_place_store(app);
    if (store_restore(file, &app->options.store, force, &e))
        return failed(&e);
    printf("restored from %s\n", file);
    return 0;
}

static void print_finding(void *ctx, const char *what)
{
    (void)ctx;
    printf("%s\n", what);
}

int command_check(struct app *app, int argc, char **argv)
{
    struct error e = {0};
    (void)argv;
    if (argc != 1)
        return usage_error("check takes no argument");
    if (app_open_to_read(app, false, &e))
        return failed(&e);
    size_t findings = store_check(app->store, print_finding, NULL);
    struct store_conn *c = store_read(app->store, &e);
    if (!c)
        return failed(&e);
    findings += repo_check(c, print_finding, NULL);
    findings += log_check(c, NULL, print_finding, NULL);
    store_read_done(c);
    printf("%zu findings\n", findings);
    return findings ? 1 : 0;
}

int command_config(struct app *app, int argc, char **argv)
{
    const struct config_table *const *tables;
    struct buf out = BUF_INIT;
    size_t n = options_tables(&tables);
    (void)app;
    bool markdown = argc == 2 && !strcmp(argv[1], "--markdown");
    if (argc > 1 && !markdown)
        return usage_error("config takes --markdown or nothing");
    if (markdown) {
        BUF_LIT(&out, "# Settings\n\n"
                      "Made by `marugoto config --markdown`. A setting is read from the file of "
                      "`--config` (one\n`name = value` a line, `#` begins a comment), then from "
                      "the environment, then from the command line\n(`--name=value`); the last "
                      "one counts. Secrets may stand in a file of their own: `file:/path`.\n\n");
        config_markdown(&out, tables, n);
    } else {
        config_help(&out, tables, n);
    }
    fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
    return 0;
}

/* --- nodes --- */

static void print_token(struct str name, struct str token)
{
    printf("node %" STR_F " is enrolled; on the node:\n"
           "  marugoto serve --edge --upstream https://THIS-CITY --edge.token=%" STR_F "\n",
           STR_A(name), STR_A(token));
}

/* The city is being served by another process: ask it. */
static int enroll_by_request(struct app *app, struct str name)
{
    struct error e = {0};
    struct options *o = &app->options;
    struct client_options own = o->client;
    struct http_header headers[2] = {{S("Content-Type"), S("application/json")},
                                     {S("Authorization"),
                                      str_printf(&app->arena, "Bearer %s", o->gate.token)}};
    struct buf body = BUF_INIT;
    struct client_answer answer;
    own.allow_private = true;
    own.ca_file = "";
    app->client = client_new(&own, &e);
    if (!app->client)
        return failed(&e);
    BUF_LIT(&body, "{\"name\":");
    json_write_str(&body, name);
    buf_char(&body, '}');
    struct client_request q = {.method = "POST",
                               .url = str_printf(&app->arena,
                                                 "http://127.0.0.1:%lld/link/v1/sync"
                                                 "/nodes",
                                                 (long long)o->http.port),
                               .headers = headers,
                               .n_headers = o->gate.token[0] ? 2 : 1,
                               .body = buf_view(&body)};
    enum err err = client_fetch(app->client, &app->arena, &q, &answer, &e);
    buf_release(&body);
    if (err)
        return failed(&e);
    const struct json *v = json_parse(&app->arena, answer.body, &JSON_DEFAULT, NULL);
    if (answer.status != 201) {
        fprintf(stderr, "marugoto: the city answers %d: %" STR_F "\n", answer.status,
                STR_A(json_text(json_get(v, S("detail")))));
        return 1;
    }
    print_token(name, json_text(json_get(v, S("token"))));
    return 0;
}

int command_edge(struct app *app, int argc, char **argv)
{
    struct error e = {0};
    struct str token;
    if (argc != 3 || strcmp(argv[1], "enroll"))
        return usage_error("edge enroll takes the name of a node");
    struct str name = str_c(argv[2]);
    if (!str_is_utf8(name))
        return usage_error("the name of a node is letters, digits, '-', '_' and '.'");
    enum err err = app_open(app, &e);
    if (err == ERR_CONFLICT)
        return enroll_by_request(app, name);
    if (err)
        return failed(&e);
    app->link = (struct link){.store = app->store, .clock = &clock_system};
    struct sync *sync = sync_new(&app->link, &e);
    err = sync ? sync_enroll(sync, &app->arena, name, &token, &e) : e.code;
    sync_free(sync);
    if (err)
        return failed(&e);
    print_token(name, token);
    return 0;
}
