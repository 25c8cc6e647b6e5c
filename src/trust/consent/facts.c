/* What decide() weighs, read from the store; and the decision with what it is bound to. */
#include "consent_impl.h"
#include "core/datetime.h"
#include "core/vec.h"

/* --- the catalogue --- */

struct list {
    const struct catalogue_entry *v;
    size_t n;
};

static const struct catalogue_entry *find(const struct list *l, struct str code)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i].code, code))
            return &l->v[i];
    return NULL;
}

static struct str text_in(const struct catalogue_entry *x, const char *name)
{
    return json_text(json_get(x->doc, str_c(name)));
}

/* "*" or a list, as catalogue_check() let it in. */
static struct name_list names_in(struct arena *a, const struct catalogue_entry *x,
                                 const char *member)
{
    const struct json *v = json_get(x->doc, str_c(member));
    if (!json_is(v, JSON_ARRAY))
        return (struct name_list){.any = json_is(v, JSON_STRING)};
    struct str *names = ARENA_ARRAY(a, struct str, v->n ? v->n : 1);
    for (size_t i = 0; i < v->n; i++)
        names[i] = json_text(&v->items[i]);
    return (struct name_list){names, v->n, false};
}

static int64_t instant_in(const struct catalogue_entry *x, const char *name)
{
    int64_t at = 0;
    return datetime_parse(text_in(x, name), &at) ? at : 0;
}

/* One whose data set or owner was removed is not there. */
static void add_categories(struct arena *a, const struct list lists[static CATALOGUE_KINDS],
                           struct consent_facts *out)
{
    const struct list *l = &lists[CATALOGUE_CATEGORIES];
    struct category *v = ARENA_ARRAY(a, struct category, l->n ? l->n : 1);
    const struct json **fields = ARENA_ARRAY(a, const struct json *, l->n ? l->n : 1);
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        const struct catalogue_entry *set =
            find(&lists[CATALOGUE_DATA_SETS], text_in(&l->v[i], "data_set"));
        struct str owner = set ? text_in(set, "owner") : STR_NONE;
        if (!set || !find(&lists[CATALOGUE_OWNERS], owner))
            continue;
        fields[n] = json_get(l->v[i].doc, S("fields"));
        v[n] = (struct category){.code = l->v[i].code,
                                 .owner = owner,
                                 .sensitive = json_true(json_get(l->v[i].doc, S("sensitive"))),
                                 .n_fields = fields[n]->n};
        n++;
    }
    out->facts.categories = v;
    out->facts.n_categories = n;
    out->fields = fields;
}

static void add_purposes(struct arena *a, const struct list *l, struct consent_facts *out,
                         const int64_t **from)
{
    struct purpose *v = ARENA_ARRAY(a, struct purpose, l->n ? l->n : 1);
    int64_t *since = ARENA_ARRAY(a, int64_t, l->n ? l->n : 1);
    for (size_t i = 0; i < l->n; i++) {
        v[i] = (struct purpose){l->v[i].code, text_in(&l->v[i], "parent")};
        if (!json_i64(json_get(l->v[i].doc, S(CONSENTS_FROM)), &since[i]))
            since[i] = INT64_MAX;
    }
    out->facts.purposes = v;
    out->facts.n_purposes = l->n;
    *from = since;
}

/* The fields of the rule's category that it lets show, as bits. */
static field_mask mask_of(const struct consent_facts *f, const struct name_list *categories,
                          const struct json *fields)
{
    field_mask mask = 0;
    for (size_t i = 0; i < f->facts.n_categories; i++) {
        if (categories->n != 1 || !str_eq(f->facts.categories[i].code, categories->v[0]))
            continue;
        for (size_t k = 0; k < f->fields[i]->n; k++)
            if (json_lists(fields, json_text(&f->fields[i]->items[k])))
                mask |= (field_mask)1 << k;
    }
    return mask;
}

static void add_rules(struct arena *a, const struct list *l, struct consent_facts *out)
{
    struct owner_rule *v = ARENA_ARRAY(a, struct owner_rule, l->n ? l->n : 1);
    for (size_t i = 0; i < l->n; i++) {
        v[i] = (struct owner_rule){.id = l->v[i].code,
                                   .owner = text_in(&l->v[i], "owner"),
                                   .recipients = names_in(a, &l->v[i], "recipients"),
                                   .categories = names_in(a, &l->v[i], "categories"),
                                   .deny = json_true(json_get(l->v[i].doc, S("deny")))};
        v[i].fields = mask_of(out, &v[i].categories, json_get(l->v[i].doc, S("fields")));
    }
    out->facts.rules = v;
    out->facts.n_rules = l->n;
}

