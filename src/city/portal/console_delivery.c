/*
 * Subscriptions and their deliveries in the console: how each receiver is doing, what waits for it,
 * and orders: pause, go on, try now, skip, replay. Looking into the journal and giving orders waits
 * for the store, so both run on the pool.
 */
#include "console.h"
#include "core/vec.h"
#include "link/delivery.h"
#include "look.h"

enum { SHOWN_MAX = 500, WAITING_SHOWN = 20, WAITING_ROWS = 5000, DEEDS_SHOWN = 20 };

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

static struct str text_of(struct page *p, const char *family, struct str name)
{
    return page_text(p, str_printf(p->arena, "%s%" STR_F, family, STR_A(name)));
}

static bool is_troubled(const struct subscription_status *s)
{
    return s->state == SUB_RETRYING || s->state == SUB_SET_ASIDE;
}

/* The members of one delivery; inside an open object. */
static void write_delivery(struct page *p, struct store_conn *c,
                           const struct subscription_status *s)
{
    struct str state = subscription_state_names[s->state];
    json_w_kstr(&p->w, S("name"), s->name.n ? s->name : s->id);
    json_w_kstr(&p->w, S("href"),
                page_href(p, "console/subscriptions/%" STR_F, STR_A(url_encode(p->arena, s->id))));
    json_w_kstr(&p->w, S("endpoint"), s->endpoint);
    json_w_kstr(&p->w, S("state"), state);
    json_w_kstr(&p->w, S("label"), text_of(p, "subscription.", state));
    write_count(p, S("sent"), s->sent);
    write_count(p, S("failed"), s->failed);
    write_count(p, S("lag"), s->lag);
    write_count(p, S("attempts"), s->attempts);
    write_count(p, S("refusals"), s->refusals);
    write_count(p, S("skipped"), s->skipped);
    write_count(p, S("gaps"), s->gaps);
    json_w_ki64(&p->w, S("cursor"), s->cursor);
    write_instant(p, S("since"), delivery_since(c, s));
    write_instant(p, S("success"), s->last_success);
    write_instant(p, S("failure"), s->last_failure);
    write_instant(p, S("next"), s->next_attempt);
    json_w_kstr(&p->w, S("error"), s->last_error);
}

/* --- the list --- */

struct sub_list {
    struct arena *arena;
    VEC(struct subscription_status) list;
};

static bool take_sub(void *ctx, const struct subscription_status *s)
{
    struct sub_list *l = ctx;
    struct subscription_status *own = vec_push(l->arena, &l->list);
    *own = *s;
    own->id = str_dup(l->arena, s->id);
    own->name = str_dup(l->arena, s->name);
    own->endpoint = str_dup(l->arena, s->endpoint);
    own->last_error = str_dup(l->arena, s->last_error);
    return true;
}

/* Those in trouble first. */
static void write_list(struct page *p, struct store_conn *c, const struct sub_list *l)
{
    size_t shown = 0;
    json_w_key(&p->w, S("subscriptions"));
    json_w_array(&p->w);
    for (int troubled = 1; troubled >= 0; troubled--) {
        for (size_t i = 0; i < l->list.n && shown < SHOWN_MAX; i++) {
            if (is_troubled(&l->list.v[i]) != (troubled == 1))
                continue;
            json_w_object(&p->w);
            write_delivery(p, c, &l->list.v[i]);
            json_w_end(&p->w);
            shown++;
        }
    }
    json_w_end(&p->w);
    if (shown < l->list.n)
        write_count(p, S("hidden"), (int64_t)(l->list.n - shown));
}

enum http_answer console_get_subscriptions(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    if (!console_begin(&p, ctx, req, res, "subscriptions"))
        return HTTP_DONE;
    struct store_conn *c = page_reader(&p);
    if (!c)
        return HTTP_DONE;
    struct sub_list l = {.arena = p.arena};
    subscriptions_each(p.city->link->subscriptions, PORTAL_TENANT, take_sub, &l);
    write_list(&p, c, &l);
    store_read_done(c);
    return page_send(&p, "console-subscriptions", S("subscriptions.title"));
}

struct counting {
    int64_t all, failing;
};

static bool count_sub(void *ctx, const struct subscription_status *s)
{
    struct counting *n = ctx;
    n->all++;
    n->failing += is_troubled(s);
    return true;
}

