/*
 * Keys and policies on disk.
 *
 * access_key has a row for each key that ever was; of a key only a digest is kept (it has 256
 * random bits: nothing slower is needed). access_policy has a row for each version; a version
 * without a document is an end. Each change raises the revision in the same transaction and leaves
 * a row of topic "access" in the tenant's journal, without secrets.
 */
#include "access_impl.h"
#include "core/log.h"

/* --- loading --- */

struct loading {
    struct access *x;
    struct access_set *s;
    struct map policies; /* "TENANT name" -> struct policy */
    struct arena scratch;
};

struct policy {
    access_rules rules;
    struct access_quota quota;
};

static struct str tenant_key(struct arena *a, int64_t tenant, struct str name)
{
    return str_printf(a, "%lld %" STR_F, (long long)tenant, STR_A(name));
}

/* Rules of policies by name, in order, as pointers. */
typedef VEC(const struct access_rule *) rule_list;

static void add_policy(struct loading *l, int64_t tenant, struct str name, rule_list *out)
{
    struct arena *a = &l->s->arena;
    access_rules own = VEC_INIT;
    const struct policy *p = map_get(&l->policies, tenant_key(&l->scratch, tenant, name));
    const access_rules *rules = p ? &p->rules : &own;
    if (!p && !access_policy_builtin(a, name, &own))
        return;
    for (size_t i = 0; i < rules->n && out->n < ACCESS_RULES_MAX; i++)
        *vec_push(a, out) = &rules->v[i];
}

static bool needs_creator(const rule_list *rules)
{
    for (size_t i = 0; i < rules->n; i++)
        if (rules->v[i]->own)
            return true;
    return false;
}

static struct access_view make_view(const rule_list *rules, const struct access_marks *personal,
                                    struct str actor, unsigned open)
{
    struct access_view v = {.actor = actor,
                            .rules = rules->v,
                            .n_rules = rules->n,
                            .personal = personal,
                            .open = open,
                            .own_rules = needs_creator(rules)};
    access_view_finish(&v);
    return v;
}

static unsigned open_rights(const struct access *x, bool key)
{
    if (x->link->options.access_deny)
        return 0;
    return key ? ACCESS_READ : ACCESS_READ | ACCESS_WRITE | ACCESS_SUBSCRIBE;
}

static enum err load_tenants(struct loading *l, struct store_conn *c, struct error *e)
{
    struct arena *a = &l->s->arena;
    struct store_rows r;
    store_query(c, &r,
                "SELECT t.n, t.name, coalesce(s.tenant, t.n) FROM tenant t"
                " LEFT JOIN snapshot s ON s.space = t.name ORDER BY t.n",
                SV_EMPTY);
    while (store_next(&r)) {
        struct access_tenant *t = ARENA_NEW(a, struct access_tenant);
        t->n = store_int(&r, 0);
        t->of = store_int(&r, 2);
        t->name = str_dup(a, store_text(&r, 1));
        map_put(&l->s->tenants, str_printf(a, "%lld", (long long)t->n), t);
        map_put(&l->s->tenant_names, t->name, t);
    }
    return store_end(&r, e);
}

static void take_setting(struct loading *l, int64_t tenant, struct str name, const struct json *doc)
{
    struct access_tenant *t = (struct access_tenant *)access_tenant(l->s, tenant);
    if (!t)
        return;
    if (str_eq(name, S(POLICY_PERSONAL)))
        t->personal = access_marks_of(&l->s->arena, doc);
    if (str_eq(name, S(POLICY_QUOTA))) {
        t->quota = access_quota_of(doc);
        t->use = access_use_of(l->x, 't', tenant);
    }
}

