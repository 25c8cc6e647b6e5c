/*
 * What a client sends as a subscription, what is stored, and what it reads back (ETSI GS CIM 009
 * v1.8.1 clauses 5.2.12 to 5.2.15, 5.8.1, 5.8.2).
 *
 * The stored document is the client's own with names of types and attributes as IRIs and without
 * what only we may set. q stays as sent: it is read with the context that came with it, which is
 * kept in the row. Members that the specification does not know are refused, because a misspelt
 * condition would notify too much or for ever nothing.
 */
#include "api_take.h"
#include "subscription_impl.h"
#include <string.h>

enum { LEVEL_MAX = 8 }; /* of linked entities */

const struct query_limits SUB_QUERY = {8192, 256, 16, LEVEL_MAX};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* --- plain members --- */

static bool take_level(struct taker *t, const char *name, const struct json *v)
{
    int64_t n;
    t->out = *v;
    return (json_i64(v, &n) && n >= 1 && n <= LEVEL_MAX) ||
           take_refuse(t, name, "an integer from 1 to 8");
}

static bool take_type(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    if (json_is(v, JSON_STRING) && str_eq(json_text(v), S("Subscription")))
        return true;
    return take_refuse(t, name, "\"Subscription\"");
}

/* --- lists --- */

struct str sub_map_names(struct arena *a, struct str text, const struct ld_context *ctx,
                         struct str (*to)(const struct ld_context *, struct arena *, struct str))
{
    struct buf out = BUF_INIT;
    size_t from = 0;
    for (size_t i = 0; i <= text.n; i++) {
        bool sign = i < text.n && text.p[i] && strchr(",|;(){}", text.p[i]);
        if (i < text.n && !sign)
            continue;
        struct str name = str_trim(str_sub(text, from, i - from));
        bool as_it_is = str_eq(name, S("*")) || entity_is_member(name);
        if (name.n)
            buf_str(&out, as_it_is ? name : to(ctx, a, name));
        if (sign)
            buf_char(&out, text.p[i]);
        from = i + 1;
    }
    struct str mapped = buf_dup(&out, a);
    buf_release(&out);
    return mapped;
}

static bool name_item(struct taker *t, const char *name, const struct json *v)
{
    struct str text = json_is(v, JSON_STRING) ? json_text(v) : STR_NONE;
    if (!text.n)
        return take_refuse(t, name, "a list of names");
    t->out = json_v_str(entity_is_member(text) ? text : ld_expand(t->ctx, t->arena, text));
    return true;
}

static bool take_names(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, name_item);
}

static bool attribute_item(struct taker *t, const char *name, const struct json *v)
{
    if (entity_is_member(json_text(v)))
        return take_refuse(t, name, "a list of attributes; pick takes id, type and scope too");
    return name_item(t, name, v);
}

static bool take_attributes(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, attribute_item);
}

static bool projection_item(struct taker *t, const char *name, const struct json *v)
{
    if (!json_is(v, JSON_STRING) || !v->n)
        return take_refuse(t, name, "a list of names, perhaps with {names of linked entities}");
    t->out = json_v_str(sub_map_names(t->arena, json_text(v), t->ctx, ld_expand));
    return true;
}

/* Names of the projection language (clause 4.21), stored as IRIs. */
static bool take_projection(struct taker *t, const char *name, const struct json *v)
{
    const struct api_projection *parsed;
    return take_list(t, name, v, projection_item) &&
           !sub_projection(t->arena, v, t->ctx, &parsed, t->e);
}

static const struct {
    const char *name;
    unsigned bits;
} trigger_names[] = {{"entityCreated", TRIGGER_ENTITY_CREATED},
                     {"entityUpdated", TRIGGER_ENTITY_UPDATED},
                     {"entityDeleted", TRIGGER_ENTITY_DELETED},
                     {"attributeCreated", TRIGGER_ATTR_CREATED},
                     {"attributeUpdated", TRIGGER_ATTR_UPDATED},
                     {"attributeDeleted", TRIGGER_ATTR_DELETED}};

static bool trigger_item(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    for (size_t i = 0; json_is(v, JSON_STRING) && i < COUNT(trigger_names); i++)
        if (str_eq(json_text(v), str_c(trigger_names[i].name)))
            return true;
    return take_refuse(t, name,
                       "a list of entityCreated, entityUpdated, entityDeleted, attributeCreated, "
                       "attributeUpdated, attributeDeleted");
}

static bool take_triggers(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, trigger_item);
}

static bool dataset_item(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return (json_is(v, JSON_STRING) &&
            (ld_is_uri(json_text(v)) || str_eq(json_text(v), S("@none")))) ||
           take_refuse(t, name, "a list of URIs or @none");
}

