/*
 * marugoto client: the parties that people sign in to, and programs with rights of their own. While
 * a city serves from a file the store is its own: then the command asks that city at its port on
 * this machine.
 */
#include "app.h"
#include "trust/oidc.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20 };

#define CLIENTS "/trust/v1/clients"

static int complain(void)
{
    fprintf(stderr, "marugoto: client add FILE|-, change ID FILE|-, secret ID, remove ID, list\n");
    return 2;
}

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto: %s\n", e->text);
    return 1;
}

static enum err read_file(struct arena *a, const char *name, struct str *text, struct error *e)
{
    FILE *f = strcmp(name, "-") ? fopen(name, "rb") : stdin;
    if (!f)
        return error_set(e, ERR_IO, "cannot open %s: %s", name, strerror(errno));
    char *p = arena_alloc(a, FILE_BYTES_MAX);
    size_t n = fread(p, 1, FILE_BYTES_MAX, f);
    bool good = !ferror(f) && n < FILE_BYTES_MAX;
    if (f != stdin)
        fclose(f);
    *text = str_n(p, n);
    return good ? OK : error_set(e, ERR_INVALID, "%s cannot be read as a client", name);
}

static int ask(struct app *app, const char *method, struct str path, struct str body)
{
    struct error e = {0};
    struct client_options o = app->options.client;
    struct client_answer answer;
    o.allow_private = true;
    app->client = client_new(&o, &e);
    if (!app->client)
        return failed(&e);
    struct http_header type = {S("Content-Type"), S("application/json")};
    struct client_request q = {.method = method,
                               .url = str_printf(&app->arena, "http://127.0.0.1:%d%" STR_F,
                                                 (int)app->options.http.port, STR_A(path)),
                               .headers = &type,
                               .n_headers = body.n ? 1 : 0,
                               .body = body};
    if (client_fetch(app->client, &app->arena, &q, &answer, &e))
        return failed(&e);
    if (answer.body.n)
        printf("%" STR_F "\n", STR_A(answer.body));
    return answer.status / 100 == 2 ? 0 : 1;
}

static int print_made(struct app *app, const struct oidc_client_made *k)
{
    struct json doc = *k->metadata;
    if (k->secret.p)
        doc = json_with(&app->arena, &doc, S("client_secret"), json_v_str(k->secret));
    printf("%" STR_F "\n", STR_A(json_to_text(&app->arena, &doc)));
    return 0;
}

/* --- the verbs: here, when the store is not another process's --- */

struct verb {
    struct app *app;
    struct trust trust;
    struct str id, text;
};

static int add_here(struct verb *v)
{
    struct oidc_client_made made;
    struct error e = {0};
    struct arena *a = &v->app->arena;
    const struct json *in = json_parse(a, v->text, &JSON_DEFAULT, &e);
    if (!in || oidc_client_make(&v->trust, a, in, S("local"), &made, &e))
        return failed(&e);
    return print_made(v->app, &made);
}

static int change_here(struct verb *v)
{
    struct oidc_client_made made;
    struct error e = {0};
    struct arena *a = &v->app->arena;
    const struct json *in = json_parse(a, v->text, &JSON_DEFAULT, &e);
    if (!in || oidc_client_change(&v->trust, a, v->id, in, S("local"), &made, &e))
        return failed(&e);
    return print_made(v->app, &made);
}

static int secret_here(struct verb *v)
{
    struct error e = {0};
    struct str secret;
    if (oidc_client_secret(&v->trust, &v->app->arena, v->id, S("local"), &secret, &e))
        return failed(&e);
    printf("{\"client_id\":\"%" STR_F "\",\"client_secret\":\"%" STR_F "\"}\n", STR_A(v->id),
           STR_A(secret));
    return 0;
}

static int remove_here(struct verb *v)
{
    struct error e = {0};
    return oidc_client_remove(&v->trust, v->id, S("local"), &e) ? failed(&e) : 0;
}

static int list_here(struct verb *v)
{
    struct error e = {0};
    struct buf out = BUF_INIT;
    enum err err = oidc_client_list(&v->trust, &out, &e);
    if (!err)
        printf("%" STR_F "\n", STR_A(buf_view(&out)));
    buf_release(&out);
    return err ? failed(&e) : 0;
}

static const struct {
    const char *name;
    bool id, file;
    int (*here)(struct verb *v);
    const char *method, *tail;
} verbs[] = {
    {"add", false, true, add_here, "POST", ""},
    {"change", true, true, change_here, "PUT", ""},
    {"secret", true, false, secret_here, "POST", "/secret"},
    {"remove", true, false, remove_here, "DELETE", ""},
    {"list", false, false, list_here, "GET", ""},
};

int command_client(struct app *app, int argc, char **argv)
{
    struct verb v = {.app = app};
    struct error e = {0};
    size_t i = 0;
    while (argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]) && strcmp(argv[1], verbs[i].name))
        i++;
    if (argc < 2 || i == sizeof(verbs) / sizeof(verbs[0]) ||
        argc != 2 + verbs[i].id + verbs[i].file)
        return complain();
    v.id = verbs[i].id ? str_c(argv[2]) : STR_NONE;
    if (verbs[i].file && read_file(&app->arena, argv[argc - 1], &v.text, &e))
        return failed(&e);
    enum err err = app_open(app, &e);
    if (err == ERR_CONFLICT) {
        struct str path = S(CLIENTS);
        if (v.id.p)
            path = str_printf(&app->arena, CLIENTS "/%" STR_F "%s",
                              STR_A(url_encode(&app->arena, v.id)), verbs[i].tail);
        return ask(app, verbs[i].method, path, v.text);
    }
    if (err)
        return failed(&e);
    v.trust = (struct trust){.store = app->store, .clock = &clock_system};
    return verbs[i].here(&v);
}