static void add_statutes(struct arena *a, const struct list *l, struct consent_facts *out)
{
    struct statute *v = ARENA_ARRAY(a, struct statute, l->n ? l->n : 1);
    for (size_t i = 0; i < l->n; i++) {
        const struct catalogue_entry *x = &l->v[i];
        v[i] = (struct statute){.id = x->code,
                                .article = text_in(x, "article"),
                                .recipients = names_in(a, x, "recipients"),
                                .purposes = names_in(a, x, "purposes"),
                                .categories = names_in(a, x, "categories"),
                                .valid = {instant_in(x, "from"), instant_in(x, "until")}};
        (void)acr_find(text_in(x, "acr"), &v[i].acr);
    }
    out->facts.statutes = v;
    out->facts.n_statutes = l->n;
}

/* *purposes_from: for each purpose the oldest version that counts. */
static enum err add_catalogue(struct store_conn *c, struct arena *a, struct consent_facts *out,
                              const int64_t **purposes_from, struct error *e)
{
    struct list lists[CATALOGUE_KINDS];
    enum err err = OK;
    *out = (struct consent_facts){0};
    for (unsigned k = 0; !err && k < CATALOGUE_KINDS; k++)
        err = catalogue_list(c, a, (enum catalogue_kind)k, STR_NONE, &lists[k].v, &lists[k].n, e);
    if (err)
        return err;
    const struct list *known = &lists[CATALOGUE_RECIPIENTS];
    struct str *recipients = ARENA_ARRAY(a, struct str, known->n ? known->n : 1);
    for (size_t i = 0; i < known->n; i++)
        recipients[i] = known->v[i].code;
    out->facts.recipients = (struct name_list){recipients, known->n, false};
    add_categories(a, lists, out);
    add_purposes(a, &lists[CATALOGUE_PURPOSES], out, purposes_from);
    add_rules(a, &lists[CATALOGUE_RULES], out);
    add_statutes(a, &lists[CATALOGUE_STATUTES], out);
    return OK;
}

/* --- the person --- */

/* Codes of [{"code", "version"}]. from NULL: all, else those that are not too old. */
static struct name_list codes_of(struct arena *a, const struct json *list,
                                 const struct decision_facts *f, const int64_t *from)
{
    struct str *names = ARENA_ARRAY(a, struct str, list->n ? list->n : 1);
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++) {
        struct str code = json_text(json_get(&list->items[i], S("code")));
        int64_t version = 0;
        bool counts = true;
        json_i64(json_get(&list->items[i], S("version")), &version);
        for (size_t k = 0; from && k < f->n_purposes; k++)
            if (str_eq(f->purposes[k].code, code))
                counts = version >= from[k];
        if (counts)
            names[n++] = code;
    }
    return (struct name_list){names, n, false};
}

/* false: it says nothing (it was only asked for). A refusal counts whatever the text became. */
static bool consent_of(struct arena *a, const struct consent_facts *f, const int64_t *from,
                       enum consent_step state, const struct json *terms, struct consent *out)
{
    static const enum consent_state states[CONSENT_STEPS] = {
        [CONSENT_STEP_GIVEN] = CONSENT_GIVEN,
        [CONSENT_STEP_REFUSED] = CONSENT_REFUSED,
        [CONSENT_STEP_WITHDRAWN] = CONSENT_WITHDRAWN,
        [CONSENT_STEP_EXPIRED] = CONSENT_GIVEN,
        [CONSENT_STEP_SUPERSEDED] = CONSENT_SUPERSEDED};
    struct str *recipient = ARENA_NEW(a, struct str);
    int64_t acr = ACR_AAL3;
    if (state == CONSENT_STEP_REQUESTED)
        return false;
    *recipient = json_text(json_get(json_get(terms, S("recipient")), S("code")));
    json_i64(json_get(terms, S("acr")), &acr);
    *out = (struct consent){.state = states[state],
                            .recipients = {recipient, 1, false},
                            .purposes = codes_of(a, json_get(terms, S("purposes")), &f->facts,
                                                 state == CONSENT_STEP_REFUSED ? NULL : from),
                            .categories =
                                codes_of(a, json_get(terms, S("categories")), &f->facts, NULL),
                            .valid = terms_period(terms),
                            .acr = (enum acr)acr};
    if (state == CONSENT_STEP_EXPIRED) /* whether given before or not: over */
        out->valid = (struct period){0, 1};
    if (state == CONSENT_STEP_REFUSED) /* from the answer on */
        out->valid.from = 0;
    return true;
}

