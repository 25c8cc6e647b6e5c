/*
 * Registrations on disk, and changes of them: row, journal row and the checks against other
 * registrations and entities that are here, in one transaction (clauses 5.9.2.4, 5.9.3.4, 5.9.4).
 *
 * A row holds what the owner wrote (doc, NULL when it was deleted), its place among all changes (v)
 * and the counters. What is not in the list in memory yet has a larger v: changes of the same batch
 * and those of other processes, so that a check sees them all.
 */
#include "core/log.h"
#include "registration_impl.h"
#include <stdlib.h>

enum { TOMBSTONE_US = 24 * 3600 * 1000000ll, EXPIRED_A_RUN = 1000 };

static const struct ld_context *context_of(struct registrations *r, struct arena *a,
                                           const struct json *doc)
{
    struct str url = reg_info_value(doc, S("jsonldContext")), missing;
    const struct ld_context *ctx = NULL;
    struct error e = {0};
    if (!url.p || !r->link->contexts)
        return NULL;
    struct json value = json_v_str(url);
    if (!ld_context_get(r->link->contexts, a, &value, &ctx, &missing, &e))
        return ctx;
    log_event(LOG_WARN, "link.registration_context", LOG_S("url", url), LOG_Z("error", e.text));
    return NULL;
}

/* --- reading rows --- */

#define COLUMNS "tenant, rid, id, doc, v, created, modified"

/* NULL: deleted, or unreadable. */
static struct registration *read_row(struct registrations *r, struct arena *a,
                                     const struct store_rows *rows)
{
    struct error e = {0};
    if (store_is_null(rows, 3))
        return NULL;
    struct str id = str_dup(a, store_text(rows, 2));
    const struct json *doc = json_parse(a, str_dup(a, store_text(rows, 3)), &JSON_DEFAULT, &e);
    struct reg_source src = {.tenant = store_int(rows, 0),
                             .rid = store_int(rows, 1),
                             .version = store_int(rows, 4),
                             .created = store_int(rows, 5),
                             .modified = store_int(rows, 6),
                             .doc = doc};
    struct registration *old = doc ? reg_find(r, src.tenant, id) : NULL;
    struct reg_counts *counts = old ? old->counts : NULL;
    struct registration *reg = NULL;
    if (counts)
        atomic_fetch_add(&counts->refs, 1);
    if (doc) {
        src.ctx = context_of(r, a, doc);
        reg = reg_make(r, &src, counts, &e);
    }
    if (old)
        registration_let_go(old);
    if (!reg)
        log_event(LOG_ERROR, "link.registration_unreadable", LOG_S("registration", id),
                  LOG_Z("error", e.text));
    return reg;
}

static int64_t known_version(struct registrations *r)
{
    pthread_rwlock_rdlock(&r->lock);
    int64_t v = r->version;
    pthread_rwlock_unlock(&r->lock);
    return v;
}

static void set_version(struct registrations *r, int64_t v)
{
    pthread_rwlock_wrlock(&r->lock);
    if (v > r->version)
        r->version = v;
    pthread_rwlock_unlock(&r->lock);
}

enum err reg_follow(struct registrations *r, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct store_rows rows;
    struct store_conn *c = store_read(r->link->store, e);
    if (!c)
        return e->code;
    store_query(c, &rows, "SELECT " COLUMNS " FROM registration WHERE v > $1 ORDER BY v",
                SV(SV_INT(known_version(r))));
    while (store_next(&rows)) {
        struct registration *reg = read_row(r, &a, &rows);
        if (reg)
            reg_put(r, reg);
        else
            reg_drop(r, store_int(&rows, 0), store_text(&rows, 2), store_int(&rows, 4));
        set_version(r, store_int(&rows, 4));
        arena_reset(&a);
    }
    enum err err = store_end(&rows, e);
    store_read_done(c);
    arena_release(&a);
    return err;
}

enum err reg_load(struct registrations *r, struct error *e)
{
    return reg_follow(r, e);
}

/* --- conflicts --- */

/* What the list in memory does not know yet. */
struct newer {
    struct reg_list regs;
    VEC(struct str) ids; /* of them, and of deleted ones */
};

