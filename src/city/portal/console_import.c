/*
 * Imports that staff start: a file comes in with a form, a thread of the pool loads it, the page
 * shows how far it is and in the end what became of each row. The last CONSOLE_JOBS runs are kept.
 */
#include "console.h"
#include "look.h"
#include <stdlib.h>
#include <string.h>

enum { PROBLEMS_SHOWN = 200 };

/* --- running --- */

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct import_run *r = ctx;
    atomic_store(&r->rows_done, done);
    atomic_store(&r->rows_total, total);
}

static void run_import(void *ctx)
{
    struct import_run *r = ctx;
    struct console *c = r->console;
    struct error e = {0};
    enum err err = import_run(&r->job, &r->report, &e);
    free(r->bytes);
    r->bytes = NULL;
    pthread_mutex_lock(&c->lock);
    r->error = e;
    r->state = err ? JOB_REFUSED : JOB_DONE;
    r->finished = clock_now(c->portal->city.clock);
    c->running--;
    pthread_cond_broadcast(&c->idle);
    pthread_mutex_unlock(&c->lock);
}

static void free_run(struct import_run *r)
{
    free(r->bytes);
    arena_release(&r->arena);
    free(r);
}

void console_free_jobs(struct console *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->running)
        pthread_cond_wait(&c->idle, &c->lock);
    pthread_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->n_jobs; i++)
        free_run(c->jobs[i]);
    c->n_jobs = 0;
}

/* Room for one more: the oldest finished run goes. Under the lock; false: all of them run. */
static bool make_room(struct console *c)
{
    if (c->n_jobs < CONSOLE_JOBS)
        return true;
    for (size_t i = c->n_jobs; i-- > 0;) {
        if (c->jobs[i]->state == JOB_RUNNING)
            continue;
        free_run(c->jobs[i]);
        memmove(&c->jobs[i], &c->jobs[i + 1], (c->n_jobs - i - 1) * sizeof(c->jobs[0]));
        c->n_jobs--;
        return true;
    }
    return false;
}

struct upload {
    struct str csrf, bytes, name, kind, dataset, source;
    bool keep;
};

static enum err start_import(struct console *c, const struct upload *u, int64_t *id,
                             struct error *e)
{
    struct portal *p = c->portal;
    struct import_run *r = calloc(1, sizeof(*r));
    if (!r || !(r->bytes = malloc(u->bytes.n + 1))) {
        free(r);
        return error_set(e, ERR_UNAVAILABLE, "out of memory");
    }
    memcpy(r->bytes, u->bytes.p, u->bytes.n);
    r->console = c;
    r->started = clock_now(p->city.clock);
    r->job =
        (struct import_job){.link = p->city.link,
                            .arena = &r->arena,
                            .actor = S("console"),
                            .bytes = str_n(r->bytes, u->bytes.n),
                            .name = str_dup(&r->arena, u->name),
                            .kind = u->kind.n ? str_dup(&r->arena, u->kind) : STR_NONE,
                            .dataset = u->dataset.n ? str_dup(&r->arena, u->dataset) : STR_NONE,
                            .source = u->source.n ? str_dup(&r->arena, u->source) : STR_NONE,
                            .keep_vanished = u->keep,
                            .progress = note_progress,
                            .ctx = r};
    pthread_mutex_lock(&c->lock);
    enum err err = make_room(c) ? pool_submit(p->city.pool, run_import, r)
                                : error_set(e, ERR_UNAVAILABLE, "too many imports are running");
    if (!err) {
        r->id = *id = ++c->last_id;
        memmove(&c->jobs[1], &c->jobs[0], c->n_jobs * sizeof(c->jobs[0]));
        c->jobs[0] = r;
        c->n_jobs++;
        c->running++;
    }
    pthread_mutex_unlock(&c->lock);
    if (err) {
        error_set(e, err, "the import could not be started; try again soon");
        free_run(r);
    }
    return err;
}

/* --- the form --- */

