/*
 * Nodes and conflicts in the console: how the exchange with the city or with each node is doing,
 * and values of which neither writer had seen the other's, to choose from. A choice waits for the
 * writer and so runs on the pool.
 */
#include "console.h"
#include "link/edge.h"
#include "link/link.h"
#include "look.h"

enum { CONFLICTS_SHOWN = 50 };

/* A node that was not heard for so long is cut off, whatever the pause between its looks. */
#define SILENT_US (10 * MINUTE_US)

static void write_instant(struct page *p, struct str key, int64_t at)
{
    if (at)
        json_w_kstr(&p->w, key, locale_datetime(p->locale, p->arena, at));
}

static void write_count(struct page *p, struct str key, int64_t n)
{
    json_w_kstr(&p->w, key,
                locale_number(p->locale, p->arena, str_printf(p->arena, "%lld", (long long)n)));
}

/* --- the exchange --- */

static void write_upstream(struct page *p)
{
    const struct link *l = p->city->link;
    struct edge_status s;
    if (!sync_upstream(l->sync, &s))
        return;
    const char *state = edge_state_names[s.state];
    json_w_key(&p->w, S("upstream"));
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("url"), str_c(l->edge.upstream));
    json_w_kstr(&p->w, S("state"), str_c(state));
    json_w_kstr(&p->w, S("label"), page_text(p, str_printf(p->arena, "node.state.%s", state)));
    if (s.error[0])
        json_w_kstr(&p->w, S("error"), str_dup(p->arena, str_cut(str_c(s.error), 200)));
    write_instant(p, S("contact"), s.contact);
    write_instant(p, S("verified"), s.verified);
    write_count(p, S("waiting"), s.waiting);
    write_count(p, S("behind"), s.behind);
    json_w_end(&p->w);
}

struct node_list {
    struct page *page;
    int64_t newest, n, now;
};

static void write_node(void *ctx, const struct node_status *n)
{
    struct node_list *l = ctx;
    struct page *p = l->page;
    l->n++;
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("name"), n->name);
    write_instant(p, S("contact"), n->contact);
    write_instant(p, S("created"), n->created);
    if (n->contact)
        write_count(p, S("behind"), l->newest - n->acked);
    if (n->contact && n->contact < l->now - SILENT_US)
        json_w_kstr(&p->w, S("silent"), page_text(p, S("node.state.offline")));
    json_w_end(&p->w);
}

static enum err write_nodes(struct page *p, struct store_conn *c, struct error *e)
{
    struct node_list l = {.page = p, .now = clock_now(p->city->link->clock)};
    int64_t oldest;
    struct edge_status upstream;
    enum err err = journal_range(c, PORTAL_TENANT, &oldest, &l.newest, e);
    json_w_key(&p->w, S("nodes"));
    json_w_array(&p->w);
    if (!err)
        err = nodes_each(c, PORTAL_TENANT, write_node, &l, e);
    json_w_end(&p->w);
    json_w_kbool(&p->w, S("any"), l.n > 0);
    json_w_kbool(&p->w, S("list"), l.n > 0 || !sync_upstream(p->city->link->sync, &upstream));
    return err;
}

/* --- conflicts --- */

/* What a head says: types and scopes. */
static struct str head_text(struct page *p, const struct json *head)
{
    const struct json *types = json_get(head, S("type")), *scopes = json_get(head, S("scope"));
    struct buf b = BUF_INIT;
    for (uint32_t i = 0; types && i < types->n; i++) {
        struct str name = look_short(p->arena, json_text(json_at(types, i)));
        buf_printf(&b, "%s%" STR_F, i ? ", " : "",
                   STR_A(look_type_label(p->arena, p->locale, name)));
    }
    for (uint32_t i = 0; scopes && i < scopes->n; i++)
        buf_printf(&b, " %" STR_F, STR_A(json_text(json_at(scopes, i))));
    struct str text = buf_dup(&b, p->arena);
    buf_release(&b);
    return text;
}

static void write_value(struct page *p, const struct conflict *x, const struct conflict_value *v)
{
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("key"), v->key);
    if (v->instance)
        json_w_kstr(&p->w, S("text"),
                    x->attr.p ? look_instance(p->arena, p->locale, v->instance).text
                              : head_text(p, v->instance));
    if (v->node.p)
        json_w_kstr(&p->w, S("node"), v->name.p ? v->name : page_text(p, S("conflicts.here")));
    write_instant(p, S("at"), v->at);
    int64_t observed; /* it, not the time of writing, says which is in effect */
    if (datetime_parse(json_text(json_get(v->instance, S("observedAt"))), &observed))
        write_instant(p, S("time"), observed);
    json_w_kbool(&p->w, S("effect"), v->in_effect);
    json_w_end(&p->w);
}