static enum err load_policies(struct loading *l, struct store_conn *c, struct error *e)
{
    struct arena *a = &l->s->arena;
    struct store_rows r;
    store_query(c, &r,
                "SELECT p.tenant, p.name, p.doc FROM access_policy p WHERE p.doc IS NOT NULL AND"
                " p.version = (SELECT max(version) FROM access_policy q WHERE q.tenant = p.tenant"
                " AND q.name = p.name)",
                SV_EMPTY);
    while (store_next(&r)) {
        struct str name = store_text(&r, 1);
        const struct json *doc =
            json_parse(&l->scratch, str_dup(&l->scratch, store_text(&r, 2)), &JSON_DEFAULT, NULL);
        if (!access_policy_is_rules(name)) {
            take_setting(l, store_int(&r, 0), name, doc);
            continue;
        }
        struct policy *p = ARENA_NEW(a, struct policy);
        access_policy_compile(a, name, doc, l->x->link->contexts, &l->s->q_lock, &p->rules);
        for (size_t i = 0; i < p->rules.n; i++)
            if (p->rules.v[i].q)
                *vec_push(a, &l->s->queries) = p->rules.v[i].q;
        map_put(&l->policies, tenant_key(&l->scratch, store_int(&r, 0), name), p);
    }
    return store_end(&r, e);
}

static const struct access_marks *marks_of(const struct access_set *s, int64_t tenant)
{
    static const struct access_marks none;
    const struct access_tenant *t = access_tenant(s, tenant);
    return t ? &t->personal : &none;
}

/* Columns: n, tenant, name, digest, policies, quota, expires, revoked. */
static void load_key(struct loading *l, const struct store_rows *r)
{
    struct arena *a = &l->s->arena;
    struct access_key *k = ARENA_NEW(a, struct access_key);
    struct str digest = store_blob(r, 3);
    rule_list rules = VEC_INIT;
    if (digest.n != HASH_BYTES)
        return;
    memcpy(k->hash.b, digest.p, HASH_BYTES);
    k->n = store_int(r, 0);
    k->tenant = store_int(r, 1);
    k->name = str_dup(a, store_text(r, 2));
    k->actor = str_printf(a, "key:%" STR_F, STR_A(k->name));
    k->expires = store_int(r, 6);
    k->revoked = store_int(r, 7) != 0;
    k->use = access_use_of(l->x, 'k', k->n);
    add_policy(l, k->tenant, S("everyone"), &rules);
    const struct json *names =
        json_parse(&l->scratch, str_dup(&l->scratch, store_text(r, 4)), &JSON_DEFAULT, NULL);
    for (uint32_t i = 0; json_is(names, JSON_ARRAY) && i < names->n; i++)
        add_policy(l, k->tenant, json_text(&names->items[i]), &rules);
    k->quota = access_quota_of(
        json_parse(&l->scratch, str_dup(&l->scratch, store_text(r, 5)), &JSON_DEFAULT, NULL));
    k->view = make_view(&rules, marks_of(l->s, k->tenant), k->actor, open_rights(l->x, true));
    map_put(&l->s->keys_by_hash, str_n((const char *)k->hash.b, HASH_BYTES), k);
    map_put(&l->s->keys_by_number, str_printf(a, "%lld", (long long)k->n), k);
    map_put(&l->s->keys_by_name, tenant_key(a, k->tenant, k->name), k);
}

static enum err load_keys(struct loading *l, struct store_conn *c, struct error *e)
{
    struct store_rows r;
    store_query(c, &r,
                "SELECT n, tenant, name, digest, policies, quota, expires, revoked"
                " FROM access_key ORDER BY n",
                SV_EMPTY);
    while (store_next(&r))
        load_key(l, &r);
    return store_end(&r, e);
}

static void load_public(struct loading *l)
{
    static const struct access_marks none;
    struct map_iter it = {0};
    rule_list no_rules = VEC_INIT;
    unsigned open = open_rights(l->x, false);
    while (map_next(&l->s->tenants, &it)) {
        struct access_tenant *t = it.value;
        rule_list rules = VEC_INIT;
        add_policy(l, t->n, S("everyone"), &rules);
        add_policy(l, t->n, S("public"), &rules);
        t->public_view = make_view(&rules, &t->personal, STR_NONE, open);
    }
    l->s->others = make_view(&no_rules, &none, STR_NONE, open);
}

enum err access_revision(struct store_conn *c, int64_t *revision, struct error *e)
{
    return store_get_int(c, revision, "SELECT revision FROM access_state WHERE id = 1", SV_EMPTY,
                         e);
}

