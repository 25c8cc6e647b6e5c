/*
 * marugoto key and marugoto policy: who may do what, from the command line. While a city serves
 * from a file the store is its own: then the command asks that city at its port on this machine.
 */
#include "app.h"
#include "link/access.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLICIES_MAX = 32, FILE_MAX = 1 << 20 };

struct manage {
    struct app *app;
    struct str tenant;
    struct str policies[POLICIES_MAX];
    size_t n_policies;
    struct str expires;
    const char *words[4]; /* what is no option, from the verb on */
    size_t n_words;
};

static int complain(const char *text)
{
    fprintf(stderr, "marugoto: %s\n", text);
    return 2;
}

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto: %s\n", e->text);
    return 1;
}

static bool take_words(struct manage *m, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        bool option = str_starts(str_c(argv[i]), S("--"));
        if (option && i + 1 == argc)
            return false;
        if (!option && m->n_words < sizeof(m->words) / sizeof(m->words[0]))
            m->words[m->n_words++] = argv[i];
        else if (!option)
            return false;
        else if (!strcmp(argv[i], "--tenant"))
            m->tenant = str_c(argv[++i]);
        else if (!strcmp(argv[i], "--expires"))
            m->expires = str_c(argv[++i]);
        else if (!strcmp(argv[i], "--policy") && m->n_policies < POLICIES_MAX)
            m->policies[m->n_policies++] = str_c(argv[++i]);
        else
            return false;
    }
    return m->n_words > 0;
}

/* Ask the city that serves from this store; its answer is printed. */
static int by_request(struct manage *m, const char *method, struct str path, struct str body)
{
    struct app *app = m->app;
    struct arena *a = &app->arena;
    struct error e = {0};
    struct client_options o = app->options.client;
    struct client_answer answer;
    o.allow_private = true;
    app->client = client_new(&o, &e);
    if (!app->client)
        return failed(&e);
    struct http_header headers[] = {{S("Content-Type"), S("application/json")},
                                    {S("NGSILD-Tenant"), m->tenant}};
    struct client_request q = {.method = method,
                               .url = str_printf(a, "http://127.0.0.1:%d%" STR_F,
                                                 (int)app->options.http.port, STR_A(path)),
                               .headers = headers,
                               .n_headers = m->tenant.n ? 2 : 1,
                               .body = body};
    if (client_fetch(app->client, a, &q, &answer, &e))
        return failed(&e);
    if (answer.body.n)
        printf("%" STR_F "\n", STR_A(answer.body));
    return answer.status / 100 == 2 ? 0 : 1;
}

/* OK: the store is open here; ERR_CONFLICT: a city has it. */
static enum err open_here(struct manage *m, struct error *e)
{
    enum err err = app_open(m->app, e);
    m->app->link = (struct link){.store = m->app->store, .clock = &clock_system};
    return err;
}

static int print_list(enum err err, struct buf *out, const struct error *e)
{
    if (!err)
        printf("%" STR_F "\n", STR_A(buf_view(out)));
    buf_release(out);
    return err ? failed(e) : 0;
}

/* --- keys --- */

static struct str new_key_body(struct manage *m)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_kstr(&w, S("name"), str_c(m->words[1]));
    json_w_key(&w, S("policies"));
    json_w_array(&w);
    for (size_t i = 0; i < m->n_policies; i++)
        json_w_str(&w, m->policies[i]);
    json_w_end(&w);
    if (m->expires.n)
        json_w_kstr(&w, S("expiresAt"), m->expires);
    json_w_end(&w);
    struct str body = buf_dup(&b, &m->app->arena);
    buf_release(&b);
    return body;
}

static int key_new(struct manage *m)
{
    struct error e = {0};
    struct str key;
    struct access_new_key k = {.tenant = m->tenant,
                               .name = str_c(m->words[1]),
                               .policies = m->policies,
                               .n_policies = m->n_policies,
                               .actor = S("local")};
    if (m->expires.n && !datetime_parse(m->expires, &k.expires))
        return complain("--expires is a date-time such as 2027-04-01T00:00:00Z");
    enum err err = open_here(m, &e);
    if (err == ERR_CONFLICT)
        return by_request(m, "POST", S("/link/v1/keys"), new_key_body(m));
    if (err || access_make_key(&m->app->link, &m->app->arena, &k, &key, &e))
        return failed(&e);
    if (key.p)
        printf("{\"name\":\"%" STR_F "\",\"key\":\"%" STR_F "\"}\n", STR_A(k.name), STR_A(key));
    else
        printf("{\"name\":\"%" STR_F "\"}\n", STR_A(k.name));
    return 0;
}

