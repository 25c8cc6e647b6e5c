/*
 * What a notification of NGSIv2 says. The text of an entity is made once for all subscriptions
 * that show it alike; of a custom notification it is the whole request, in fields with their
 * lengths: method, URL, "1" if there is a body, the body, then names and values of headers.
 *
 * The note of a payload is its service path, a line feed and the correlator of the change.
 */
#include "v2_notify.h"

const struct str v2_formats[V2_FORMATS] = {
    [V2_FORMAT_NORMALIZED] = S_INIT("normalized"),
    [V2_FORMAT_KEY_VALUES] = S_INIT("keyValues"),
    [V2_FORMAT_VALUES] = S_INIT("values"),
    [V2_FORMAT_SIMPLE_NORMALIZED] = S_INIT("simplifiedNormalized"),
    [V2_FORMAT_SIMPLE_KEY_VALUES] = S_INIT("simplifiedKeyValues"),
    [V2_FORMAT_LEGACY] = S_INIT("legacy"),
};

/* --- compiling --- */

static size_t names_of(struct arena *a, const struct json *list, const struct str **out)
{
    size_t n = json_is(list, JSON_ARRAY) ? list->n : 0;
    struct str *names = ARENA_ARRAY(a, struct str, n);
    for (size_t i = 0; i < n; i++)
        names[i] = str_dup(a, json_text(&list->items[i]));
    *out = names;
    return n;
}

static enum v2_format format_of(const struct json *notification)
{
    struct str name = json_text(json_get(notification, S("attrsFormat")));
    enum v2_format f = V2_FORMAT_NORMALIZED;
    while (f < V2_FORMATS && !str_eq(v2_formats[f], name))
        f++;
    return f < V2_FORMATS ? f : V2_FORMAT_NORMALIZED;
}

static const struct json *custom_of(const struct json *notification)
{
    const struct json *http = json_get(notification, S("httpCustom"));
    return http ? http : json_get(notification, S("mqttCustom"));
}

struct v2_notice *v2_notice_new(struct arena *a, const struct json *doc, struct str sub_id,
                                struct str service)
{
    const struct json *notification = json_get(doc, S("notification"));
    const struct json *custom = custom_of(notification);
    struct v2_notice *n = ARENA_NEW(a, struct v2_notice);
    n->format = format_of(notification);
    n->sub_id = str_dup(a, sub_id);
    n->service = str_dup(a, service);
    if (custom) {
        struct json *copy = ARENA_NEW(a, struct json);
        *copy = json_copy(a, custom);
        n->custom = copy;
        n->mqtt = json_get(notification, S("mqttCustom")) != NULL;
    }
    struct v2_view *v = &n->view;
    v->head = true;
    v->form = n->format == V2_FORMAT_VALUES ? V2_VALUES
              : n->format == V2_FORMAT_KEY_VALUES || n->format == V2_FORMAT_SIMPLE_KEY_VALUES
                  ? V2_KEY_VALUES
                  : V2_NORMALIZED;
    v->n_attrs = names_of(a, json_get(notification, S("attrs")), &v->attrs);
    v->n_except = names_of(a, json_get(notification, S("exceptAttrs")), &v->except);
    v->n_metadata = names_of(a, json_get(notification, S("metadata")), &v->metadata);
    v->covered = json_true(json_get(notification, S("covered")));
    v->only_changed = json_true(json_get(notification, S("onlyChangedAttrs")));
    return n;
}

struct str v2_notice_key(struct arena *a, const struct json *doc, struct str sub_id,
                         struct str service)
{
    static const struct str members[] = {S_INIT("attrs"),       S_INIT("exceptAttrs"),
                                         S_INIT("metadata"),    S_INIT("onlyChangedAttrs"),
                                         S_INIT("attrsFormat"), S_INIT("covered")};
    const struct json *notification = json_get(doc, S("notification"));
    struct buf key = BUF_INIT;
    buf_str(&key, S("v2"));
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
        const struct json *v = json_get(notification, members[i]);
        buf_char(&key, '\n');
        if (v)
            json_write(&key, v);
    }
    if (custom_of(notification))
        buf_printf(&key, "\n%" STR_F " %" STR_F, STR_A(service), STR_A(sub_id));
    struct str out = buf_dup(&key, a);
    buf_release(&key);
    return out;
}

