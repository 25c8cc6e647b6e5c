/*
 * import_api.c - importing through the running server: an upload starts a job on the pool; asking
 * for the job tells how far it is and, in the end, its report.
 *
 * A job belongs to the pool thread from its start until it is done; what others read of it
 * meanwhile (state, progress, the report's text) is guarded by the mutex. The upload and everything
 * made of it are given back when the job is done: only the report's text stays.
 */
#include "api.h"
#include "import_impl.h"

#include "core/datetime.h"
#include "core/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { IMPORT_ACTIVE_MAX = 64 };

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE, JOB_REFUSED, JOB_FAILED };
static const char *const state_names[] = {"waiting", "running", "done", "refused", "failed"};

struct job {
    struct imports *all;
    int64_t number;
    struct arena labels; /* tenant, name, kind: as long as the job is remembered */
    struct str tenant, name, kind;
    struct arena work; /* upload and report, while it runs */
    struct import_job import;
    enum job_state state;
    uint64_t rows_done, rows_total;
    int64_t submitted, finished;
    char error[sizeof(((struct error *)NULL)->text)];
    struct buf report; /* JSON, once it is there */
};

struct imports {
    struct link *link;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    struct job *jobs[IMPORT_JOBS_MAX]; /* by number modulo the size */
    int64_t next;
    size_t unfinished;
    bool stopping;
    struct {
        struct str tenant, dataset; /* of the import that is at it; absent: free */
    } active[IMPORT_ACTIVE_MAX];
};

/* --- one import of a data set at a time --- */

bool imports_enter(struct imports *all, struct str tenant, struct str dataset)
{
    ptrdiff_t place = -1;
    bool taken = false;
    if (!all)
        return true;
    pthread_mutex_lock(&all->mutex);
    for (int i = 0; i < IMPORT_ACTIVE_MAX; i++) {
        if (!all->active[i].dataset.p)
            place = i;
        else if (str_eq(all->active[i].tenant, tenant) && str_eq(all->active[i].dataset, dataset))
            taken = true;
    }
    taken = taken || place < 0;
    if (!taken) {
        all->active[place].tenant = tenant;
        all->active[place].dataset = dataset;
    }
    pthread_mutex_unlock(&all->mutex);
    return !taken;
}

void imports_leave(struct imports *all, struct str tenant, struct str dataset)
{
    if (!all)
        return;
    pthread_mutex_lock(&all->mutex);
    for (int i = 0; i < IMPORT_ACTIVE_MAX; i++)
        if (str_eq(all->active[i].tenant, tenant) && str_eq(all->active[i].dataset, dataset))
            all->active[i].tenant = all->active[i].dataset = STR_NONE;
    pthread_mutex_unlock(&all->mutex);
}

/* --- running --- */

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct job *j = ctx;
    pthread_mutex_lock(&j->all->mutex);
    j->rows_done = done;
    j->rows_total = total;
    pthread_mutex_unlock(&j->all->mutex);
}

static bool is_stopping(void *ctx)
{
    struct job *j = ctx;
    pthread_mutex_lock(&j->all->mutex);
    bool stopping = j->all->stopping;
    pthread_mutex_unlock(&j->all->mutex);
    return stopping;
}

static void set_state(struct job *j, enum job_state state)
{
    pthread_mutex_lock(&j->all->mutex);
    j->state = state;
    pthread_mutex_unlock(&j->all->mutex);
}

static enum job_state state_after(enum err err, const struct import_report *r)
{
    return !err ? JOB_DONE : r->refused.p ? JOB_REFUSED : JOB_FAILED;
}