static enum err read_newer(struct store_conn *c, struct reg_change *w, struct newer *out,
                           struct error *e)
{
    struct store_rows rows;
    struct registrations *r = w->registrations;
    store_query(c, &rows,
                "SELECT " COLUMNS " FROM registration WHERE v > $1 AND tenant = $2 ORDER BY v",
                SV(SV_INT(known_version(r)), SV_INT(w->tenant)));
    while (store_next(&rows)) {
        struct registration *reg = read_row(r, w->arena, &rows);
        *vec_push(w->arena, &out->ids) = str_dup(w->arena, store_text(&rows, 2));
        if (reg)
            *vec_push(w->arena, &out->regs) = reg;
    }
    return store_end(&rows, e);
}

static bool is_newer(const struct newer *n, struct str id)
{
    for (size_t i = 0; i < n->ids.n; i++)
        if (str_eq(n->ids.v[i], id))
            return true;
    return false;
}

/* An exclusive one beside nothing that is proxied, a redirect one not beside an exclusive one
 * (clause 4.3.6.3). */
static bool collide(const struct registration *reg, const struct registration *other, int64_t now)
{
    bool both = reg->mode == REG_EXCLUSIVE
                    ? other->mode == REG_EXCLUSIVE || other->mode == REG_REDIRECT
                    : other->mode == REG_EXCLUSIVE;
    return both && !str_eq(reg->id, other->id) && !(other->expires && other->expires <= now) &&
           reg_overlaps(reg, other);
}

static void conflict(struct reg_change *w, struct str with)
{
    w->result = error_set(&w->error, ERR_CONFLICT,
                          "registration %" STR_F " speaks of the same attributes", STR_A(with));
}

static void check_list(struct reg_change *w, const struct reg_list *list, const struct newer *newer,
                       int64_t now)
{
    for (size_t i = 0; i < list->n && !w->result; i++)
        if ((!newer || !is_newer(newer, list->v[i]->id)) && collide(w->reg, list->v[i], now))
            conflict(w, list->v[i]->id);
}

/* Those that may speak of the same entities, by ids and by types. */
static void overlapping(struct reg_change *w, struct reg_list *by_id, struct reg_list *by_type)
{
    VEC(struct str) ids = VEC_INIT, types = VEC_INIT;
    bool open = false;
    for (size_t i = 0; i < w->reg->n_infos; i++) {
        const struct reg_info *info = &w->reg->infos[i];
        open = open || !info->n_entities;
        for (size_t k = 0; k < info->n_entities; k++) {
            const struct reg_entity *x = &info->entities[k];
            if (x->id.p)
                *vec_push(w->arena, &ids) = x->id;
            for (uint32_t t = 0; !x->id.p && t < x->types->n; t++)
                *vec_push(w->arena, &types) = json_text(&x->types->items[t]);
        }
    }
    struct reg_ask ask = {.tenant = w->tenant, .ids = ids.v, .n_ids = ids.n};
    if (ids.n || open)
        reg_candidates(w->registrations, w->arena, &ask, by_id);
    ask = (struct reg_ask){.tenant = w->tenant, .type_names = types.v, .n_type_names = types.n};
    if (types.n)
        reg_candidates(w->registrations, w->arena, &ask, by_type);
}

static enum err check_others(struct store_conn *c, struct reg_change *w, int64_t now,
                             struct error *e)
{
    struct newer newer = {0};
    struct reg_list by_id = {0}, by_type = {0};
    enum err err = read_newer(c, w, &newer, e);
    if (!err) {
        overlapping(w, &by_id, &by_type);
        check_list(w, &by_id, &newer, now);
        check_list(w, &by_type, &newer, now);
        check_list(w, &newer.regs, NULL, now);
    }
    reg_list_release(&by_id);
    reg_list_release(&by_type);
    reg_list_release(&newer.regs);
    return err;
}

static bool has_attr(const struct json *stored, const struct reg_info *info)
{
    for (size_t i = 0; i < info->n_attrs; i++)
        if (entity_attr(stored, info->attrs[i]))
            return true;
    return info->n_attrs == 0;
}

static bool has_type(const struct json *stored, const struct reg_entity *x)
{
    for (uint32_t i = 0; i < x->types->n; i++)
        if (entity_has_type(stored, json_text(&x->types->items[i])))
            return true;
    return false;
}