static enum err add_consents(struct trust *t, struct store_conn *c, struct arena *a,
                             int64_t account, struct str recipient, const int64_t *from,
                             struct consent_facts *out, struct error *e)
{
    VEC(struct consent) list = VEC_INIT;
    struct store_rows rows;
    struct hash blind;
    enum err err = recipient_blind(t, account, recipient, &blind, e);
    if (err)
        return err;
    store_query(c, &rows,
                "SELECT c.id, c.terms, c.number, (SELECT s.state FROM consent_step s WHERE"
                " s.consent = c.n ORDER BY s.n DESC LIMIT 1) FROM consent c"
                " WHERE c.account = $1 AND c.recipient = $2 ORDER BY c.n DESC",
                SV(SV_INT(account), SV_BLOB(hash_text(&blind))));
    while (!err && store_next(&rows)) {
        struct str id = str_dup(a, store_text(&rows, 0)), sealed = str_dup(a, store_blob(&rows, 1));
        const struct json *terms;
        struct consent one;
        err = terms_open(t, c, a, account, sealed, store_int(&rows, 2), &terms, e);
        if (err || !consent_of(a, out, from, (enum consent_step)store_int(&rows, 3), terms, &one))
            continue;
        one.id = id;
        *vec_push(a, &list) = one;
    }
    enum err end = store_end(&rows, err ? NULL : e);
    out->facts.consents = list.v;
    out->facts.n_consents = list.n;
    return err ? err : end;
}

enum err consent_facts(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                       struct str recipient, struct consent_facts *out, struct error *e)
{
    const int64_t *from = NULL;
    enum err err = add_catalogue(c, a, out, &from, e);
    return err ? err : add_consents(t, c, a, account, recipient, from, out, e);
}

/* --- the decision --- */

static struct json item_json(struct arena *a, const struct decision_item *x)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 6);
    m[0] = json_m(S("category"), json_v_str(x->category));
    m[1] = json_m(S("permit"), json_v_bool(x->permit));
    m[2] = json_m(S("basis"), json_v_str(str_c(decision_basis_name(x->basis))));
    m[3] = json_m(S("reason"), json_v_str(str_c(decision_reason_name(x->reason))));
    m[4] = json_m(S("record"), json_v_str(x->record.p ? x->record : S("")));
    m[5] = json_m(S("article"), json_v_str(x->article.p ? x->article : S("")));
    return json_v_object(m, 6);
}

static enum err log_decision(struct trust *t, struct store_conn *c, struct arena *a,
                             int64_t account, const struct decision_ask *ask,
                             struct consent_decision *d, struct error *e)
{
    struct json *items = ARENA_ARRAY(a, struct json, ask->n_categories ? ask->n_categories : 1);
    for (size_t i = 0; i < ask->n_categories; i++)
        items[i] = item_json(a, &d->items[i]);
    struct json_member m[] = {json_m(S("event"), json_v_str(S("asked"))),
                              json_m(S("recipient"), json_v_str(ask->recipient)),
                              json_m(S("purpose"), json_v_str(ask->purpose)),
                              json_m(S("acr"), json_v_str(str_c(acr_name(ask->acr)))),
                              json_m(S("items"), json_v_array(items, ask->n_categories))};
    struct json v = json_v_object(m, 5);
    return account_log(t, c, account, S("decision"), json_to_text(a, &v), &d->leaf, e);
}

enum err consent_decide(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                        struct decision_ask *ask, struct consent_decision *out, struct error *e)
{
    bool notify = false;
    *out = (struct consent_decision){.at = clock_now(t->clock)};
    ask->at = out->at;
    enum err err = consent_facts(t, c, a, account, ask->recipient, &out->facts, e);
    if (err)
        return err;
    out->items = decide(a, &out->facts.facts, ask);
    for (size_t i = 0; i < ask->n_categories; i++)
        notify = notify || (out->items[i].permit && (out->items[i].duties & DUTY_NOTIFY_NOW));
    err = log_decision(t, c, a, account, ask, out, e);
    if (!err && notify)
        err = notice_add(t, c, account, S("consent"), S("{\"event\":\"statute\"}"), e);
    return err;
}