static void finish(struct job *j, enum err err, const struct import_report *r, const char *why)
{
    struct imports *all = j->all;
    struct buf text = BUF_INIT;
    import_report_json(&text, r);
    log_event(LOG_INFO, "link.import", LOG_I("job", j->number),
              LOG_S("state", str_c(state_names[state_after(err, r)])),
              LOG_I("rows", (int64_t)r->rows), LOG_I("rejected", (int64_t)r->rejected));
    pthread_mutex_lock(&all->mutex);
    j->report = text;
    j->rows_done = r->rows;
    j->finished = clock_now(all->link->clock);
    j->state = state_after(err, r);
    if (err)
        memcpy(j->error, why, sizeof(j->error));
    arena_release(&j->work);
    all->unfinished--;
    pthread_cond_broadcast(&all->idle);
    pthread_mutex_unlock(&all->mutex);
}

static void run_job(void *ctx)
{
    struct job *j = ctx;
    struct import_report report = {0};
    struct error e = {0};
    enum err err = OK;
    if (is_stopping(j))
        err = error_set(&e, ERR_UNAVAILABLE, "the server is stopping");
    set_state(j, JOB_RUNNING);
    if (!err)
        err = import_run(&j->import, &report, &e);
    finish(j, err, &report, e.text);
}

/* --- the list --- */

static void free_job(struct job *j)
{
    if (!j)
        return;
    arena_release(&j->labels);
    arena_release(&j->work);
    buf_release(&j->report);
    free(j);
}

struct imports *imports_new(struct link *l)
{
    struct imports *all = calloc(1, sizeof(*all));
    if (!all)
        abort();
    all->link = l;
    all->next = 1;
    pthread_mutex_init(&all->mutex, NULL);
    pthread_cond_init(&all->idle, NULL);
    return all;
}

void imports_free(struct imports *all)
{
    if (!all)
        return;
    pthread_mutex_lock(&all->mutex);
    all->stopping = true;
    while (all->unfinished)
        pthread_cond_wait(&all->idle, &all->mutex);
    pthread_mutex_unlock(&all->mutex);
    for (size_t i = 0; i < IMPORT_JOBS_MAX; i++)
        free_job(all->jobs[i]);
    pthread_cond_destroy(&all->idle);
    pthread_mutex_destroy(&all->mutex);
    free(all);
}

/* Give the job a number and the place of the job that is forgotten for it. */
static enum err enlist(struct imports *all, struct job *j, struct error *e)
{
    enum err err = OK;
    pthread_mutex_lock(&all->mutex);
    struct job **place = &all->jobs[all->next % IMPORT_JOBS_MAX];
    if (all->stopping || (*place && (*place)->state <= JOB_RUNNING)) {
        err = error_set(e, ERR_UNAVAILABLE, "too many imports are waiting");
    } else {
        free_job(*place);
        *place = j;
        j->number = all->next++;
        all->unfinished++;
    }
    pthread_mutex_unlock(&all->mutex);
    return err;
}

static void delist(struct imports *all, struct job *j)
{
    pthread_mutex_lock(&all->mutex);
    all->jobs[j->number % IMPORT_JOBS_MAX] = NULL;
    all->unfinished--;
    pthread_mutex_unlock(&all->mutex);
    free_job(j);
}

/* --- the upload --- */

/* A form of another site would be sent with the reader's rights: only our own pages may upload. */
static bool from_elsewhere(const struct request *req)
{
    struct str origin = request_header(req, "Origin"), host = request_header(req, "Host");
    ptrdiff_t at = str_find(origin, S("://"));
    if (str_eq(request_header(req, "Sec-Fetch-Site"), S("cross-site")))
        return true;
    return origin.p && (at < 0 || !str_eq_nocase(str_from(origin, (size_t)at + 3), host));
}

struct upload {
    const struct multipart_part *parts;
    size_t n;
    struct str file, name;
};

/* A parameter of the form, else of the query. */
static struct str parameter(const struct api *c, const struct upload *u, const char *name)
{
    for (size_t i = 0; i < u->n; i++)
        if (str_eq(u->parts[i].name, str_c(name)) && !u->parts[i].filename.p)
            return u->parts[i].body.n ? u->parts[i].body : STR_NONE;
    return request_query(c->req, name);
}

