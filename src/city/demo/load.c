/*
 * Loading: facilities through the importer, everything else in batches of operations, then a day
 * of history. The city gets its attribute dataset last: a load that was interrupted is done
 * again from the start, and everything it does may be done twice.
 */
#include "demo_impl.h"

#include "link/history.h"
#include "link/import.h"

enum {
    BATCH = 100,
    STEPS = 144, /* a day */
    ENTITY_TEXT = 4096
};
#define STEP_US (10 * MINUTE_US)

/* Numbers of history rows that no change of the journal made lie above all journal numbers. */
#define HISTORY_SEQ (INT64_C(1) << JOURNAL_SEQ_BITS)

const struct json *demo_stored(struct arena *a, const struct buf *text, bool whole, struct error *e)
{
    const struct json *v = json_parse(a, buf_dup(text, a), &JSON_DEFAULT, e);
    if (!v)
        return NULL;
    return entity_expand(a, v, whole ? ENTITY_WHOLE : ENTITY_FRAGMENT, false, ld_core(), e);
}

int64_t demo_now(const struct link *l)
{
    int64_t now = clock_now(l->clock);
    return now - now % SECOND_US;
}

enum err demo_present(struct link *l, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct entity_row row;
    int64_t tenant;
    struct store_conn *c = store_read(l->store, e);
    if (!c)
        return e->code;
    enum err err = repo_tenant(c, S(""), &tenant, e);
    if (!err)
        err = repo_get(c, &a, tenant, S(DEMO_CITY_ID), &row, e);
    if (!err) {
        const struct json *v = json_parse(&a, row.doc, &JSON_DEFAULT, NULL);
        if (!v || !entity_attr(v, ld_expand(ld_core(), &a, S(DEMO_LOADED))))
            err = error_set(e, ERR_NOT_FOUND, "the demo city is not loaded completely");
    }
    store_read_done(c);
    arena_release(&a);
    return err;
}

/* --- facilities --- */

static enum err load_table(struct link *l, const struct demo_table *t, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct buf file = BUF_INIT;
    struct import_report report;
    t->write(&file);
    struct import_job job = {.link = l,
                             .arena = &a,
                             .actor = S("demo"),
                             .bytes = buf_view(&file),
                             .name = str_c(t->file),
                             .kind = str_c(t->kind),
                             .dataset = str_c(t->dataset),
                             .source = S(DEMO_PUBLISHER)};
    enum err err = import_run(&job, &report, e);
    if (!err && report.rejected)
        err = error_set(e, ERR_INTERNAL, "demo: %llu rows of %s were rejected",
                        (unsigned long long)report.rejected, t->file);
    buf_release(&file);
    arena_release(&a);
    return err;
}

/* --- entities --- */

struct batch {
    struct link *link;
    struct arena arena;
    struct op *ops; /* in the arena, room for BATCH */
    size_t n;
};

static enum err flush(struct batch *b, struct error *e)
{
    struct ops ops = {.arena = &b->arena, .actor = S("demo"), .ops = b->ops, .n = b->n};
    enum err err = b->n ? ops_run(b->link, &ops, e) : OK;
    for (size_t i = 0; !err && i < b->n; i++)
        if (b->ops[i].result)
            err = error_set(e, b->ops[i].result, "demo: %s", b->ops[i].error.text);
    b->n = 0;
    arena_reset(&b->arena);
    return err;
}

static enum err put(struct batch *b, enum op_kind kind, struct str id, const struct buf *text,
                    struct error *e)
{
    const struct json *stored = demo_stored(&b->arena, text, kind == OP_UPSERT, e);
    if (!stored)
        return e->code;
    if (b->n == 0)
        b->ops = ARENA_ARRAY(&b->arena, struct op, BATCH);
    b->ops[b->n++] = (struct op){.kind = kind,
                                 .id = id.n ? str_dup(&b->arena, id) : entity_id(stored),
                                 .input = stored};
    return b->n == BATCH ? flush(b, e) : OK;
}

static enum err load_entities(struct link *l, int64_t now, struct error *e)
{
    struct batch b = {.link = l};
    struct buf text = BUF_INIT;
    enum err err = OK;
    buf_reserve(&text, ENTITY_TEXT);
    for (size_t i = 0; !err; i++) {
        buf_clear(&text);
        struct json_writer w = json_writer(&text);
        if (!demo_fixture(&w, i))
            break;
        err = put(&b, OP_UPSERT, STR_NONE, &text, e);
    }
    for (int k = 0; !err && k < DEMO_KINDS; k++) {
        for (int i = 0; !err && i < demo_fleets[k].n; i++) {
            buf_clear(&text);
            struct json_writer w = json_writer(&text);
            demo_thing(&w, (enum demo_kind)k, i, now);
            err = put(&b, OP_UPSERT, STR_NONE, &text, e);
        }
    }
    if (!err)
        err = flush(&b, e);
    buf_release(&text);
    arena_release(&b.arena);
    return err;
}

