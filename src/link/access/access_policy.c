/*
 * Policies: what a client sends, checked and with names expanded; a stored one compiled.
 *
 *     {"description": "...", "rules": [
 *        {"effect": "allow"|"deny", "rights": ["read", "write", "subscribe", "admin"],
 *         "types": [...], "attrs": [...], "scope": scopeQ, "q": q, "own": true}]}
 *
 * Of a rule only rights are needed; what is left out asks for nothing. Names are terms of the
 * request's @context and stand as IRIs in the store; q keeps its text and, when it is not the core
 * one, the URL of that @context. Three names are settings: "personal" {types, attrs}, "quota"
 * {entities, subscriptions, bytes, requests_s, writes_s}, "retention" {rules: [{types, attrs, keep,
 * rollup}]}.
 */
#include "access_impl.h"
#include "core/datetime.h"

static const struct {
    struct str name;
    unsigned right;
} right_names[] = {{S_INIT("read"), ACCESS_READ},
                   {S_INIT("write"), ACCESS_WRITE},
                   {S_INIT("subscribe"), ACCESS_SUBSCRIBE},
                   {S_INIT("admin"), ACCESS_ADMIN}};
enum { N_RIGHTS = sizeof(right_names) / sizeof(right_names[0]) };

static const struct {
    struct str name;
    size_t offset;
} quota_names[] = {{S_INIT("entities"), offsetof(struct access_quota, entities)},
                   {S_INIT("subscriptions"), offsetof(struct access_quota, subscriptions)},
                   {S_INIT("bytes"), offsetof(struct access_quota, bytes)},
                   {S_INIT("requests_s"), offsetof(struct access_quota, requests_s)},
                   {S_INIT("writes_s"), offsetof(struct access_quota, writes_s)}};
enum { N_QUOTAS = sizeof(quota_names) / sizeof(quota_names[0]) };

bool access_policy_is_rules(struct str name)
{
    return !str_eq(name, S(POLICY_PERSONAL)) && !str_eq(name, S(POLICY_QUOTA)) &&
           !str_eq(name, S(POLICY_RETENTION));
}

static bool known(struct str name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(name, str_c(names[i])))
            return true;
    return false;
}

