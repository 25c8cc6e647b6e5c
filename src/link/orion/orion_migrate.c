/*
 * The order of things: entities page by page, then all of them compared, then subscriptions and
 * registrations, which follow what happens after that.
 *
 * After each page the store notes where the next one begins. Pages shift when entities are deleted
 * at Orion meanwhile; the comparison walks over all of them again and finds what was missed, and
 * the next run copies it.
 */
#include "orion_impl.h"
#include <stdio.h>

enum { FETCH_MS = 60000 };

/* --- asking --- */

static enum err ask(struct migration *m, struct str target, struct str path,
                    struct client_answer *answer, struct error *e)
{
    const struct orion_job *job = m->job;
    struct http_header h[4];
    size_t n = 0;
    h[n++] = (struct http_header){S("Accept"), S("application/json")};
    if (job->service.n)
        h[n++] = (struct http_header){S("Fiware-Service"), job->service};
    if (path.n)
        h[n++] = (struct http_header){S("Fiware-ServicePath"), path};
    if (job->token.n)
        h[n++] = (struct http_header){S("X-Auth-Token"), job->token};
    struct client_request r = {.url = str_concat(&m->page, job->from, target),
                               .headers = h,
                               .n_headers = n,
                               .timeout_ms = FETCH_MS};
    if (!client_fetch(job->link->client, &m->page, &r, answer, e))
        return OK;
    char why[200];
    snprintf(why, sizeof(why), "%.199s", e->text);
    return error_set(e, ERR_UNAVAILABLE, "%" STR_F " cannot be read: %s", STR_A(r.url), why);
}

enum err orion_fetch(struct migration *m, struct str target, struct str path,
                     const struct json **out, struct error *e)
{
    struct client_answer answer;
    struct json_limits limits = JSON_DEFAULT;
    limits.max_bytes = (size_t)256 << 20;
    enum err err = ask(m, target, path, &answer, e);
    if (err)
        return err;
    *out = json_parse(&m->page, answer.body, &limits, NULL);
    if (answer.status == 200 && json_is(*out, JSON_ARRAY))
        return OK;
    struct str said = json_text(json_get(*out, S("description")));
    return error_set(e, ERR_UNAVAILABLE, "%" STR_F "%" STR_F " answers %d %" STR_F,
                     STR_A(m->job->from), STR_A(target), answer.status,
                     STR_A(answer.status == 200 ? S("and no list") : said));
}

void orion_differs(struct migration *m, const char *what, struct str id, struct str type,
                   struct str path, struct str why)
{
    struct orion_report *r = m->report;
    struct arena *a = m->job->arena;
    if (r->differences.n == ORION_DIFFERENCES)
        return;
    *vec_push(a, &r->differences) =
        (struct orion_difference){what, str_dup(a, id), str_dup(a, type), str_dup(a, path),
                                  str_dup(a, why)};
}

static void tell(const struct migration *m, const char *what, uint64_t done)
{
    if (m->job->progress)
        m->job->progress(m->job->ctx, what, done);
}

/* --- how far it came --- */

struct note {
    struct str name, value; /* value absent: forget it */
};

static struct str note_name(struct migration *m, struct str path)
{
    return str_printf(&m->page, "orion %" STR_F " %" STR_F " %" STR_F, STR_A(m->job->from),
                      STR_A(m->job->service), STR_A(path));
}