/* Is there an entity with such an attribute here? By id; others see reg_local_match(). */
static enum err check_entity(struct store_conn *c, struct reg_change *w,
                             const struct reg_info *info, const struct reg_entity *x, int64_t now,
                             struct error *e)
{
    struct entity_row row;
    enum err err = x->id.p ? repo_get(c, w->arena, w->tenant, x->id, &row, e) : ERR_NOT_FOUND;
    if (err)
        return err == ERR_NOT_FOUND ? OK : err;
    const struct json *stored = json_parse(w->arena, row.doc, &JSON_DEFAULT, e);
    if (!stored || entity_expired(stored, now) || !has_attr(stored, info))
        return OK;
    if (w->reg->mode == REG_EXCLUSIVE || has_type(stored, x))
        w->result = error_set(&w->error, ERR_CONFLICT,
                              "entity %" STR_F " is here and has what is registered", STR_A(x->id));
    return OK;
}

static enum err check_conflicts(struct store_conn *c, struct reg_change *w, int64_t now,
                                struct error *e)
{
    const struct registration *reg = w->reg;
    if (reg->mode != REG_EXCLUSIVE && reg->mode != REG_REDIRECT)
        return OK;
    enum err err = check_others(c, w, now, e);
    for (size_t i = 0; i < reg->n_infos && !err && !w->result; i++)
        for (size_t k = 0; k < reg->infos[i].n_entities && !err && !w->result; k++)
            err = check_entity(c, w, &reg->infos[i], &reg->infos[i].entities[k], now, e);
    return err;
}

struct local_search {
    int64_t now;
    bool hit;
};

static bool local_hit(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct local_search *s = ctx;
    (void)row;
    s->hit = !entity_expired(stored, s->now);
    return !s->hit;
}

static enum err search_local(struct store_conn *c, struct arena *a, const struct repo_query *base,
                             const struct reg_info *info, const struct reg_entity *x,
                             struct local_search *s, struct error *e)
{
    struct entity_query q = {.attrs = info->attrs, .n_attrs = info->n_attrs};
    struct repo_query rq = *base;
    struct repo_result result;
    struct str types = STR_NONE;
    for (uint32_t i = 0; x && i < x->types->n; i++)
        types = str_printf(a, "%" STR_F "%s%" STR_F, STR_A(types), i ? "|" : "",
                           STR_A(json_text(&x->types->items[i])));
    if (x && !(q.types = query_parse_types(a, types, ld_core(), &QUERY_DEFAULT, e)))
        return e->code;
    q.id_pattern = x ? x->pattern : NULL; /* borrowed: the registration's */
    rq.query = &q;
    return repo_query(c, &rq, local_hit, s, &result, e);
}

enum err reg_local_match(struct store_conn *c, struct arena *a, int64_t tenant,
                         const struct registration *reg, const struct clock *clock,
                         int64_t deadline, bool *hit, struct error *e)
{
    struct local_search s = {.now = clock_now(clock)};
    struct repo_query base = {.tenant = tenant,
                              .limit = UINT64_MAX,
                              .clock = clock,
                              .deadline = deadline};
    enum err err = OK;
    for (size_t i = 0; i < reg->n_infos && !err && !s.hit; i++) {
        const struct reg_info *info = &reg->infos[i];
        if (!info->n_entities)
            err = search_local(c, a, &base, info, NULL, &s, e);
        for (size_t k = 0; k < info->n_entities && !err && !s.hit; k++)
            if (!info->entities[k].id.p)
                err = search_local(c, a, &base, info, &info->entities[k], &s, e);
    }
    *hit = s.hit;
    return err;
}

/* --- writing --- */

struct row {
    int64_t rid, created;
    const struct json *doc; /* NULL: deleted; there may be no row at all (rid 0) */
};

static enum err find_row(struct store_conn *c, struct reg_change *w, struct row *out,
                         struct error *e)
{
    struct store_rows rows;
    *out = (struct row){0};
    store_query(c, &rows,
                "SELECT rid, created, doc FROM registration WHERE tenant = $1 AND id = $2",
                SV(SV_INT(w->tenant), SV_TEXT(w->id)));
    bool corrupt = false;
    if (store_next(&rows)) {
        out->rid = store_int(&rows, 0);
        out->created = store_int(&rows, 1);
        if (!store_is_null(&rows, 2)) {
            out->doc =
                json_parse(w->arena, str_dup(w->arena, store_text(&rows, 2)), &JSON_DEFAULT, e);
            corrupt = !out->doc;
        }
    }
    enum err err = store_end(&rows, e);
    return err || !corrupt ? err : error_set(e, ERR_CORRUPT, "a registration cannot be read");
}

