/*
 * What a client sends as a registration, what is stored, and what it reads back (ETSI GS CIM 009
 * v1.8.1 clauses 4.20, 5.2.8 to 5.2.11, 5.2.34, 5.9.2, 5.9.3).
 *
 * The stored document is the client's own with names of types and attributes as IRIs and without
 * what only we may set. Members that the specification does not know are the source's own
 * properties: any JSON value under a name that is expanded like an attribute's.
 */
#include "api_take.h"
#include "core/datetime.h"
#include "registration_impl.h"
#include <string.h>

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* --- operations (clause 4.20) --- */

#define TYPES_AND_ATTRS                                                                            \
    (REG_RETRIEVE_TYPES | REG_RETRIEVE_TYPE_DETAILS | REG_RETRIEVE_TYPE_INFO |                     \
     REG_RETRIEVE_ATTR_TYPES | (reg_ops)REG_RETRIEVE_ATTR_TYPE_DETAILS |                           \
     REG_RETRIEVE_ATTR_TYPE_INFO)
#define SUBSCRIPTION_OPS                                                                           \
    (REG_CREATE_SUBSCRIPTION | REG_UPDATE_SUBSCRIPTION | REG_RETRIEVE_SUBSCRIPTION |               \
     REG_QUERY_SUBSCRIPTION | REG_DELETE_SUBSCRIPTION)
#define MAP_OPS                                                                                    \
    (REG_RETRIEVE_ENTITY_MAP | REG_UPDATE_ENTITY_MAP | REG_DELETE_ENTITY_MAP | REG_MAP_QUERY_ENTITY)
#define ASSOCIATION_OPS                                                                            \
    (REG_RETRIEVE_ENTITY | REG_QUERY_ENTITY | REG_QUERY_BATCH | TYPES_AND_ATTRS |                  \
     SUBSCRIPTION_OPS | REG_SOURCE_IDENTITY)
#define FEDERATION_OPS (ASSOCIATION_OPS | MAP_OPS)
#define UPDATE_OPS     (REG_UPDATE_ENTITY | REG_UPDATE_ATTRS | REG_REPLACE_ENTITY | REG_REPLACE_ATTRS)
#define RETRIEVE_OPS   (REG_RETRIEVE_ENTITY | REG_QUERY_ENTITY)
#define REDIRECTION_OPS                                                                            \
    (REG_CREATE_ENTITY | REG_APPEND_ATTRS | REG_DELETE_ATTRS | REG_DELETE_ENTITY |                 \
     REG_MERGE_ENTITY | UPDATE_OPS | RETRIEVE_OPS | REG_PURGE_ENTITY | TYPES_AND_ATTRS | MAP_OPS | \
     REG_SOURCE_IDENTITY)