void console_count_subscriptions(struct page *p)
{
    struct counting n = {0};
    subscriptions_each(p->city->link->subscriptions, PORTAL_TENANT, count_sub, &n);
    write_count(p, S("subscriptionCount"), n.all);
    json_w_ki64(&p->w, S("failingCount"), n.failing);
}

/* --- one delivery --- */

/* A page that is made on the pool. */
struct delivery_page {
    struct page page;
    struct str id;
    struct delivery_order order; /* of a form */
    bool ordered;
    struct error refused; /* why an order was not followed */
};

static void write_waiting(void *ctx, const struct delivery_waiting *x)
{
    static const struct str changes[] = {[WAITING_CREATED] = S_INIT("created"),
                                         [WAITING_UPDATED] = S_INIT("updated"),
                                         [WAITING_DELETED] = S_INIT("deleted")};
    struct page *p = ctx;
    struct buf names = BUF_INIT;
    for (size_t i = 0; i < x->n_attrs; i++) {
        if (i)
            buf_str(&names, S(", "));
        buf_str(&names, look_attr_label(p->arena, p->locale, look_short(p->arena, x->attrs[i])));
    }
    json_w_object(&p->w);
    json_w_ki64(&p->w, S("position"), x->seq);
    write_instant(p, S("when"), x->at);
    json_w_kstr(&p->w, S("entity"), x->entity);
    json_w_kstr(&p->w, S("entityHref"),
                page_href(p, "e/%" STR_F, STR_A(url_encode(p->arena, x->entity))));
    json_w_kstr(&p->w, S("change"), text_of(p, "delivery.change.", changes[x->op]));
    json_w_kstr(&p->w, S("attributes"), buf_dup(&names, p->arena));
    json_w_kstr(&p->w, S("content"), x->text.n ? str_dup(p->arena, x->text) : S(""));
    json_w_end(&p->w);
    buf_release(&names);
}

static void write_deed(void *ctx, const struct delivery_deed *d)
{
    struct page *p = ctx;
    json_w_object(&p->w);
    write_instant(p, S("at"), d->at);
    json_w_kstr(&p->w, S("action"), text_of(p, "delivery.order.", d->action));
    json_w_ki64(&p->w, S("from"), d->from);
    json_w_ki64(&p->w, S("to"), d->to);
    json_w_kbool(&p->w, S("moved"), d->from != d->to);
    json_w_kstr(&p->w, S("reason"), d->reason);
    json_w_kstr(&p->w, S("actor"), d->actor);
    json_w_end(&p->w);
}

/* What may be ordered in its state. */
static void write_orders(struct page *p, const struct subscription_status *s)
{
    bool still = s->state == SUB_SET_ASIDE || s->state == SUB_HELD;
    bool working = s->state == SUB_ACTIVE || s->state == SUB_RETRYING;
    json_w_kbool(&p->w, S("setAside"), s->state == SUB_SET_ASIDE);
    json_w_kbool(&p->w, S("held"), s->state == SUB_HELD);
    json_w_kbool(&p->w, S("mayPause"), working || s->state == SUB_SET_ASIDE);
    json_w_kbool(&p->w, S("mayResume"), s->state == SUB_HELD);
    json_w_kbool(&p->w, S("mayRetry"), s->state == SUB_RETRYING || s->state == SUB_SET_ASIDE);
    json_w_kbool(&p->w, S("mayMove"), (still || working) && !s->periodic);
    json_w_kbool(&p->w, S("mayNothing"), !still && !working);
}

static enum err write_details(struct delivery_page *d, struct store_conn *c,
                              const struct subscription_status *s, struct error *e)
{
    struct page *p = &d->page;
    struct delivery_scan scan;
    json_w_key(&p->w, S("delivery"));
    json_w_object(&p->w);
    write_delivery(p, c, s);
    write_orders(p, s);
    json_w_end(&p->w);
    json_w_key(&p->w, S("waiting"));
    json_w_array(&p->w);
    enum err err = delivery_waiting(p->city->link, c, PORTAL_TENANT, d->id, 0, WAITING_SHOWN,
                                    WAITING_ROWS, write_waiting, p, &scan, e);
    json_w_end(&p->w);
    json_w_kbool(&p->w, S("more"), scan.more);
    json_w_ki64(&p->w, S("upto"), scan.upto);
    json_w_kbool(&p->w, S("gap"), scan.gap);
    json_w_key(&p->w, S("deeds"));
    json_w_array(&p->w);
    if (!err)
        err = delivery_deeds(c, PORTAL_TENANT, d->id, DEEDS_SHOWN, write_deed, p, e);
    json_w_end(&p->w);
    return err;
}

