/* Consents: asked for, answered, over. Steps only follow one another. See consent.h. */
#include "consent_impl.h"
#include "core/datetime.h"
#include "core/vec.h"

#define TERMS    "consent.terms"
#define EVIDENCE "consent.evidence"
enum { EXPIRE_ROWS = 200, ID_BYTES = 16 };

static const char *const step_names[CONSENT_STEPS] = {"requested", "given",   "refused",
                                                      "withdrawn", "expired", "superseded"};

const char *consent_step_name(enum consent_step s)
{
    return step_names[s];
}

static bool may_follow(enum consent_step from, enum consent_step to)
{
    static const bool may[CONSENT_STEPS][CONSENT_STEPS] = {
        [CONSENT_STEP_REQUESTED] = {[CONSENT_STEP_GIVEN] = true,
                                    [CONSENT_STEP_REFUSED] = true,
                                    [CONSENT_STEP_EXPIRED] = true},
        [CONSENT_STEP_GIVEN] = {[CONSENT_STEP_WITHDRAWN] = true,
                                [CONSENT_STEP_EXPIRED] = true,
                                [CONSENT_STEP_SUPERSEDED] = true},
        [CONSENT_STEP_REFUSED] =
            {[CONSENT_STEP_WITHDRAWN] = true, [CONSENT_STEP_SUPERSEDED] = true},
    };
    return may[from][to];
}

/* --- what is kept --- */

enum err recipient_blind(struct trust *t, int64_t account, struct str recipient, struct hash *out,
                         struct error *e)
{
    struct arena a = ARENA_INIT;
    struct str value = str_concat(&a, str_n((const char *)&account, sizeof(account)), recipient);
    enum err err = vault_blind(t->vault, S("consent.recipient"), value, out, e);
    arena_release(&a);
    return err;
}

enum err terms_open(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                    struct str sealed, int64_t number, const struct json **out, struct error *e)
{
    struct vault_place at = {account, S(TERMS), number};
    struct str plain;
    enum err err = vault_unseal(t->vault, c, a, &at, sealed, &plain, e);
    if (err)
        return err;
    *out = json_parse(a, plain, &JSON_DEFAULT, NULL);
    return *out ? OK : error_set(e, ERR_CORRUPT, "the terms of a consent are damaged");
}

struct period terms_period(const struct json *terms)
{
    struct period p = {0, 1}; /* what cannot be read is over */
    int64_t from, until;
    if (json_i64(json_get(terms, S("from")), &from) &&
        json_i64(json_get(terms, S("until")), &until) && until > 0)
        p = (struct period){from, until};
    return p;
}

/* [{"code", "version"}]; sorted out: each once. */
static enum err versions(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                         const struct str *codes, size_t n, struct json *out, struct error *e)
{
    struct json *list = ARENA_ARRAY(a, struct json, n ? n : 1);
    struct catalogue_entry x;
    if (!n || n > CATALOGUE_LIST_MAX)
        return error_set(e, ERR_INVALID, "%s: one at least, %d at most", catalogue_kind_name(kind),
                         CATALOGUE_LIST_MAX);
    for (size_t i = 0; i < n; i++) {
        struct error why = {0};
        for (size_t j = 0; j < i; j++)
            if (str_eq(codes[i], codes[j]))
                return error_set(e, ERR_INVALID, "%s: one is there twice",
                                 catalogue_kind_name(kind));
        enum err err = catalogue_read(c, a, kind, codes[i], 0, &x, &why);
        if (err)
            return error_set(e, err == ERR_NOT_FOUND ? ERR_INVALID : err, "%s: %s",
                             catalogue_kind_name(kind), why.text);
        struct json_member *m = ARENA_ARRAY(a, struct json_member, 2);
        m[0] = json_m(S("code"), json_v_str(x.code));
        m[1] = json_m(S("version"), json_v_i64(a, x.version));
        list[i] = json_v_object(m, 2);
    }
    *out = json_v_array(list, n);
    return OK;
}

