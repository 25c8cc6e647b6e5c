/* marugoto audit: the log of who read what, checked by those who keep it and by anyone else. */
#include "app.h"
#include "trust/verify.h"
#include <stdio.h>
#include <string.h>

static const char usage_text[] =
    "usage: marugoto audit key\n"
    "       marugoto audit verify\n"
    "       marugoto audit verify URL --key KEY [--state FILE]\n"
    "\n"
    "key      prints the public key of this city's log (--data)\n"
    "verify   checks the log in this city's store; with a URL that of any city, such as\n"
    "         https://city.example.jp/log, against the key that you know\n"
    "--state  remembers what was checked: the next time only what is new is read, and a log that\n"
    "         forgot or changed what it once showed is caught\n";

struct audit_args {
    const char *what, *url, *key, *state;
};

static bool read_args(int argc, char **argv, struct audit_args *o)
{
    for (int i = 1; i < argc; i++) {
        const char **value = !strcmp(argv[i], "--key")     ? &o->key
                             : !strcmp(argv[i], "--state") ? &o->state
                                                           : NULL;
        if (value && i + 1 < argc)
            *value = argv[++i];
        else if (value || argv[i][0] == '-')
            return false;
        else if (!o->what)
            o->what = argv[i];
        else if (!o->url)
            o->url = argv[i];
        else
            return false;
    }
    if (!o->what)
        return false;
    if (!strcmp(o->what, "key"))
        return !o->url && !o->key && !o->state;
    return !strcmp(o->what, "verify") && !o->url == !o->key && (o->url || !o->state);
}

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto audit: %s\n", e->text);
    return 1;
}

static void print_finding(void *ctx, const char *what)
{
    (void)ctx;
    printf("%s\n", what);
}

/* --- here --- */

static int verify_here(struct app *app)
{
    struct error e = {0};
    struct note_key key;
    int64_t size = 0;
    if (log_key_find(&app->arena, &app->options.trust, app->options.app.data_dir, &key, &e) ||
        app_open_to_read(app, false, &e))
        return failed(&e);
    struct store_conn *c = store_read(app->store, &e);
    if (!c)
        return failed(&e);
    size_t findings = log_check(c, &key, print_finding, NULL);
    enum err err = log_size(c, &size, &e);
    store_read_done(c);
    if (err)
        return failed(&e);
    printf("%lld entries, %zu findings\n", (long long)size, findings);
    return findings ? 1 : 0;
}

static int print_key(struct app *app)
{
    struct error e = {0};
    struct note_key key;
    if (log_key_find(&app->arena, &app->options.trust, app->options.app.data_dir, &key, &e))
        return failed(&e);
    printf("%" STR_F "\n", STR_A(note_key_public(&app->arena, &key)));
    note_key_wipe(&key);
    return 0;
}

/* --- elsewhere --- */

static int verify_there(struct app *app, const struct audit_args *o)
{
    struct error e = {0};
    struct note_key key;
    struct str url = str_c(o->url);
    while (str_ends(url, S("/")))
        url.n--;
    if (note_key_parse(&app->arena, str_c(o->key), &key, &e))
        return failed(&e);
    app->client = client_new(&app->options.client, &e);
    if (!app->client)
        return failed(&e);
    struct log_verify v = {.client = app->client, .url = url, .key = &key, .state = o->state};
    if (log_verify_from(&v, &e))
        return failed(&e);
    if (v.before)
        printf("%lld entries hold, %lld of them new\n", (long long)v.size,
               (long long)(v.size - v.before));
    else
        printf("%lld entries hold\n", (long long)v.size);
    return 0;
}

int command_audit(struct app *app, int argc, char **argv)
{
    struct audit_args o = {0};
    if (!read_args(argc, argv, &o)) {
        bool help = argc == 2 && !strcmp(argv[1], "--help");
        fputs(usage_text, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    if (!strcmp(o.what, "key"))
        return print_key(app);
    return o.url ? verify_there(app, &o) : verify_here(app);
}
