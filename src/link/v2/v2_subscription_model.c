/*
 * Subscriptions of NGSIv2 as documents: what a client may send, how a patch changes them, what
 * comes back. Members that nobody knows are passed over, as Orion does.
 */
#include "core/regex.h"
#include "link/outbound.h"
#include "v2_notify.h"

enum {
    DESCRIPTION_MAX = 1024,
    ENTITIES_MAX = 1000,
    NAMES_MAX = 1000,
    TIMEOUT_MAX_MS = 1800000,
    THROTTLING_MAX_S = 1 << 30
};

#define FAIL(...) error_set(e, ERR_INVALID, __VA_ARGS__)

/* --- what is there --- */

static struct json picked(struct arena *a, const struct json *object, const struct str *names,
                          size_t n)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, n);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const struct json *v = json_get(object, names[i]);
        if (v)
            m[k++] = json_m(names[i], *v);
    }
    return json_v_object(m, k);
}
#define PICKED(a, object, names) picked((a), (object), (names), sizeof(names) / sizeof(*(names)))

static const struct str top[] = {S_INIT("description"), S_INIT("subject"), S_INIT("notification"),
                                 S_INIT("expires"),     S_INIT("status"),  S_INIT("throttling")};
static const struct str subject_members[] = {S_INIT("entities"), S_INIT("condition")};
static const struct str condition_members[] = {S_INIT("attrs"), S_INIT("expression"),
                                               S_INIT("alterationTypes"),
                                               S_INIT("notifyOnMetadataChange")};
static const struct str notification_members[] = {
    S_INIT("attrs"),       S_INIT("exceptAttrs"),  S_INIT("http"),
    S_INIT("httpCustom"),  S_INIT("mqtt"),         S_INIT("mqttCustom"),
    S_INIT("attrsFormat"), S_INIT("metadata"),     S_INIT("onlyChangedAttrs"),
    S_INIT("covered"),     S_INIT("maxFailsLimit")};

static struct json taken_subject(struct arena *a, const struct json *subject)
{
    struct json *out = ARENA_NEW(a, struct json);
    const struct json *condition = json_get(subject, S("condition"));
    *out = PICKED(a, subject, subject_members);
    if (json_is(condition, JSON_OBJECT) && condition->n)
        return json_with(a, out, S("condition"), PICKED(a, condition, condition_members));
    return *out;
}

const struct json *v2_sub_take(struct arena *a, const struct json *body, bool patch,
                               struct error *e)
{
    struct json *doc = ARENA_NEW(a, struct json);
    if (!json_is(body, JSON_OBJECT) || !body->n) {
        FAIL(json_is(body, JSON_OBJECT) ? "empty payload" : "not a JSON object");
        return NULL;
    }
    *doc = PICKED(a, body, top);
    const struct json *subject = json_get(doc, S("subject"));
    const struct json *notification = json_get(doc, S("notification"));
    if (json_is(subject, JSON_OBJECT))
        *doc = json_with(a, doc, S("subject"), taken_subject(a, subject));
    if (json_is(notification, JSON_OBJECT))
        *doc = json_with(a, doc, S("notification"), PICKED(a, notification, notification_members));
    if (!patch && !json_get(doc, S("status")))
        *doc = json_with(a, doc, S("status"), json_v_str(S("active")));
    return doc;
}

/* --- patching --- */

static const struct str endpoints[] = {S_INIT("http"), S_INIT("httpCustom"), S_INIT("mqtt"),
                                       S_INIT("mqttCustom")};
static const struct str selections[] = {S_INIT("attrs"), S_INIT("exceptAttrs")};

/* Of names that exclude one another the patch's takes the place of the others. */
static struct json displaced(struct arena *a, struct json object, struct str key,
                             const struct str *names, size_t n)
{
    bool among = false;
    for (size_t i = 0; i < n; i++)
        among = among || str_eq(names[i], key);
    for (size_t i = 0; among && i < n; i++) {
        struct json *before = ARENA_NEW(a, struct json);
        *before = object;
        object = json_without(a, before, names[i]);
    }
    return object;
}

