/*
 * The decision. Each source of permission answers "how near was it?": the reason that a denied
 * reader is told is the nearest miss, so that a low sign-in is not reported as a missing consent.
 */
#include "trust/decision.h"
#include <string.h>

static const char *const names[REASONS] = {
    "permitted",      "unknown-category", "unknown-purpose", "unknown-recipient", "owner-denies",
    "subject-denies", "no-consent",       "withdrawn",       "not-in-time",       "acr-too-low",
    "not-declared",   "not-active",       "outside-area",    "role-missing",      "not-listed",
    "no-words",       "nothing-left"};

const char *decision_reason_name(enum decision_reason r)
{
    return names[r];
}

const char *decision_basis_name(enum decision_basis b)
{
    static const char *const bases[] = {"none", "consent", "statute", "emergency"};
    return bases[b];
}

/* --- lists and periods --- */

static bool among(const struct name_list *l, struct str name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->v[i], name))
            return true;
    return l->any;
}

static bool share(const struct name_list *x, const struct name_list *y)
{
    for (size_t i = 0; i < y->n; i++)
        if (among(x, y->v[i]))
            return true;
    return false;
}

static bool holds(struct period p, int64_t at)
{
    return at >= p.from && (!p.until || at < p.until);
}

static const struct category *find_category(const struct decision_facts *f, struct str code)
{
    for (size_t i = 0; i < f->n_categories; i++)
        if (str_eq(f->categories[i].code, code))
            return &f->categories[i];
    return NULL;
}

static const struct purpose *find_purpose(const struct decision_facts *f, struct str code)
{
    for (size_t i = 0; code.p && i < f->n_purposes; i++)
        if (str_eq(f->purposes[i].code, code))
            return &f->purposes[i];
    return NULL;
}

/* Is the purpose, or one that it is a part of, among the list? A cycle of parents ends the search.
 */
static bool purpose_among(const struct decision_facts *f, const struct name_list *l,
                          struct str code)
{
    const struct purpose *p = find_purpose(f, code);
    for (size_t steps = 0; p && steps <= f->n_purposes; steps++) {
        if (among(l, p->code))
            return true;
        p = find_purpose(f, p->parent);
    }
    return false;
}

/* --- the item at hand --- */

struct weighing {
    const struct decision_facts *f;
    const struct decision_ask *ask;
    const struct category *category;
    struct decision_item *item;
};

static bool permit(struct weighing *w, enum decision_basis basis, struct str record,
                   struct str article)
{
    w->item->permit = true;
    w->item->reason = REASON_PERMITTED;
    w->item->basis = basis;
    w->item->record = record;
    w->item->article = article;
    w->item->acr = ACR_NONE;
    return true;
}

/* A miss replaces one that was farther from a permission. */
static void miss(struct weighing *w, enum decision_reason reason, struct str record)
{
    static const unsigned char nearness[REASONS] = {
        [REASON_NO_CONSENT] = 1,   [REASON_NOT_DECLARED] = 2,    [REASON_WITHDRAWN] = 3,
        [REASON_NOT_IN_TIME] = 4,  [REASON_NOT_ACTIVE] = 4,      [REASON_NOT_LISTED] = 5,
        [REASON_OUTSIDE_AREA] = 6, [REASON_ROLE_MISSING] = 7,    [REASON_NO_WORDS] = 8,
        [REASON_ACR_TOO_LOW] = 9,  [REASON_SUBJECT_DENIES] = 10,
    };
    if (nearness[reason] <= nearness[w->item->reason])
        return;
    w->item->reason = reason;
    w->item->record = record;
}

/* The least sign-in that would do. */
static void miss_acr(struct weighing *w, enum acr needed, struct str record)
{
    bool first = w->item->reason != REASON_ACR_TOO_LOW;
    miss(w, REASON_ACR_TOO_LOW, record);
    if (w->item->reason == REASON_ACR_TOO_LOW && (first || needed < w->item->acr)) {
        w->item->acr = needed;
        w->item->record = record;
    }
}

/* --- consent --- */

static bool consent_speaks(const struct weighing *w, const struct consent *c)
{
    return among(&c->categories, w->category->code) && among(&c->recipients, w->ask->recipient) &&
           purpose_among(w->f, &c->purposes, w->ask->purpose);
}

/* A refusal that covers this. Like any record it speaks in its time only. */
static const struct consent *refusal(const struct weighing *w)
{
    for (size_t i = 0; i < w->f->n_consents; i++) {
        const struct consent *c = &w->f->consents[i];
        if (c->state == CONSENT_REFUSED && consent_speaks(w, c) && holds(c->valid, w->ask->at))
            return c;
    }
    return NULL;
}

static bool by_consent(struct weighing *w)
{
    const struct consent *no = refusal(w);
    if (no) {
        w->item->reason = REASON_SUBJECT_DENIES;
        w->item->record = no->id;
        return false;
    }
    miss(w, REASON_NO_CONSENT, STR_NONE);
    for (size_t i = 0; i < w->f->n_consents; i++) {
        const struct consent *c = &w->f->consents[i];
        if (c->state == CONSENT_REFUSED || c->state == CONSENT_SUPERSEDED || !consent_speaks(w, c))
            continue;
        if (c->state == CONSENT_WITHDRAWN)
            miss(w, REASON_WITHDRAWN, c->id);
        else if (!holds(c->valid, w->ask->at))
            miss(w, REASON_NOT_IN_TIME, c->id);
        else if (w->ask->acr < c->acr)
            miss_acr(w, c->acr, c->id);
        else
            return permit(w, BASIS_CONSENT, c->id, STR_NONE);
    }
    return false;
}

