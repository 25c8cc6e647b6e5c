/* Writing: operations handed to the writer thread, the answer after their commit. */
#include "api.h"
#include "link/access.h"

static void ops_done(struct ops *ops, enum err code, const struct error *e)
{
    struct api *c = ops->ctx;
    if (code == ERR_NOT_FOUND) /* what single operations do not find is their own result */
        api_no_tenant(c);
    else if (code)
        api_fail(c, e);
    else
        c->then(c);
    http_resume(c->req);
}

enum http_answer api_write(struct api *c, struct op *ops, size_t n, void (*then)(struct api *))
{
    struct api *kept = api_keep(c);
    struct error e = {0};
    kept->then = then;
    for (size_t i = 0; i < n; i++)
        ops[i].input_bytes = c->req->body.n;
    kept->ops = (struct ops){.arena = c->arena,
                             .tenant = c->tenant,
                             .actor = c->req->user,
                             .who = access_asks(c->req),
                             .ops = ops,
                             .n = n,
                             .done = ops_done,
                             .ctx = kept};
    if (ops_submit(c->link, &kept->ops, &e))
        return api_fail(c, &e);
    return HTTP_LATER;
}

bool api_write_failed(struct api *c)
{
    struct op *op = &c->ops.ops[0];
    if (!op->result)
        return false;
    op->error.code = op->result;
    api_fail(c, &op->error);
    return true;
}

void api_written_empty(struct api *c)
{
    if (!api_write_failed(c))
        response_empty(c->res, 204);
}

bool api_merge_hints(struct api *c, struct merge_hints *h)
{
    int64_t at;
    struct str list = request_query(c->req, "lang"), first;
    *h = (struct merge_hints){.observed = request_query(c->req, "observedAt")};
    if (h->observed.p && !datetime_parse_utc(h->observed, &at)) {
        api_fail_text(c, ERR_INVALID, "observedAt must be a date-time in UTC");
        return false;
    }
    if (list.p && str_split(&list, ',', &first)) {
        h->lang = str_trim(first);
        ptrdiff_t weight = str_find_char(h->lang, ';');
        h->lang = weight < 0 ? h->lang : str_sub(h->lang, 0, (size_t)weight);
    }
    return true;
}