enum err access_load(struct access *x, struct store_conn *c, struct access_set *s, struct error *e)
{
    struct loading l = {.x = x, .s = s};
    enum err err = access_revision(c, &s->revision, e);
    if (!err)
        err = load_tenants(&l, c, e);
    if (!err)
        err = load_policies(&l, c, e);
    if (!err)
        err = load_keys(&l, c, e);
    if (!err)
        load_public(&l);
    map_release(&l.policies);
    arena_release(&l.scratch);
    return err;
}

/* --- changing --- */

static enum err note_change(struct store_conn *c, int64_t tenant, int64_t now, const char *op,
                            struct str what, struct str actor, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct journal_row row = {.tenant = tenant,
                              .at = now,
                              .topic = S("access"),
                              .key = what,
                              .body = str_printf(&a, "{\"op\":\"%s\"}", op),
                              .actor = actor};
    enum err err = journal_append(c, &row, e);
    arena_release(&a);
    if (err)
        return err;
    return store_exec(c, "UPDATE access_state SET revision = revision + 1 WHERE id = 1", SV_EMPTY,
                      NULL, e);
}

struct key_change {
    struct link *link;
    const struct access_new_key *k;
    struct str tenant, name, actor;
    struct hash digest;
};

static enum err insert_key(struct store_conn *c, void *ctx, struct error *e)
{
    struct key_change *x = ctx;
    const struct access_new_key *k = x->k;
    struct arena a = ARENA_INIT;
    int64_t tenant, n, now = clock_now(x->link->clock);
    enum err err = repo_tenant_make(c, k->tenant, now, &tenant, e);
    if (!err) {
        err = store_get_int(c, &n,
                            "SELECT n FROM access_key WHERE tenant = $1 AND name = $2 AND"
                            " revoked = 0",
                            SV(SV_INT(tenant), SV_TEXT(k->name)), e);
        err = err == ERR_NOT_FOUND ? OK
              : err                ? err
                    : error_set(e, ERR_EXISTS, "a key %" STR_F " is in use", STR_A(k->name));
    }
    struct buf policies = BUF_INIT;
    struct json_writer w = json_writer(&policies);
    json_w_array(&w);
    for (size_t i = 0; i < k->n_policies; i++)
        json_w_str(&w, k->policies[i]);
    json_w_end(&w);
    if (!err)
        err = store_exec(c,
                         "INSERT INTO access_key(tenant, name, digest, policies, quota, created,"
                         " expires, revoked, used) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0)",
                         SV(SV_INT(tenant), SV_TEXT(k->name),
                            SV_BLOB(str_n((const char *)x->digest.b, HASH_BYTES)),
                            SV_TEXT(buf_view(&policies)),
                            SV_TEXT(k->quota ? json_to_text(&a, k->quota) : S("{}")), SV_INT(now),
                            SV_INT(k->expires)),
                         NULL, e);
    if (!err)
        err = note_change(c, tenant, now, "key", str_printf(&a, "key:%" STR_F, STR_A(k->name)),
                          k->actor, e);
    buf_release(&policies);
    arena_release(&a);
    return err;
}

static enum err changed(struct link *l, enum err err, struct error *e)
{
    return err || !l->access ? err : access_reload(l->access, e);
}

/* Whom a key without a secret stands for: "client:ID", "role:NAME". Absent: it is a key. */
static struct str stands_for(struct str name)
{
    if (str_starts(name, S("client:")))
        return str_from(name, 7);
    return str_starts(name, S("role:")) ? str_from(name, 5) : STR_NONE;
}

static bool key_name_ok(struct str name)
{
    name = stands_for(name).p ? stands_for(name) : name;
    bool good = name.n > 0 && name.n <= 64;
    for (size_t i = 0; good && i < name.n; i++) {
        char ch = name.p[i];
        good = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || (ch >= '0' && ch <= '9') ||
               ch == '-' || ch == '_' || ch == '.';
    }
    return good;
}

