/* /link/v1/deliveries: how receivers are being told, and orders of operators. */
#include "api.h"
#include "link/access.h"
#include "link/delivery.h"
#include "subscription_impl.h"

enum { WAITING_MAX = 100, WAITING_ROWS = 20000, DEEDS = 100, REASON_MAX = 1000 };

/* --- showing --- */

static void answer(struct api *c, struct buf *out)
{
    response_body(c->req, c->res, 200, "application/json", buf_dup(out, c->arena));
    buf_release(out);
}

/* Theirs to see: their own, nobody's, and all for those who manage the tenant. */
static bool is_theirs(const struct api *c, int64_t tenant, struct str owner)
{
    const struct access_who *who = access_asks(c->req);
    return access_owns(access_view(c->link->access, who, tenant), who, owner);
}

struct listing {
    struct arena *arena;
    const struct api *c;
    VEC(struct subscription_status) list;
};

static bool take_status(void *ctx, const struct subscription_status *st)
{
    struct listing *l = ctx;
    if (!is_theirs(l->c, st->tenant, st->owner))
        return true;
    struct subscription_status *own = vec_push(l->arena, &l->list);
    *own = *st;
    own->id = str_dup(l->arena, st->id);
    own->name = str_dup(l->arena, st->name);
    own->endpoint = str_dup(l->arena, st->endpoint);
    own->last_error = st->last_error.n ? str_dup(l->arena, st->last_error) : STR_NONE;
    return true;
}

/* The members of one delivery; inside an open object. */
static void write_status(struct json_writer *w, struct store_conn *c, int64_t now,
                         const struct subscription_status *st)
{
    int64_t since = delivery_since(c, st);
    json_w_kstr(w, S("id"), st->id);
    if (st->name.n)
        json_w_kstr(w, S("name"), st->name);
    json_w_kstr(w, S("endpoint"), st->endpoint);
    json_w_kstr(w, S("state"), subscription_state_names[st->state]);
    json_w_ki64(w, S("cursor"), st->cursor);
    json_w_ki64(w, S("lag"), st->lag);
    if (since) {
        json_w_ktime(w, S("waitingSince"), since);
        json_w_ki64(w, S("lagSeconds"), now > since ? (now - since) / SECOND_US : 0);
    }
    json_w_ki64(w, S("delivered"), st->sent);
    json_w_ki64(w, S("failed"), st->failed);
    json_w_ki64(w, S("attempts"), st->attempts);
    json_w_ki64(w, S("refusals"), st->refusals);
    json_w_ki64(w, S("skipped"), st->skipped);
    json_w_ki64(w, S("gaps"), st->gaps);
    json_w_ktime(w, S("lastSuccess"), st->last_success);
    json_w_ktime(w, S("lastFailure"), st->last_failure);
    if (st->last_error.n)
        json_w_kstr(w, S("lastError"), st->last_error);
    json_w_ktime(w, S("nextAttempt"), st->next_attempt);
}

static enum http_answer list_all(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    int64_t tenant;
    if (!api_open(&c, req, res, ctx, list_all, 0, ""))
        return c.answer;
    struct store_conn *conn = api_reader(&c, &tenant);
    if (!conn)
        return c.answer;
    struct listing l = {.arena = c.arena, .c = &c};
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    subscriptions_each(c.link->subscriptions, tenant, take_status, &l);
    json_w_array(&w);
    for (size_t i = 0; i < l.list.n; i++) {
        json_w_object(&w);
        write_status(&w, conn, clock_now(c.link->clock), &l.list.v[i]);
        json_w_end(&w);
    }
    json_w_end(&w);
    store_read_done(conn);
    answer(&c, &out);
    return HTTP_DONE;
}

static void write_deed(void *ctx, const struct delivery_deed *d)
{
    struct json_writer *w = ctx;
    json_w_object(w);
    json_w_ktime(w, S("at"), d->at);
    json_w_kstr(w, S("action"), d->action);
    json_w_ki64(w, S("from"), d->from);
    json_w_ki64(w, S("to"), d->to);
    if (d->reason.n)
        json_w_kstr(w, S("reason"), d->reason);
    if (d->actor.n)
        json_w_kstr(w, S("actor"), d->actor);
    json_w_end(w);
}

