/* What came of the parts of a write, and the one answer made of it (clauses 5.2.16 to 5.2.19,
 * 6.3.17). */
#include "distribute.h"

#define ERRORS_URI "https://uri.etsi.org/ngsi-ld/errors/"

enum { RESULT_BYTES = 256 * 1024, TEXT_BYTES = 1000, RESULT_DEPTH = 16 };

/* --- what one answer means --- */

void dist_conflict(struct dist_outcome *out)
{
    out->ok = false;
    out->problem = (struct dist_problem){409, S(ERRORS_URI "Conflict"),
                                         S("The request conflicts with what is there"),
                                         S("the registered source does not support the operation")};
}

void dist_failed(struct arena *a, const struct error *e, struct dist_outcome *out)
{
    struct api_problem p;
    api_problem_of(e, &p);
    out->ok = false;
    out->problem = (struct dist_problem){p.status, str_c(p.type), str_c(p.title),
                                         str_printf(a, "%s", p.status == 500 ? "" : e->text)};
}

bool dist_came_round(const struct forward *f)
{
    return f && f->status == 508 && f->reg->mode == REG_INCLUSIVE;
}

/* Text that a source sent us, fit to be passed on. */
static struct str passed_on(struct arena *a, const struct json *v, struct str preset)
{
    struct str s = json_is(v, JSON_STRING) ? str_cut(json_text(v), TEXT_BYTES) : STR_NONE;
    return s.n ? str_dup(a, s) : preset;
}

/* An error of the source: one of the client's own making is passed on, all else is a bad gateway
 * (clause 6.3.17). */
static void read_error(struct arena *a, const struct forward *f, struct dist_problem *p)
{
    static const struct json_limits limits = {RESULT_DEPTH, RESULT_BYTES, JSON_DUP_LAST};
    const struct json *sent =
        f->answer.n <= RESULT_BYTES ? json_parse(a, f->answer, &limits, NULL) : NULL;
    bool client = f->status >= 400 && f->status < 500;
    p->status = client || f->status == 508 ? f->status : 502;
    struct str type = S("about:blank");
    if (p->status == 508)
        type = S(ERRORS_URI "LoopDetected");
    else if (p->status == 404)
        type = S(ERRORS_URI "ResourceNotFound");
    else if (p->status == 400)
        type = S(ERRORS_URI "BadRequestData");
    else if (p->status == 409)
        type = S(ERRORS_URI "Conflict");
    else if (p->status == 422)
        type = S(ERRORS_URI "OperationNotSupported");
    p->type = client ? passed_on(a, json_get(sent, S("type")), type) : type;
    p->title = client ? passed_on(a, json_get(sent, S("title")), str_c(http_reason(p->status)))
                      : str_c(http_reason(p->status));
    p->detail = passed_on(a, json_get(sent, S("detail")),
                          str_printf(a, "the source answers %d", f->status));
}

void dist_read(struct arena *a, const struct forward *f, struct dist_outcome *out)
{
    static const struct json_limits limits = {RESULT_DEPTH, RESULT_BYTES, JSON_DUP_LAST};
    out->reg = f->reg;
    out->ok = f->status >= 200 && f->status < 300;
    if (f->status == 207) {
        out->result = json_parse(a, f->answer, &limits, NULL);
        if (!json_is(out->result, JSON_OBJECT)) { /* something failed, we are not told what */
            out->ok = false;
            out->problem = (struct dist_problem){502, S("about:blank"), str_c(http_reason(502)),
                                                 S("the source did not say what it left undone")};
        }
        return;
    }
    if (out->ok)
        return;
    if (f->status) {
        read_error(a, f, &out->problem);
        return;
    }
    int status = f->error.code == ERR_TIMEOUT ? 504 : 502;
    out->problem = (struct dist_problem){status, S("about:blank"), str_c(http_reason(status)),
                                         status == 504 ? S("the source did not answer in time")
                                                       : S("the source cannot be reached")};
}

/* --- the answer --- */

void dist_write_problem(struct json_writer *w, const struct dist_problem *p)
{
    json_w_object(w);
    json_w_kstr(w, S("type"), p->type);
    json_w_kstr(w, S("title"), p->title);
    if (p->detail.n && str_is_utf8(p->detail))
        json_w_kstr(w, S("detail"), p->detail);
    json_w_ki64(w, S("status"), p->status);
    json_w_end(w);
}

static void answer_json(struct api *c, int status, struct buf *b)
{
    response_body(c->req, c->res, status, "application/json", buf_dup(b, c->arena));
    buf_release(b);
}