enum err access_make_key(struct link *l, struct arena *a, const struct access_new_key *k,
                         struct str *key, struct error *e)
{
    struct key_change x = {.link = l, .k = k};
    if (!key_name_ok(k->name))
        return error_set(e, ERR_INVALID,
                         "a key's name has letters, digits, '.', '-' and '_', at most 64, after "
                         "client: or role: when it stands for those");
    if (k->quota && access_quota_check(k->quota, e))
        return e->code;
    *key = str_concat(a, S("mk_"), random_token(a, 32));
    x.digest = hash_sha256(*key);
    if (stands_for(k->name).p) /* nobody is told what opens it */
        *key = STR_NONE;
    return changed(l, store_write(l->store, insert_key, &x, e), e);
}

static enum err revoke(struct store_conn *c, void *ctx, struct error *e)
{
    struct key_change *x = ctx;
    struct arena a = ARENA_INIT;
    int64_t tenant, n = 0, now = clock_now(x->link->clock);
    enum err err = repo_tenant(c, x->tenant, &tenant, e);
    if (!err)
        err = store_exec(c,
                         "UPDATE access_key SET revoked = $1 WHERE tenant = $2 AND name = $3 AND"
                         " revoked = 0",
                         SV(SV_INT(now), SV_INT(tenant), SV_TEXT(x->name)), &n, e);
    if (!err && !n)
        err = error_set(e, ERR_NOT_FOUND, "no key %" STR_F " in use", STR_A(x->name));
    if (!err)
        err = note_change(c, tenant, now, "revoke", str_printf(&a, "key:%" STR_F, STR_A(x->name)),
                          x->actor, e);
    arena_release(&a);
    return err;
}

enum err access_revoke_key(struct link *l, struct str tenant, struct str name, struct str actor,
                           struct error *e)
{
    struct key_change x = {.link = l, .tenant = tenant, .name = name, .actor = actor};
    return changed(l, store_write(l->store, revoke, &x, e), e);
}

struct policy_change {
    struct link *link;
    struct str tenant, name, actor;
    const struct json *doc;
    int64_t version;
};

static enum err insert_policy(struct store_conn *c, void *ctx, struct error *e)
{
    struct policy_change *x = ctx;
    struct arena a = ARENA_INIT;
    int64_t tenant, now = clock_now(x->link->clock), live = 0;
    enum err err = repo_tenant_make(c, x->tenant, now, &tenant, e);
    if (!err)
        err = store_get_int(c, &x->version,
                            "SELECT coalesce(max(version), 0) + 1 FROM access_policy"
                            " WHERE tenant = $1 AND name = $2",
                            SV(SV_INT(tenant), SV_TEXT(x->name)), e);
    if (!err)
        err = store_get_int(c, &live,
                            "SELECT count(*) FROM access_policy WHERE tenant = $1 AND name = $2"
                            " AND version = $3 AND doc IS NOT NULL",
                            SV(SV_INT(tenant), SV_TEXT(x->name), SV_INT(x->version - 1)), e);
    if (!err && !x->doc && !live)
        err = error_set(e, ERR_NOT_FOUND, "no policy %" STR_F, STR_A(x->name));
    if (!err)
        err = store_exec(c,
                         "INSERT INTO access_policy(tenant, name, version, doc, at, actor)"
                         " VALUES ($1, $2, $3, $4, $5, $6)",
                         SV(SV_INT(tenant), SV_TEXT(x->name), SV_INT(x->version),
                            x->doc ? SV_TEXT(json_to_text(&a, x->doc)) : SV_NULL, SV_INT(now),
                            SV_TEXT(x->actor)),
                         NULL, e);
    if (!err)
        err = note_change(c, tenant, now, x->doc ? "policy" : "end",
                          str_printf(&a, "policy:%" STR_F, STR_A(x->name)), x->actor, e);
    arena_release(&a);
    return err;
}

enum err access_put_policy(struct link *l, struct str tenant, struct str name,
                           const struct json *doc, struct str actor, int64_t *version,
                           struct error *e)
{
    struct policy_change x = {
        .link = l, .tenant = tenant, .name = name, .actor = actor, .doc = doc};
    enum err err = changed(l, store_write(l->store, insert_policy, &x, e), e);
    *version = x.version;
    return err;
}

/* --- last use --- */

struct used {
    int64_t n, at;
};

struct uses {
    struct arena arena;
    VEC(struct used) list;
};

