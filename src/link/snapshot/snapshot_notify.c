/*
 * Telling the endpoint of a snapshot how it stands (clauses 5.3.4, 5.16.6). A change of the status
 * is written together with a counter of what is owed; when the receiver has taken the status (2xx)
 * the counter goes back to 0, unless the status changed again meanwhile. So nothing is lost when
 * the receiver or we are down: the sweep tries again what is owed.
 */
#include "crypto/hash.h"
#include "link/access.h"
#include "link/outbound.h"
#include "snapshot.h"
#include "subscription_impl.h"
#include <stdlib.h>

enum { TIMEOUT_MS = 5000 };

enum err snapshot_check_endpoint(struct arena *a, const struct json *body, struct error *e)
{
    const struct json *endpoint = json_get(body, S("endpoint"));
    const struct json *info = json_get(body, S("receiverInfo"));
    struct json ep = json_v_object(NULL, 0);
    if (endpoint && (!json_is(endpoint, JSON_STRING) || !ld_is_uri(json_text(endpoint))))
        return error_set(e, ERR_INVALID, "endpoint is a URI");
    if (endpoint && outbound_check_url(json_text(endpoint), e))
        return e->code;
    bool good = !info || json_is(info, JSON_ARRAY);
    for (uint32_t i = 0; good && info && i < info->n; i++)
        good = json_is(json_get(&info->items[i], S("key")), JSON_STRING) &&
               json_is(json_get(&info->items[i], S("value")), JSON_STRING);
    if (!good)
        return error_set(e, ERR_INVALID, "receiverInfo is a list of key and value");
    if (endpoint)
        ep = json_with(a, &ep, S("uri"), *endpoint);
    if (info)
        ep = json_with(a, &ep, S("receiverInfo"), *info);
    return info ? sub_check_endpoint(&ep, e) : OK;
}

struct telling {
    struct link *link;
    struct arena arena; /* this lies in it */
    struct str space;
    int64_t notify; /* what is told with it; 0: nothing is owed */
    struct store_change change;
};

static void finish(struct telling *t)
{
    struct link *l = t->link;
    struct arena a = t->arena;
    arena_release(&a);
    snapshots_let_go(l);
}

static enum err note_told(struct store_conn *conn, void *ctx, struct error *e)
{
    const struct telling *t = ctx;
    return store_exec(conn, "UPDATE snapshot SET notify = 0 WHERE space = $1 AND notify = $2",
                      SV(SV_TEXT(t->space), SV_INT(t->notify)), NULL, e);
}

static void noted(void *ctx, enum err code, const struct error *e)
{
    (void)code; /* then it is told once more */
    (void)e;
    finish(ctx);
}

static void answered(void *ctx, const struct client_answer *a)
{
    struct telling *t = ctx;
    t->change = (struct store_change){.apply = note_told, .done = noted, .ctx = t};
    if (!t->notify || a->status < 200 || a->status > 299 ||
        store_submit(t->link->store, &t->change))
        finish(t);
}

static void write_time(struct json_writer *w, struct str key, int64_t at)
{
    char text[DATETIME_MAX];
    json_w_kstr(w, key, str_n(text, datetime_format(at, text)));
}

/* The list of temporal queries has another name here than in the snapshot (table 5.3.4-1). */
static struct str body_of(struct telling *t, const struct snapshot *s, bool gone)
{
    static const struct str copied[][2] = {{S_INIT("snapshotPriority"), S_INIT("snapshotPriority")},
                                           {S_INIT("snapshotStatus"), S_INIT("snapshotStatus")},
                                           {S_INIT("snapshotQueriesDetails"),
                                            S_INIT("snapshotQueriesDetails")},
                                           {S_INIT("snapshotTemporalQueriesDetails"),
                                            S_INIT("temporalSnapshotQueriesDetails")}};
    struct arena *a = &t->arena;
    int64_t now = clock_now(t->link->clock);
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), str_concat(a, S("urn:ngsi-ld:SnapshotNotification:"), uuid_v4(a)));
    json_w_kstr(&w, S("type"), S("SnapshotNotification"));
    write_time(&w, S("notifiedAt"), now);
    write_time(&w, S("expiresAt"), gone && s->expires >= now ? now - SECOND_US : s->expires);
    json_w_kstr(&w, S("snapshotId"), s->id);
    for (size_t i = 0; i < sizeof(copied) / sizeof(copied[0]); i++) {
        const struct json *v = json_get(s->doc, copied[i][0]);
        if (!v)
            continue;
        json_w_key(&w, copied[i][1]);
        json_w_value(&w, v);
    }
    json_w_end(&w);
    struct str body = buf_dup(&out, a);
    buf_release(&out);
    return body;
}

static size_t headers_of(struct arena *a, struct str tenant, const struct snapshot *s,
                         struct http_header **out)
{
    const struct json *info = json_get(s->doc, S("receiverInfo"));
    struct http_header *h = ARENA_ARRAY(a, struct http_header, (info ? info->n : 0) + 3);
    size_t k = 0;
    h[k++] = (struct http_header){S("Content-Type"), S("application/json")};
    h[k++] = (struct http_header){S("Link"), S("<" LD_CORE_URL ">; rel=\"" CONTEXT_REL
                                               "\"; type=\"application/ld+json\"")};
    if (tenant.n)
        h[k++] = (struct http_header){S("NGSILD-Tenant"), tenant};
    for (uint32_t i = 0; info && i < info->n; i++)
        h[k++] = (struct http_header){json_text(json_get(&info->items[i], S("key"))),
                                      json_text(json_get(&info->items[i], S("value")))};
    *out = h;
    return k;
}

void snapshot_tell(struct link *l, struct str tenant, const struct snapshot *s, bool gone)
{
    struct str url = json_text(json_get(s->doc, S("endpoint")));
    struct arena a = ARENA_INIT;
    struct http_header *headers;
    struct error e = {0};
    if (!url.n)
        return;
    struct telling *t = ARENA_NEW(&a, struct telling);
    t->link = l;
    t->arena = a; /* from here on this is the one that grows */
    t->space = str_dup(&t->arena, s->space);
    t->notify = gone ? 0 : s->notify;
    size_t n = headers_of(&t->arena, tenant, s, &headers);
    struct outbound m = {.url = url,
                         .headers = headers,
                         .n_headers = n,
                         .body = body_of(t, s, gone),
                         .timeout_ms = TIMEOUT_MS,
                         .done = answered,
                         .ctx = t};
    snapshots_hold(l);
    if (outbound_send(l, &m, &e))
        finish(t);
}
