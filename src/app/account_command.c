/*
 * marugoto account: the first administrator, who then does everything else in the pages; and the
 * way back in when nobody can. The store must be free: a city that serves from a file has it.
 */
#include "app.h"
#include "trust/proof.h"
#include "trust/vault.h"
#include <stdio.h>
#include <string.h>

static const char usage_text[] =
    "usage: marugoto account administrator LOGIN [--name NAME]\n"
    "       marugoto account code LOGIN\n"
    "       marugoto account role give|take LOGIN ROLE [--organisation NAME]\n"
    "\n"
    "administrator  makes an account of that sign-in name, unless there is one, gives it the role\n"
    "               \"administrator\" and prints a code for its first sign-in\n"
    "code           prints a new code for somebody who cannot sign in any more\n"
    "role           \"administrator\" gives and takes roles, \"clerk\" has the enrolment desk,\n"
    "               \"operator\" the data console; others are for the services\n";

enum { ACCOUNT_WORDS_MAX = 4 };

struct account_args {
    struct app *app;
    const char *words[ACCOUNT_WORDS_MAX];
    size_t n_words;
    const char *name, *organisation;
    /* what was done */
    int64_t id;
    struct str code;
};

static bool take_words(struct account_args *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char **value = !strcmp(argv[i], "--name")           ? &o->name
                             : !strcmp(argv[i], "--organisation") ? &o->organisation
                                                                  : NULL;
        if (value && i + 1 < argc)
            *value = argv[++i];
        else if (value || argv[i][0] == '-' || o->n_words == ACCOUNT_WORDS_MAX)
            return false;
        else
            o->words[o->n_words++] = argv[i];
    }
    return o->n_words > 0;
}

static int failed(const struct error *e)
{
    fprintf(stderr, "marugoto account: %s\n", e->text);
    return 1;
}

/* The store and the vault, without what serves. */
static enum err open_accounts(struct app *app, struct error *e)
{
    enum err err = app_open(app, e);
    if (err == ERR_CONFLICT)
        return error_set(e, err,
                         "a city serves from this store: stop it for this command, or use "
                         "PostgreSQL");
    if (err)
        return err;
    app->trust = (struct trust){.store = app->store,
                                .clock = &clock_system,
                                .data_dir = app->options.app.data_dir,
                                .options = app->options.trust};
    app->trust.vault = vault_open(&app->trust, e);
    return app->trust.vault ? OK : e->code;
}

/* --- inside a change --- */

static enum err find(struct account_args *o, struct store_conn *c, const char *login,
                     struct error *e)
{
    int64_t ids[ACCOUNT_FOUND_MAX];
    size_t n = 0;
    enum err err =
        account_find(&o->app->trust, c, &o->app->arena, INDEX_LOGIN, str_c(login), ids, &n, e);
    if (!err && !n)
        return error_set(e, ERR_NOT_FOUND, "nobody has this sign-in name");
    o->id = n ? ids[0] : 0;
    return err;
}

static enum err make(struct account_args *o, struct store_conn *c, struct error *e)
{
    struct app *app = o->app;
    struct account_new n = {.person = {.login = str_c(o->words[1]),
                                       .name = str_c(o->name ? o->name : o->words[1])},
                            .ial = IAL_DESK};
    enum err err = person_tidy(&app->arena, &n.person, clock_now(&clock_system), &n.person, e);
    if (err)
        return error_set(e, err, "this cannot be a %s", str_z(&app->arena, str_c(e->text)));
    return account_create(&app->trust, c, &n, &o->id, e);
}

static enum err apply_administrator(struct store_conn *c, void *ctx, struct error *e)
{
    struct account_args *o = ctx;
    struct role role = {S(ROLE_ADMINISTRATOR), STR_NONE};
    enum err err = find(o, c, o->words[1], e);
    if (err == ERR_NOT_FOUND)
        err = make(o, c, e);
    if (!err)
        err = account_give_role(&o->app->trust, c, o->id, &role, 0, 0, e);
    return err ? err : enrol_code_make(&o->app->trust, c, &o->app->arena, o->id, 0, &o->code, e);
}

static enum err apply_code(struct store_conn *c, void *ctx, struct error *e)
{
    struct account_args *o = ctx;
    enum err err = find(o, c, o->words[1], e);
    return err ? err : enrol_code_make(&o->app->trust, c, &o->app->arena, o->id, 0, &o->code, e);
}

static enum err apply_role(struct store_conn *c, void *ctx, struct error *e)
{
    struct account_args *o = ctx;
    struct role role = {str_c(o->words[3]), str_c(o->organisation)};
    enum err err = find(o, c, o->words[2], e);
    if (err)
        return err;
    return !strcmp(o->words[1], "give")
               ? account_give_role(&o->app->trust, c, o->id, &role, 0, 0, e)
               : account_take_role(&o->app->trust, c, o->id, &role, 0, e);
}

/* --- the command --- */

static void print_code(const struct account_args *o)
{
    const struct options *s = &o->app->options;
    char local[64];
    snprintf(local, sizeof(local), "http://localhost:%lld", (long long)s->http.port);
    printf("%" STR_F "\n%s/enrol#%" STR_F "\n", STR_A(o->code),
           s->link.public_url[0] ? s->link.public_url : local, STR_A(o->code));
}

int command_account(struct app *app, int argc, char **argv)
{
    struct account_args o = {.app = app};
    struct error e = {0};
    enum err (*apply)(struct store_conn *, void *, struct error *) = NULL;
    bool words = take_words(&o, argc, argv);
    if (words && !strcmp(o.words[0], "administrator") && o.n_words == 2)
        apply = apply_administrator;
    else if (words && !strcmp(o.words[0], "code") && o.n_words == 2)
        apply = apply_code;
    else if (words && !strcmp(o.words[0], "role") && o.n_words == 4 &&
             (!strcmp(o.words[1], "give") || !strcmp(o.words[1], "take")))
        apply = apply_role;
    if (!apply) {
        bool help = argc == 2 && !strcmp(argv[1], "--help");
        fputs(usage_text, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    int status = 0;
    if (open_accounts(app, &e) || store_write(app->store, apply, &o, &e))
        status = failed(&e);
    else if (o.code.p)
        print_code(&o);
    vault_close(app->trust.vault);
    return status;
}
