/*
 * What came from another node, joined into what is here, in the writer's transaction.
 *
 *   entity here   head after the join   what happens
 *   there         there                 instances whose value in effect is another one change
 *   there         deleted               the entity is deleted; values in effect are laid aside
 *   not there     there                 the entity is made of all registers that hold a value
 *   not there     deleted, unknown      registers are written, nothing is seen
 *
 * So the deletion of an entity wins over changes of attributes that it had not seen (they touch no
 * head): they are kept, enter the history and are shown as a conflict. A creation and a deletion
 * that had not seen each other are two values of the head and follow the order of register.h.
 *
 * Whatever is seen changes through repo_put(), so that history, subscriptions and streams are told
 * as of any change. What is only kept (a value that lost) has a journal row of topic "sync", which
 * carries it on to other nodes. Nothing new: nothing is written.
 */
#include "entity_impl.h"
#include "evolution.h"
#include "history_impl.h"
#include "sync.h"

struct late { /* a value for the history alone */
    struct str attr, dataset;
    const struct json *value;
};

struct join {
    struct sync *sync;
    struct store_conn *c;
    struct arena *arena;
    int64_t tenant, now, eid;
    const struct sync_piece *piece;
    struct entity_row row;
    const struct json *before; /* NULL: not there */
    const struct json *head;   /* in effect after the join; NULL: not there */
    sync_rows rows;            /* to be written */
    VEC(struct late) lates;
    bool again;  /* it may tell what is in the history already: a whole state may, and to a store
                  * that was renamed (rename.c) everything */
    size_t news; /* events that were not known */
    struct entity_delta delta;
    struct error *e;
};

static enum err open_entity(struct join *j)
{
    struct error why;
    enum err err = repo_get(j->c, j->arena, j->tenant, j->piece->id, &j->row, &why);
    if (err && err != ERR_NOT_FOUND)
        return error_set(j->e, err, "%s", why.text);
    j->eid = j->row.eid;
    if (j->row.doc.p && !(j->before = json_parse(j->arena, j->row.doc, &JSON_DEFAULT, j->e)))
        return error_set(j->e, ERR_CORRUPT, "entity row %lld holds no JSON", (long long)j->eid);
    j->head = sync_head(j->arena, j->before);
    return OK;
}

/* --- joining --- */

static bool same_dot(const struct sync_dot *x, const struct sync_dot *y)
{
    return x->hlc == y->hlc && str_eq(x->node, y->node);
}

static bool same_seen(const struct sync_register *x, const struct sync_register *y)
{
    bool same = x->seen.n == y->seen.n;
    for (size_t i = 0; same && i < x->seen.n; i++)
        same = same_dot(&x->seen.v[i], &y->seen.v[i]);
    return same;
}

/* An event that was not known may be in the history all the same. */
static enum err in_history(struct join *j, const struct sync_part *part, const struct json *value,
                           bool *known)
{
    struct past_row row = {.attr = part->attr, .dataset = part->dataset, .name.maker = S("")};
    *known = false;
    if (!j->again || !j->eid || !part->attr.p || !value)
        return OK;
    datetime_parse(json_text(json_get(value, S("modifiedAt"))), &row.name.changed);
    row.name.made = row.name.changed;
    datetime_parse(json_text(json_get(value, S("observedAt"))), &row.name.made);
    enum err err = history_settle(j->c, j->e);
    return err ? err
               : evolution_has(j->c, j->eid, &row, json_to_text(j->arena, value), known, j->e);
}

/* The part's register joined with ours; *was is ours before. */
static enum err join_part(struct join *j, const struct sync_part *part, struct sync_row *row,
                          const struct json **was)
{
    enum err err =
        sync_load(j->sync, j->c, j->arena, j->eid, j->before, part->attr, part->dataset, row, j->e);
    if (err)
        return err;
    struct sync_register old = row->reg;
    *was = sync_effect(&old);
    sync_join(j->arena, &row->reg, &part->reg);
    for (size_t i = 0; i < part->reg.values.n; i++) {
        const struct sync_value *v = &part->reg.values.v[i];
        sync_hear(j->sync, j->now, v->dot.hlc);
        if (sync_has_seen(&old, &v->dot))
            continue;
        j->news++;
        bool effect = row->reg.values.n && same_dot(&row->reg.values.v[0].dot, &v->dot), told;
        if ((err = in_history(j, part, v->value, &told)))
            return err;
        if (told && effect)
            row->known = true;
        if (!told && part->attr.p && v->value && !(effect && j->head))
            *vec_push(j->arena, &j->lates) = (struct late){part->attr, part->dataset, v->value};
    }
    if (row->reg.values.n && sync_has_seen(&old, &row->reg.values.v[0].dot))
        row->known = true;
    if (!same_seen(&old, &row->reg))
        *vec_push(j->arena, &j->rows) = *row;
    return OK;
}