struct conflict_list {
    struct page *page;
    struct store_conn *conn;
    int64_t n;
};

/* What people call it, and its page, while it is there. */
static void write_entity(struct conflict_list *l, const struct conflict *x)
{
    struct page *p = l->page;
    struct entity_row row;
    json_w_kstr(&p->w, S("entity"), x->entity);
    if (x->entity_deleted ||
        repo_get(l->conn, p->arena, PORTAL_TENANT, x->entity, &row, NULL) != OK)
        return;
    const struct json *stored = json_parse(p->arena, row.doc, &JSON_DEFAULT, NULL);
    if (stored)
        json_w_kstr(&p->w, S("called"), look_name(p->arena, p->locale, stored));
    json_w_kstr(&p->w, S("href"),
                page_href(p, "e/%" STR_F, STR_A(url_encode(p->arena, x->entity))));
}

static bool write_conflict(void *ctx, const struct conflict *x)
{
    struct conflict_list *l = ctx;
    struct page *p = l->page;
    l->n++;
    if (l->n > CONFLICTS_SHOWN)
        return false;
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("id"), x->id);
    write_entity(l, x);
    if (x->attr.p)
        json_w_kstr(&p->w, S("attribute"),
                    look_attr_label(p->arena, p->locale, look_short(p->arena, x->attr)));
    if (x->dataset.p)
        json_w_kstr(&p->w, S("dataset"), x->dataset);
    json_w_kbool(&p->w, S("gone"), x->entity_deleted);
    json_w_key(&p->w, S("values"));
    json_w_array(&p->w);
    for (size_t i = 0; i < x->n_values; i++)
        write_value(p, x, &x->values[i]);
    json_w_end(&p->w);
    json_w_end(&p->w);
    return true;
}

static enum err write_conflicts(struct page *p, struct store_conn *c, struct error *e)
{
    struct conflict_list l = {.page = p, .conn = c};
    json_w_key(&p->w, S("conflicts"));
    json_w_array(&p->w);
    enum err err = conflicts_each(p->city->link->sync, c, p->arena, PORTAL_TENANT, STR_NONE,
                                  CONFLICTS_SHOWN + 1, write_conflict, &l, e);
    json_w_end(&p->w);
    json_w_kbool(&p->w, S("some"), l.n > 0);
    json_w_kbool(&p->w, S("more"), l.n > CONFLICTS_SHOWN);
    write_count(p, S("shown"), CONFLICTS_SHOWN);
    return err;
}

static enum http_answer show(struct page *p)
{
    struct error e;
    struct store_conn *c = page_reader(p);
    if (!c)
        return HTTP_DONE;
    write_upstream(p);
    enum err err = write_conflicts(p, c, &e);
    if (!err)
        err = write_nodes(p, c, &e);
    store_read_done(c);
    return err ? page_fail(p, &e) : page_send(p, "console-nodes", S("nodes.title"));
}

enum http_answer console_get_nodes(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    if (!console_begin(&p, ctx, req, res, "nodes"))
        return HTTP_DONE;
    json_w_kbool(&p.w, S("done"), request_query(req, "done").n > 0);
    return show(&p);
}

/* --- choosing --- */

struct choice {
    struct page page;
    struct str conflict, key;
};

static void choose(void *ctx)
{
    struct choice *x = ctx;
    struct page *p = &x->page;
    struct error e;
    if (!conflict_decide(p->city->link->sync, PORTAL_TENANT, x->conflict, x->key, S("console"),
                         &e)) {
        buf_release(&p->data);
        response_redirect(p->req, p->res, 303, page_href(p, "console/nodes?done=1"));
        response_header(p->req, p->res, "Cache-Control", S("no-store"));
    } else {
        p->status = http_status_of(e.code);
        json_w_kstr(&p->w, S("refused"), str_c(e.text));
        show(p);
    }
    http_resume(p->req);
}

enum http_answer console_post_nodes(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    struct error e;
    if (!console_begin(&p, ctx, req, res, "nodes"))
        return HTTP_DONE;
    struct choice *x = ARENA_NEW(p.arena, struct choice);
    x->page = p;
    page_moved(&x->page);
    if (!console_form_ok(&x->page, page_field(req, "csrf")))
        return HTTP_DONE;
    x->conflict = page_field(req, "conflict");
    x->key = page_field(req, "choose");
    if (!pool_submit(p.city->pool, choose, x))
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
    return page_fail(&x->page, &e);
}