/* --- bodies --- */

static void envelope(struct buf *out, struct str sub_id, enum v2_format format)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    json_w_kstr(&w, S("subscriptionId"), sub_id);
    if (format == V2_FORMAT_LEGACY)
        json_w_kstr(&w, S("originator"), S("localhost"));
    json_w_key(&w, format == V2_FORMAT_LEGACY ? S("contextResponses") : S("data"));
    buf_char(out, '[');
}

static bool is_bare(enum v2_format f)
{
    return f == V2_FORMAT_SIMPLE_NORMALIZED || f == V2_FORMAT_SIMPLE_KEY_VALUES;
}

static void entity_body(struct buf *out, struct str sub_id, enum v2_format format,
                        struct str entity)
{
    if (is_bare(format)) {
        buf_str(out, entity);
        return;
    }
    envelope(out, sub_id, format);
    buf_str(out, entity);
    buf_str(out, S("]}"));
}

/* --- legacy: an entity as in NGSIv1 --- */

/* Numbers and booleans are texts there. */
static void legacy_value(struct json_writer *w, const struct json *v)
{
    struct buf text = BUF_INIT;
    json_w_key(w, S("value"));
    if (json_is(v, JSON_NUMBER) || json_is(v, JSON_TRUE) || json_is(v, JSON_FALSE)) {
        json_write(&text, v);
        json_w_str(w, buf_view(&text));
    } else {
        json_w_value(w, v);
    }
    buf_release(&text);
}

static bool is_identity(struct str key)
{
    return str_eq(key, S("id")) || str_eq(key, S("type"));
}

/* Attributes of an entity as "attributes", metadata of an attribute as "metadatas". */
static void legacy_list(struct json_writer *w, struct str name, const struct json *from, bool attrs)
{
    bool begun = false;
    for (uint32_t i = 0; json_is(from, JSON_OBJECT) && i < from->n; i++) {
        struct str key = json_key(&from->members[i]);
        const struct json *v = &from->members[i].value;
        if (attrs && is_identity(key))
            continue;
        if (!begun) {
            json_w_key(w, name);
            json_w_array(w);
            begun = true;
        }
        json_w_object(w);
        json_w_kstr(w, S("name"), key);
        json_w_kstr(w, S("type"), json_text(json_get(v, S("type"))));
        legacy_value(w, json_get(v, S("value")));
        if (attrs)
            legacy_list(w, S("metadatas"), json_get(v, S("metadata")), false);
        json_w_end(w);
    }
    if (begun)
        json_w_end(w);
}