static bool take_datasets(struct taker *t, const char *name, const struct json *v)
{
    if (!json_is(v, JSON_STRING))
        return take_list(t, name, v, dataset_item);
    struct json *one = ARENA_NEW(t->arena, struct json);
    *one = *v;
    t->out = json_v_array(one, 1);
    return dataset_item(t, name, v);
}

/* --- entities --- */

static bool take_selection(struct taker *t, const char *name, const struct json *v)
{
    if (!json_is(v, JSON_STRING) || v->n == 0)
        return take_refuse(t, name, "an entity type or a selection of types");
    struct str text = sub_map_names(t->arena, json_text(v), t->ctx, ld_expand);
    if (!str_eq(text, S("*")) &&
        !query_parse_types(t->arena, text, ld_core(), &QUERY_DEFAULT, t->e))
        return false;
    t->out = json_v_str(text);
    return true;
}

static bool take_ids(struct taker *t, const char *name, const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? take_list(t, name, v, take_uri) : take_uri(t, name, v);
}

static bool entity_item(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"id", take_ids},
                                                 {"idPattern", take_pattern},
                                                 {"type", take_selection}};
    return take_object(t, name, v, members, COUNT(members)) &&
           (json_get(&t->out, S("type")) || take_refuse(t, name, "objects with a type"));
}

static bool take_entities(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, entity_item);
}

/* --- conditions --- */

static bool take_q(struct taker *t, const char *name, const struct json *v)
{
    if (!take_text(t, name, v))
        return false;
    const struct query_node *q =
        query_parse_q(t->arena, json_text(v), t->ctx, NULL, 0, &SUB_QUERY, t->e);
    if (q)
        query_q_release(q);
    return q != NULL;
}

/* A filter of context sources is written in the query language too. */
static bool take_csf(struct taker *t, const char *name, const struct json *v)
{
    return take_q(t, name, v);
}

static bool take_scope(struct taker *t, const char *name, const struct json *v)
{
    return take_text(t, name, v) && query_parse_scope(t->arena, json_text(v), &QUERY_DEFAULT, t->e);
}

static bool take_coordinates(struct taker *t, const char *name, const struct json *v)
{
    if (json_is(v, JSON_STRING))
        return take_text(t, name, v);
    t->out = json_v_str(json_to_text(t->arena, v));
    return json_is(v, JSON_ARRAY) || take_refuse(t, name, "an array of numbers");
}

static bool take_name(struct taker *t, const char *name, const struct json *v)
{
    return name_item(t, name, v);
}

static bool take_geo(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"geometry", take_text},
                                                 {"coordinates", take_coordinates},
                                                 {"georel", take_text},
                                                 {"geoproperty", take_name}};
    struct geo_query geo;
    if (!take_object(t, name, v, members, COUNT(members)))
        return false;
    struct json out = t->out;
    if (query_parse_geo(t->arena, json_text(json_get(&out, S("georel"))),
                        json_text(json_get(&out, S("geometry"))),
                        json_text(json_get(&out, S("coordinates"))),
                        json_text(json_get(&out, S("geoproperty"))), t->ctx, &geo, t->e))
        return false;
    geo_query_release(&geo);
    return true;
}

/* --- notification --- */

static bool one_of(struct taker *t, const char *name, const struct json *v, const char *const *set,
                   size_t n, const char *expected)
{
    t->out = *v;
    for (size_t i = 0; json_is(v, JSON_STRING) && i < n; i++)
        if (str_eq(json_text(v), str_c(set[i])))
            return true;
    return take_refuse(t, name, expected);
}

static bool take_format(struct taker *t, const char *name, const struct json *v)
{
    static const char *const set[] = {"normalized", "concise", "keyValues", "simplified"};
    return one_of(t, name, v, set, COUNT(set), "normalized, concise, simplified or keyValues");
}

static bool take_accept(struct taker *t, const char *name, const struct json *v)
{
    static const char *const set[] = {"application/json", "application/ld+json",
                                      "application/geo+json"};
    return one_of(t, name, v, set, COUNT(set),
                  "application/json, application/ld+json or application/geo+json");
}

static bool take_join(struct taker *t, const char *name, const struct json *v)
{
    static const char *const set[] = {"inline", "flat", "@none"};
    return one_of(t, name, v, set, COUNT(set), "inline, flat or @none");
}

static bool take_endpoint_uri(struct taker *t, const char *name, const struct json *v)
{
    struct error why = {0};
    if (!take_uri(t, name, v))
        return false;
    if (!outbound_check_url(json_text(v), &why))
        return true;
    error_set(t->e, ERR_INVALID, "endpoint: uri: %s", why.text);
    return false;
}