static struct json merged(struct arena *a, const struct json *object, const struct json *patch)
{
    struct json out = *object;
    for (uint32_t i = 0; i < patch->n; i++) {
        struct str key = json_key(&patch->members[i]);
        struct json *before = ARENA_NEW(a, struct json);
        out = displaced(a, out, key, endpoints, 4);
        out = displaced(a, out, key, selections, 2);
        *before = out;
        out = json_with(a, before, key, patch->members[i].value);
    }
    return out;
}

/* "" and null take a member away. */
static bool is_empty(const struct json *v)
{
    return json_is(v, JSON_NULL) || (json_is(v, JSON_STRING) && !v->n);
}

const struct json *v2_sub_patched(struct arena *a, const struct json *doc, const struct json *patch)
{
    struct json *out = ARENA_NEW(a, struct json);
    *out = *doc;
    for (uint32_t i = 0; i < patch->n; i++) {
        struct str key = json_key(&patch->members[i]);
        const struct json *v = &patch->members[i].value, *was = json_get(out, key);
        bool merge = str_eq(key, S("notification")) && json_is(v, JSON_OBJECT) && was;
        struct json *next = ARENA_NEW(a, struct json);
        if (is_empty(v) && !str_eq(key, S("status")))
            *next = json_without(a, out, key);
        else
            *next = json_with(a, out, key, merge ? merged(a, was, v) : *v);
        out = next;
    }
    return out;
}

/* --- checking: small things --- */

static bool is_clean(const struct json *v)
{
    struct error e;
    return !v2_check_value(v, "", &e);
}

static enum err check_bool(const struct json *object, struct str name, struct error *e)
{
    const struct json *v = json_get(object, name);
    return v && !json_is_bool(v) ? FAIL("%" STR_F " must be true or false", STR_A(name)) : OK;
}

/* A list of names; they may be builtins or "*". */
static enum err check_names(const struct json *v, const char *what, struct error *e)
{
    if (!v)
        return OK;
    if (!json_is(v, JSON_ARRAY))
        return FAIL("%s must be an array", what);
    if (v->n > NAMES_MAX)
        return FAIL("%s has more than %d names", what, NAMES_MAX);
    for (uint32_t i = 0; i < v->n; i++)
        if (!json_is(&v->items[i], JSON_STRING) ||
            v2_check_lookup(json_text(&v->items[i]), what, e))
            return FAIL("%s must hold names", what);
    return OK;
}

static enum err check_number(const struct json *object, struct str name, int64_t min, int64_t max,
                             struct error *e)
{
    const struct json *v = json_get(object, name);
    int64_t n;
    if (!v || (json_i64(v, &n) && n >= min && n <= max))
        return OK;
    return FAIL("%" STR_F " must be an integer from %lld to %lld", STR_A(name), (long long)min,
                (long long)max);
}

/* --- checking: subject --- */

static enum err check_pattern(const struct json *v, const char *what, struct error *e)
{
    if (!json_is(v, JSON_STRING) || !v->n)
        return FAIL("%s must be a text that is not empty", what);
    struct regex *r = regex_new(json_text(v), e);
    if (!r)
        return FAIL("%s is no valid regular expression", what);
    regex_free(r);
    return OK;
}

static enum err check_name(const struct json *v, const char *what, struct error *e)
{
    return json_is(v, JSON_STRING) ? v2_check_lookup(json_text(v), what, e)
                                   : FAIL("%s must be a text", what);
}