static enum err write_terms(struct store_conn *c, struct arena *a, const struct consent_terms *in,
                            struct json *out, struct error *e)
{
    struct json purposes, categories, recipients;
    enum err err = versions(c, a, CATALOGUE_RECIPIENTS, &in->recipient, 1, &recipients, e);
    if (!err)
        err = versions(c, a, CATALOGUE_PURPOSES, in->purposes, in->n_purposes, &purposes, e);
    if (!err)
        err =
            versions(c, a, CATALOGUE_CATEGORIES, in->categories, in->n_categories, &categories, e);
    if (err)
        return err;
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 6);
    m[0] = json_m(S("recipient"), recipients.items[0]);
    m[1] = json_m(S("purposes"), purposes);
    m[2] = json_m(S("categories"), categories);
    m[3] = json_m(S("from"), json_v_i64(a, in->valid.from));
    m[4] = json_m(S("until"), json_v_i64(a, in->valid.until));
    m[5] = json_m(S("acr"), json_v_i64(a, in->acr));
    *out = json_v_object(m, 6);
    return OK;
}

/* --- one step --- */

struct row {
    int64_t n; /* of table consent */
    int64_t steps;
    struct consent_record record;
};

static struct json evidence_json(struct arena *a, const struct consent_evidence *how)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 4);
    m[0] = json_m(S("notice"), json_v_str(how->notice));
    m[1] = json_m(S("lang"), json_v_str(how->lang));
    m[2] = json_m(S("acr"), json_v_str(str_c(acr_name(how->acr))));
    m[3] = json_m(S("method"), json_v_str(how->method));
    return json_v_object(m, 4);
}

/* how NULL: nobody was asked. */
static enum err step(struct trust *t, struct store_conn *c, struct arena *a, const struct row *r,
                     enum consent_step to, const struct consent_evidence *how, struct error *e)
{
    struct vault_place at = {r->record.account, S(EVIDENCE), place_number()};
    struct json evidence = how ? evidence_json(a, how) : json_v_null();
    struct json_member m[] = {json_m(S("event"), json_v_str(str_c(step_names[to]))),
                              json_m(S("consent"), json_v_str(r->record.id)),
                              json_m(S("terms"), *r->record.terms), json_m(S("how"), evidence)};
    struct json v = json_v_object(m, 4);
    struct str sealed = STR_NONE;
    int64_t leaf;
    enum err err =
        account_log(t, c, r->record.account, S("consent"), json_to_text(a, &v), &leaf, e);
    if (!err && how)
        err = vault_seal(t->vault, c, a, &at, json_to_text(a, &evidence), &sealed, e);
    return err ? err
               : store_exec(c,
                            "INSERT INTO consent_step(consent, n, state, at, evidence, number,"
                            " leaf) VALUES ($1, $2, $3, $4, $5, $6, $7)",
                            SV(SV_INT(r->n), SV_INT(r->steps + 1), SV_INT(to),
                               SV_INT(clock_now(t->clock)), SV_BLOB(sealed), SV_INT(at.number),
                               SV_INT(leaf)),
                            NULL, e);
}

/* When time does the next step: never, 0. */
static enum err set_due(struct store_conn *c, int64_t n, int64_t due, struct error *e)
{
    enum err err =
        store_exec(c, "DELETE FROM consent_due WHERE consent = $1", SV(SV_INT(n)), NULL, e);
    return err || !due ? err
                       : store_exec(c, "INSERT INTO consent_due(consent, due) VALUES ($1, $2)",
                                    SV(SV_INT(n), SV_INT(due)), NULL, e);
}

/* --- reading --- */

#define ROWS                                                                                       \
    "SELECT c.n, c.id, c.account, c.made, c.terms, c.number, s.state, s.n FROM consent c"          \
    " JOIN consent_step s ON s.consent = c.n AND s.n ="                                            \
    " (SELECT MAX(l.n) FROM consent_step l WHERE l.consent = c.n)"

/* *gone: the person was erased. */
static enum err read_row(struct trust *t, struct store_conn *c, struct arena *a,
                         const struct store_rows *rows, struct row *out, bool *gone,
                         struct error *e)
{
    struct str sealed = str_dup(a, store_blob(rows, 4));
    struct error why = {0};
    *out = (struct row){.n = store_int(rows, 0),
                        .steps = store_int(rows, 7),
                        .record = {.id = str_dup(a, store_text(rows, 1)),
                                   .account = store_int(rows, 2),
                                   .made = store_int(rows, 3),
                                   .state = (enum consent_step)store_int(rows, 6)}};
    enum err err = terms_open(t, c, a, out->record.account, sealed, store_int(rows, 5),
                              &out->record.terms, &why);
    *gone = err == ERR_NOT_FOUND;
    return err && !*gone ? error_set(e, err, "%s", why.text) : OK;
}