static const struct {
    struct str name;
    reg_ops bits;
} operations[] = {
    {S_INIT("federationOps"), FEDERATION_OPS},
    {S_INIT("associationOps"), ASSOCIATION_OPS},
    {S_INIT("updateOps"), UPDATE_OPS},
    {S_INIT("retrieveOps"), RETRIEVE_OPS},
    {S_INIT("redirectionOps"), REDIRECTION_OPS},
    {S_INIT("createEntity"), REG_CREATE_ENTITY},
    {S_INIT("updateEntity"), REG_UPDATE_ENTITY},
    {S_INIT("appendAttrs"), REG_APPEND_ATTRS},
    {S_INIT("updateAttrs"), REG_UPDATE_ATTRS},
    {S_INIT("deleteAttrs"), REG_DELETE_ATTRS},
    {S_INIT("deleteEntity"), REG_DELETE_ENTITY},
    {S_INIT("createBatch"), REG_CREATE_BATCH},
    {S_INIT("upsertBatch"), REG_UPSERT_BATCH},
    {S_INIT("updateBatch"), REG_UPDATE_BATCH},
    {S_INIT("deleteBatch"), REG_DELETE_BATCH},
    {S_INIT("mergeBatch"), REG_MERGE_BATCH},
    {S_INIT("upsertTemporal"), REG_UPSERT_TEMPORAL},
    {S_INIT("appendAttrsTemporal"), REG_APPEND_ATTRS_TEMPORAL},
    {S_INIT("deleteAttrsTemporal"), REG_DELETE_ATTRS_TEMPORAL},
    {S_INIT("updateAttrInstanceTemporal"), REG_UPDATE_ATTR_INSTANCE_TEMPORAL},
    {S_INIT("deleteAttrInstanceTemporal"), REG_DELETE_ATTR_INSTANCE_TEMPORAL},
    {S_INIT("deleteTemporal"), REG_DELETE_TEMPORAL},
    {S_INIT("mergeEntity"), REG_MERGE_ENTITY},
    {S_INIT("replaceEntity"), REG_REPLACE_ENTITY},
    {S_INIT("replaceAttrs"), REG_REPLACE_ATTRS},
    {S_INIT("purgeEntity"), REG_PURGE_ENTITY},
    {S_INIT("retrieveEntity"), REG_RETRIEVE_ENTITY},
    {S_INIT("queryEntity"), REG_QUERY_ENTITY},
    {S_INIT("queryBatch"), REG_QUERY_BATCH},
    {S_INIT("retrieveTemporal"), REG_RETRIEVE_TEMPORAL},
    {S_INIT("queryTemporal"), REG_QUERY_TEMPORAL},
    {S_INIT("retrieveEntityTypes"), REG_RETRIEVE_TYPES},
    {S_INIT("retrieveEntityTypeDetails"), REG_RETRIEVE_TYPE_DETAILS},
    {S_INIT("retrieveEntityTypeInfo"), REG_RETRIEVE_TYPE_INFO},
    {S_INIT("retrieveAttrTypes"), REG_RETRIEVE_ATTR_TYPES},
    {S_INIT("retrieveAttrTypeDetails"), REG_RETRIEVE_ATTR_TYPE_DETAILS},
    {S_INIT("retrieveAttrTypeInfo"), REG_RETRIEVE_ATTR_TYPE_INFO},
    {S_INIT("createSubscription"), REG_CREATE_SUBSCRIPTION},
    {S_INIT("updateSubscription"), REG_UPDATE_SUBSCRIPTION},
    {S_INIT("retrieveSubscription"), REG_RETRIEVE_SUBSCRIPTION},
    {S_INIT("querySubscription"), REG_QUERY_SUBSCRIPTION},
    {S_INIT("deleteSubscription"), REG_DELETE_SUBSCRIPTION},
    {S_INIT("retrieveEntityMap"), REG_RETRIEVE_ENTITY_MAP},
    {S_INIT("updateEntityMap"), REG_UPDATE_ENTITY_MAP},
    {S_INIT("deleteEntityMap"), REG_DELETE_ENTITY_MAP},
    {S_INIT("createEntityMapQueryEntity"), REG_MAP_QUERY_ENTITY},
    {S_INIT("createEntityMapQueryTemporal"), REG_MAP_QUERY_TEMPORAL},
    {S_INIT("retrieveContextSourceIdentity"), REG_SOURCE_IDENTITY},
};

static const struct str modes[] = {[REG_INCLUSIVE] = S_INIT("inclusive"),
                                   [REG_EXCLUSIVE] = S_INIT("exclusive"),
                                   [REG_REDIRECT] = S_INIT("redirect"),
                                   [REG_AUXILIARY] = S_INIT("auxiliary")};

reg_ops reg_ops_named(struct str name)
{
    for (size_t i = 0; i < COUNT(operations); i++)
        if (str_eq(name, operations[i].name))
            return operations[i].bits;
    return 0;
}

enum reg_mode reg_mode_of(const struct json *doc)
{
    struct str name = json_text(json_get(doc, S("mode")));
    for (size_t i = 0; i < COUNT(modes); i++)
        if (str_eq(name, modes[i]))
            return (enum reg_mode)i;
    return REG_INCLUSIVE;
}

/* An auxiliary source may only be read (clause 5.9.2.4), so that is what it does by itself. */
reg_ops reg_ops_of(const struct json *doc)
{
    const struct json *list = json_get(doc, S("operations"));
    reg_ops all = 0;
    if (!list)
        return reg_mode_of(doc) == REG_AUXILIARY ? RETRIEVE_OPS : FEDERATION_OPS;
    for (uint32_t i = 0; i < list->n; i++)
        all |= reg_ops_named(json_text(&list->items[i]));
    return all;
}

/* --- members --- */

static struct str text_of(const struct json *v)
{
    return json_is(v, JSON_STRING) ? json_text(v) : STR_NONE;
}

static bool take_duration(struct taker *t, const char *name, const struct json *v)
{
    struct duration d;
    t->out = *v;
    return duration_parse(text_of(v), &d) || take_refuse(t, name, "a duration such as PT5M");
}

static bool take_type(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return str_eq(text_of(v), S("ContextSourceRegistration")) ||
           take_refuse(t, name, "\"ContextSourceRegistration\"");
}