static enum http_answer no_such(struct api *c, struct str id)
{
    return api_fail_text(c, ERR_NOT_FOUND, "no subscription %" STR_F, STR_A(id));
}

static enum http_answer show_one(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    int64_t tenant;
    struct error e = {0};
    struct subscription_status st;
    if (!api_open(&c, req, res, ctx, show_one, 0, "") || !api_id(&c, "id", &id))
        return c.answer;
    struct store_conn *conn = api_reader(&c, &tenant);
    if (!conn)
        return c.answer;
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    bool found = subscriptions_one(c.link->subscriptions, c.arena, tenant, id, &st) &&
                 is_theirs(&c, tenant, st.owner);
    if (found) {
        json_w_object(&w);
        write_status(&w, conn, clock_now(c.link->clock), &st);
        json_w_key(&w, S("actions"));
        json_w_array(&w);
        delivery_deeds(conn, tenant, id, DEEDS, write_deed, &w, &e);
        json_w_end(&w);
        json_w_end(&w);
    }
    store_read_done(conn);
    if (found && !e.code) {
        answer(&c, &out);
        return HTTP_DONE;
    }
    buf_release(&out);
    return found ? api_fail(&c, &e) : no_such(&c, id);
}

/* --- what waits --- */

struct waiting_call {
    struct str id;
    int64_t after, limit;
    struct json_writer w;
    const struct ld_context *ctx;
    struct arena *arena;
};

static void write_waiting(void *ctx, const struct delivery_waiting *x)
{
    static const struct str ops[] = {[WAITING_CREATED] = S_INIT("created"),
                                     [WAITING_UPDATED] = S_INIT("updated"),
                                     [WAITING_DELETED] = S_INIT("deleted")};
    struct waiting_call *call = ctx;
    struct json_writer *w = &call->w;
    const struct json *data =
        x->text.n ? json_parse(call->arena, str_dup(call->arena, x->text), &JSON_DEFAULT, NULL)
                  : NULL;
    json_w_object(w);
    json_w_ki64(w, S("position"), x->seq);
    json_w_ktime(w, S("at"), x->at);
    json_w_kstr(w, S("entity"), x->entity);
    json_w_kstr(w, S("type"), ld_compact(call->ctx, call->arena, x->type));
    json_w_kstr(w, S("change"), ops[x->op]);
    json_w_key(w, S("attributes"));
    json_w_array(w);
    for (size_t i = 0; i < x->n_attrs; i++)
        json_w_str(w, ld_compact(call->ctx, call->arena, x->attrs[i]));
    json_w_end(w);
    if (data) {
        json_w_key(w, S("data"));
        json_w_value(w, data);
    }
    json_w_end(w);
}

/* On a pool thread. */
static void find_waiting(struct api *c)
{
    struct waiting_call *call = c->ctx_then;
    struct delivery_scan scan;
    struct error e = {0};
    int64_t tenant;
    struct buf out = BUF_INIT;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return;
    struct subscription_status st;
    if (subscriptions_one(c->link->subscriptions, c->arena, tenant, call->id, &st) &&
        !is_theirs(c, tenant, st.owner)) {
        store_read_done(conn);
        no_such(c, call->id);
        return;
    }
    call->w = json_writer(&out);
    call->ctx = c->ctx;
    call->arena = c->arena;
    json_w_object(&call->w);
    json_w_key(&call->w, S("waiting"));
    json_w_array(&call->w);
    enum err err =
        delivery_waiting(c->link, conn, tenant, call->id, call->after, (size_t)call->limit,
                         WAITING_ROWS, write_waiting, call, &scan, &e);
    json_w_end(&call->w);
    store_read_done(conn);
    if (err) {
        buf_release(&out);
        api_fail(c, &e);
        return;
    }
    json_w_ki64(&call->w, S("lookedUpTo"), scan.upto);
    json_w_kbool(&call->w, S("more"), scan.more);
    json_w_kbool(&call->w, S("gap"), scan.gap);
    json_w_end(&call->w);
    answer(c, &out);
}