static enum err write_note(struct store_conn *c, void *ctx, struct error *e)
{
    struct note *n = ctx;
    if (!n->value.p)
        return store_exec(c, "DELETE FROM link_note WHERE name = $1", SV(SV_TEXT(n->name)), NULL,
                          e);
    return store_exec(c,
                      "INSERT INTO link_note(name, value) VALUES ($1, $2)"
                      " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                      SV(SV_TEXT(n->name), SV_TEXT(n->value)), NULL, e);
}

static enum err save_offset(struct migration *m, struct str path, int64_t offset, struct error *e)
{
    struct note n = {.name = note_name(m, path)};
    if (m->job->dry_run)
        return OK;
    if (offset)
        n.value = str_printf(&m->page, "%lld", (long long)offset);
    return store_write(m->job->link->store, write_note, &n, e);
}

static enum err load_offset(struct migration *m, struct str path, int64_t *offset, struct error *e)
{
    struct store_rows r;
    *offset = 0;
    if (m->job->dry_run)
        return OK;
    struct store_conn *c = store_read(m->job->link->store, e);
    if (!c)
        return e->code;
    store_query(c, &r, "SELECT value FROM link_note WHERE name = $1",
                SV(SV_TEXT(note_name(m, path))));
    if (store_next(&r) && !str_to_i64(store_text(&r, 0), offset))
        *offset = 0;
    enum err err = store_end(&r, e);
    store_read_done(c);
    return err;
}

/* --- entities --- */

static enum err fetch_entities(struct migration *m, struct str path, int64_t offset,
                               const struct json **page, struct error *e)
{
    struct str target =
        str_printf(&m->page, "/v2/entities?attrs=*,servicePath,dateExpires&limit=%d&offset=%lld%s",
                   ORION_PAGE, (long long)offset,
                   m->skips_forwarding ? "&options=skipForwarding" : "");
    return orion_fetch(m, target, path, page, e);
}

static enum err copy_path(struct migration *m, struct str path, struct error *e)
{
    int64_t offset;
    enum err err = load_offset(m, path, &offset, e);
    while (!err) {
        const struct json *page;
        struct orion_entity *list;
        err = fetch_entities(m, path, offset, &page, e);
        if (!err)
            err = orion_look(m, page, path, &list, e);
        if (err || !page->n)
            break;
        struct orion_counts *n = &m->report->entities;
        err = orion_put(m, list, page->n, e);
        for (uint32_t i = 0; !err && i < page->n; i++) {
            n->made += list[i].state == ENTITY_NEW;
            n->changed += list[i].state == ENTITY_CHANGED;
            n->same += list[i].state == ENTITY_SAME;
            n->refused += list[i].state == ENTITY_REFUSED;
        }
        offset += page->n;
        if (!err)
            err = save_offset(m, path, offset, e);
        tell(m, "entities copied", (uint64_t)offset);
        arena_reset(&m->page);
    }
    arena_reset(&m->page);
    return err;
}

static void remember_path(struct migration *m, struct str path)
{
    for (size_t i = 0; i < m->seen_paths.n; i++)
        if (str_eq(m->seen_paths.v[i], path))
            return;
    *vec_push(m->job->arena, &m->seen_paths) = str_dup(m->job->arena, path);
}

static void compare_entity(struct migration *m, const struct orion_entity *x)
{
    struct orion_counts *n = &m->report->entities;
    n->there++;
    remember_path(m, x->path);
    if (x->state == ENTITY_SAME)
        return;
    n->differ++;
    struct str why = x->state == ENTITY_NEW       ? S("is not here")
                     : x->state == ENTITY_CHANGED ? x->differs
                                                  : str_c(x->why.text);
    orion_differs(m, "entity", x->id, x->type, x->path, why);
}

static enum err compare_path(struct migration *m, struct str path, struct error *e)
{
    int64_t offset = 0;
    enum err err = OK;
    while (!err) {
        const struct json *page;
        struct orion_entity *list;
        err = fetch_entities(m, path, offset, &page, e);
        if (!err)
            err = orion_look(m, page, path, &list, e);
        if (err || !page->n)
            break;
        for (uint32_t i = 0; i < page->n; i++)
            compare_entity(m, &list[i]);
        offset += page->n;
        tell(m, "entities compared", (uint64_t)offset);
        arena_reset(&m->page);
    }
    if (!err)
        err = save_offset(m, path, 0, e);
    arena_reset(&m->page);
    return err;
}

static enum err entities(struct migration *m, const struct str *paths, size_t n, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < n; i++)
        err = copy_path(m, paths[i], e);
    for (size_t i = 0; !err && i < n; i++)
        err = compare_path(m, paths[i], e);
    return err;
}

/* --- all --- */

/* Is it there, and does it know options=skipForwarding (Orion 3.1)? */
static enum err probe(struct migration *m, struct error *e)
{
    struct client_answer answer;
    const struct json *page;
    enum err err = ask(m, S("/v2/entities?limit=1&options=skipForwarding"), STR_NONE, &answer, e);
    m->skips_forwarding = !err && answer.status == 200;
    if (!err && !m->skips_forwarding)
        err = orion_fetch(m, S("/v2/entities?limit=1"), STR_NONE, &page, e);
    arena_reset(&m->page);
    return err;
}

static enum err make_tenant(struct store_conn *c, void *ctx, struct error *e)
{
    struct migration *m = ctx;
    return repo_tenant_make(c, m->job->service, clock_now(m->job->link->clock), &m->tenant, e);
}

static enum err find_tenant(struct migration *m, struct error *e)
{
    if (!m->job->dry_run)
        return store_write(m->job->link->store, make_tenant, m, e);
    struct store_conn *c = store_read(m->job->link->store, e);
    if (!c)
        return e->code;
    enum err err = repo_tenant(c, m->job->service, &m->tenant, e);
    store_read_done(c);
    if (err == ERR_NOT_FOUND)
        m->tenant = 0;
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err orion_migrate(const struct orion_job *job, struct orion_report *report, struct error *e)
{
    static const struct str all = S_INIT("/#");
    struct migration m = {.job = job, .report = report};
    *report = (struct orion_report){.service = job->service, .dry_run = job->dry_run};
    enum err err = probe(&m, e);
    if (!err)
        err = find_tenant(&m, e);
    if (!err)
        err = entities(&m, job->n_paths ? job->paths : &all, job->n_paths ? job->n_paths : 1, e);
    if (!err)
        err = orion_documents(&m, false, e);
    if (!err)
        err = orion_documents(&m, true, e);
    arena_release(&m.page);
    return err;
}