/* --- names --- */

/* As in bodies of entities: no blanks, nothing that queries use as operators, no keyword. */
static bool good_name(struct str name)
{
    bool good = name.n > 0 && name.p[0] != '@';
    for (size_t i = 0; good && i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        good = c > ' ' && c != 0x7f && str_find_char(S("<>\"'=;(),|"), (char)c) < 0;
    }
    return good;
}

static bool take_name(struct taker *t, const char *name, const struct json *v)
{
    struct str text = text_of(v);
    if (!good_name(text))
        return take_refuse(t, name, "made of names");
    t->out = json_v_str(ld_expand(t->ctx, t->arena, text));
    return true;
}

static bool take_names(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, take_name);
}

static bool take_entity_type(struct taker *t, const char *name, const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? take_names(t, name, v) : take_name(t, name, v);
}

/* --- information (clauses 5.2.8, 5.2.10) --- */

static bool take_entity(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"id", take_uri},
                                                 {"idPattern", take_pattern},
                                                 {"type", take_entity_type}};
    if (!take_object(t, name, v, members, COUNT(members)))
        return false;
    return json_get(&t->out, S("type")) || take_refuse(t, name, "objects with a type");
}

static bool take_entities(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, take_entity);
}

static bool take_info(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"entities", take_entities},
                                                 {"propertyNames", take_names},
                                                 {"relationshipNames", take_names}};
    if (!take_object(t, name, v, members, COUNT(members)))
        return false;
    return t->out.n > 0 ||
           take_refuse(t, name, "objects with entities, propertyNames or relationshipNames");
}

static bool take_information(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, take_info);
}

/* --- where and when --- */

static bool take_interval(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"startAt", take_instant},
                                                 {"endAt", take_instant}};
    int64_t from, to;
    if (!take_object(t, name, v, members, COUNT(members)))
        return false;
    if (!datetime_parse(json_text(json_get(&t->out, S("startAt"))), &from))
        return take_refuse(t, name, "an object with startAt");
    return !datetime_parse(json_text(json_get(&t->out, S("endAt"))), &to) || to >= from ||
           take_refuse(t, name, "an interval that does not end before it starts");
}

static bool take_geometry(struct taker *t, const char *name, const struct json *v)
{
    struct error e = {0};
    t->out = *v;
    if (geo_parse(t->arena, v, GEO_MAX_POSITIONS, &e))
        return true;
    error_set(t->e, ERR_INVALID, "%s: %s: %s", t->where, name, e.text);
    return false;
}

/* "/a/b" (clause 4.18). */
static bool take_scope_item(struct taker *t, const char *name, const struct json *v)
{
    struct str s = text_of(v);
    bool good = s.n > 1 && s.p[0] == '/' && s.p[s.n - 1] != '/';
    for (size_t i = 1; good && i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        good = c > ' ' && c != 0x7f && str_find_char(S("#+;,|()<>\"'="), (char)c) < 0 &&
               !(c == '/' && s.p[i - 1] == '/');
    }
    t->out = *v;
    return good || take_refuse(t, name, "made of scopes such as /a/b");
}

static bool take_scope(struct taker *t, const char *name, const struct json *v)
{
    return json_is(v, JSON_ARRAY) ? take_list(t, name, v, take_scope_item)
                                  : take_scope_item(t, name, v);
}

/* --- how the source is to be asked --- */

static bool take_endpoint(struct taker *t, const char *name, const struct json *v)
{
    struct str url = text_of(v);
    ptrdiff_t colon = url.n ? str_find_char(url, ':') : -1;
    struct str scheme = colon > 0 ? str_sub(url, 0, (size_t)colon) : STR_NONE;
    struct str rest = str_from(url, scheme.n);
    bool http = str_eq_nocase(scheme, S("http")) || str_eq_nocase(scheme, S("https"));
    t->out = *v;
    return (http && ld_is_uri(url) && str_starts(rest, S("://")) && rest.n > 3 &&
            rest.p[3] != '/' && str_find_char(url, '?') < 0 && str_find_char(url, '#') < 0) ||
           take_refuse(t, name, "an http or https URL without query");
}

static bool take_mode(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    for (size_t i = 0; i < COUNT(modes); i++)
        if (str_eq(text_of(v), modes[i]))
            return true;
    return take_refuse(t, name, "inclusive, exclusive, redirect or auxiliary");
}

static bool take_operation(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return reg_ops_named(text_of(v)) ||
           take_refuse(t, name, "names of operations or of groups of them");
}