static enum err read_upload(const struct request *req, struct upload *u, struct error *e)
{
    const struct multipart_part *parts;
    size_t n;
    enum err err = request_multipart(req, &parts, &n, e);
    *u = (struct upload){0};
    if (err)
        return err;
    struct {
        const char *name;
        struct str *to;
    } texts[] = {{"csrf", &u->csrf},
                 {"kind", &u->kind},
                 {"dataset", &u->dataset},
                 {"source", &u->source}};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < COUNT(texts); k++)
            if (str_eq(parts[i].name, str_c(texts[k].name)))
                *texts[k].to = str_trim(str_cut(parts[i].body, 200));
        if (str_eq(parts[i].name, S("keep")))
            u->keep = true;
        if (str_eq(parts[i].name, S("file"))) {
            u->bytes = parts[i].body;
            u->name = str_cut(parts[i].filename, 200);
        }
    }
    return OK;
}

static bool japanese(const struct page *p)
{
    return str_starts(p->locale->html, S("ja"));
}

static void write_kinds(struct page *p)
{
    json_w_key(&p->w, S("kinds"));
    json_w_array(&p->w);
    for (const struct import_kind *k = import_kinds(); k->name; k++) {
        struct str label = japanese(p) || !k->type
                               ? str_c(k->title)
                               : look_type_label(p->arena, p->locale, str_c(k->type));
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("name"), str_c(k->name));
        json_w_kstr(&p->w, S("label"),
                    str_printf(p->arena, "%" STR_F " (%s)", STR_A(label), k->name));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

enum http_answer console_get_import(struct request *req, struct response *res, void *ctx)
{
    struct page p;
    if (!console_begin(&p, ctx, req, res, "import"))
        return HTTP_DONE;
    write_kinds(&p);
    console_write_jobs(&p);
    return page_send(&p, "console-import", S("import.title"));
}

enum http_answer console_post_import(struct request *req, struct response *res, void *ctx)
{
    struct portal *portal = ctx;
    struct error e = {0};
    struct upload u;
    struct page p;
    int64_t id = 0;
    if (!console_begin(&p, portal, req, res, "import"))
        return HTTP_DONE;
    if (read_upload(req, &u, &e))
        return page_fail(&p, &e);
    if (!console_form_ok(&p, u.csrf))
        return HTTP_DONE;
    if (!u.bytes.n) {
        p.status = 422;
        json_w_kbool(&p.w, S("empty"), true);
        write_kinds(&p);
        console_write_jobs(&p);
        return page_send(&p, "console-import", S("import.title"));
    }
    if (start_import(portal->console, &u, &id, &e))
        return page_fail(&p, &e);
    buf_release(&p.data);
    response_redirect(req, res, 303, page_href(&p, "console/import/%lld", (long long)id));
    return HTTP_DONE;
}

/* --- runs as JSON; under the lock --- */

static const char *state_name(enum job_state s)
{
    static const char *const names[] = {
        [JOB_RUNNING] = "running", [JOB_DONE] = "done", [JOB_REFUSED] = "refused"};
    return names[s];
}

static void write_count(struct page *p, struct str key, uint64_t n)
{
    json_w_kstr(&p->w, key,
                locale_number(p->locale, p->arena,
                              str_printf(p->arena, "%llu", (unsigned long long)n)));
}

static void write_run(struct page *p, struct import_run *r)
{
    const char *state = state_name(r->state);
    json_w_ki64(&p->w, S("id"), r->id);
    json_w_kstr(&p->w, S("href"), page_href(p, "console/import/%lld", (long long)r->id));
    json_w_kstr(&p->w, S("file"), str_is_utf8(r->job.name) && r->job.name.n ? r->job.name : S("-"));
    json_w_kstr(&p->w, S("state"), str_c(state));
    json_w_kstr(&p->w, S("stateLabel"),
                page_text(p, str_c(arena_printf(p->arena, "import.state.%s", state))));
    json_w_kbool(&p->w, S("running"), r->state == JOB_RUNNING);
    json_w_kbool(&p->w, S("refused"), r->state == JOB_REFUSED);
    json_w_kstr(&p->w, S("started"), locale_datetime(p->locale, p->arena, r->started));
    uint64_t done = atomic_load(&r->rows_done), total = atomic_load(&r->rows_total);
    json_w_ki64(&p->w, S("done"), (int64_t)done);
    json_w_ki64(&p->w, S("total"), (int64_t)total);
    if (r->state == JOB_RUNNING)
        return;
    write_count(p, S("rows"), r->report.rows);
    write_count(p, S("created"), r->report.created);
    write_count(p, S("updated"), r->report.updated);
    write_count(p, S("unchanged"), r->report.unchanged);
    write_count(p, S("deleted"), r->report.deleted);
    write_count(p, S("rejected"), r->report.rejected);
    write_count(p, S("warnings"), r->report.warnings);
    json_w_kbool(&p->w, S("bad"), r->report.rejected > 0);
}

static void write_problem(struct page *p, const struct import_problem *x)
{
    struct str key = str_printf(p->arena, "reason.%" STR_F, STR_A(x->reason));
    json_w_object(&p->w);
    if (x->row)
        json_w_ki64(&p->w, S("row"), (int64_t)x->row);
    json_w_kstr(&p->w, S("column"), x->column);
    json_w_kstr(&p->w, S("reason"), locale_has(p->locale, key) ? page_text(p, key) : x->reason);
    json_w_kstr(&p->w, S("text"), x->text);
    json_w_kstr(&p->w, S("read"), x->read);
    json_w_kbool(&p->w, S("warning"), x->warning);
    json_w_end(&p->w);
}

static void write_report(struct page *p, const struct import_run *r)
{
    const struct import_report *x = &r->report;
    json_w_kstr(&p->w, S("kind"), x->kind);
    json_w_kstr(&p->w, S("dataset"), x->dataset);
    json_w_kstr(&p->w, S("encoding"), x->encoding);
    if (r->state == JOB_REFUSED)
        json_w_kstr(&p->w, S("error"), str_c(r->error.text));
    json_w_key(&p->w, S("problems"));
    json_w_array(&p->w);
    for (size_t i = 0; i < x->problems.n && i < PROBLEMS_SHOWN; i++)
        write_problem(p, &x->problems.v[i]);
    json_w_end(&p->w);
    json_w_kbool(&p->w, S("more"), x->problems.n > PROBLEMS_SHOWN);
    json_w_key(&p->w, S("drift"));
    json_w_array(&p->w);
    for (size_t i = 0; i < x->drift.n && i < PROBLEMS_SHOWN; i++)
        write_problem(p, &x->drift.v[i]);
    json_w_end(&p->w);
}

void console_write_jobs(struct page *p)
{
    struct console *c = portal_of(p)->console;
    pthread_mutex_lock(&c->lock);
    json_w_key(&p->w, S("jobs"));
    json_w_array(&p->w);
    for (size_t i = 0; i < c->n_jobs; i++) {
        json_w_object(&p->w);
        write_run(p, c->jobs[i]);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
    pthread_mutex_unlock(&c->lock);
}

static struct import_run *find_run(struct console *c, int64_t id)
{
    for (size_t i = 0; i < c->n_jobs; i++)
        if (c->jobs[i]->id == id)
            return c->jobs[i];
    return NULL;
}

enum http_answer console_get_job(struct request *req, struct response *res, void *ctx)
{
    struct portal *portal = ctx;
    struct console *c = portal->console;
    struct page p;
    if (!console_begin(&p, portal, req, res, "import"))
        return HTTP_DONE;
    pthread_mutex_lock(&c->lock);
    struct import_run *r = find_run(c, request_param_int(req, "id"));
    if (r) {
        json_w_key(&p.w, S("run"));
        json_w_object(&p.w);
        write_run(&p, r);
        if (r->state != JOB_RUNNING)
            write_report(&p, r);
        json_w_end(&p.w);
    }
    pthread_mutex_unlock(&c->lock);
    return r ? page_send(&p, "console-run", S("import.run.title")) : page_not_found(&p);
}

enum http_answer console_get_progress(struct request *req, struct response *res, void *ctx)
{
    struct portal *portal = ctx;
    struct console *c = portal->console;
    struct page p;
    if (!console_begin(&p, portal, req, res, "import"))
        return HTTP_DONE;
    pthread_mutex_lock(&c->lock);
    struct import_run *r = find_run(c, request_param_int(req, "id"));
    struct str body = STR_NONE;
    if (r)
        body = str_printf(p.arena, "{\"state\":\"%s\",\"done\":%llu,\"total\":%llu}",
                          state_name(r->state), (unsigned long long)atomic_load(&r->rows_done),
                          (unsigned long long)atomic_load(&r->rows_total));
    pthread_mutex_unlock(&c->lock);
    if (!r)
        return page_not_found(&p);
    buf_release(&p.data);
    response_body(req, res, 200, "application/json", body);
    response_header(req, res, "Cache-Control", S("no-store"));
    return HTTP_DONE;
}