static void show_delivery(struct delivery_page *d)
{
    struct page *p = &d->page;
    struct subscription_status s;
    struct error e = {0};
    if (!subscriptions_one(p->city->link->subscriptions, p->arena, PORTAL_TENANT, d->id, &s)) {
        page_not_found(p);
        return;
    }
    struct store_conn *c = page_reader(p);
    if (!c)
        return;
    enum err err = write_details(d, c, &s, &e);
    store_read_done(c);
    if (err)
        page_fail(p, &e);
    else
        page_send_titled(p, "console-delivery", s.name.n ? s.name : s.id);
}

/* On the pool: follow the order, if there is one, and show the delivery or lead to it. */
static void make_page(void *ctx)
{
    struct delivery_page *d = ctx;
    struct page *p = &d->page;
    struct link *l = p->city->link;
    if (d->ordered && !delivery_do(l, PORTAL_TENANT, d->id, &d->order, &d->refused)) {
        buf_release(&p->data);
        response_redirect(p->req, p->res, 303,
                          page_href(p, "console/subscriptions/%" STR_F "?done=1",
                                    STR_A(url_encode(p->arena, d->id))));
        response_header(p->req, p->res, "Cache-Control", S("no-store"));
    } else {
        if (d->ordered) {
            p->status = http_status_of(d->refused.code);
            json_w_kstr(&p->w, S("refused"), str_c(d->refused.text));
        }
        show_delivery(d);
    }
    http_resume(p->req);
}

static struct delivery_page *begin(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    if (!console_begin(&p, ctx, req, res, "subscriptions"))
        return NULL;
    struct delivery_page *d = ARENA_NEW(p.arena, struct delivery_page);
    d->page = p;
    page_moved(&d->page);
    d->id = request_param(req, "id");
    return d;
}

static enum http_answer on_pool(struct delivery_page *d)
{
    struct error e;
    if (!pool_submit(d->page.city->pool, make_page, d))
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
    return page_fail(&d->page, &e);
}

enum http_answer console_get_delivery(struct request *req, struct response *res, void *ctx)
{
    struct delivery_page *d = begin(req, res, ctx);
    if (!d)
        return HTTP_DONE;
    json_w_kbool(&d->page.w, S("done"), request_query(req, "done").n > 0);
    return on_pool(d);
}

/* --- orders --- */

/* "2026-11-28T19:30", as browsers give it: Japanese time. */
static bool take_time(struct arena *a, struct str text, int64_t *at)
{
    const char *seconds = text.n == 16 ? ":00" : "";
    return datetime_parse(str_printf(a, "%" STR_F "%s+09:00", STR_A(text), seconds), at);
}

static enum err take_order(struct delivery_page *d, struct error *e)
{
    struct request *req = d->page.req;
    struct delivery_order *o = &d->order;
    struct str action = page_field(req, "action"), time = page_field(req, "time");
    struct str position = page_field(req, "position");
    o->action = DELIVERY_ACTIONS;
    for (int i = 0; i < DELIVERY_ACTIONS; i++)
        if (str_eq(action, delivery_action_names[i]))
            o->action = (enum delivery_action)i;
    if (o->action == DELIVERY_ACTIONS)
        return error_set(e, ERR_INVALID, "no such order");
    o->reason = str_cut(str_trim(page_field(req, "reason")), 1000);
    o->actor = S("console");
    if (position.n && (!str_to_i64(position, &o->position) || o->position < 1))
        return error_set(e, ERR_INVALID, "position must be a row of the journal");
    if (time.n && !take_time(d->page.arena, time, &o->time))
        return error_set(e, ERR_INVALID, "time must be a date and a time");
    return str_is_utf8(o->reason) ? OK : error_set(e, ERR_INVALID, "reason must be UTF-8");
}

enum http_answer console_post_delivery(struct request *req, struct response *res, void *ctx)
{
    struct error e;
    struct delivery_page *d = begin(req, res, ctx);
    if (!d || !console_form_ok(&d->page, page_field(req, "csrf")))
        return HTTP_DONE;
    if (take_order(d, &e))
        return page_fail(&d->page, &e);
    d->ordered = true;
    return on_pool(d);
}