static bool take_operations(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, take_operation);
}

static bool token_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("()<>@,;:\\\"/[]?={}", c);
}

static bool is_token(struct str s)
{
    bool good = s.n > 0;
    for (size_t i = 0; good && i < s.n; i++)
        good = token_char((unsigned char)s.p[i]);
    return good;
}

/* A pseudonym of a Via header (RFC 7230 section 5.7.1). */
static bool take_alias(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return is_token(text_of(v)) || take_refuse(t, name, "a pseudonym of letters and digits");
}

static bool take_tenant(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return is_token(text_of(v)) || take_refuse(t, name, "the name of a tenant");
}

/* Headers that frame requests are not the registrant's to set. */
static bool header_ok(struct str key, struct str value)
{
    static const char *const taken[] = {
        "host",         "content-length", "transfer-encoding", "connection",
        "content-type", "expect",         "upgrade",           "via",
        "te",           "trailer"};
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < ' ' || value.p[i] == 0x7f)
            return false;
    for (size_t i = 0; i < COUNT(taken); i++)
        if (str_eq_nocase(key, str_c(taken[i])))
            return false;
    return is_token(key);
}

static bool is_version(struct str s)
{
    struct str major;
    int64_t n;
    return str_split(&s, '.', &major) && str_to_i64(major, &n) && n >= 0 && str_to_i64(s, &n) &&
           n >= 0;
}

/* What certain keys stand for (clause 4.3.6.6), else a header. */
static bool pair_ok(struct taker *t, struct str key, struct str value)
{
    bool json = str_eq(value, S("application/json")) || str_eq(value, S("application/ld+json"));
    if (str_eq(key, S("accept")))
        return json || take_refuse(t, "accept", "application/json or application/ld+json");
    if (str_eq(key, S("contentType")))
        return json || take_refuse(t, "contentType", "application/json or application/ld+json");
    if (str_eq(key, S("jsonldContext")))
        return ld_is_uri(value) || take_refuse(t, "jsonldContext", "a URL");
    if (str_eq(key, S("ngsildConformance")))
        return is_version(value) || take_refuse(t, "ngsildConformance", "a version such as 1.6");
    return header_ok(key, value) || take_refuse(t, "key and value", "a header that may be sent");
}

static bool take_pair_text(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return json_is(v, JSON_STRING) || take_refuse(t, name, "a text");
}

static bool take_pair(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"key", take_pair_text},
                                                 {"value", take_pair_text}};
    if (!take_object(t, name, v, members, COUNT(members)))
        return false;
    struct json out = t->out;
    if (out.n != 2)
        return take_refuse(t, name, "objects with key and value");
    if (!pair_ok(t, json_text(json_get(&out, S("key"))), json_text(json_get(&out, S("value")))))
        return false;
    t->out = out;
    return true;
}

static bool take_source_info(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, take_pair);
}

static bool take_management(struct taker *t, const char *name, const struct json *v)
{
    static const struct take_member members[] = {{"localOnly", take_bool},
                                                 {"cacheDuration", take_duration},
                                                 {"timeout", take_positive},
                                                 {"cooldown", take_positive}};
    return take_object(t, name, v, members, COUNT(members));
}

static bool take_dataset(struct taker *t, const char *name, const struct json *v)
{
    t->out = *v;
    return str_eq(text_of(v), S("@none")) || ld_is_uri(text_of(v)) ||
           take_refuse(t, name, "made of URIs or @none");
}

static bool take_datasets(struct taker *t, const char *name, const struct json *v)
{
    return take_list(t, name, v, take_dataset);
}

/* --- the whole --- */

static const struct take_member members[] = {
    {"id", take_uri},
    {"type", take_type},
    {"registrationName", take_text},
    {"description", take_text},
    {"information", take_information},
    {"tenant", take_tenant},
    {"observationInterval", take_interval},
    {"managementInterval", take_interval},
    {"location", take_geometry},
    {"observationSpace", take_geometry},
    {"operationSpace", take_geometry},
    {"expiresAt", take_instant},
    {"endpoint", take_endpoint},
    {"contextSourceInfo", take_source_info},
    {"scope", take_scope},
    {"mode", take_mode},
    {"operations", take_operations},
    {"refreshRate", take_duration},
    {"management", take_management},
    {"datasetId", take_datasets},
    {"contextSourceAlias", take_alias},
    {"hostAlias", take_alias},
    {"@context", NULL},
    {"status", NULL},
    {"timesSent", NULL},
    {"timesFailed", NULL},
    {"lastSuccess", NULL},
    {"lastFailure", NULL},
    {"createdAt", NULL},
    {"modifiedAt", NULL},
};