static enum err write_uses(struct store_conn *c, void *ctx, struct error *e)
{
    const struct uses *u = ctx;
    enum err err = OK;
    for (size_t i = 0; !err && i < u->list.n; i++)
        err = store_exec(c, "UPDATE access_key SET used = $1 WHERE n = $2 AND used < $1",
                         SV(SV_INT(u->list.v[i].at), SV_INT(u->list.v[i].n)), NULL, e);
    return err;
}

void access_flush_uses(struct access *x)
{
    struct uses u = {.list = VEC_INIT};
    struct error e = {0};
    struct map_iter it = {0};
    pthread_mutex_lock(&x->lock);
    while (map_next(&x->uses, &it)) {
        struct access_use *use = it.value;
        int64_t n, at = atomic_exchange(&use->used_at, 0);
        if (at && use->key[0] == 'k' && str_to_i64(str_c(use->key + 2), &n))
            *vec_push(&u.arena, &u.list) = (struct used){n, at};
    }
    pthread_mutex_unlock(&x->lock);
    if (u.list.n && store_write(x->link->store, write_uses, &u, &e))
        log_event(LOG_WARN, "link.access_uses_lost", LOG_Z("error", e.text));
    arena_release(&u.arena);
}

/* --- listing --- */

static void key_json(struct json_writer *w, struct arena *a, struct str name, struct str text)
{
    const struct json *v = json_parse(a, str_dup(a, text), &JSON_DEFAULT, NULL);
    if (!v)
        return;
    json_w_key(w, name);
    json_w_value(w, v);
}

enum err access_list_keys(struct link *l, struct str tenant, struct buf *out, struct error *e)
{
    struct store_rows r;
    struct arena a = ARENA_INIT;
    int64_t n;
    struct store_conn *c = store_read(l->store, e);
    enum err err = c ? repo_tenant(c, tenant, &n, e) : e->code;
    struct json_writer w = json_writer(out);
    json_w_array(&w);
    if (!err) {
        store_query(c, &r,
                    "SELECT name, policies, quota, created, expires, revoked, used FROM access_key"
                    " WHERE tenant = $1 ORDER BY n",
                    SV(SV_INT(n)));
        while (store_next(&r)) {
            json_w_object(&w);
            json_w_kstr(&w, S("name"), store_text(&r, 0));
            key_json(&w, &a, S("policies"), store_text(&r, 1));
            key_json(&w, &a, S("quota"), store_text(&r, 2));
            json_w_ktime(&w, S("createdAt"), store_int(&r, 3));
            json_w_ktime(&w, S("expiresAt"), store_int(&r, 4));
            json_w_ktime(&w, S("revokedAt"), store_int(&r, 5));
            json_w_ktime(&w, S("lastUsed"), store_int(&r, 6));
            json_w_end(&w);
        }
        err = store_end(&r, e);
    }
    json_w_end(&w);
    if (c)
        store_read_done(c);
    arena_release(&a);
    return err;
}

enum err access_list_policies(struct link *l, struct str tenant, struct buf *out, struct error *e)
{
    struct store_rows r;
    struct arena a = ARENA_INIT;
    int64_t n;
    struct store_conn *c = store_read(l->store, e);
    enum err err = c ? repo_tenant(c, tenant, &n, e) : e->code;
    struct json_writer w = json_writer(out);
    json_w_array(&w);
    if (!err) {
        store_query(c, &r,
                    "SELECT name, version, doc, at, actor FROM access_policy WHERE tenant = $1"
                    " ORDER BY name, version",
                    SV(SV_INT(n)));
        while (store_next(&r)) {
            json_w_object(&w);
            json_w_kstr(&w, S("name"), store_text(&r, 0));
            json_w_ki64(&w, S("version"), store_int(&r, 1));
            json_w_ktime(&w, S("at"), store_int(&r, 3));
            if (!store_is_null(&r, 4))
                json_w_kstr(&w, S("actor"), store_text(&r, 4));
            if (!store_is_null(&r, 2))
                key_json(&w, &a, S("policy"), store_text(&r, 2));
            json_w_end(&w);
        }
        err = store_end(&r, e);
    }
    json_w_end(&w);
    if (c)
        store_read_done(c);
    arena_release(&a);
    return err;
}