static void note(struct join *j, struct str attr, struct str dataset, const struct json *before,
                 const struct json *after)
{
    enum attr_op op = !before ? ATTR_CREATED : after ? ATTR_UPDATED : ATTR_DELETED;
    if (before != after && (before || after))
        *vec_push(j->arena, &j->delta.changes) =
            (struct attr_change){attr, dataset, op, before, after};
}

static enum err join_head(struct join *j, const struct sync_part *part)
{
    struct sync_row row;
    const struct json *was;
    size_t n = j->rows.n;
    enum err err = join_part(j, part, &row, &was);
    if (err || j->rows.n == n)
        return err;
    j->head = sync_effect(&row.reg);
    j->rows.v[n].aside = j->head ? NULL : was ? was : row.aside;
    return OK;
}

static enum err join_attr(struct join *j, const struct sync_part *part)
{
    struct sync_row row;
    const struct json *was;
    size_t n = j->rows.n;
    enum err err = join_part(j, part, &row, &was);
    if (err || j->rows.n == n)
        return err;
    const struct json *is = sync_effect(&row.reg);
    j->rows.v[n].aside = j->head ? NULL : is;
    if (j->before && j->head)
        note(j, part->attr, part->dataset, was, is);
    return OK;
}

/* All parts; the head first, because it decides what the others mean. */
static enum err join_parts(struct join *j)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < j->piece->parts.n; i++)
        if (!j->piece->parts.v[i].attr.p)
            err = join_head(j, &j->piece->parts.v[i]);
    for (size_t i = 0; !err && i < j->piece->parts.n; i++)
        if (j->piece->parts.v[i].attr.p)
            err = join_attr(j, &j->piece->parts.v[i]);
    return err;
}

static bool is_joined(const struct join *j, const struct sync_row *row)
{
    for (size_t i = 0; i < j->rows.n; i++)
        if (str_eq(j->rows.v[i].attr, row->attr) && str_eq(j->rows.v[i].dataset, row->dataset))
            return true;
    return false;
}

/* Registers that the piece does not speak of, when the entity comes or goes. */
static enum err join_rest(struct join *j)
{
    sync_rows all = VEC_INIT;
    if ((j->before != NULL) == (j->head != NULL) || !j->eid)
        return OK;
    enum err err = sync_load_all(j->sync, j->c, j->arena, j->eid, j->before, &all, j->e);
    for (size_t i = 0; !err && i < all.n; i++) {
        struct sync_row *row = &all.v[i];
        if (!row->attr.p || is_joined(j, row))
            continue;
        row->aside = j->head ? NULL : sync_effect(&row->reg);
        row->known = true;
        *vec_push(j->arena, &j->rows) = *row;
    }
    return err;
}

/* --- the document --- */

struct attr_list {
    struct str iri;
    struct json *items;
    size_t n;
};

struct attr_lists {
    VEC(struct attr_list) v;
};

static struct attr_list *list_of(struct arena *a, struct attr_lists *all, struct str iri)
{
    for (size_t i = 0; i < all->v.n; i++)
        if (str_eq(all->v.v[i].iri, iri))
            return &all->v.v[i];
    struct attr_list *list = vec_push(a, &all->v);
    list->iri = iri;
    return list;
}

/* The default instance comes first. */
static void list_put(struct arena *a, struct attr_list *list, struct str dataset,
                     const struct json *instance)
{
    struct json *items = ARENA_ARRAY(a, struct json, list->n + 1);
    size_t n = 0;
    if (instance && !dataset.p)
        items[n++] = *instance;
    for (size_t i = 0; i < list->n; i++) {
        struct inst in;
        inst_open(&in, &list->items[i]);
        if (!str_eq(inst_dataset(&in), dataset))
            items[n++] = list->items[i];
    }
    if (instance && dataset.p)
        items[n++] = *instance;
    list->items = items;
    list->n = n;
}

static struct json time_max(struct arena *a, const struct json *was, int64_t at)
{
    int64_t old;
    bool keep = was && datetime_parse(json_text(was), &old) && old >= at;
    return keep ? *was : json_v_str(datetime_text(a, at));
}