static enum err append_journal(struct store_conn *c, struct reg_change *w, char op,
                               const struct json *before, const struct json *after, int64_t now,
                               struct error *e)
{
    char letter[2] = {op, 0};
    struct buf body = BUF_INIT;
    struct json_writer jw = json_writer(&body);
    json_w_object(&jw);
    json_w_kstr(&jw, S("op"), str_c(letter));
    if (before) {
        json_w_key(&jw, S("before"));
        json_w_value(&jw, before);
    }
    if (after) {
        json_w_key(&jw, S("doc"));
        json_w_value(&jw, after);
    }
    json_w_end(&jw);
    struct journal_row row = {.tenant = w->tenant,
                              .at = now,
                              .topic = S("registration"),
                              .key = w->id,
                              .body = buf_dup(&body, w->arena),
                              .actor = w->actor};
    buf_release(&body);
    return journal_append(c, &row, e);
}

/* Compile and check; what is wrong is the change's own result. */
static enum err check_doc(struct store_conn *c, struct reg_change *w, const struct row *row,
                          const struct json *doc, int64_t now, struct error *e)
{
    struct reg_source src = {.tenant = w->tenant,
                             .rid = row->rid,
                             .version = w->version,
                             .created = row->doc ? row->created : now,
                             .modified = now,
                             .doc = doc,
                             .ctx = w->ctx};
    struct registration *old = row->doc ? reg_find(w->registrations, w->tenant, w->id) : NULL;
    struct reg_counts *counts = old ? old->counts : NULL;
    if (counts)
        atomic_fetch_add(&counts->refs, 1);
    w->reg = reg_make(w->registrations, &src, counts, &w->error);
    if (old)
        registration_let_go(old);
    if (w->reg)
        return check_conflicts(c, w, now, e);
    w->result = w->error.code;
    return OK;
}

static enum err create_row(struct store_conn *c, struct reg_change *w, const struct row *row,
                           int64_t now, struct error *e)
{
    struct link *l = w->registrations->link;
    if (row->doc) {
        w->result = error_set(&w->error, ERR_EXISTS, "registration %" STR_F " exists already",
                              STR_A(w->id));
        return OK;
    }
    if (atomic_load(&w->registrations->n) >= l->options.registrations_max) {
        w->result = error_set(&w->error, ERR_TOO_MANY, "more than %lld registrations",
                              (long long)l->options.registrations_max);
        return OK;
    }
    enum err err = check_doc(c, w, row, w->in, now, e);
    if (err || w->result)
        return err;
    err = store_get_int(
        c, &w->rid,
        "INSERT INTO registration(tenant, id, doc, v, sent, failed, last_success, last_failure,"
        " created, modified) VALUES ($1, $2, $3, $4, 0, 0, 0, 0, $5, $5)"
        " ON CONFLICT (tenant, id) DO UPDATE SET doc = excluded.doc, v = excluded.v, sent = 0,"
        " failed = 0, last_success = 0, last_failure = 0, created = excluded.created,"
        " modified = excluded.modified RETURNING rid",
        SV(SV_INT(w->tenant), SV_TEXT(w->id), SV_TEXT(json_to_text(w->arena, w->in)),
           SV_INT(w->version), SV_INT(now)),
        e);
    w->reg->rid = w->reg->counts->rid = w->rid;
    return err ? err : append_journal(c, w, 'c', NULL, w->in, now, e);
}