static struct str legacy_entity(struct arena *a, struct str normalized)
{
    struct buf out = BUF_INIT;
    struct json_writer w = json_writer(&out);
    const struct json *entity = json_parse(a, normalized, &JSON_DEFAULT, NULL);
    json_w_object(&w);
    json_w_key(&w, S("contextElement"));
    json_w_object(&w);
    json_w_kstr(&w, S("type"), json_text(json_get(entity, S("type"))));
    json_w_kstr(&w, S("isPattern"), S("false"));
    json_w_kstr(&w, S("id"), json_text(json_get(entity, S("id"))));
    legacy_list(&w, S("attributes"), entity, true);
    json_w_end(&w);
    json_w_key(&w, S("statusCode"));
    json_w_object(&w);
    json_w_kstr(&w, S("code"), S("200"));
    json_w_kstr(&w, S("reasonPhrase"), S("OK"));
    json_w_end(&w);
    json_w_end(&w);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

static struct str show_entity(struct arena *a, const struct json *stored, const struct v2_view *v)
{
    struct buf out = BUF_INIT;
    v2_show(&out, a, stored, v);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

/* --- ngsi: a patch of the entity --- */

/* A patched attribute as it is shown. */
static struct json patched_attr(struct arena *a, const struct json *patch, struct v2_macros *m)
{
    const struct json *given = json_get(patch, S("value"));
    struct json value = given ? v2_expand_json(a, given, m) : json_v_null(), bare;
    struct str type = json_text(json_get(patch, S("type")));
    struct error e;
    if (!type.p)
        type = v2_value_in(a, &value, STR_NONE, &bare, &e) ? S("Text") : v2_type(a, &bare);
    struct json_member *out = ARENA_ARRAY(a, struct json_member, 3);
    out[0] = json_m(S("type"), json_v_str(type));
    out[1] = json_m(S("value"), value);
    out[2] = json_m(S("metadata"), json_v_object(NULL, 0));
    return json_v_object(out, 3);
}

static bool among(const struct str *names, size_t n, struct str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}

/* What attrs and exceptAttrs of the subscription leave of the patched entity. */
static struct json filtered(struct arena *a, const struct json *entity, const struct v2_view *v)
{
    bool all = !v->n_attrs || among(v->attrs, v->n_attrs, S("*"));
    struct json_member *out = ARENA_ARRAY(a, struct json_member, entity->n);
    size_t n = 0;
    for (uint32_t i = 0; i < entity->n; i++) {
        struct str key = json_key(&entity->members[i]);
        if (is_identity(key) ||
            ((all || among(v->attrs, v->n_attrs, key)) && !among(v->except, v->n_except, key)))
            out[n++] = entity->members[i];
    }
    return json_v_object(out, n);
}

static struct str patched_entity(struct arena *a, const struct v2_notice *n,
                                 const struct json *patch, const struct entity_event *ev,
                                 struct v2_macros *m)
{
    struct v2_view view = n->view;
    view.form = V2_NORMALIZED;
    view.event = ev;
    /* attributes that the patch takes its part in are told whatever attrs says */
    struct str *attrs = ARENA_ARRAY(a, struct str, view.n_attrs + 1);
    for (size_t i = 0; i < view.n_attrs; i++)
        attrs[i] = view.attrs[i];
    attrs[view.n_attrs] = S("*");
    if (view.n_attrs) {
        view.attrs = attrs;
        view.n_attrs++;
    }
    struct json entity = *json_parse(a, show_entity(a, ev->doc, &view), &JSON_DEFAULT, NULL);
    for (uint32_t i = 0; i < patch->n; i++) {
        struct str key = json_key(&patch->members[i]);
        const struct json *with = &patch->members[i].value;
        struct json value = is_identity(key)
                                ? json_v_str(v2_expand(a, json_text(with), m, S("null")))
                                : patched_attr(a, with, m);
        struct json *before = ARENA_NEW(a, struct json);
        *before = entity;
        entity = json_with(a, before, key, value);
    }
    entity = filtered(a, &entity, &n->view);
    return json_to_text(a, &entity);
}

/* --- custom requests --- */

struct headers {
    struct http_header *v;
    size_t n;
};

static void set_header(struct headers *h, struct str name, struct str value)
{
    size_t i = 0;
    while (i < h->n && !str_eq_nocase(h->v[i].name, name))
        i++;
    if (value.n) {
        h->v[i] = (struct http_header){name, value};
        h->n += i == h->n;
    } else if (i < h->n) {
        h->v[i] = h->v[--h->n];
    }
}

static bool is_ours(struct str name)
{
    return str_eq_nocase(name, S("Fiware-Correlator")) ||
           str_eq_nocase(name, S("Ngsiv2-AttrsFormat"));
}

static void own_headers(struct headers *h, struct arena *a, const struct json *given,
                        struct v2_macros *m)
{
    for (uint32_t i = 0; json_is(given, JSON_OBJECT) && i < given->n; i++) {
        struct str name = json_key(&given->members[i]);
        struct str value = json_text(&given->members[i].value); /* null removes, as "" does */
        name = v2_percent_decode(a, v2_expand(a, name, m, S("")));
        if (!is_ours(name))
            set_header(h, name, v2_percent_decode(a, v2_expand(a, value, m, S(""))));
    }
}

static struct str custom_url(struct arena *a, const struct json *custom, struct v2_macros *m)
{
    const struct json *qs = json_get(custom, S("qs"));
    struct buf out = BUF_INIT;
    struct str url = v2_expand(a, json_text(json_get(custom, S("url"))), m, S(""));
    buf_str(&out, v2_url_clean(a, url, false));
    bool more = str_find_char(url, '?') >= 0;
    for (uint32_t i = 0; json_is(qs, JSON_OBJECT) && i < qs->n; i++) {
        struct str name = v2_expand(a, json_key(&qs->members[i]), m, S(""));
        struct str value = v2_expand(a, json_text(&qs->members[i].value), m, S(""));
        buf_char(&out, more ? '&' : '?');
        buf_str(&out, v2_url_clean(a, name, true));
        buf_char(&out, '=');
        buf_str(&out, v2_url_clean(a, value, true));
        more = true;
    }
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

struct custom_body {
    struct str text; /* absent: none */
    struct str type, format;
};

static struct custom_body custom_body(struct arena *a, const struct v2_notice *n,
                                      const struct entity_event *ev, struct v2_macros *m)
{
    const struct json *payload = json_get(n->custom, S("payload"));
    const struct json *tree = json_get(n->custom, S("json"));
    const struct json *ngsi = json_get(n->custom, S("ngsi"));
    struct custom_body b = {STR_NONE, S("application/json"), v2_formats[n->format]};
    struct buf out = BUF_INIT;
    if (json_is(payload, JSON_NULL)) {
        b.format = S("custom");
        return b;
    }
    if (json_text(payload).n) {
        struct str text = v2_percent_decode(a, v2_expand(a, json_text(payload), m, S("")));
        return (struct custom_body){text, S("text/plain"), S("custom")};
    }
    if (tree) {
        struct json expanded = v2_expand_json(a, tree, m);
        b.format = S("custom");
        json_write(&out, &expanded);
    } else if (ngsi) {
        b.format = S("normalized");
        entity_body(&out, n->sub_id, V2_FORMAT_NORMALIZED, patched_entity(a, n, ngsi, ev, m));
    } else {
        struct v2_view view = n->view;
        view.event = ev;
        struct str text = show_entity(a, ev->doc, &view);
        if (n->format == V2_FORMAT_LEGACY)
            text = legacy_entity(a, text);
        entity_body(&out, n->sub_id, n->format, text);
    }
    b.text = buf_dup(&out, a);
    buf_release(&out);
    return b;
}

static void pack(struct buf *out, struct str field)
{
    uint32_t n = (uint32_t)field.n;
    buf_add(out, &n, sizeof(n));
    if (field.p)
        buf_str(out, field);
}

static bool unpack(struct str *rest, struct str *field)
{
    uint32_t n;
    if (rest->n < sizeof(n))
        return false;
    memcpy(&n, rest->p, sizeof(n));
    *field = str_sub(*rest, sizeof(n), n);
    *rest = str_from(*rest, sizeof(n) + n);
    return true;
}

static void custom_request(struct buf *out, struct arena *a, const struct v2_notice *n,
                           const struct entity_event *ev)
{
    const struct json *given = json_get(n->custom, S("headers"));
    struct v2_macros m = {ev->doc, n->service, v2_path_of(ev->doc), false};
    size_t room = (json_is(given, JSON_OBJECT) ? given->n : 0) + 4;
    struct headers h = {ARENA_ARRAY(a, struct http_header, room), 0};
    struct str method = json_text(json_get(n->custom, S("method")));
    struct custom_body body = custom_body(a, n, ev, &m);
    set_header(&h, S("Content-Type"), body.type);
    set_header(&h, S("Fiware-Service"), n->service);
    set_header(&h, S("Fiware-ServicePath"), m.path);
    set_header(&h, S("Ngsiv2-AttrsFormat"), body.format);
    own_headers(&h, a, given, &m);
    struct str topic = json_text(json_get(n->custom, S("topic")));
    struct str url = n->mqtt ? v2_mqtt_url(a, n->custom, v2_expand(a, topic, &m, S("")))
                             : custom_url(a, n->custom, &m);
    pack(out, method.n ? method : S("POST"));
    pack(out, m.over ? S("") : url); /* no URL: it is never sent, and counted as a failure */
    pack(out, body.text.p ? S("1") : S(""));
    pack(out, body.text);
    for (size_t i = 0; i < h.n; i++) {
        pack(out, h.v[i].name);
        pack(out, h.v[i].value);
    }
}

struct sub_payload *v2_notice_render(const struct v2_notice *n, struct arena *a,
                                     const struct entity_event *ev)
{
    struct buf out = BUF_INIT;
    struct str correlator = json_text(json_get(ev->note, S("correlator")));
    struct str note =
        str_printf(a, "%" STR_F "\n%" STR_F, STR_A(v2_path_of(ev->doc)), STR_A(correlator));
    if (n->custom) {
        custom_request(&out, a, n, ev);
    } else {
        struct v2_view view = n->view;
        view.event = ev;
        if (n->format == V2_FORMAT_LEGACY)
            buf_str(&out, legacy_entity(a, show_entity(a, ev->doc, &view)));
        else
            v2_show(&out, a, ev->doc, &view);
    }
    struct sub_payload *p = sub_payload_noted(buf_view(&out), entity_id(ev->doc), note);
    buf_release(&out);
    return p;
}

/* --- requests --- */

/* "...; cbnotif=1" of a change's correlator, counted on when it came by a notification itself. */
static struct str correlator(struct arena *a, struct str of_change, struct str notification_id)
{
    struct str base = of_change.n ? of_change : notification_id;
    ptrdiff_t at = str_find(base, S("; cbnotif="));
    int64_t count = 0;
    if (at >= 0) {
        str_to_i64(str_from(base, (size_t)at + 10), &count);
        base = str_sub(base, 0, (size_t)at);
    }
    return str_printf(a, "%" STR_F "; cbnotif=%lld", STR_A(base),
                      (long long)(count < 1000 ? count + 1 : count));
}

static void unpack_request(struct arena *a, struct str text, struct str correlator_text,
                           struct outbound *out)
{
    struct str method = S("POST"), flag = STR_NONE, name, value;
    VEC(struct http_header) headers = VEC_INIT;
    unpack(&text, &method);
    unpack(&text, &out->url);
    unpack(&text, &flag);
    unpack(&text, &out->body);
    while (unpack(&text, &name) && unpack(&text, &value))
        *vec_push(a, &headers) = (struct http_header){name, value};
    *vec_push(a, &headers) = (struct http_header){S("Fiware-Correlator"), correlator_text};
    if (!flag.n)
        out->body = STR_NONE;
    out->method = str_z(a, method);
    out->headers = headers.v;
    out->n_headers = headers.n;
}

void v2_notice_request(const struct v2_notice *n, struct arena *a, struct str sub_id,
                       struct str service, struct str notification_id,
                       struct sub_payload *const *list, size_t count, struct outbound *out)
{
    struct buf body = BUF_INIT, paths = BUF_INIT;
    struct str note = STR_NONE, path = STR_NONE;
    for (size_t i = 0; i < count; i++) {
        note = sub_payload_note(list[i]);
        path = S("/");
        str_split(&note, '\n', &path);
        if (i)
            buf_char(&paths, ',');
        buf_str(&paths, path);
    }
    struct str corr = correlator(a, note, notification_id);
    if (n->custom) {
        unpack_request(a, sub_payload_text(list[0]), corr, out);
        buf_release(&paths);
        return;
    }
    if (!is_bare(n->format))
        envelope(&body, sub_id, n->format);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_char(&body, ',');
        buf_str(&body, sub_payload_text(list[i]));
    }
    if (!is_bare(n->format))
        buf_str(&body, S("]}"));
    struct http_header *h = ARENA_ARRAY(a, struct http_header, 5);
    size_t k = 0;
    h[k++] = (struct http_header){S("Content-Type"), S("application/json; charset=utf-8")};
    h[k++] = (struct http_header){S("Fiware-ServicePath"), buf_dup(&paths, a)};
    h[k++] = (struct http_header){S("Fiware-Correlator"), corr};
    h[k++] = (struct http_header){S("Ngsiv2-AttrsFormat"), v2_formats[n->format]};
    if (service.n)
        h[k++] = (struct http_header){S("Fiware-Service"), service};
    out->headers = h;
    out->n_headers = k;
    out->body = buf_dup(&body, a);
    buf_release(&body);
    buf_release(&paths);
}