static const struct json *assemble(struct join *j, const struct attr_lists *all)
{
    struct arena *a = j->arena;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, all->v.n + 6);
    const struct json *scope = json_get(j->head, S("scope"));
    const struct json *expires = json_get(j->head, S("expiresAt"));
    size_t n = 0;
    m[n++] = json_m(S("id"), json_v_str(j->piece->id));
    m[n++] = json_m(S("type"), *json_get(j->head, S("type")));
    if (scope)
        m[n++] = json_m(S("scope"), *scope);
    m[n++] = json_m(S("createdAt"), *json_get(j->head, S("createdAt")));
    m[n++] =
        json_m(S("modifiedAt"), time_max(a, json_get(j->before, S("modifiedAt")), j->piece->at));
    if (expires)
        m[n++] = json_m(S("expiresAt"), *expires);
    for (size_t i = 0; i < all->v.n; i++)
        if (all->v.v[i].n)
            m[n++] = json_m(all->v.v[i].iri, json_v_array(all->v.v[i].items, all->v.v[i].n));
    struct json *doc = ARENA_NEW(a, struct json);
    *doc = json_v_object(m, n);
    return doc;
}

/* The state after the join and what differs from the state before. */
static void work_out(struct join *j)
{
    struct attr_lists all = {VEC_INIT};
    if (!j->head) {
        if (j->before)
            entity_delete(j->arena, j->before, &j->delta);
        return;
    }
    for (uint32_t i = 0; j->before && i < j->before->n; i++) {
        const struct json_member *m = &j->before->members[i];
        if (entity_is_member(json_key(m)))
            continue;
        struct attr_list *list = list_of(j->arena, &all, json_key(m));
        list->n = m->value.n;
        list->items = arena_alloc(j->arena, list->n * sizeof(*list->items));
        memcpy(list->items, m->value.items, list->n * sizeof(*list->items));
    }
    for (size_t i = 0; !j->before && i < j->rows.n; i++) {
        const struct sync_row *row = &j->rows.v[i];
        if (row->attr.p)
            note(j, row->attr, row->dataset, NULL, sync_effect(&row->reg));
    }
    for (size_t i = 0; i < j->delta.changes.n; i++) {
        const struct attr_change *ch = &j->delta.changes.v[i];
        list_put(j->arena, list_of(j->arena, &all, ch->attr), ch->dataset, ch->after);
    }
    const struct json *was = sync_head(j->arena, j->before);
    j->delta.types_changed = !json_equal(json_get(was, S("type")), json_get(j->head, S("type")), 1);
    j->delta.scope_changed =
        !json_equal(json_get(was, S("scope")), json_get(j->head, S("scope")), true);
    bool same = j->before && !j->delta.changes.n && json_equal(was, j->head, true);
    j->delta.after = same ? j->before : assemble(j, &all);
}

/* --- writing --- */

static enum err write_seen(struct join *j, struct sync_put *put, struct str actor, int64_t *seq)
{
    struct repo_options options = {.history = j->sync->link->options.history};
    struct repo_put p = {.arena = j->arena,
                         .options = &options,
                         .tenant = j->tenant,
                         .now = j->now,
                         .id = j->piece->id,
                         .actor = actor,
                         .row = &j->row,
                         .before = j->before,
                         .delta = &j->delta,
                         .sync = put};
    return repo_put(j->c, &p, seq, j->e);
}

static enum err write_kept(struct join *j, struct sync_put *put, struct str actor, int64_t *seq)
{
    struct journal_row row = {
        .tenant = j->tenant, .at = j->now, .topic = S("sync"), .key = j->piece->id, .actor = actor};
    row.body = sync_journal(put, &row);
    enum err err = OK;
    if (!j->eid)
        err =
            history_eid(j->c, j->arena, j->tenant, j->piece->id, NULL, true, j->now, &j->eid, j->e);
    if (!err && j->news)
        err = journal_append(j->c, &row, j->e);
    *seq = row.seq;
    return err ? err : sync_record(j->c, put, j->eid, *seq, j->e);
}

static enum err write_lates(struct join *j, const struct sync_put *put, int64_t seq)
{
    struct buf scratch = BUF_INIT;
    enum err err = OK;
    if (!j->eid && j->lates.n)
        err = store_get_int(j->c, &j->eid, "SELECT eid FROM entity WHERE tenant = $1 AND id = $2",
                            SV(SV_INT(j->tenant), SV_TEXT(j->piece->id)), j->e);
    for (size_t i = 0; !err && j->sync->link->options.history && i < j->lates.n; i++) {
        const struct late *l = &j->lates.v[i];
        struct attr_change ch = {l->attr, l->dataset, ATTR_CREATED, NULL, l->value};
        err =
            history_record(j->c, j->eid, &ch, sync_instant(put, &ch, put->at), seq, &scratch, j->e);
    }
    buf_release(&scratch);
    return err;
}

