/* The commands besides serve. */
#include "app.h"
#include "link/import.h"
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