/* A header that a receiver may ask for: a name of token characters, not one that frames requests.
 */
static bool header_ok(struct str name, struct str value)
{
    static const char *const taken[] = {"host",       "content-length", "transfer-encoding",
                                        "connection", "content-type",   "expect",
                                        "upgrade"};
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", c))
            return false;
    }
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
            return false;
    for (size_t i = 0; i < COUNT(taken); i++)
        if (str_eq_nocase(name, str_c(taken[i])))
            return false;
    return name.n > 0;
}

static bool pair_item(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"key", take_text}, {"value", take_text}};
    if (!take_object(t, name, v, members, COUNT(members)))
        return false;
    return (json_get(&t->out, S("key")) && json_get(&t->out, S("value"))) ||
           take_refuse(t, name, "a list of objects with key and value");
}

static bool take_pairs(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, pair_item);
}

static bool take_endpoint(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {
        {"uri", take_endpoint_uri},   {"accept", take_accept},      {"timeout", take_positive},
        {"receiverInfo", take_pairs}, {"notifierInfo", take_pairs}, {"cooldown", take_positive}};
    return take_object(t, name, v, members, COUNT(members)) &&
           (json_get(&t->out, S("uri")) || take_refuse(t, name, "an object with uri"));
}

static bool take_notification(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {
        {"attributes", take_attributes},
        {"pick", take_projection},
        {"omit", take_projection},
        {"format", take_format},
        {"showChanges", take_bool},
        {"sysAttrs", take_bool},
        {"join", take_join},
        {"joinLevel", take_level},
        {"endpoint", take_endpoint},
        {"status", NULL},
        {"timesSent", NULL},
        {"timesFailed", NULL},
        {"lastNotification", NULL},
        {"lastSuccess", NULL},
        {"lastFailure", NULL},
    };
    return take_object(t, name, v, members, COUNT(members)) &&
           (json_get(&t->out, S("endpoint")) || take_refuse(t, name, "an object with endpoint"));
}

/* --- the whole --- */

/* A comma separated list of attributes. */
static bool take_value_names(struct taker *t, const char *name, const struct json *v)
{
    if (!take_text(t, name, v))
        return false;
    t->out = json_v_str(sub_map_names(t->arena, json_text(v), t->ctx, ld_expand));
    return true;
}

/* As of which version of NGSI-LD notifications are: major.minor. */
static bool take_version(struct taker *t, const char *name, const struct json *v)
{
    int version;
    t->out = *v;
    return (json_is(v, JSON_STRING) && entity_version_parse(json_text(v), &version)) ||
           take_refuse(t, name, "a version such as 1.6");
}

static const struct take_member subscription_members[] = {
    {"id", take_uri},
    {"type", take_type},
    {"subscriptionName", take_text},
    {"description", take_text},
    {"entities", take_entities},
    {"watchedAttributes", take_names},
    {"notificationTrigger", take_triggers},
    {"timeInterval", take_positive},
    {"q", take_q},
    {"geoQ", take_geo},
    {"csf", take_csf},
    {"scopeQ", take_scope},
    {"isActive", take_bool},
    {"notification", take_notification},
    {"expiresAt", take_instant},
    {"throttling", take_positive},
    {"lang", take_text},
    {"datasetId", take_datasets},
    {"jsonldContext", take_uri},
    {"localOnly", take_bool},
    {"ngsildConformance", take_version},
    {"splitEntities", take_bool},
    {"expandValues", take_value_names},
    {"jsonKeys", take_value_names},
    {"@context", NULL},
    {"status", NULL},
    {"createdAt", NULL},
    {"modifiedAt", NULL},
};

static bool removes(const struct json *v)
{
    return json_is(v, JSON_NULL) ||
           (json_is(v, JSON_STRING) && str_eq(json_text(v), S("urn:ngsi-ld:null")));
}

/* The fragment without the members that are to be removed; these go to gone. */
static struct json split_removed(struct arena *a, const struct json *fragment,
                                 struct json_member **gone, size_t *n_gone)
{
    VEC(struct json_member) keep = VEC_INIT, drop = VEC_INIT;
    for (uint32_t i = 0; i < fragment->n; i++) {
        const struct json_member *m = &fragment->members[i];
        if (removes(&m->value))
            *vec_push(a, &drop) = json_m(json_key(m), json_v_null());
        else
            *vec_push(a, &keep) = *m;
    }
    *gone = drop.v;
    *n_gone = drop.n;
    return json_v_object(keep.v, keep.n);
}