/* What was worked out goes to disk. */
static enum err write_all(struct join *j, struct str origin, int64_t origin_seq, struct str actor)
{
    struct buf text = BUF_INIT;
    struct sync_put put = {.sync = j->sync,
                           .remote = true,
                           .origin = origin,
                           .origin_seq = origin_seq,
                           .at = j->piece->at};
    sync_piece_write(j->arena, &text, j->piece);
    put.piece = buf_dup(&text, j->arena);
    buf_release(&text);
    put.rows.v = j->rows.v;
    put.rows.n = j->rows.n;
    int64_t seq = 0;
    bool seen = j->head ? j->delta.after != j->before : j->before != NULL;
    enum err err = seen ? write_seen(j, &put, actor, &seq) : write_kept(j, &put, actor, &seq);
    return err ? err : write_lates(j, &put, seq);
}

enum err sync_apply(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                    const struct sync_piece *p, struct str origin, int64_t origin_seq,
                    struct str actor, struct error *e)
{
    struct join j = {.sync = s,
                     .c = c,
                     .arena = a,
                     .tenant = tenant,
                     .now = clock_now(s->link->clock),
                     .piece = p,
                     .again = origin.p && (!origin_seq || atomic_load(&s->restamped)),
                     .e = e};
    enum err err = open_entity(&j);
    if (!err)
        err = join_parts(&j);
    if (!err)
        err = join_rest(&j);
    if (err || !j.rows.n)
        return err;
    work_out(&j);
    return write_all(&j, origin, origin_seq, actor);
}

/* --- replacing --- */

/* Registers that the state does not have go, and what they show. */
static enum err drop_others(struct join *j)
{
    sync_rows old = VEC_INIT;
    if (!j->eid)
        return OK;
    enum err err = sync_load_all(j->sync, j->c, j->arena, j->eid, j->before, &old, j->e);
    for (size_t i = 0; !err && i < old.n; i++) {
        const struct sync_row *row = &old.v[i];
        if (row->attr.p && !is_joined(j, row) && j->before && j->head)
            note(j, row->attr, row->dataset, sync_effect(&row->reg), NULL);
    }
    return err ? err
               : store_exec(j->c, "DELETE FROM sync_register WHERE eid = $1", SV(SV_INT(j->eid)),
                            NULL, j->e);
}

static enum err take_part(struct join *j, const struct sync_part *part)
{
    struct sync_row row;
    enum err err = sync_load(j->sync, j->c, j->arena, j->eid, j->before, part->attr, part->dataset,
                             &row, j->e);
    if (err)
        return err;
    const struct json *was = sync_effect(&row.reg), *is = sync_effect(&part->reg);
    bool same = was == is || (was && is && json_equal(was, is, true));
    row.known = part->reg.values.n && sync_has_seen(&row.reg, &part->reg.values.v[0].dot);
    row.reg = part->reg;
    row.aside = j->head ? NULL : part->attr.p ? is : was ? was : row.aside;
    if (part->attr.p && j->before && j->head && !same)
        note(j, part->attr, part->dataset, was, is);
    *vec_push(j->arena, &j->rows) = row;
    return OK;
}

enum err sync_replace(struct sync *s, struct store_conn *c, struct arena *a, int64_t tenant,
                      const struct sync_piece *p, struct str origin, struct str actor,
                      struct error *e)
{
    struct join j = {.sync = s,
                     .c = c,
                     .arena = a,
                     .tenant = tenant,
                     .now = clock_now(s->link->clock),
                     .piece = p,
                     .again = true,
                     .e = e};
    enum err err = open_entity(&j);
    j.head = NULL;
    for (size_t i = 0; i < p->parts.n; i++)
        if (!p->parts.v[i].attr.p)
            j.head = sync_effect(&p->parts.v[i].reg);
    for (size_t i = 0; !err && i < p->parts.n; i++)
        err = take_part(&j, &p->parts.v[i]);
    if (!err)
        err = drop_others(&j);
    if (err || (!j.rows.n && !j.before))
        return err;
    work_out(&j);
    return write_all(&j, origin, 0, actor);
}