static enum err find(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                     struct str id, struct row *out, struct error *e)
{
    struct store_rows rows;
    bool gone = true;
    enum err err = OK;
    if (!catalogue_code_ok(id))
        return error_set(e, ERR_NOT_FOUND, "there is no such consent");
    store_query(c, &rows, ROWS " WHERE c.id = $1 AND c.account = $2",
                SV(SV_TEXT(id), SV_INT(account)));
    if (store_next(&rows))
        err = read_row(t, c, a, &rows, out, &gone, e);
    enum err end = store_end(&rows, err ? NULL : e);
    if (err || end)
        return err ? err : end;
    return gone ? error_set(e, ERR_NOT_FOUND, "there is no such consent") : OK;
}

static enum err read_events(struct trust *t, struct store_conn *c, struct arena *a, struct row *r,
                            struct error *e)
{
    VEC(struct consent_event) list = VEC_INIT;
    struct store_rows rows;
    enum err err = OK;
    store_query(c, &rows,
                "SELECT state, at, evidence, number, leaf FROM consent_step WHERE consent = $1"
                " ORDER BY n",
                SV(SV_INT(r->n)));
    while (!err && store_next(&rows)) {
        struct vault_place at = {r->record.account, S(EVIDENCE), store_int(&rows, 3)};
        struct consent_event *one = vec_push(a, &list);
        struct str plain;
        *one = (struct consent_event){.step = (enum consent_step)store_int(&rows, 0),
                                      .at = store_int(&rows, 1),
                                      .leaf = store_int(&rows, 4)};
        if (store_is_null(&rows, 2))
            continue;
        err = vault_unseal(t->vault, c, a, &at, str_dup(a, store_blob(&rows, 2)), &plain, e);
        const struct json *v = err ? NULL : json_parse(a, plain, &JSON_DEFAULT, NULL);
        one->evidence = (struct consent_evidence){.notice = json_text(json_get(v, S("notice"))),
                                                  .lang = json_text(json_get(v, S("lang"))),
                                                  .method = json_text(json_get(v, S("method")))};
        (void)acr_find(json_text(json_get(v, S("acr"))), &one->evidence.acr);
    }
    enum err end = store_end(&rows, err ? NULL : e);
    r->record.events = list.v;
    r->record.n_events = list.n;
    return err ? err : end;
}

enum err consent_read(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      struct str id, struct consent_record *out, struct error *e)
{
    struct row r;
    enum err err = find(t, c, a, account, id, &r, e);
    if (!err)
        err = read_events(t, c, a, &r, e);
    if (!err)
        *out = r.record;
    return err;
}

enum err consent_list(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                      const struct consent_record **out, size_t *n, struct error *e)
{
    VEC(struct consent_record) list = VEC_INIT;
    struct store_rows rows;
    enum err err = OK;
    store_query(c, &rows, ROWS " WHERE c.account = $1 ORDER BY c.n DESC", SV(SV_INT(account)));
    while (!err && store_next(&rows)) {
        struct row r;
        bool gone;
        err = read_row(t, c, a, &rows, &r, &gone, e);
        if (!err && !gone)
            *vec_push(a, &list) = r.record;
    }
    enum err end = store_end(&rows, err ? NULL : e);
    *out = list.v;
    *n = list.n;
    return err ? err : end;
}

/* --- asking --- */

static enum err check_time(const struct consent_terms *x, int64_t now, struct error *e)
{
    if (x->valid.until <= now || x->valid.until <= x->valid.from ||
        x->valid.until > now + CONSENT_DAYS_MAX * DAY_US)
        return error_set(e, ERR_INVALID, "until: in the future, within %d days", CONSENT_DAYS_MAX);
    return OK;
}

/* One recipient must not fill somebody's inbox. */
static enum err check_open(struct trust *t, struct store_conn *c, int64_t account,
                           struct str recipient, struct error *e)
{
    int64_t n = 0;
    struct hash blind;
    enum err err = recipient_blind(t, account, recipient, &blind, e);
    if (!err)
        err = store_get_int(c, &n,
                            "SELECT COUNT(*) FROM consent c JOIN consent_due d ON d.consent = c.n"
                            " WHERE c.account = $1 AND c.recipient = $2 AND NOT EXISTS (SELECT 1"
                            " FROM consent_step s WHERE s.consent = c.n AND s.n > 1)",
                            SV(SV_INT(account), SV_BLOB(hash_text(&blind))), e);
    if (!err && n >= CONSENT_OPEN_MAX)
        return error_set(e, ERR_TOO_MANY, "too many requests wait for this person's answer");
    return err;
}