/* --- history --- */

struct past {
    struct arena arena;
    struct buf text;
    int64_t tenant, eid, now;
    enum demo_kind kind;
};

/* All attributes of a fragment as history rows. */
static enum err add_rows(struct store_conn *c, struct past *p, int64_t seq, struct error *e)
{
    const struct json *read = demo_stored(&p->arena, &p->text, false, e);
    if (!read)
        return e->code;
    struct json at = json_v_str(datetime_text(&p->arena, p->now));
    enum err err = OK;
    for (uint32_t m = 0; !err && m < read->n; m++) {
        struct str iri = json_key(&read->members[m]);
        if (entity_is_member(iri))
            continue;
        struct json one = *json_at(&read->members[m].value, 0);
        one = json_with(&p->arena, &one, S("createdAt"), at);
        one = json_with(&p->arena, &one, S("modifiedAt"), at);
        err = history_add(c, p->eid, iri, &one, p->now, seq, e);
    }
    return err;
}

static enum err find_entity(struct store_conn *c, struct past *p, struct str id, struct error *e)
{
    struct entity_row row;
    enum err err = repo_get(c, &p->arena, p->tenant, id, &row, e);
    p->eid = row.eid;
    return err;
}

static enum err past_of(struct store_conn *c, struct past *p, int i, struct error *e)
{
    enum err err = find_entity(c, p, demo_fleet_id(&p->arena, p->kind, i), e);
    int64_t newest = p->now - p->now % STEP_US;
    for (int step = STEPS; !err && step > 0; step--) {
        buf_clear(&p->text);
        struct json_writer w = json_writer(&p->text);
        json_w_object(&w);
        demo_readings(&w, p->kind, i, newest - step * STEP_US);
        json_w_end(&w);
        err = add_rows(c, p, HISTORY_SEQ + STEPS - step, e);
    }
    arena_reset(&p->arena);
    return err;
}

static enum err add_fleet(struct store_conn *c, void *ctx, struct error *e)
{
    struct past *p = ctx;
    enum err err = repo_tenant(c, S(""), &p->tenant, e);
    for (int i = 0; !err && i < demo_fleets[p->kind].n; i++)
        err = past_of(c, p, i, e);
    return err;
}

static enum err add_censuses(struct store_conn *c, void *ctx, struct error *e)
{
    struct past *p = ctx;
    enum err err = repo_tenant(c, S(""), &p->tenant, e);
    if (!err)
        err = find_entity(c, p, S(DEMO_CITY_ID), e);
    for (size_t i = 0; !err; i++) {
        buf_clear(&p->text);
        struct json_writer w = json_writer(&p->text);
        if (!demo_census(&w, i))
            break;
        err = add_rows(c, p, HISTORY_SEQ + (int64_t)i, e);
    }
    return err;
}

static enum err load_history(struct link *l, int64_t now, struct error *e)
{
    struct past p = {.now = now};
    enum err err = store_write(l->store, add_censuses, &p, e);
    for (int k = 0; !err && k < DEMO_KINDS; k++) {
        p.kind = (enum demo_kind)k;
        if (demo_fleets[k].history)
            err = store_write(l->store, add_fleet, &p, e);
    }
    buf_release(&p.text);
    arena_release(&p.arena);
    return err;
}

static enum err mark_loaded(struct link *l, struct error *e)
{
    struct batch b = {.link = l};
    struct buf text = BUF_INIT;
    buf_str(&text, S("{\"" DEMO_LOADED "\":{\"type\":\"Property\",\"value\":\"demo_areas\"}}"));
    enum err err = put(&b, OP_APPEND, S(DEMO_CITY_ID), &text, e);
    if (!err)
        err = flush(&b, e);
    buf_release(&text);
    arena_release(&b.arena);
    return err;
}

enum err demo_load(struct link *l, struct error *e)
{
    int64_t now = demo_now(l);
    enum err err = demo_present(l, e);
    if (err != ERR_NOT_FOUND)
        return err;
    err = OK;
    for (size_t i = 0; !err && i < demo_tables_n; i++)
        err = load_table(l, &demo_tables[i], e);
    if (!err)
        err = load_entities(l, now, e);
    if (!err && l->options.history)
        err = load_history(l, now, e);
    return err ? err : mark_loaded(l, e);
}