const struct json *sub_expand(struct arena *a, const struct json *payload, bool patch,
                              const struct ld_context *ctx, struct error *e)
{
    struct taker t = {.arena = a, .ctx = ctx, .e = e, .where = "subscription"};
    struct json *out = ARENA_NEW(a, struct json), kept;
    struct json_member *gone = NULL;
    size_t n_gone = 0;
    if (!json_is(payload, JSON_OBJECT)) {
        error_set(e, ERR_INVALID, "a subscription must be an object");
        return NULL;
    }
    if (patch) {
        kept = split_removed(a, payload, &gone, &n_gone);
        payload = &kept;
    }
    if (!take_object(&t, "subscription", payload, subscription_members,
                     COUNT(subscription_members)))
        return NULL;
    *out = t.out;
    for (size_t i = 0; i < n_gone; i++)
        *out = json_with(a, out, json_key(&gone[i]), json_v_null());
    return out;
}

const struct json *sub_patched(struct arena *a, const struct json *doc, const struct json *patch)
{
    struct json *out = ARENA_NEW(a, struct json);
    *out = *doc;
    for (uint32_t i = 0; i < patch->n; i++) {
        const struct json_member *m = &patch->members[i];
        if (str_eq(json_key(m), S("id")) || str_eq(json_key(m), S("type")))
            continue;
        *out = json_is(&m->value, JSON_NULL) ? json_without(a, out, json_key(m))
                                             : json_with(a, out, json_key(m), m->value);
    }
    return out;
}

/* What the endpoint's pairs say depends on how it is reached (clauses 5.2.22, 7.2). */
enum err sub_check_endpoint(const struct json *ep, struct error *e)
{
    const struct json *info = json_get(ep, S("receiverInfo"));
    const struct json *ours = json_get(ep, S("notifierInfo"));
    struct outbound_mqtt how;
    if (outbound_is_mqtt(json_text(json_get(ep, S("uri")))))
        return sub_mqtt_info(ours, &how, e);
    for (uint32_t i = 0; info && i < info->n; i++)
        if (!header_ok(json_text(json_get(&info->items[i], S("key"))),
                       json_text(json_get(&info->items[i], S("value")))))
            return error_set(e, ERR_INVALID,
                             "endpoint: receiverInfo must be headers that a receiver may choose");
    return OK;
}

static enum err check_notification(const struct json *n, struct error *e)
{
    struct str format = json_text(json_get(n, S("format")));
    bool simplified = str_eq(format, S("simplified")) || str_eq(format, S("keyValues"));
    if (json_true(json_get(n, S("showChanges"))) && simplified)
        return error_set(e, ERR_INVALID,
                         "notification: showChanges needs the normalized or "
                         "concise format");
    if (json_get(n, S("attributes")) && (json_get(n, S("pick")) || json_get(n, S("omit"))))
        return error_set(e, ERR_INVALID, "notification: attributes does not go with pick or omit");
    if (sub_check_view(n, e))
        return e->code;
    return sub_check_endpoint(json_get(n, S("endpoint")), e);
}

enum err sub_check(const struct json *doc, struct error *e)
{
    const struct json *n = json_get(doc, S("notification"));
    bool timed = json_get(doc, S("timeInterval")) != NULL;
    bool watches = json_get(doc, S("watchedAttributes")) != NULL;
    bool local = json_true(json_get(doc, S("localOnly")));
    if (!json_get(doc, S("type")))
        return error_set(e, ERR_INVALID, "subscription: type must be \"Subscription\"");
    if (!n)
        return error_set(e, ERR_INVALID, "subscription: notification is missing");
    if (!local && !json_get(doc, S("entities")) && (timed || !watches))
        return error_set(e, ERR_INVALID, "subscription: %s, or localOnly be true",
                         timed ? "timeInterval needs entities"
                               : "entities or watchedAttributes must be given");
    if (timed && (watches || json_get(doc, S("throttling"))))
        return error_set(e, ERR_INVALID,
                         "subscription: timeInterval does not go with watchedAttributes or "
                         "throttling");
    return check_notification(n, e);
}

/* --- out --- */

static void write_name(struct json_writer *w, struct arena *a, const struct json *v,
                       const struct ld_context *ctx)
{
    struct str text = json_text(v);
    json_w_str(w, entity_is_member(text) ? text : ld_compact(ctx, a, text));
}

static bool is_names(struct str key)
{
    return str_eq(key, S("watchedAttributes")) || str_eq(key, S("attributes"));
}