static bool take_upload(struct api *c, struct upload *u)
{
    struct error e = {0};
    *u = (struct upload){.file = c->req->body, .name = request_query(c->req, "name")};
    if (str_eq(request_content_type(c->req), S("multipart/form-data"))) {
        u->file = STR_NONE;
        if (request_multipart(c->req, &u->parts, &u->n, &e)) {
            c->answer = api_fail(c, &e);
            return false;
        }
        for (size_t i = 0; i < u->n; i++) {
            if (!str_eq(u->parts[i].name, S("file")))
                continue;
            u->file = u->parts[i].body;
            u->name = u->parts[i].filename;
        }
    }
    if (u->file.n)
        return true;
    c->answer = api_fail_text(c, ERR_INVALID,
                              "there is no file: send it as the body, or as the "
                              "part \"file\" of multipart/form-data");
    return false;
}

static struct job *make_job(struct imports *all, const struct api *c, const struct upload *u)
{
    struct job *j = calloc(1, sizeof(*j));
    if (!j)
        abort();
    struct arena *a = &j->labels;
    struct str keep = parameter(c, u, "keepVanished");
    j->all = all;
    j->submitted = clock_now(all->link->clock);
    j->tenant = str_dup(a, c->tenant);
    j->name = u->name.p && str_is_utf8(u->name) ? str_dup(a, str_cut(u->name, 255)) : STR_NONE;
    j->kind = parameter(c, u, "as");
    if (j->kind.p)
        j->kind = str_is_utf8(j->kind) ? str_dup(a, str_cut(j->kind, 64)) : S("?");
    j->import = (struct import_job){.link = all->link,
                                    .arena = &j->work,
                                    .tenant = j->tenant,
                                    .actor = str_dup(a, c->req->user),
                                    .name = j->name,
                                    .kind = j->kind,
                                    .progress = note_progress,
                                    .cancelled = is_stopping,
                                    .ctx = j};
    j->import.bytes = str_dup(&j->work, u->file);
    j->import.type = str_dup(a, parameter(c, u, "type"));
    j->import.dataset = str_dup(a, parameter(c, u, "dataset"));
    struct str source = parameter(c, u, "source");
    if (source.n && str_is_utf8(source))
        j->import.source = str_dup(a, str_cut(source, 255));
    j->import.keep_vanished = str_eq(keep, S("true")) || str_eq(keep, S("on"));
    return j;
}

/* When the file was observed; false: the response is filled. */
static bool take_observed(struct api *c, const struct upload *u, struct job *j)
{
    struct str text = parameter(c, u, "observed");
    if (!text.n || datetime_parse(text, &j->import.observed))
        return true;
    c->answer = api_fail_text(c, ERR_INVALID, "observed is no date-time with its zone");
    return false;
}

static enum http_answer start_import(struct request *req, struct response *res, void *ctx)
{
    struct imports *all = ctx;
    struct api c;
    struct upload u;
    struct error e = {0};
    if (!api_open(&c, req, res, all->link, start_import, 0,
                  "as dataset source type name observed keepVanished"))
        return c.answer;
    if (from_elsewhere(req))
        return api_fail_text(&c, ERR_FORBIDDEN, "uploads of other sites are refused");
    if (!take_upload(&c, &u))
        return c.answer;
    struct job *j = make_job(all, &c, &u);
    if (!take_observed(&c, &u, j)) {
        free_job(j);
        return c.answer;
    }
    if (enlist(all, j, &e)) {
        free_job(j);
        return api_fail(&c, &e);
    }
    int64_t number = j->number; /* once it runs the job is its thread's */
    if (pool_submit_in(all->link->pool, str_hash(c.tenant), run_job, j)) {
        delist(all, j);
        return api_fail_text(&c, ERR_UNAVAILABLE, "too much work is waiting");
    }
    struct str where = str_printf(req->arena, "/link/v1/imports/%lld", (long long)number);
    response_header(req, res, "Location", where);
    response_body(req, res, 202, "application/json",
                  str_printf(req->arena, "{\"id\":%lld,\"href\":\"%" STR_F "\"}", (long long)number,
                             STR_A(where)));
    return HTTP_DONE;
}

