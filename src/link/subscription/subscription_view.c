/*
 * How the entities of a group of subscriptions are shown (clauses 4.5.23, 4.21, 5.2.14): members
 * picked and left out, linked entities. The languages are those of queries, so their code does it.
 */
#include "api_join.h"
#include "link/access.h"
#include "subscription_impl.h"
#include <string.h>

/* A call that nobody made: what goes wrong in it is kept. */
struct quiet {
    struct api api; /* first */
    struct error error;
};

static enum http_answer keep_error(struct api *c, enum err code, int status, struct str detail)
{
    struct quiet *q = (struct quiet *)c;
    (void)status;
    error_set(&q->error, code, "%" STR_F, STR_A(str_cut(detail, 200)));
    return HTTP_DONE;
}

static struct quiet quiet_call(struct link *l, struct arena *a, const struct ld_context *ctx)
{
    return (struct quiet){.api = {.link = l, .arena = a, .ctx = ctx, .fail = keep_error}};
}

enum err sub_projection(struct arena *a, const struct json *list, const struct ld_context *ctx,
                        const struct api_projection **out, struct error *e)
{
    struct quiet q = quiet_call(NULL, a, ctx);
    struct buf text = BUF_INIT;
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++) {
        if (i)
            buf_char(&text, ',');
        buf_str(&text, json_text(&list->items[i]));
    }
    bool ok = api_project(&q.api, list ? buf_dup(&text, a) : STR_NONE, out);
    buf_release(&text);
    if (!ok)
        *e = q.error;
    return ok ? OK : e->code;
}

static bool share_a_name(const struct api_projection *pick, const struct api_projection *omit)
{
    for (size_t i = 0; omit && i < omit->n; i++)
        if (!omit->subs[i] && api_project_names(pick, omit->names[i]))
            return true;
    return false;
}

enum err sub_check_view(const struct json *n, struct error *e)
{
    struct arena a = ARENA_INIT;
    const struct api_projection *pick, *omit;
    struct str join = json_text(json_get(n, S("join")));
    bool joins = join.p && !str_eq(join, S("@none"));
    int64_t level = 1;
    json_i64(json_get(n, S("joinLevel")), &level);
    enum err err = sub_projection(&a, json_get(n, S("pick")), ld_core(), &pick, e);
    if (!err)
        err = sub_projection(&a, json_get(n, S("omit")), ld_core(), &omit, e);
    if (!err && share_a_name(pick, omit))
        err = error_set(e, ERR_INVALID, "notification: pick and omit name the same member");
    int64_t deepest = err ? 0 : api_project_depth(pick);
    if (!err && api_project_depth(omit) > deepest)
        deepest = api_project_depth(omit);
    if (!err && deepest > (joins ? level : 0))
        err = error_set(e, ERR_INVALID,
                        "notification: pick and omit of linked entities need join and a joinLevel "
                        "that reaches them");
    struct str accept = json_text(json_get(json_get(n, S("endpoint")), S("accept")));
    if (!err && joins && str_eq(accept, S("application/geo+json")))
        err = error_set(e, ERR_UNPROCESSABLE,
                        "notification: linked entities are not offered as GeoJSON");
    arena_release(&a);
    return err;
}

/* attributes: picks them besides what every entity has. */
static const struct api_projection *all_of(struct arena *a, const struct json *attributes)
{
    static const struct str always[] = {S_INIT("id"), S_INIT("type"), S_INIT("scope")};
    enum { ALWAYS = sizeof(always) / sizeof(always[0]) };
    struct api_projection *p = ARENA_NEW(a, struct api_projection);
    struct str *names = ARENA_ARRAY(a, struct str, attributes->n + ALWAYS);
    memcpy(names, always, sizeof(always));
    for (uint32_t i = 0; i < attributes->n; i++)
        names[i + ALWAYS] = str_dup(a, json_text(&attributes->items[i]));
    p->names = names;
    p->n = attributes->n + ALWAYS;
    p->subs = ARENA_ARRAY(a, struct api_projection *, p->n);
    return p;
}

enum err sub_take_view(struct sub_group *g, struct arena *a, const struct json *n, struct error *e)
{
    struct quiet q = quiet_call(NULL, a, ld_core());
    const struct json *attributes = json_get(n, S("attributes"));
    struct str join = json_text(json_get(n, S("join")));
    g->join = str_eq(join, S("inline")) ? SHOW_INLINE
              : str_eq(join, S("flat")) ? SHOW_FLAT
                                        : SHOW_ALONE;
    g->level = 1;
    json_i64(json_get(n, S("joinLevel")), &g->level);
    if (sub_projection(a, json_get(n, S("pick")), ld_core(), &g->pick, e) ||
        sub_projection(a, json_get(n, S("omit")), ld_core(), &g->omit, e))
        return e->code;
    if (attributes)
        g->pick = all_of(a, attributes);
    api_project_view(&q.api, g->pick, g->omit, &g->view);
    return OK;
}

/* --- linked entities --- */

static enum err load_linked(void *ctx, struct str id, const struct json **stored, struct error *e)
{
    struct sub_links *l = ctx;
    struct entity_row row;
    *stored = NULL;
    if (!l->conn) {
        const struct sub_place *at = &l->place;
        if (!(l->conn = l->own = store_read(at->link->store, e)))
            return e->code;
        store_set_view(l->own, access_view_of(at->link->access, l->owner, at->tenant));
    }
    enum err err = repo_get(l->conn, &l->arena, l->place.tenant, id, &row, e);
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    *stored = json_parse(&l->arena, row.doc, &JSON_DEFAULT, e);
    if (!*stored)
        return e->code;
    if (entity_expired(*stored, clock_now(l->place.link->clock)))
        *stored = NULL;
    return OK;
}

const struct query_linker *sub_links_open(struct sub_links *l, const struct sub_place *at,
                                          struct str owner, struct store_conn *c)
{
    *l = (struct sub_links){.place = *at, .owner = owner, .conn = c};
    l->linker = (struct query_linker){&l->arena, load_linked, l};
    return &l->linker;
}

void sub_links_close(struct sub_links *l)
{
    if (l->own)
        store_read_done(l->own);
    arena_release(&l->arena);
}

enum err sub_write_entity(struct buf *out, const struct sub_group *g, const struct sub_place *at,
                          struct arena *a, const struct json *doc, struct str *linked,
                          struct error *e)
{
    struct quiet q = quiet_call(at->link, a, g->view.ctx);
    struct entity_view view = sub_view_of(g);
    struct api_join j = {.c = &q.api, .level = g->level, .tenant = at->tenant};
    struct buf more = BUF_INIT;
    size_t n;
    *linked = STR_NONE;
    if (g->join == SHOW_ALONE) {
        entity_write(out, a, doc, &view);
        return OK;
    }
    q.api.pick = g->pick;
    q.api.omit = g->omit;
    j.conn = store_read(at->link->store, e);
    if (!j.conn)
        return e->code;
    store_set_view(j.conn, access_view_of(at->link->access, g->owner, at->tenant));
    enum err err = OK;
    if (g->join == SHOW_INLINE) {
        err = api_join_inline(&j, out, doc, &view, e);
    } else {
        entity_write(out, a, doc, &view);
        api_join_note(&j, doc);
        err = api_join_flush(&j, &more, &view, &n, e);
        *linked = buf_dup(&more, a);
    }
    store_read_done(j.conn);
    api_join_release(&j);
    buf_release(&more);
    return err;
}