static enum err insert(struct trust *t, struct store_conn *c, struct arena *a, struct row *r,
                       struct str recipient, struct error *e)
{
    struct vault_place at = {r->record.account, S(TERMS), place_number()};
    struct hash blind;
    struct str sealed;
    enum err err = recipient_blind(t, r->record.account, recipient, &blind, e);
    if (!err)
        err = vault_seal(t->vault, c, a, &at, json_to_text(a, r->record.terms), &sealed, e);
    return err ? err
               : store_get_int(c, &r->n,
                               "INSERT INTO consent(id, account, recipient, terms, number, made)"
                               " VALUES ($1, $2, $3, $4, $5, $6) RETURNING n",
                               SV(SV_TEXT(r->record.id), SV_INT(r->record.account),
                                  SV_BLOB(hash_text(&blind)), SV_BLOB(sealed), SV_INT(at.number),
                                  SV_INT(r->record.made)),
                               e);
}

enum err consent_request(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                         const struct consent_terms *terms, struct str *id, struct error *e)
{
    int64_t now = clock_now(t->clock), due = now + CONSENT_ANSWER_DAYS * DAY_US;
    struct json doc;
    struct row r = {.record = {.id = random_token(a, ID_BYTES),
                               .account = account,
                               .made = now,
                               .terms = &doc}};
    enum err err = check_time(terms, now, e);
    if (!err)
        err = check_open(t, c, account, terms->recipient, e);
    if (!err)
        err = write_terms(c, a, terms, &doc, e);
    if (!err)
        err = insert(t, c, a, &r, terms->recipient, e);
    if (!err)
        err = step(t, c, a, &r, CONSENT_STEP_REQUESTED, NULL, e);
    if (!err)
        err = set_due(c, r.n, due < terms->valid.until ? due : terms->valid.until, e);
    if (!err)
        err = notice_add(t, c, account, S("consent"), S("{\"event\":\"requested\"}"), e);
    *id = r.record.id;
    return err;
}

/* --- answering --- */

static bool covers(const struct json *wide, const struct json *narrow)
{
    for (size_t i = 0; i < narrow->n; i++) {
        bool found = false;
        for (size_t j = 0; !found && j < wide->n; j++)
            found = str_eq(json_text(json_get(&wide->items[j], S("code"))),
                           json_text(json_get(&narrow->items[i], S("code"))));
        if (!found)
            return false;
    }
    return true;
}

/* Those for the same recipient that say nothing which the new one does not say. */
static enum err supersede(struct trust *t, struct store_conn *c, struct arena *a,
                          const struct row *given, struct error *e)
{
    VEC(struct row) old = VEC_INIT;
    struct store_rows rows;
    struct hash blind;
    struct str recipient =
        json_text(json_get(json_get(given->record.terms, S("recipient")), S("code")));
    enum err err = recipient_blind(t, given->record.account, recipient, &blind, e);
    if (err)
        return err;
    store_query(c, &rows, ROWS " WHERE c.account = $1 AND c.recipient = $2 AND c.n <> $3",
                SV(SV_INT(given->record.account), SV_BLOB(hash_text(&blind)), SV_INT(given->n)));
    while (!err && store_next(&rows)) {
        struct row r;
        bool gone;
        err = read_row(t, c, a, &rows, &r, &gone, e);
        if (!err && !gone && may_follow(r.record.state, CONSENT_STEP_SUPERSEDED))
            *vec_push(a, &old) = r;
    }
    enum err end = store_end(&rows, err ? NULL : e);
    err = err ? err : end;
    for (size_t i = 0; !err && i < old.n; i++) {
        const struct json *was = old.v[i].record.terms, *is = given->record.terms;
        if (!covers(json_get(is, S("purposes")), json_get(was, S("purposes"))) ||
            !covers(json_get(is, S("categories")), json_get(was, S("categories"))))
            continue;
        err = step(t, c, a, &old.v[i], CONSENT_STEP_SUPERSEDED, NULL, e);
        if (!err)
            err = set_due(c, old.v[i].n, 0, e);
    }
    return err;
}