/* --- asking --- */

static void job_json(struct json_writer *w, struct arena *a, const struct job *j, bool whole)
{
    json_w_object(w);
    json_w_ki64(w, S("id"), j->number);
    json_w_kstr(w, S("state"), str_c(state_names[j->state]));
    if (j->name.n)
        json_w_kstr(w, S("name"), j->name);
    if (j->kind.n)
        json_w_kstr(w, S("as"), j->kind);
    json_w_kstr(w, S("submittedAt"), datetime_text(a, j->submitted));
    if (j->finished)
        json_w_kstr(w, S("finishedAt"), datetime_text(a, j->finished));
    json_w_ki64(w, S("rowsDone"), (int64_t)j->rows_done);
    if (j->rows_total)
        json_w_ki64(w, S("rowsTotal"), (int64_t)j->rows_total);
    if (j->error[0])
        json_w_kstr(w, S("error"), str_c(j->error));
    if (whole && j->report.n) {
        json_w_key(w, S("report"));
        json_w_number(w, buf_view(&j->report)); /* JSON as it is */
    }
    json_w_end(w);
}

static enum http_answer show_import(struct request *req, struct response *res, void *ctx)
{
    struct imports *all = ctx;
    struct api c;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (!api_open(&c, req, res, all->link, show_import, 0, ""))
        return c.answer;
    int64_t number = request_param_int(req, "n");
    pthread_mutex_lock(&all->mutex);
    const struct job *j = all->jobs[number % IMPORT_JOBS_MAX];
    bool found = j && j->number == number && str_eq(j->tenant, c.tenant);
    if (found)
        job_json(&w, req->arena, j, true);
    pthread_mutex_unlock(&all->mutex);
    if (found)
        response_body(req, res, 200, "application/json", buf_dup(&b, req->arena));
    buf_release(&b);
    return found ? HTTP_DONE
                 : api_fail_text(&c, ERR_NOT_FOUND, "there is no import %lld (any more)",
                                 (long long)number);
}

static enum http_answer list_imports(struct request *req, struct response *res, void *ctx)
{
    struct imports *all = ctx;
    struct api c;
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    if (!api_open(&c, req, res, all->link, list_imports, 0, ""))
        return c.answer;
    json_w_array(&w);
    pthread_mutex_lock(&all->mutex);
    for (int64_t n = all->next - 1; n > 0 && n >= all->next - IMPORT_JOBS_MAX; n--) {
        const struct job *j = all->jobs[n % IMPORT_JOBS_MAX];
        if (j && j->number == n && str_eq(j->tenant, c.tenant))
            job_json(&w, req->arena, j, false);
    }
    pthread_mutex_unlock(&all->mutex);
    json_w_end(&w);
    response_body(req, res, 200, "application/json", buf_dup(&b, req->arena));
    buf_release(&b);
    return HTTP_DONE;
}

static enum http_answer list_kinds(struct request *req, struct response *res, void *ctx)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    (void)ctx;
    json_w_array(&w);
    for (const struct import_kind *k = import_kinds(); k->name; k++) {
        json_w_object(&w);
        json_w_kstr(&w, S("name"), str_c(k->name));
        json_w_kstr(&w, S("title"), str_c(k->title));
        if (k->type)
            json_w_kstr(&w, S("type"), str_c(k->type));
        json_w_end(&w);
    }
    json_w_end(&w);
    response_body(req, res, 200, "application/json", buf_dup(&b, req->arena));
    buf_release(&b);
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"POST", "/link/v1/import", start_import, ROUTE_BIG_BODY},
    {"GET", "/link/v1/imports", list_imports, 0},
    {"GET", "/link/v1/imports/{n:int}", show_import, 0},
    {"GET", "/link/v1/importKinds", list_kinds, 0},
};

void imports_routes(struct imports *i, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), i);
}