static enum err patch_row(struct store_conn *c, struct reg_change *w, const struct row *row,
                          int64_t now, struct error *e)
{
    const struct json *doc = reg_patched(w->arena, row->doc, w->in);
    w->result = reg_check(doc, &w->error);
    if (w->result)
        return OK;
    if (!json_get(w->in, S("contextSourceInfo")))
        w->ctx = context_of(w->registrations, w->arena, doc);
    enum err err = check_doc(c, w, row, doc, now, e);
    if (err || w->result)
        return err;
    err = store_exec(c, "UPDATE registration SET doc = $1, v = $2, modified = $3 WHERE rid = $4",
                     SV(SV_TEXT(json_to_text(w->arena, doc)), SV_INT(w->version), SV_INT(now),
                        SV_INT(row->rid)),
                     NULL, e);
    return err ? err : append_journal(c, w, 'u', row->doc, doc, now, e);
}

static enum err delete_row(struct store_conn *c, struct reg_change *w, const struct row *row,
                           int64_t now, struct error *e)
{
    struct error unused = {0};
    if (w->expired_only && !reg_check_expiry(row->doc, now, &unused)) {
        w->result = error_set(&w->error, ERR_NOT_FOUND, "it has not expired");
        return OK;
    }
    enum err err =
        store_exec(c, "UPDATE registration SET doc = NULL, v = $1, modified = $2 WHERE rid = $3",
                   SV(SV_INT(w->version), SV_INT(now), SV_INT(row->rid)), NULL, e);
    if (!err) /* other processes have long read those */
        err =
            store_exec(c, "DELETE FROM registration WHERE doc IS NULL AND v < $1 AND modified < $2",
                       SV(SV_INT(w->version), SV_INT(now - TOMBSTONE_US)), NULL, e);
    return err ? err : append_journal(c, w, 'd', row->doc, NULL, now, e);
}

enum err reg_apply(struct store_conn *c, void *change, struct error *e)
{
    struct reg_change *w = change;
    int64_t now = clock_now(w->registrations->link->clock);
    struct row row;
    reg_forget(w);
    w->result = OK;
    enum err err = w->make_tenant ? repo_tenant_make(c, w->tenant_name, now, &w->tenant, e)
                                  : repo_tenant(c, w->tenant_name, &w->tenant, e);
    if (!err)
        err = store_get_int(c, &w->version, "SELECT COALESCE(MAX(v), 0) + 1 FROM registration",
                            SV_EMPTY, e);
    if (!err)
        err = find_row(c, w, &row, e);
    if (err)
        return err;
    w->rid = row.rid;
    if (w->kind == REG_WRITE_CREATE)
        return create_row(c, w, &row, now, e);
    if (!row.doc) {
        w->result = error_set(&w->error, ERR_NOT_FOUND, "no registration %" STR_F, STR_A(w->id));
        return OK;
    }
    return w->kind == REG_WRITE_PATCH ? patch_row(c, w, &row, now, e)
                                      : delete_row(c, w, &row, now, e);
}

void reg_applied(struct reg_change *w)
{
    struct registrations *r = w->registrations;
    if (w->result)
        return;
    if (w->reg)
        reg_put(r, w->reg);
    else
        reg_drop(r, w->tenant, w->id, w->version);
    w->reg = NULL;
    if (!r->shared) /* else a change of another process may lie before this one */
        set_version(r, w->version);
}

void reg_forget(struct reg_change *w)
{
    if (w->reg)
        registration_let_go(w->reg);
    w->reg = NULL;
}

/* --- counters --- */

struct counted {
    struct reg_counts *counts;
    struct reg_counters n;
};

struct counting {
    struct arena arena;
    VEC(struct counted) list;
};

static enum err write_counts(struct store_conn *c, void *ctx, struct error *e)
{
    const struct counting *all = ctx;
    enum err err = OK;
    for (size_t i = 0; i < all->list.n && !err; i++) {
        const struct counted *k = &all->list.v[i];
        err =
            store_exec(c,
                       "UPDATE registration SET sent = sent + $1, failed = failed + $2,"
                       " last_success = CASE WHEN last_success < $3 THEN $3 ELSE last_success END,"
                       " last_failure = CASE WHEN last_failure < $4 THEN $4 ELSE last_failure END"
                       " WHERE rid = $5",
                       SV(SV_INT(k->n.sent), SV_INT(k->n.failed), SV_INT(k->n.last_success),
                          SV_INT(k->n.last_failure), SV_INT(k->counts->rid)),
                       NULL, e);
    }
    return err;
}

