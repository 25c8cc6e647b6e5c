/* DELETE /entities with sources (clause 5.6.21): every source that may hold such entities is told
 * the same, then this store does its part. */
#include "distribute.h"

struct purging {
    struct reg_parts parts;
    VEC(const struct registration *) unable; /* do not support it */
    void (*run)(struct api *c);
};

/* A registration once, whatever number of parts it has. */
static bool seen(const struct reg_parts *parts, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (parts->v[k].reg == parts->v[i].reg)
            return true;
    return false;
}

static void write_errors(struct json_writer *w, const struct dist_outcome *o)
{
    json_w_object(w);
    json_w_kstr(w, S("registrationId"), o->reg->id);
    json_w_key(w, S("error"));
    dist_write_problem(w, &o->problem);
    json_w_end(w);
}

static void answer_mixed(struct api *c, const struct dist_outcome *v, size_t n)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    json_w_key(&w, S("success"));
    json_w_array(&w);
    json_w_end(&w);
    json_w_key(&w, S("errors"));
    json_w_array(&w);
    for (size_t i = 0; i < n; i++)
        if (!v[i].ok)
            write_errors(&w, &v[i]);
    json_w_end(&w);
    json_w_end(&w);
    response_body(c->req, c->res, 207, "application/json", buf_dup(&b, c->arena));
    buf_release(&b);
}

static enum http_answer settled(struct api *c, struct forward *f, size_t n, void *ctx)
{
    struct purging *p = ctx;
    size_t total = n + p->unable.n, bad = p->unable.n;
    struct dist_outcome *v = ARENA_ARRAY(c->arena, struct dist_outcome, total ? total : 1);
    for (size_t i = 0; i < n; i++) {
        dist_read(c->arena, &f[i], &v[i]);
        v[i].ok = v[i].ok || f[i].status == 404; /* nothing there to purge */
        bad += !v[i].ok;
    }
    for (size_t i = 0; i < p->unable.n; i++) {
        dist_conflict(&v[n + i]);
        v[n + i].reg = p->unable.v[i];
    }
    p->run(c);
    if (bad && c->res->status == 204)
        answer_mixed(c, v, total);
    registrations_release(&p->parts);
    return HTTP_DONE;
}

bool distribute_purge(struct api *c, const struct reg_ask *about, void (*run)(struct api *c),
                      void *ctx)
{
    struct error e = {0};
    int64_t tenant = dist_others(c);
    if (tenant <= 0)
        return tenant < 0;
    if (dist_forbidden(c, tenant, NULL, NULL, 0, &e))
        return false; /* this store does what they may */
    struct reg_ask ask = *about;
    ask.tenant = tenant;
    ask.op = REG_PURGE_ENTITY;
    ask.via = request_header_all(c->req, "Via");
    ask.now = clock_now(c->link->clock);
    struct purging *p = ARENA_NEW(c->arena, struct purging);
    p->run = run;
    if (registrations_match(c->link->registrations, c->arena, &ask, &p->parts, &e)) {
        api_fail(c, &e);
        return true;
    }
    struct forward *f = ARENA_ARRAY(c->arena, struct forward, p->parts.n ? p->parts.n : 1);
    size_t n = 0;
    for (size_t i = 0; i < p->parts.n; i++) {
        const struct reg_part *part = &p->parts.v[i];
        if (part->reg->mode == REG_AUXILIARY || seen(&p->parts, i))
            continue;
        if (!part->supported)
            *vec_push(c->arena, &p->unable) = part->reg;
        else
            f[n++] =
                (struct forward){.reg = part->reg,
                                 .method = "DELETE",
                                 .target = dist_target(c, part->reg, S("/ngsi-ld/v1/entities"))};
    }
    if (!n && !p->unable.n) {
        registrations_release(&p->parts);
        return false;
    }
    c->ctx_then = ctx;
    c->answer = forward_all(c, f, n, settled, p);
    return true;
}