static enum http_answer show_waiting(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, show_waiting, 0, "limit after") || !api_id(&c, "id", &id))
        return c.answer;
    struct waiting_call *call = ARENA_NEW(c.arena, struct waiting_call);
    call->id = id;
    if (!api_number(&c, "limit", 20, 1, WAITING_MAX, &call->limit) ||
        !api_number(&c, "after", 0, 0, INT64_MAX / 2, &call->after))
        return c.answer;
    return api_slowly(&c, find_waiting, call);
}

/* --- orders --- */

struct order_call {
    struct str id;
    struct delivery_order order;
};

/* On a pool thread. */
static void give_order(struct api *c)
{
    struct order_call *call = c->ctx_then;
    struct error e = {0};
    int64_t tenant;
    struct store_conn *conn = api_reader(c, &tenant);
    if (!conn)
        return;
    store_read_done(conn);
    struct subscription_status st;
    if (subscriptions_one(c->link->subscriptions, c->arena, tenant, call->id, &st) &&
        !is_theirs(c, tenant, st.owner))
        no_such(c, call->id);
    else if (delivery_do(c->link, tenant, call->id, &call->order, &e))
        api_fail(c, &e);
    else
        response_empty(c->res, 204);
}

/* The last segment of the path; there are routes for all of them and no others. */
static enum delivery_action action_of(struct str path)
{
    int i = 0;
    while (i < DELIVERY_ACTIONS - 1 && !str_ends(path, delivery_action_names[i]))
        i++;
    return (enum delivery_action)i;
}

/* {"position": n, "time": "...", "reason": "..."}; each where it belongs. */
static bool take_order(struct api *c, struct delivery_order *o)
{
    const struct json *position = json_get(c->body, S("position"));
    const struct json *time = json_get(c->body, S("time"));
    const struct json *reason = json_get(c->body, S("reason"));
    bool places = o->action == DELIVERY_SKIP || o->action == DELIVERY_REPLAY;
    const char *wrong = NULL;
    for (uint32_t i = 0; i < c->body->n; i++) {
        struct str key = json_key(&c->body->members[i]);
        if (!str_eq(key, S("reason")) && !(places && str_eq(key, S("position"))) &&
            !(o->action == DELIVERY_REPLAY && str_eq(key, S("time"))))
            wrong = "the order has a member that does not belong to it";
    }
    if (position && (!json_i64(position, &o->position) || o->position < 1))
        wrong = "position must be a row of the journal";
    if (time && !(json_is(time, JSON_STRING) && datetime_parse(json_text(time), &o->time)))
        wrong = "time must be a date-time";
    if (reason && !(json_is(reason, JSON_STRING) && reason->n && reason->n <= REASON_MAX))
        wrong = "reason must be a text";
    o->reason = json_text(reason);
    if (wrong)
        api_fail_text(c, ERR_INVALID, "%s", wrong);
    return !wrong;
}

static enum http_answer order(struct request *req, struct response *res, void *ctx)
{
    struct api c;
    struct str id;
    if (!api_open(&c, req, res, ctx, order, API_BODY, "") || !api_id(&c, "id", &id))
        return c.answer;
    struct order_call *call = ARENA_NEW(c.arena, struct order_call);
    call->id = id;
    call->order.actor = S("api");
    call->order.action = action_of(req->path);
    if (!json_is(c.body, JSON_OBJECT))
        return api_fail_text(&c, ERR_INVALID, "an order is an object, perhaps an empty one");
    return take_order(&c, &call->order) ? api_slowly(&c, give_order, call) : c.answer;
}

static const struct route routes[] = {
    {"GET", "/link/v1/deliveries", list_all, 0},
    {"GET", "/link/v1/deliveries/{id}", show_one, 0},
    {"GET", "/link/v1/deliveries/{id}/waiting", show_waiting, 0},
    {"POST", "/link/v1/deliveries/{id}/pause", order, 0},
    {"POST", "/link/v1/deliveries/{id}/resume", order, 0},
    {"POST", "/link/v1/deliveries/{id}/retry", order, 0},
    {"POST", "/link/v1/deliveries/{id}/skip", order, 0},
    {"POST", "/link/v1/deliveries/{id}/replay", order, 0},
};

void delivery_routes(struct link *l, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), l);
}