enum err v2_check_entity(const struct json *entity, const char *where, struct error *e)
{
    const struct json *id = json_get(entity, S("id")), *type = json_get(entity, S("type"));
    const struct json *id_pattern = json_get(entity, S("idPattern"));
    const struct json *type_pattern = json_get(entity, S("typePattern"));
    if (!json_is(entity, JSON_OBJECT))
        return FAIL("%s entities element is not an object", where);
    if (!id == !id_pattern)
        return FAIL("%s entities element %s", where,
                    id ? "has id and idPattern" : "does not have id nor idPattern");
    if (type && type_pattern)
        return FAIL("%s entities element has type and typePattern", where);
    if ((id && check_name(id, "entity id", e)) || (type && check_name(type, "entity type", e)) ||
        (id_pattern && check_pattern(id_pattern, "idPattern", e)) ||
        (type_pattern && check_pattern(type_pattern, "typePattern", e)))
        return ERR_INVALID;
    return OK;
}

static enum err check_expression(struct arena *a, const struct json *x, struct error *e)
{
    static const struct str names[] = {S_INIT("q"), S_INIT("mq"), S_INIT("georel"),
                                       S_INIT("geometry"), S_INIT("coords")};
    struct str t[5];
    if (!x)
        return OK;
    if (!json_is(x, JSON_OBJECT) || !x->n)
        return FAIL("expression must be an object that is not empty");
    for (size_t i = 0; i < 5; i++) {
        const struct json *v = json_get(x, names[i]);
        t[i] = json_text(v);
        if (v && (!json_is(v, JSON_STRING) || !v->n))
            return FAIL("%" STR_F " must be a text that is not empty", STR_A(names[i]));
    }
    if (t[0].p || t[1].p) {
        const struct query_node *q = v2_query_parse(a, t[0], t[1], e);
        if (!q)
            return ERR_INVALID;
        query_q_release(q);
    }
    if (t[2].p || t[3].p || t[4].p) {
        struct v2_geo geo;
        if (v2_geo_parse(a, t[2], t[3], t[4], &geo, e))
            return ERR_INVALID;
        v2_geo_release(&geo);
    }
    return OK;
}

static enum err check_alterations(const struct json *list, struct error *e)
{
    if (!list)
        return OK;
    if (!json_is(list, JSON_ARRAY))
        return FAIL("alterationTypes must be an array");
    for (uint32_t i = 0; i < list->n; i++) {
        size_t k = 0;
        while (k < 4 && !str_eq(json_text(&list->items[i]), v2_alterations[k]))
            k++;
        if (k == 4)
            return FAIL("unknown alterationType: expected entityCreate, entityUpdate, "
                        "entityChange or entityDelete");
    }
    return OK;
}

static enum err check_condition(struct arena *a, const struct json *c, struct error *e)
{
    if (!c)
        return OK;
    if (!json_is(c, JSON_OBJECT) || !c->n)
        return FAIL("condition must be an object that is not empty");
    if (check_names(json_get(c, S("attrs")), "condition attrs", e) ||
        check_expression(a, json_get(c, S("expression")), e) ||
        check_alterations(json_get(c, S("alterationTypes")), e))
        return ERR_INVALID;
    return check_bool(c, S("notifyOnMetadataChange"), e);
}

static enum err check_subject(struct arena *a, const struct json *subject, struct error *e)
{
    const struct json *entities = json_get(subject, S("entities"));
    if (!json_is(subject, JSON_OBJECT))
        return FAIL(subject ? "subject is not an object" : "no subject for subscription specified");
    if (!json_is(entities, JSON_ARRAY))
        return FAIL(entities ? "subject entities is not an array"
                             : "no subject entities specified");
    if (!entities->n || entities->n > ENTITIES_MAX)
        return FAIL(entities->n ? "too many subject entities"
                                : "subject entities is an empty array");
    for (uint32_t i = 0; i < entities->n; i++)
        if (v2_check_entity(&entities->items[i], "subject", e))
            return ERR_INVALID;
    return check_condition(a, json_get(subject, S("condition")), e);
}

/* --- checking: where to --- */