void dist_answer_problem(struct api *c, const struct dist_problem *p)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    dist_write_problem(&w, p);
    answer_json(c, p->status, &b);
}

bool dist_answer_same(struct api *c, const struct dist_outcome *v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].ok || v[i].result || v[i].problem.status != v[0].problem.status ||
            !str_eq(v[i].problem.type, v[0].problem.type))
            return false;
    if (n)
        dist_answer_problem(c, &v[0].problem);
    return n > 0;
}

/* Errors of a BatchOperationResult of a source, with its registration. */
static void pass_errors(struct json_writer *w, const struct dist_outcome *o)
{
    const struct json *errors = json_get(o->result, S("errors"));
    for (uint32_t i = 0; json_is(errors, JSON_ARRAY) && i < errors->n; i++) {
        const struct json *e = &errors->items[i], *problem = json_get(e, S("error"));
        struct str id = json_text(json_get(e, S("entityId")));
        if (!json_is(problem, JSON_OBJECT))
            continue;
        json_w_object(w);
        if (id.n)
            json_w_kstr(w, S("entityId"), id);
        json_w_kstr(w, S("registrationId"), o->reg->id);
        json_w_key(w, S("error"));
        json_w_value(w, problem);
        json_w_end(w);
    }
}

void dist_answer_entity(struct api *c, struct str id, const struct dist_outcome *v, size_t n)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    bool any = false;
    for (size_t i = 0; i < n; i++)
        any = any || v[i].ok;
    json_w_object(&w);
    json_w_key(&w, S("success"));
    json_w_array(&w);
    if (any)
        json_w_str(&w, id);
    json_w_end(&w);
    json_w_key(&w, S("errors"));
    json_w_array(&w);
    for (size_t i = 0; i < n; i++) {
        if (v[i].result)
            pass_errors(&w, &v[i]);
        if (v[i].ok || v[i].result)
            continue;
        json_w_object(&w);
        json_w_kstr(&w, S("entityId"), id);
        if (v[i].reg)
            json_w_kstr(&w, S("registrationId"), v[i].reg->id);
        json_w_key(&w, S("error"));
        dist_write_problem(&w, &v[i].problem);
        json_w_end(&w);
    }
    json_w_end(&w);
    json_w_end(&w);
    answer_json(c, 207, &b);
}

/* --- UpdateResult --- */

/* The reason why a participant left an attribute alone; absent: it wrote it. */
static struct str left_why(struct api *c, const struct dist_outcome *o, struct str attr)
{
    const struct json *list = json_get(o->result, S("notUpdated"));
    if (!o->ok)
        return o->problem.detail.n ? o->problem.detail : o->problem.title;
    for (size_t i = 0; o->delta && i < o->delta->not_updated.n; i++)
        if (str_eq(o->delta->not_updated.v[i], attr))
            return S("it was left alone");
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++) {
        struct str name = json_text(json_get(&list->items[i], S("attributeName")));
        if (name.n && str_eq(ld_expand(c->ctx, c->arena, name), attr))
            return passed_on(c->arena, json_get(&list->items[i], S("reason")),
                             S("the source left it alone"));
    }
    return STR_NONE;
}

static void write_left(struct json_writer *w, const struct dist_outcome *o, struct str attr,
                       struct str why)
{
    json_w_object(w);
    json_w_kstr(w, S("attributeName"), attr);
    json_w_kstr(w, S("reason"), str_is_utf8(why) ? why : S("it was left alone"));
    if (o->reg)
        json_w_kstr(w, S("registrationId"), o->reg->id);
    json_w_end(w);
}

void dist_answer_attrs(struct api *c, const struct dist_outcome *v, size_t n)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    VEC(struct str) updated = VEC_INIT;
    json_w_object(&w);
    json_w_key(&w, S("notUpdated"));
    json_w_array(&w);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < v[i].n_attrs; k++) {
            struct str attr = v[i].attrs[k], why = left_why(c, &v[i], attr);
            if (why.p)
                write_left(&w, &v[i], attr, why);
            else if (!dist_among(updated.v, updated.n, attr))
                *vec_push(c->arena, &updated) = attr;
        }
    json_w_end(&w);
    json_w_key(&w, S("updated"));
    json_w_array(&w);
    for (size_t i = 0; i < updated.n; i++)
        json_w_str(&w, updated.v[i]);
    json_w_end(&w);
    json_w_end(&w);
    answer_json(c, 207, &b);
}