/* Names joined by signs: a text, or a list of them. */
static bool is_joined_names(struct str key)
{
    return str_eq(key, S("pick")) || str_eq(key, S("omit")) || str_eq(key, S("expandValues")) ||
           str_eq(key, S("jsonKeys"));
}

static void write_joined(struct json_writer *w, struct arena *a, const struct json *v,
                         const struct ld_context *ctx)
{
    if (json_is(v, JSON_STRING)) {
        json_w_str(w, sub_map_names(a, json_text(v), ctx, ld_compact));
        return;
    }
    json_w_array(w);
    for (uint32_t i = 0; i < v->n; i++)
        json_w_str(w, sub_map_names(a, json_text(&v->items[i]), ctx, ld_compact));
    json_w_end(w);
}

static void write_entities(struct json_writer *w, struct arena *a, const struct json *list,
                           const struct ld_context *ctx)
{
    json_w_array(w);
    for (uint32_t i = 0; i < list->n; i++) {
        const struct json *o = &list->items[i];
        json_w_object(w);
        for (uint32_t k = 0; k < o->n; k++) {
            struct str key = json_key(&o->members[k]);
            json_w_key(w, key);
            if (str_eq(key, S("type")))
                json_w_str(w, sub_map_names(a, json_text(&o->members[k].value), ctx, ld_compact));
            else
                json_w_value(w, &o->members[k].value);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

static void write_member(struct json_writer *w, struct arena *a, const struct json_member *m,
                         const struct ld_context *ctx)
{
    struct str key = json_key(m);
    json_w_key(w, key);
    if (str_eq(key, S("entities"))) {
        write_entities(w, a, &m->value, ctx);
    } else if (is_joined_names(key)) {
        write_joined(w, a, &m->value, ctx);
    } else if (is_names(key)) {
        json_w_array(w);
        for (uint32_t i = 0; i < m->value.n; i++)
            write_name(w, a, &m->value.items[i], ctx);
        json_w_end(w);
    } else {
        json_w_value(w, &m->value);
    }
}

static void write_notification(struct json_writer *w, struct arena *a, const struct json *n,
                               const struct sub_counters *c, const struct ld_context *ctx)
{
    json_w_object(w);
    for (uint32_t i = 0; i < n->n; i++)
        write_member(w, a, &n->members[i], ctx);
    if (c->sent) {
        json_w_kstr(w, S("status"), c->last_failure > c->last_success ? S("failed") : S("ok"));
        json_w_ki64(w, S("timesSent"), c->sent);
        if (c->failed)
            json_w_ki64(w, S("timesFailed"), c->failed);
        json_w_ktime(w, S("lastNotification"), c->last_notification);
        json_w_ktime(w, S("lastSuccess"), c->last_success);
        json_w_ktime(w, S("lastFailure"), c->last_failure);
    }
    json_w_end(w);
}

static void write_geo(struct json_writer *w, struct arena *a, const struct json *geo,
                      const struct ld_context *ctx)
{
    json_w_object(w);
    for (uint32_t i = 0; i < geo->n; i++) {
        struct str key = json_key(&geo->members[i]);
        const struct json *v = &geo->members[i].value;
        const struct json *list =
            str_eq(key, S("coordinates")) ? json_parse(a, json_text(v), &JSON_DEFAULT, NULL) : NULL;
        json_w_key(w, key);
        if (str_eq(key, S("geoproperty")))
            write_name(w, a, v, ctx);
        else
            json_w_value(w, list ? list : v);
    }
    json_w_end(w);
}

void sub_write(struct buf *out, struct arena *a, const struct json *doc,
               const struct sub_counters *n, const char *status, const struct ld_context *ctx,
               bool with_context, bool sys_attrs, int64_t created, int64_t modified)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    for (uint32_t i = 0; i < doc->n; i++) {
        const struct json_member *m = &doc->members[i];
        if (str_eq(json_key(m), S(SUB_OWNER)))
            continue;
        if (str_eq(json_key(m), S("notification"))) {
            json_w_key(&w, json_key(m));
            write_notification(&w, a, &m->value, n, ctx);
        } else if (str_eq(json_key(m), S("geoQ"))) {
            json_w_key(&w, json_key(m));
            write_geo(&w, a, &m->value, ctx);
        } else {
            write_member(&w, a, m, ctx);
        }
    }
    json_w_kstr(&w, S("status"), str_c(status));
    if (sys_attrs) {
        json_w_ktime(&w, S("createdAt"), created);
        json_w_ktime(&w, S("modifiedAt"), modified);
    }
    if (with_context) {
        json_w_key(&w, S("@context"));
        json_w_value(&w, ld_context_json(ctx));
    }
    json_w_end(&w);
}