/* --- statute --- */

static bool by_statute(struct weighing *w)
{
    for (size_t i = 0; i < w->f->n_statutes; i++) {
        const struct statute *s = &w->f->statutes[i];
        if (!among(&s->categories, w->category->code) ||
            !among(&s->recipients, w->ask->recipient) ||
            !purpose_among(w->f, &s->purposes, w->ask->purpose))
            continue;
        if (!holds(s->valid, w->ask->at))
            miss(w, REASON_NOT_IN_TIME, s->id);
        else if (w->ask->acr < s->acr)
            miss_acr(w, s->acr, s->id);
        else
            return permit(w, BASIS_STATUTE, s->id, s->article);
    }
    return false;
}

/* --- emergency --- */

static const struct declaration *claimed(const struct weighing *w)
{
    for (size_t i = 0; i < w->f->n_declarations; i++) {
        const struct declaration *d = &w->f->declarations[i];
        if (str_eq(d->id, w->ask->declaration))
            return d->activated_by[0].n && d->activated_by[1].n &&
                           !str_eq(d->activated_by[0], d->activated_by[1])
                       ? d
                       : NULL;
    }
    return NULL;
}

static const struct declared_category *listed(const struct weighing *w, const struct declaration *d)
{
    for (size_t i = 0; i < d->n_categories; i++)
        if (str_eq(d->categories[i].category, w->category->code))
            return &d->categories[i];
    return NULL;
}

static bool by_emergency(struct weighing *w)
{
    if (!w->ask->declaration.n)
        return false;
    const struct declaration *d = claimed(w);
    const struct declared_category *c = d ? listed(w, d) : NULL;
    if (!d)
        miss(w, REASON_NOT_DECLARED, w->ask->declaration);
    else if (!d->active.until || !holds(d->active, w->ask->at)) /* one without an end is none */
        miss(w, REASON_NOT_ACTIVE, d->id);
    else if (!c || !c->article.n)
        miss(w, REASON_NOT_LISTED, d->id);
    else if (!w->ask->district.n || !among(&d->areas, w->ask->district))
        miss(w, REASON_OUTSIDE_AREA, d->id);
    else if (!share(&d->roles, &w->ask->roles))
        miss(w, REASON_ROLE_MISSING, d->id);
    else if (!str_trim(w->ask->reason).n)
        miss(w, REASON_NO_WORDS, d->id);
    else if (w->ask->acr < d->acr || w->ask->acr < ACR_AAL2) /* never by a password alone */
        miss_acr(w, d->acr > ACR_AAL2 ? d->acr : ACR_AAL2, d->id);
    else
        return permit(w, BASIS_EMERGENCY, d->id, c->article);
    return false;
}

/* --- the owner --- */

static bool rule_speaks(const struct weighing *w, const struct owner_rule *r)
{
    return str_eq(r->owner, w->category->owner) && among(&r->categories, w->category->code) &&
           among(&r->recipients, w->ask->recipient);
}

static field_mask all_fields(const struct category *c)
{
    return c->n_fields >= CATEGORY_FIELDS_MAX ? ~(field_mask)0 : ((field_mask)1 << c->n_fields) - 1;
}

static void deny(struct weighing *w, enum decision_reason reason, struct str record)
{
    *w->item = (struct decision_item){.category = w->item->category,
                                      .reason = reason,
                                      .record = record,
                                      .duties = DUTY_LOG};
}

/* Whatever was permitted before. */
static void narrow(struct weighing *w)
{
    field_mask fields = all_fields(w->category);
    for (size_t i = 0; i < w->f->n_rules; i++) {
        const struct owner_rule *r = &w->f->rules[i];
        if (!rule_speaks(w, r))
            continue;
        if (r->deny) {
            deny(w, REASON_OWNER_DENIES, r->id);
            return;
        }
        fields &= r->fields;
    }
    if (w->item->permit && !fields)
        deny(w, REASON_NOTHING_LEFT, STR_NONE);
    else if (w->item->permit)
        w->item->fields = fields;
}

/* --- all of it --- */

static unsigned duties_of(const struct decision_item *item)
{
    switch (item->basis) {
    case BASIS_EMERGENCY:
        return DUTY_LOG | DUTY_NOTIFY_AFTER | DUTY_REVIEW;
    case BASIS_STATUTE:
        return DUTY_LOG | DUTY_NOTIFY_NOW;
    default:
        return DUTY_LOG;
    }
}

static void weigh(struct weighing *w)
{
    const struct decision_ask *ask = w->ask;
    w->category = find_category(w->f, w->item->category);
    if (!w->category)
        deny(w, REASON_UNKNOWN_CATEGORY, STR_NONE);
    else if (!find_purpose(w->f, ask->purpose))
        deny(w, REASON_UNKNOWN_PURPOSE, STR_NONE);
    else if (!among(&w->f->recipients, ask->recipient))
        deny(w, REASON_UNKNOWN_RECIPIENT, STR_NONE);
    else {
        if (!by_consent(w) && !by_statute(w))
            by_emergency(w);
        narrow(w);
    }
    w->item->duties = duties_of(w->item);
}

struct decision_item *decide(struct arena *a, const struct decision_facts *facts,
                             const struct decision_ask *ask)
{
    struct decision_item *items = ARENA_ARRAY(a, struct decision_item, ask->n_categories);
    for (size_t i = 0; i < ask->n_categories; i++) {
        struct weighing w = {.f = facts, .ask = ask, .item = &items[i]};
        items[i].category = ask->categories[i];
        weigh(&w);
    }
    return items;
}