const struct json *v2_sub_endpoint(const struct json *doc, struct str *name)
{
    const struct json *notification = json_get(doc, S("notification"));
    for (size_t i = 0; i < 4; i++) {
        const struct json *v = json_get(notification, endpoints[i]);
        *name = endpoints[i];
        if (v)
            return v;
    }
    *name = STR_NONE;
    return NULL;
}

struct str v2_mqtt_url(struct arena *a, const struct json *endpoint, struct str topic)
{
    struct str url = json_text(json_get(endpoint, S("url")));
    struct str user = json_text(json_get(endpoint, S("user")));
    struct str password = json_text(json_get(endpoint, S("passwd")));
    ptrdiff_t slashes = str_find(url, S("://"));
    size_t at = slashes < 0 ? 0 : (size_t)slashes + 3;
    struct buf b = BUF_INIT;
    while (str_ends(url, S("/")) && url.n > at)
        url = str_sub(url, 0, url.n - 1);
    buf_str(&b, str_sub(url, 0, at));
    if (user.n) {
        buf_str(&b, url_encode(a, user));
        buf_char(&b, ':');
        buf_str(&b, url_encode(a, password));
        buf_char(&b, '@');
    }
    buf_str(&b, str_from(url, at));
    buf_char(&b, '/');
    buf_str(&b, url_encode(a, topic));
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

static bool is_http(struct str url)
{
    return (str_starts(url, S("http://")) && url.n > 7) ||
           (str_starts(url, S("https://")) && url.n > 8);
}

static enum err check_url(const struct json *endpoint, bool custom, struct error *e)
{
    const struct json *v = json_get(endpoint, S("url"));
    struct str url = json_text(v);
    if (!json_is(v, JSON_STRING) || !url.n)
        return FAIL("url must be a text that is not empty");
    if (url.n > 4096)
        return FAIL("url is longer than 4096 characters");
    for (size_t i = 0; i < url.n; i++)
        if ((unsigned char)url.p[i] <= ' ' || strchr("<>\"", url.p[i]))
            return FAIL("Invalid characters in url");
    if (!is_http(url) && !(custom && str_starts(url, S("${"))))
        return FAIL("Invalid URL: http:// or https:// and a host are expected");
    return check_number(endpoint, S("timeout"), 0, TIMEOUT_MAX_MS, e);
}

static enum err check_method(const struct json *v, struct error *e)
{
    static const struct str methods[] = {S_INIT("GET"),     S_INIT("PUT"),   S_INIT("POST"),
                                         S_INIT("DELETE"),  S_INIT("PATCH"), S_INIT("HEAD"),
                                         S_INIT("OPTIONS"), S_INIT("TRACE"), S_INIT("CONNECT")};
    for (size_t i = 0; v && i < sizeof(methods) / sizeof(*methods); i++)
        if (str_eq(json_text(v), methods[i]))
            return OK;
    return v ? FAIL("unknown method: an HTTP verb in capitals is expected") : OK;
}

/* headers or qs; null stands for the empty text in headers. */
static enum err check_texts(const struct json *v, const char *what, bool nulls, struct error *e)
{
    if (!v)
        return OK;
    if (!json_is(v, JSON_OBJECT) || !v->n)
        return FAIL("custom %s must be an object that is not empty", what);
    for (uint32_t i = 0; i < v->n; i++) {
        const struct json *text = &v->members[i].value;
        if (!json_is(text, JSON_STRING) && !(nulls && json_is(text, JSON_NULL)))
            return FAIL("custom %s must hold texts", what);
    }
    return is_clean(v) ? OK : FAIL("Invalid characters in custom %s", what);
}

static enum err check_ngsi(const struct json *ngsi, struct error *e)
{
    if (!json_is(ngsi, JSON_OBJECT))
        return FAIL("ngsi must be an object");
    for (uint32_t i = 0; i < ngsi->n; i++) {
        struct str key = json_key(&ngsi->members[i]);
        const struct json *v = &ngsi->members[i].value;
        if (str_eq(key, S("id")) || str_eq(key, S("type"))) {
            if (!json_is(v, JSON_STRING))
                return FAIL("ngsi %" STR_F " must be a text", STR_A(key));
            continue;
        }
        if (v2_check_id(key, "attribute name", e))
            return ERR_INVALID;
        if (!json_is(v, JSON_OBJECT) || json_get(v, S("metadata")) ||
            (json_get(v, S("type")) && !json_is(json_get(v, S("type")), JSON_STRING)))
            return FAIL("ngsi: an attribute is an object of value and type");
    }
    return OK;
}

static enum err check_payload(const struct json *c, struct error *e)
{
    const struct json *payload = json_get(c, S("payload")), *tree = json_get(c, S("json"));
    const struct json *ngsi = json_get(c, S("ngsi"));
    if (!!payload + !!tree + !!ngsi > 1)
        return FAIL("only one of payload, json or ngsi accepted at the same time");
    if (payload && !json_is(payload, JSON_STRING) && !json_is(payload, JSON_NULL))
        return FAIL("custom payload must be a text or null");
    if (payload && !is_clean(payload))
        return FAIL("Invalid characters in custom payload");
    if (tree && !json_is(tree, JSON_OBJECT) && !json_is(tree, JSON_ARRAY))
        return FAIL("json must be an object or an array");
    return ngsi ? check_ngsi(ngsi, e) : OK;
}

static enum err check_custom(const struct json *c, struct error *e)
{
    if (check_method(json_get(c, S("method")), e) ||
        check_texts(json_get(c, S("headers")), "headers", true, e) ||
        check_texts(json_get(c, S("qs")), "qs", false, e))
        return ERR_INVALID;
    return check_payload(c, e);
}

static bool is_text(const struct json *v)
{
    return json_is(v, JSON_STRING) && v->n;
}

static enum err check_mqtt(struct arena *a, const struct json *endpoint, bool custom,
                           struct error *e)
{
    const struct json *url = json_get(endpoint, S("url")), *topic = json_get(endpoint, S("topic"));
    const struct json *user = json_get(endpoint, S("user"));
    const struct json *password = json_get(endpoint, S("passwd"));
    struct str text = json_text(url);
    struct error why = {0};
    if (!json_is(url, JSON_STRING) ||
        !(str_starts(text, S("mqtt://")) || str_starts(text, S("mqtts://"))))
        return FAIL("mqtt url must begin with mqtt://");
    if (!is_text(topic))
        return FAIL("mqtt topic must be a text that is not empty");
    if (!user != !password || (user && (!is_text(user) || !is_text(password))))
        return FAIL("mqtt user and passwd go together and are texts");
    struct str host = str_from(text, (size_t)str_find(text, S("://")) + 3);
    ptrdiff_t slash = str_find_char(host, '/');
    if (slash >= 0 && (size_t)slash + 1 < host.n)
        return FAIL("mqtt url: only host and port are expected");
    /* what a template makes is known when it is sent */
    bool plain = !custom || str_find(json_text(topic), S("${")) < 0;
    if (outbound_check_url(v2_mqtt_url(a, endpoint, plain ? json_text(topic) : S("t")), &why))
        return FAIL("%s", why.text);
    if (check_number(endpoint, S("qos"), 0, 2, e) || check_bool(endpoint, S("retain"), e))
        return ERR_INVALID;
    return custom ? check_payload(endpoint, e) : OK;
}

static enum err check_endpoint(struct arena *a, const struct json *doc, struct error *e)
{
    struct str which;
    const struct json *notification = json_get(doc, S("notification"));
    const struct json *endpoint = v2_sub_endpoint(doc, &which);
    size_t n = 0;
    for (size_t i = 0; i < 4; i++)
        n += json_get(notification, endpoints[i]) != NULL;
    if (n != 1)
        return FAIL(n ? "only one of http, httpCustom, mqtt and mqttCustom accepted"
                      : "no endpoint: http, httpCustom, mqtt or mqttCustom is expected");
    if (!json_is(endpoint, JSON_OBJECT))
        return FAIL("%" STR_F " is not an object", STR_A(which));
    bool custom = str_ends(which, S("Custom"));
    if (str_starts(which, S("mqtt")))
        return check_mqtt(a, endpoint, custom, e);
    enum err err = check_url(endpoint, custom, e);
    return err || !custom ? err : check_custom(endpoint, e);
}

/* --- checking: all --- */

static enum err check_format(const struct json *v, struct error *e)
{
    for (size_t i = 0; v && i < V2_FORMATS; i++)
        if (str_eq(json_text(v), v2_formats[i]))
            return OK;
    return v ? FAIL("invalid attrsFormat: expected normalized, keyValues, values, "
                    "simplifiedNormalized, simplifiedKeyValues or legacy")
             : OK;
}

static enum err check_notification(struct arena *a, const struct json *doc, struct error *e)
{
    const struct json *n = json_get(doc, S("notification"));
    const struct json *attrs = json_get(n, S("attrs")), *except = json_get(n, S("exceptAttrs"));
    if (!json_is(n, JSON_OBJECT))
        return FAIL(n ? "notification is not an object"
                      : "no notification for subscription specified");
    if (attrs && except)
        return FAIL("notification has attrs and exceptAttrs");
    if (check_names(attrs, "attrs", e) || check_names(except, "exceptAttrs", e) ||
        check_names(json_get(n, S("metadata")), "metadata", e))
        return ERR_INVALID;
    if (except && !except->n)
        return FAIL("empty exceptAttrs");
    if (check_format(json_get(n, S("attrsFormat")), e) || check_bool(n, S("onlyChangedAttrs"), e) ||
        check_bool(n, S("covered"), e) || check_number(n, S("maxFailsLimit"), 1, INT32_MAX, e))
        return ERR_INVALID;
    if (json_true(json_get(n, S("covered"))) && (!attrs || !attrs->n))
        return FAIL("covered true cannot be used if notification attributes list is empty");
    return check_endpoint(a, doc, e);
}

static enum err check_status(const struct json *v, struct error *e)
{
    struct str s = json_text(v);
    if (!v || str_eq(s, S("active")) || str_eq(s, S("inactive")) || str_eq(s, S("oneshot")))
        return OK;
    return FAIL("status is not valid: expected active, inactive or oneshot");
}

enum err v2_sub_check(struct arena *a, const struct json *doc, struct error *e)
{
    const struct json *description = json_get(doc, S("description"));
    const struct json *expires = json_get(doc, S("expires"));
    struct str text;
    if (description && !json_is(description, JSON_STRING))
        return FAIL("description must be a text");
    if (description && description->n > DESCRIPTION_MAX)
        return FAIL("max description length exceeded");
    if (description && !is_clean(description))
        return FAIL("Invalid characters in description");
    if (check_subject(a, json_get(doc, S("subject")), e) || check_notification(a, doc, e) ||
        check_status(json_get(doc, S("status")), e) ||
        check_number(doc, S("throttling"), 0, THROTTLING_MAX_S, e))
        return ERR_INVALID;
    if (expires && !is_empty(expires) &&
        (!json_is(expires, JSON_STRING) || !v2_datetime(a, json_text(expires), &text)))
        return FAIL("expires has an invalid format");
    return OK;
}

/* --- showing --- */

static void write_member(struct json_writer *w, const struct json *object, struct str key)
{
    const struct json *v = json_get(object, key);
    if (!v)
        return;
    json_w_key(w, key);
    json_w_value(w, v);
}

static void write_subject(struct json_writer *w, const struct json *subject)
{
    const struct json *condition = json_get(subject, S("condition"));
    json_w_key(w, S("subject"));
    json_w_object(w);
    write_member(w, subject, S("entities"));
    json_w_key(w, S("condition"));
    json_w_object(w);
    if (json_get(condition, S("attrs"))) {
        write_member(w, condition, S("attrs"));
    } else {
        json_w_key(w, S("attrs"));
        json_w_array(w);
        json_w_end(w);
    }
    write_member(w, condition, S("expression"));
    write_member(w, condition, S("alterationTypes"));
    json_w_kbool(w, S("notifyOnMetadataChange"),
                 !json_is(json_get(condition, S("notifyOnMetadataChange")), JSON_FALSE));
    json_w_end(w);
    json_w_end(w);
}

static void write_counters(struct json_writer *w, const struct v2_sub_shown *s, bool http)
{
    if (s->n.sent)
        json_w_ki64(w, S("timesSent"), s->n.sent);
    if (s->n.fails)
        json_w_ki64(w, S("failsCounter"), s->n.fails);
    json_w_ktime(w, S("lastNotification"), s->n.last_notification);
    json_w_ktime(w, S("lastFailure"), s->n.last_failure);
    if (http && s->n.last_failure && s->error.n && str_is_utf8(s->error))
        json_w_kstr(w, S("lastFailureReason"), s->error);
    json_w_ktime(w, S("lastSuccess"), s->n.last_success);
    if (http && s->n.success_code)
        json_w_ki64(w, S("lastSuccessCode"), s->n.success_code);
}

/* A password is never shown. */
static void write_endpoint(struct json_writer *w, struct arena *a, const struct json *n,
                           struct str name)
{
    const struct json *endpoint = json_get(n, name);
    if (!json_get(endpoint, S("passwd"))) {
        write_member(w, n, name);
        return;
    }
    struct json hidden = json_with(a, endpoint, S("passwd"), json_v_str(S(V2_HIDDEN)));
    json_w_key(w, name);
    json_w_value(w, &hidden);
}

static void write_notification(struct json_writer *w, struct arena *a, const struct v2_sub_shown *s)
{
    const struct json *n = json_get(s->doc, S("notification"));
    struct str which;
    v2_sub_endpoint(s->doc, &which);
    json_w_key(w, S("notification"));
    json_w_object(w);
    write_counters(w, s, str_starts(which, S("http")));
    if (json_get(n, S("attrs")) || json_get(n, S("exceptAttrs"))) {
        write_member(w, n, S("attrs"));
        write_member(w, n, S("exceptAttrs"));
    } else {
        json_w_key(w, S("attrs"));
        json_w_array(w);
        json_w_end(w);
    }
    json_w_kbool(w, S("onlyChangedAttrs"), json_true(json_get(n, S("onlyChangedAttrs"))));
    struct str format = json_text(json_get(n, S("attrsFormat")));
    json_w_kstr(w, S("attrsFormat"), format.p ? format : S("normalized"));
    for (size_t i = 0; i < 4; i++)
        write_endpoint(w, a, n, endpoints[i]);
    write_member(w, n, S("metadata"));
    json_w_kbool(w, S("covered"), json_true(json_get(n, S("covered"))));
    write_member(w, n, S("maxFailsLimit"));
    json_w_end(w);
}

void v2_sub_show(struct json_writer *w, struct arena *a, const struct v2_sub_shown *s)
{
    struct str expires = json_text(json_get(s->doc, S("expires")));
    int64_t at;
    json_w_object(w);
    json_w_kstr(w, S("id"), s->id);
    write_member(w, s->doc, S("description"));
    if (v2_datetime(a, expires, &expires) && datetime_parse(expires, &at))
        json_w_ktime(w, S("expires"), at);
    json_w_kstr(w, S("status"), s->status);
    write_subject(w, json_get(s->doc, S("subject")));
    write_notification(w, a, s);
    write_member(w, s->doc, S("throttling"));
    json_w_end(w);
}