static bool removes(const struct json *v)
{
    return json_is(v, JSON_NULL) || str_eq(text_of(v), S("urn:ngsi-ld:null"));
}

/* A property of the source that its owner invented. */
static bool take_own(struct taker *t, const struct json_member *m, struct str *key)
{
    if (!good_name(json_key(m))) {
        error_set(t->e, ERR_INVALID, "registration: \"%" STR_F "\" is not the name of a property",
                  STR_A(str_cut(json_key(m), 100)));
        return false;
    }
    *key = ld_expand(t->ctx, t->arena, json_key(m));
    t->out = m->value;
    return true;
}

static bool take_member(struct taker *t, const struct json_member *m, bool patch,
                        struct json_member *out, bool *keep)
{
    const struct take_member *known = take_find(members, COUNT(members), json_key(m));
    struct str key = known ? str_c(known->name) : STR_NONE;
    *keep = !known || known->take;
    if (!*keep)
        return true;
    if (removes(&m->value)) {
        if (!patch) {
            error_set(t->e, ERR_INVALID, "registration: \"%" STR_F "\" is null",
                      STR_A(str_cut(json_key(m), 100)));
            return false;
        }
        *out = json_m(known ? key : ld_expand(t->ctx, t->arena, json_key(m)), json_v_null());
        return true;
    }
    if (known ? !known->take(t, known->name, &m->value) : !take_own(t, m, &key))
        return false;
    *out = json_m(key, t->out);
    return true;
}

const struct json *reg_expand(struct arena *a, const struct json *payload, bool patch,
                              const struct ld_context *ctx, struct error *e)
{
    struct taker t = {.arena = a, .ctx = ctx, .e = e, .where = "registration"};
    VEC(struct json_member) list = VEC_INIT;
    if (!json_is(payload, JSON_OBJECT)) {
        error_set(e, ERR_INVALID, "a registration must be an object");
        return NULL;
    }
    for (uint32_t i = 0; i < payload->n; i++) {
        struct json_member m;
        bool keep;
        if (!take_member(&t, &payload->members[i], patch, &m, &keep))
            return NULL;
        for (size_t k = 0; keep && k < list.n; k++)
            if (str_eq(json_key(&list.v[k]), json_key(&m))) {
                error_set(e, ERR_INVALID, "registration: two names of \"%" STR_F "\"",
                          STR_A(str_cut(json_key(&m), 100)));
                return NULL;
            }
        if (keep)
            *vec_push(a, &list) = m;
    }
    struct json *out = ARENA_NEW(a, struct json);
    *out = json_v_object(list.v, list.n);
    return out;
}

const struct json *reg_patched(struct arena *a, const struct json *doc, const struct json *patch)
{
    struct json *out = ARENA_NEW(a, struct json);
    *out = *doc;
    for (uint32_t i = 0; i < patch->n; i++) {
        const struct json_member *m = &patch->members[i];
        *out = json_is(&m->value, JSON_NULL) ? json_without(a, out, json_key(m))
                                             : json_with(a, out, json_key(m), m->value);
    }
    return out;
}

/* An exclusive registration speaks of named attributes of single entities (clause 4.3.6.3). */
static enum err check_exclusive(const struct json *doc, struct error *e)
{
    const struct json *infos = json_get(doc, S("information"));
    for (uint32_t i = 0; i < infos->n; i++) {
        const struct json *info = &infos->items[i], *entities = json_get(info, S("entities"));
        bool single = entities != NULL;
        for (uint32_t k = 0; single && k < entities->n; k++)
            single = json_get(&entities->items[k], S("id")) &&
                     !json_get(&entities->items[k], S("idPattern"));
        if (!single)
            return error_set(e, ERR_INVALID,
                             "registration: an exclusive one needs entities with an id each");
        if (!json_get(info, S("propertyNames")) && !json_get(info, S("relationshipNames")))
            return error_set(e, ERR_INVALID,
                             "registration: an exclusive one needs propertyNames or "
                             "relationshipNames");
    }
    return OK;
}

