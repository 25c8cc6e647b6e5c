/* The two transports of the outbox: HTTP as it is, MQTT with what HTTP says in headers inside. */
#include "link/outbound.h"
#include "core/json.h"
#include <stdlib.h>

bool outbound_is_mqtt(struct str url)
{
    struct str scheme = str_sub(url, 0, (size_t)(str_find_char(url, ':') + 1));
    return str_eq_nocase(scheme, S("mqtt:")) || str_eq_nocase(scheme, S("mqtts:"));
}

enum err outbound_check_url(struct str url, struct error *e)
{
    if (outbound_is_mqtt(url)) {
        struct arena a = ARENA_INIT;
        struct mqtt_address at;
        enum err err = mqtt_address_parse(&a, url, &at, e);
        if (!err && !at.topic.p)
            err = error_set(e, ERR_INVALID, "an MQTT URL needs a topic");
        arena_release(&a);
        return err;
    }
    ptrdiff_t end = str_find(url, S("://"));
    struct str scheme = str_sub(url, 0, end < 0 ? 0 : (size_t)end);
    bool http = str_eq_nocase(scheme, S("http")) || str_eq_nocase(scheme, S("https"));
    struct str rest = http ? str_from(url, (size_t)end + 3) : STR_NONE;
    if (!rest.n || rest.p[0] == '/')
        return error_set(e, ERR_INVALID, "an http, https, mqtt or mqtts URL is expected");
    return OK;
}

static bool named_again(const struct outbound *m, size_t i)
{
    for (size_t k = i + 1; k < m->n_headers; k++)
        if (str_eq(m->headers[k].name, m->headers[i].name))
            return true;
    return false;
}

/* {"metadata": {...}, "body": ...}; of one name the last value counts. */
static struct str wrapped(struct arena *a, const struct outbound *m)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    json_w_object(&w);
    json_w_key(&w, S("metadata"));
    json_w_object(&w);
    for (size_t i = 0; i < m->n_headers; i++)
        if (!named_again(m, i))
            json_w_kstr(&w, m->headers[i].name, m->headers[i].value);
    json_w_end(&w);
    json_w_key(&w, S("body"));
    buf_str(&out, m->body);
    buf_char(&out, '}');
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

struct waiting {
    void (*done)(void *ctx, const struct client_answer *a);
    void *ctx;
};

static void published(void *ctx, const struct error *e)
{
    struct waiting w = *(struct waiting *)ctx;
    struct client_answer a = {.status = e->code ? 0 : 204, .error = *e};
    free(ctx);
    w.done(w.ctx, &a);
}

static enum err publish(struct link *l, const struct outbound *m, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct mqtt_address to;
    struct waiting *w = malloc(sizeof(*w));
    if (!w)
        abort();
    *w = (struct waiting){m->done, m->ctx};
    enum err err = mqtt_address_parse(&a, m->url, &to, e);
    struct mqtt_message msg = {.to = &to,
                               .version = m->mqtt.version,
                               .qos = m->mqtt.qos,
                               .retain = m->mqtt.retain,
                               .payload = m->mqtt.bare ? m->body : wrapped(&a, m),
                               .timeout_ms = m->timeout_ms,
                               .done = published,
                               .ctx = w};
    if (!err)
        err = mqtt_publish(l->mqtt, &msg, e);
    if (err)
        free(w);
    arena_release(&a);
    return err;
}

enum err outbound_send(struct link *l, const struct outbound *m, struct error *e)
{
    if (outbound_is_mqtt(m->url))
        return publish(l, m, e);
    struct client_request r = {.method = m->method ? m->method : "POST",
                               .url = m->url,
                               .headers = m->headers,
                               .n_headers = m->n_headers,
                               .body = m->body,
                               .timeout_ms = m->timeout_ms,
                               .done = m->done,
                               .ctx = m->ctx};
    return client_send(l->client, &r, e);
}