static enum err check_members(const struct json *v, const char *const *names, size_t n,
                              struct error *e)
{
    if (!json_is(v, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "an object is expected");
    for (uint32_t i = 0; i < v->n; i++)
        if (!known(json_key(&v->members[i]), names, n))
            return error_set(e, ERR_INVALID, "no member \"%" STR_F "\" here",
                             STR_A(str_cut(json_key(&v->members[i]), 100)));
    return OK;
}

static struct json array_of(struct arena *a, const struct str *texts, size_t n)
{
    struct json *items = ARENA_ARRAY(a, struct json, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        items[i] = json_v_str(texts[i]);
    return json_v_array(items, n);
}

/* A list of names as IRIs; without the member nothing is added. */
static enum err expand_names(struct arena *a, const struct json *from, const char *member,
                             const struct ld_context *ctx, struct json *to, struct error *e)
{
    const struct json *list = json_get(from, str_c(member));
    if (!list)
        return OK;
    if (!json_is(list, JSON_ARRAY) || !list->n)
        return error_set(e, ERR_INVALID, "%s is a list of names", member);
    struct str *names = ARENA_ARRAY(a, struct str, list->n);
    for (uint32_t i = 0; i < list->n; i++) {
        struct str name =
            json_is(&list->items[i], JSON_STRING) ? json_text(&list->items[i]) : STR_NONE;
        if (!name.n || entity_is_member(name))
            return error_set(e, ERR_INVALID, "%s is a list of names", member);
        names[i] = ld_expand(ctx, a, name);
    }
    *to = json_with(a, to, str_c(member), array_of(a, names, list->n));
    return OK;
}

/* --- rules --- */

static enum err check_rights(const struct json *rights, struct error *e)
{
    if (!json_is(rights, JSON_ARRAY) || !rights->n)
        return error_set(e, ERR_INVALID, "rights is a list of read, write, subscribe and admin");
    for (uint32_t i = 0; i < rights->n; i++) {
        bool there = false;
        for (size_t k = 0; k < N_RIGHTS; k++)
            there = there || str_eq(json_text(&rights->items[i]), right_names[k].name);
        if (!there)
            return error_set(e, ERR_INVALID, "no right \"%" STR_F "\"",
                             STR_A(str_cut(json_text(&rights->items[i]), 100)));
    }
    return OK;
}

static enum err check_conditions(struct arena *a, const struct json *rule,
                                 const struct ld_context *ctx, struct error *e)
{
    const struct json *scope = json_get(rule, S("scope")), *q = json_get(rule, S("q"));
    const struct json *own = json_get(rule, S("own"));
    if ((scope && !json_is(scope, JSON_STRING)) || (q && !json_is(q, JSON_STRING)) ||
        (own && !json_is_bool(own)))
        return error_set(e, ERR_INVALID, "scope and q are texts, own is true or false");
    if (scope && !query_parse_scope(a, json_text(scope), &QUERY_DEFAULT, e))
        return e->code;
    if (!q)
        return OK;
    const struct query_node *node = query_parse_q(a, json_text(q), ctx, NULL, 0, &QUERY_DEFAULT, e);
    if (!node)
        return e->code = ERR_INVALID;
    query_q_release(node);
    return OK;
}

static enum err expand_rule(struct arena *a, const struct json *in, const struct ld_context *ctx,
                            struct json *out, struct error *e)
{
    static const char *const members[] = {"effect", "rights", "types", "attrs",
                                          "scope",  "q",      "own",   "context"};
    struct str effect = json_text(json_get(in, S("effect")));
    *out = json_v_object(NULL, 0);
    if (check_members(in, members, sizeof(members) / sizeof(members[0]), e))
        return e->code;
    if (effect.p && !str_eq(effect, S("allow")) && !str_eq(effect, S("deny")))
        return error_set(e, ERR_INVALID, "effect is allow or deny");
    *out = json_with(a, out, S("effect"), json_v_str(effect.p ? effect : S("allow")));
    if (check_rights(json_get(in, S("rights")), e) || check_conditions(a, in, ctx, e))
        return e->code;
    *out = json_with(a, out, S("rights"), *json_get(in, S("rights")));
    if (expand_names(a, in, "types", ctx, out, e) || expand_names(a, in, "attrs", ctx, out, e))
        return e->code;
    static const char *const kept[] = {"scope", "q", "own"};
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        if (json_get(in, str_c(kept[i])))
            *out = json_with(a, out, str_c(kept[i]), *json_get(in, str_c(kept[i])));
    if (json_get(in, S("q")) && ctx != ld_core())
        *out = json_with(a, out, S("context"), *ld_context_json(ctx));
    return OK;
}

static enum err expand_retention(struct arena *a, const struct json *in,
                                 const struct ld_context *ctx, struct json *out, struct error *e)
{
    static const char *const members[] = {"types", "attrs", "keep", "rollup"};
    *out = json_v_object(NULL, 0);
    if (check_members(in, members, sizeof(members) / sizeof(members[0]), e) ||
        expand_names(a, in, "types", ctx, out, e) || expand_names(a, in, "attrs", ctx, out, e))
        return e->code;
    for (size_t i = 2; i < 4; i++) {
        struct duration d;
        const struct json *v = json_get(in, str_c(members[i]));
        if (!v && i == 3)
            continue;
        if (!v || !duration_parse(json_text(v), &d) || d.months < 0 || d.us < 0)
            return error_set(e, ERR_INVALID, "%s is a duration such as P30D", members[i]);
        *out = json_with(a, out, str_c(members[i]), *v);
    }
    return OK;
}

static enum err expand_list(struct arena *a, const struct json *payload, bool retention,
                            const struct ld_context *ctx, struct json *out, struct error *e)
{
    static const char *const members[] = {"rules", "description", "@context"};
    const struct json *rules = json_get(payload, S("rules"));
    const struct json *text = json_get(payload, S("description"));
    if (check_members(payload, members, 3, e))
        return e->code;
    if (!json_is(rules, JSON_ARRAY) || rules->n > ACCESS_POLICY_RULES ||
        (text && !json_is(text, JSON_STRING)))
        return error_set(e, ERR_INVALID, "rules is a list of at most %d", ACCESS_POLICY_RULES);
    struct json *list = ARENA_ARRAY(a, struct json, rules->n ? rules->n : 1);
    for (uint32_t i = 0; i < rules->n; i++)
        if (retention ? expand_retention(a, &rules->items[i], ctx, &list[i], e)
                      : expand_rule(a, &rules->items[i], ctx, &list[i], e))
            return e->code;
    if (text)
        *out = json_with(a, out, S("description"), *text);
    *out = json_with(a, out, S("rules"), json_v_array(list, rules->n));
    return OK;
}

/* --- settings --- */

enum err access_quota_check(const struct json *doc, struct error *e)
{
    for (uint32_t i = 0; json_is(doc, JSON_OBJECT) && i < doc->n; i++) {
        struct str name = json_key(&doc->members[i]);
        int64_t n;
        bool there = false;
        for (size_t k = 0; k < N_QUOTAS; k++)
            there = there || str_eq(name, quota_names[k].name);
        if (!there || !json_i64(&doc->members[i].value, &n) || n < 0)
            return error_set(e, ERR_INVALID,
                             "a quota has whole numbers entities, subscriptions, bytes, "
                             "requests_s and writes_s; 0 is no limit");
    }
    return json_is(doc, JSON_OBJECT) ? OK
                                     : error_set(e, ERR_INVALID, "a quota is an object of numbers");
}

struct access_quota access_quota_of(const struct json *doc)
{
    struct access_quota q = {0};
    for (size_t i = 0; i < N_QUOTAS; i++)
        json_i64(json_get(doc, quota_names[i].name),
                 (int64_t *)((char *)&q + quota_names[i].offset));
    return q;
}

static bool policy_name_ok(struct str name)
{
    bool good = name.n > 0 && name.n <= 64;
    for (size_t i = 0; good && i < name.n; i++) {
        char ch = name.p[i];
        good = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_';
    }
    return good;
}

const struct json *access_policy_expand(struct arena *a, struct str name,
                                        const struct json *payload, const struct ld_context *ctx,
                                        struct error *e)
{
    static const char *const marks[] = {"types", "attrs", "@context"};
    struct json *out = ARENA_NEW(a, struct json);
    access_rules unused = VEC_INIT;
    *out = json_v_object(NULL, 0);
    if (!policy_name_ok(name)) {
        error_set(e, ERR_INVALID, "a policy's name has small letters, digits, '-' and '_'");
        return NULL;
    }
    if (access_policy_builtin(a, name, &unused)) {
        error_set(e, ERR_INVALID, "the policy %" STR_F " is built in", STR_A(name));
        return NULL;
    }
    enum err err;
    if (str_eq(name, S(POLICY_PERSONAL))) {
        err = check_members(payload, marks, 3, e);
        if (!err)
            err = expand_names(a, payload, "types", ctx, out, e);
        if (!err)
            err = expand_names(a, payload, "attrs", ctx, out, e);
    } else if (str_eq(name, S(POLICY_QUOTA))) {
        err = access_quota_check(payload, e);
        *out = *payload;
    } else {
        err = expand_list(a, payload, str_eq(name, S(POLICY_RETENTION)), ctx, out, e);
    }
    return err ? NULL : out;
}

/* --- compiling --- */

static size_t texts_of(struct arena *a, const struct json *list, const struct str **out)
{
    size_t n = json_is(list, JSON_ARRAY) ? list->n : 0;
    struct str *texts = ARENA_ARRAY(a, struct str, n ? n : 1);
    for (size_t i = 0; i < n; i++)
        texts[i] = str_dup(a, json_text(&list->items[i]));
    *out = texts;
    return n;
}

struct access_marks access_marks_of(struct arena *a, const struct json *doc)
{
    struct access_marks m = {0};
    m.n_types = texts_of(a, json_get(doc, S("types")), &m.types);
    m.n_attrs = texts_of(a, json_get(doc, S("attrs")), &m.attrs);
    return m;
}

static unsigned rights_of(const struct json *list)
{
    unsigned rights = 0;
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++)
        for (size_t k = 0; k < N_RIGHTS; k++)
            if (str_eq(json_text(&list->items[i]), right_names[k].name))
                rights |= right_names[k].right;
    return rights & ACCESS_ADMIN ? ACCESS_ADMIN | ACCESS_READ | ACCESS_WRITE | ACCESS_SUBSCRIBE
                                 : rights;
}

/* The @context that q was written with; NULL when it is not to be had: the rule is broken then. */
static const struct ld_context *context_of(struct arena *a, const struct json *rule,
                                           struct ld_contexts *contexts)
{
    const struct json *value = json_get(rule, S("context"));
    const struct ld_context *ctx = ld_core();
    struct str missing;
    struct error e;
    if (value && (!contexts || ld_context_get(contexts, a, value, &ctx, &missing, &e)))
        return NULL;
    return ctx;
}

static void compile_rule(struct arena *a, const struct json *in, struct ld_contexts *contexts,
                         struct access_rule *r)
{
    struct error e;
    struct str scope = json_text(json_get(in, S("scope"))), q = json_text(json_get(in, S("q")));
    r->deny = str_eq(json_text(json_get(in, S("effect"))), S("deny"));
    r->rights = rights_of(json_get(in, S("rights")));
    r->n_types = texts_of(a, json_get(in, S("types")), &r->types);
    r->n_attrs = texts_of(a, json_get(in, S("attrs")), &r->attrs);
    r->own = json_true(json_get(in, S("own")));
    if (scope.p) {
        r->scope = query_parse_scope(a, str_dup(a, scope), &QUERY_DEFAULT, &e);
        r->broken = !r->scope;
    }
    if (q.p) {
        const struct ld_context *ctx = context_of(a, in, contexts);
        if (ctx)
            r->q = query_parse_q(a, str_dup(a, q), ctx, NULL, 0, &QUERY_DEFAULT, &e);
        r->broken = r->broken || !r->q;
    }
}

void access_policy_compile(struct arena *a, struct str name, const struct json *doc,
                           struct ld_contexts *contexts, pthread_mutex_t *q_lock, access_rules *out)
{
    const struct json *rules = json_get(doc, S("rules"));
    struct str kept = str_dup(a, name);
    for (uint32_t i = 0; json_is(rules, JSON_ARRAY) && i < rules->n; i++) {
        struct access_rule *r = vec_push(a, out);
        r->policy = kept;
        r->number = i;
        r->q_lock = q_lock;
        compile_rule(a, &rules->items[i], contexts, r);
    }
}

bool access_policy_builtin(struct arena *a, struct str name, access_rules *out)
{
    static const struct {
        struct str name;
        unsigned rights;
    } policies[] = {{S_INIT("admin"), ACCESS_ADMIN | ACCESS_READ | ACCESS_WRITE | ACCESS_SUBSCRIBE},
                    {S_INIT("writer"), ACCESS_READ | ACCESS_WRITE | ACCESS_SUBSCRIBE},
                    {S_INIT("reader"), ACCESS_READ | ACCESS_SUBSCRIBE}};
    for (size_t i = 0; i < sizeof(policies) / sizeof(policies[0]); i++) {
        if (!str_eq(name, policies[i].name))
            continue;
        struct access_rule *r = vec_push(a, out);
        r->rights = policies[i].rights;
        r->policy = policies[i].name;
        return true;
    }
    return false;
}