/* What somebody agrees to now must be what would count: texts of now, not renewed since. */
static enum err still_offered(struct store_conn *c, struct arena *a, const struct json *terms,
                              struct error *e)
{
    const struct json *list = json_get(terms, S("purposes"));
    for (size_t i = 0; i < list->n; i++) {
        struct catalogue_entry x = {0};
        int64_t from = INT64_MAX, version = 0;
        enum err err = catalogue_read(c, a, CATALOGUE_PURPOSES,
                                      json_text(json_get(&list->items[i], S("code"))), 0, &x, e);
        if (err && err != ERR_NOT_FOUND)
            return err;
        json_i64(json_get(x.doc, S(CONSENTS_FROM)), &from);
        json_i64(json_get(&list->items[i], S("version")), &version);
        if (err || version < from)
            return error_set(e, ERR_CONFLICT, "the text of a purpose is another one now");
    }
    return OK;
}

static enum err check_answer(struct trust *t, struct store_conn *c, struct arena *a,
                             const struct row *r, enum consent_step to,
                             const struct consent_evidence *how, struct error *e)
{
    struct str text, hash;
    if (to == CONSENT_STEP_REQUESTED || to >= CONSENT_STEP_EXPIRED ||
        !may_follow(r->record.state, to))
        return error_set(e, ERR_CONFLICT, "a consent that is %s does not become %s",
                         step_names[r->record.state], step_names[to]);
    enum err err = consent_notice(c, a, &r->record, how->lang, &text, &hash, e);
    if (!err && !str_eq(hash, how->notice))
        return error_set(e, ERR_CONFLICT, "what was shown is not what this consent says");
    if (err || to != CONSENT_STEP_GIVEN)
        return err;
    if (terms_period(r->record.terms).until <= clock_now(t->clock) ||
        r->record.made + CONSENT_ANSWER_DAYS * DAY_US <= clock_now(t->clock))
        return error_set(e, ERR_CONFLICT, "the time for an answer is over");
    return still_offered(c, a, r->record.terms, e);
}

enum err consent_answer(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                        struct str id, enum consent_step to, const struct consent_evidence *how,
                        struct error *e)
{
    struct row r;
    enum err err = find(t, c, a, account, id, &r, e);
    if (!err)
        err = check_answer(t, c, a, &r, to, how, e);
    if (!err)
        err = step(t, c, a, &r, to, how, e);
    if (!err)
        err = set_due(c, r.n, to == CONSENT_STEP_GIVEN ? terms_period(r.record.terms).until : 0, e);
    if (!err && to == CONSENT_STEP_GIVEN)
        err = supersede(t, c, a, &r, e);
    return err;
}

/* --- time --- */

enum err consent_expire(struct trust *t, struct store_conn *c, bool *more, struct error *e)
{
    struct arena a = ARENA_INIT;
    VEC(struct row) due = VEC_INIT;
    VEC(int64_t) gone_rows = VEC_INIT;
    struct store_rows rows;
    enum err err = OK;
    store_query(c, &rows,
                ROWS " JOIN consent_due d ON d.consent = c.n WHERE d.due <= $1"
                     " ORDER BY d.due LIMIT $2",
                SV(SV_INT(clock_now(t->clock)), SV_INT(EXPIRE_ROWS)));
    while (!err && store_next(&rows)) {
        struct row r;
        bool gone;
        err = read_row(t, c, &a, &rows, &r, &gone, e);
        if (!err && gone)
            *vec_push(&a, &gone_rows) = r.n;
        else if (!err)
            *vec_push(&a, &due) = r;
    }
    enum err end = store_end(&rows, err ? NULL : e);
    err = err ? err : end;
    for (size_t i = 0; !err && i < due.n; i++) {
        err = step(t, c, &a, &due.v[i], CONSENT_STEP_EXPIRED, NULL, e);
        if (!err)
            err = set_due(c, due.v[i].n, 0, e);
    }
    for (size_t i = 0; !err && i < gone_rows.n; i++)
        err = set_due(c, gone_rows.v[i], 0, e);
    *more = due.n + gone_rows.n == EXPIRE_ROWS;
    arena_release(&a);
    return err;
}