enum err reg_check(const struct json *doc, struct error *e)
{
    static const char *const needed[] = {"type", "information", "endpoint"};
    for (size_t i = 0; i < COUNT(needed); i++)
        if (!json_get(doc, str_c(needed[i])))
            return error_set(e, ERR_INVALID, "registration: %s is missing", needed[i]);
    if (reg_mode_of(doc) == REG_AUXILIARY && (reg_ops_of(doc) & ~(reg_ops)RETRIEVE_OPS))
        return error_set(e, ERR_INVALID,
                         "registration: an auxiliary one has the operations retrieveOps, "
                         "retrieveEntity or queryEntity");
    return reg_mode_of(doc) == REG_EXCLUSIVE ? check_exclusive(doc, e) : OK;
}

enum err reg_check_expiry(const struct json *doc, int64_t now, struct error *e)
{
    int64_t at;
    if (datetime_parse(json_text(json_get(doc, S("expiresAt"))), &at) && at <= now)
        return error_set(e, ERR_INVALID, "registration: expiresAt lies in the past");
    return OK;
}

/* --- out --- */

static void write_name(struct json_writer *w, struct arena *a, const struct json *v,
                       const struct ld_context *ctx)
{
    if (!json_is(v, JSON_ARRAY)) {
        json_w_str(w, ld_compact(ctx, a, json_text(v)));
        return;
    }
    json_w_array(w);
    for (uint32_t i = 0; i < v->n; i++)
        json_w_str(w, ld_compact(ctx, a, json_text(&v->items[i])));
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
            json_w_key(w, json_key(&o->members[k]));
            if (str_eq(json_key(&o->members[k]), S("type")))
                write_name(w, a, &o->members[k].value, ctx);
            else
                json_w_value(w, &o->members[k].value);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

static void write_info(struct json_writer *w, struct arena *a, const struct json *info,
                       const struct ld_context *ctx)
{
    json_w_object(w);
    for (uint32_t i = 0; i < info->n; i++) {
        json_w_key(w, json_key(&info->members[i]));
        if (str_eq(json_key(&info->members[i]), S("entities")))
            write_entities(w, a, &info->members[i].value, ctx);
        else
            write_name(w, a, &info->members[i].value, ctx);
    }
    json_w_end(w);
}

static void write_information(struct json_writer *w, struct arena *a, const struct json *all,
                              const struct reg_view *v)
{
    json_w_array(w);
    for (size_t i = 0; v->infos && i < v->n_infos; i++)
        write_info(w, a, v->infos[i]->doc, v->ctx);
    for (uint32_t i = 0; !v->infos && i < all->n; i++)
        write_info(w, a, &all->items[i], v->ctx);
    json_w_end(w);
}

static void write_counters(struct json_writer *w, const struct reg_counters *n)
{
    if (!n->sent)
        return;
    json_w_kstr(w, S("status"), n->last_failure > n->last_success ? S("failed") : S("ok"));
    json_w_ki64(w, S("timesSent"), n->sent);
    json_w_ki64(w, S("timesFailed"), n->failed);
    json_w_ktime(w, S("lastSuccess"), n->last_success);
    json_w_ktime(w, S("lastFailure"), n->last_failure);
}

/* Without what is sent to the source as a secret, or may be one. */
static void write_source_info(struct json_writer *w, const struct json *list)
{
    json_w_array(w);
    for (uint32_t i = 0; i < list->n; i++) {
        struct str key = json_text(json_get(&list->items[i], S("key")));
        struct str value = json_text(json_get(&list->items[i], S("value")));
        if (str_eq_nocase(key, S("jsonldContext")) || str_eq(value, S("urn:ngsi-ld:request")))
            json_w_value(w, &list->items[i]);
    }
    json_w_end(w);
}

void reg_write(struct buf *out, struct arena *a, const struct json *doc, const struct reg_view *v)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    for (uint32_t i = 0; i < doc->n; i++) {
        const struct json_member *m = &doc->members[i];
        bool known = take_find(members, COUNT(members), json_key(m)) != NULL;
        json_w_key(&w, known ? json_key(m) : ld_compact(v->ctx, a, json_key(m)));
        if (str_eq(json_key(m), S("information")))
            write_information(&w, a, &m->value, v);
        else if (v->no_credentials && str_eq(json_key(m), S("contextSourceInfo")))
            write_source_info(&w, &m->value);
        else
            json_w_value(&w, &m->value);
    }
    write_counters(&w, &v->counters);
    if (v->sys_attrs) {
        json_w_ktime(&w, S("createdAt"), v->created);
        json_w_ktime(&w, S("modifiedAt"), v->modified);
    }
    if (v->with_context) {
        json_w_key(&w, S("@context"));
        json_w_value(&w, ld_context_json(v->ctx));
    }
    json_w_end(&w);
}