static void take_moved(struct registrations *r, struct counting *out)
{
    pthread_mutex_lock(&r->moved_lock);
    struct reg_counts *c = r->moved;
    r->moved = NULL;
    pthread_mutex_unlock(&r->moved_lock);
    while (c) {
        struct reg_counts *next = c->next;
        atomic_store(&c->moved, false); /* what comes from now on is counted next time */
        *vec_push(&out->arena, &out->list) =
            (struct counted){c,
                             {.sent = atomic_load(&c->sent),
                              .failed = atomic_load(&c->failed),
                              .last_success = atomic_load(&c->last_success),
                              .last_failure = atomic_load(&c->last_failure)}};
        c = next;
    }
}

enum err reg_flush_counts(struct registrations *r, struct error *e)
{
    struct counting all = {0};
    take_moved(r, &all);
    enum err err = all.list.n ? store_write(r->link->store, write_counts, &all, e) : OK;
    for (size_t i = 0; i < all.list.n; i++) {
        struct counted *k = &all.list.v[i];
        if (!err) {
            atomic_fetch_sub(&k->counts->sent, k->n.sent);
            atomic_fetch_sub(&k->counts->failed, k->n.failed);
        }
        reg_counts_unref(k->counts);
    }
    arena_release(&all.arena);
    return err;
}

static int64_t later(int64_t x, int64_t y)
{
    return x > y ? x : y;
}

enum err reg_counters(struct store_conn *c, const struct registration *reg,
                      struct reg_counters *out, struct error *e)
{
    struct store_rows rows;
    struct reg_counts *now = reg->counts;
    *out = (struct reg_counters){0};
    store_query(c, &rows,
                "SELECT sent, failed, last_success, last_failure FROM registration WHERE rid = $1",
                SV(SV_INT(reg->rid)));
    if (store_next(&rows))
        *out = (struct reg_counters){store_int(&rows, 0), store_int(&rows, 1), store_int(&rows, 2),
                                     store_int(&rows, 3)};
    out->sent += atomic_load(&now->sent);
    out->failed += atomic_load(&now->failed);
    out->last_success = later(out->last_success, atomic_load(&now->last_success));
    out->last_failure = later(out->last_failure, atomic_load(&now->last_failure));
    return store_end(&rows, e);
}

/* --- expiry --- */

struct due {
    struct arena arena;
    VEC(struct registration *) regs;
};

static void find_expired(struct registrations *r, int64_t now, struct due *d)
{
    pthread_rwlock_rdlock(&r->lock);
    for (const struct reg_tenant *t = r->tenants; t; t = t->next)
        for (size_t i = 0; i < t->all.n && d->regs.n < EXPIRED_A_RUN; i++) {
            struct registration *reg = t->all.v[i];
            if (!reg->expires || reg->expires > now)
                continue;
            registration_hold(reg);
            *vec_push(&d->arena, &d->regs) = reg;
        }
    pthread_rwlock_unlock(&r->lock);
}

static bool tenant_name(struct link *l, int64_t tenant, struct arena *a, struct str *out)
{
    struct store_rows rows;
    struct error e = {0};
    struct store_conn *c = store_read(l->store, &e);
    if (!c)
        return false;
    *out = STR_NONE;
    store_query(c, &rows, "SELECT name FROM tenant WHERE n = $1", SV(SV_INT(tenant)));
    if (store_next(&rows))
        *out = str_dup(a, store_text(&rows, 0));
    enum err err = store_end(&rows, &e);
    store_read_done(c);
    return !err && out->p;
}

void reg_expire(struct registrations *r)
{
    struct due d = {0};
    find_expired(r, clock_now(r->link->clock), &d);
    for (size_t i = 0; i < d.regs.n; i++) {
        struct registration *reg = d.regs.v[i];
        struct error e = {0};
        struct reg_change w = {.registrations = r,
                               .arena = &d.arena,
                               .kind = REG_WRITE_DELETE,
                               .id = reg->id,
                               .expired_only = true};
        if (tenant_name(r->link, reg->tenant, &d.arena, &w.tenant_name) &&
            !store_write(r->link->store, reg_apply, &w, &e))
            reg_applied(&w);
        else if (e.code)
            log_event(LOG_WARN, "link.registration_expiry", LOG_Z("error", e.text));
        registration_let_go(reg);
    }
    arena_release(&d.arena);
}