static int key_revoke(struct manage *m)
{
    struct error e = {0};
    struct str name = str_c(m->words[1]);
    enum err err = open_here(m, &e);
    if (err == ERR_CONFLICT)
        return by_request(m, "DELETE",
                          str_concat(&m->app->arena, S("/link/v1/keys/"),
                                     url_encode(&m->app->arena, name)),
                          STR_NONE);
    if (err || access_revoke_key(&m->app->link, m->tenant, name, S("local"), &e))
        return failed(&e);
    return 0;
}

static int list(struct manage *m, bool keys)
{
    struct error e = {0};
    struct buf out = BUF_INIT;
    enum err err = open_here(m, &e);
    if (err == ERR_CONFLICT)
        return by_request(m, "GET", keys ? S("/link/v1/keys") : S("/link/v1/policies"), STR_NONE);
    if (!err)
        err = keys ? access_list_keys(&m->app->link, m->tenant, &out, &e)
                   : access_list_policies(&m->app->link, m->tenant, &out, &e);
    return print_list(err, &out, &e);
}

int command_key(struct app *app, int argc, char **argv)
{
    struct manage m = {.app = app};
    if (!take_words(&m, argc, argv))
        return complain("key new NAME [--tenant T] [--policy P]... [--expires T], key revoke NAME, "
                        "key list");
    if (!strcmp(m.words[0], "new") && m.n_words == 2)
        return key_new(&m);
    if (!strcmp(m.words[0], "revoke") && m.n_words == 2)
        return key_revoke(&m);
    if (!strcmp(m.words[0], "list") && m.n_words == 1)
        return list(&m, true);
    return complain("key takes new NAME, revoke NAME or list");
}

/* --- policies --- */

static enum err read_text(struct arena *a, const char *name, struct str *text, struct error *e)
{
    FILE *f = strcmp(name, "-") ? fopen(name, "rb") : stdin;
    if (!f)
        return error_set(e, ERR_IO, "cannot open %s: %s", name, strerror(errno));
    char *p = arena_alloc(a, FILE_MAX);
    size_t n = fread(p, 1, FILE_MAX, f);
    bool good = !ferror(f) && n < FILE_MAX;
    if (f != stdin)
        fclose(f);
    *text = str_n(p, n);
    return good ? OK : error_set(e, ERR_INVALID, "%s cannot be read as a policy", name);
}

static int policy_put(struct manage *m, bool end)
{
    struct arena *a = &m->app->arena;
    struct error e = {0};
    struct str name = str_c(m->words[1]), text = STR_NONE;
    const struct json *payload, *doc = NULL;
    int64_t version;
    if (!end && read_text(a, m->words[2], &text, &e))
        return failed(&e);
    enum err err = open_here(m, &e);
    if (err == ERR_CONFLICT)
        return by_request(m, end ? "DELETE" : "PUT",
                          str_concat(a, S("/link/v1/policies/"), url_encode(a, name)), text);
    if (err)
        return failed(&e);
    if (!end && (!(payload = json_parse(a, text, &JSON_DEFAULT, &e)) ||
                 !(doc = access_policy_expand(a, name, payload, ld_core(), &e))))
        return failed(&e);
    if (access_put_policy(&m->app->link, m->tenant, name, doc, S("local"), &version, &e))
        return failed(&e);
    printf("{\"name\":\"%" STR_F "\",\"version\":%lld}\n", STR_A(name), (long long)version);
    return 0;
}

int command_policy(struct app *app, int argc, char **argv)
{
    struct manage m = {.app = app};
    if (!take_words(&m, argc, argv))
        return complain(
            "policy set NAME FILE|-, policy end NAME, policy list; all with --tenant T");
    if (!strcmp(m.words[0], "set") && m.n_words == 3)
        return policy_put(&m, false);
    if (!strcmp(m.words[0], "end") && m.n_words == 2)
        return policy_put(&m, true);
    if (!strcmp(m.words[0], "list") && m.n_words == 1)
        return list(&m, false);
    return complain("policy takes set NAME FILE, end NAME or list");
}
