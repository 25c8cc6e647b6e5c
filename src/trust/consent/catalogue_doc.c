/* What an entry of the catalogue may say, and what its next version may not change. */
#include "consent_impl.h"
#include "core/datetime.h"

enum { TEXT_BYTES_MAX = 4000, NAME_BYTES_MAX = 100, LANG_BYTES_MAX = 20 };

enum form { TEXTS, TEXT, BOOLEAN, FIELDS, REFERENCE, REFERENCES, INSTANT, ACR };

static const struct member {
    enum catalogue_kind kind;
    const char *name;
    enum form form;
    enum catalogue_kind to; /* of references */
    bool needed;
} members[] = {
    {CATALOGUE_OWNERS, "title", TEXTS, 0, true},
    {CATALOGUE_DATA_SETS, "title", TEXTS, 0, true},
    {CATALOGUE_DATA_SETS, "owner", REFERENCE, CATALOGUE_OWNERS, true},
    {CATALOGUE_CATEGORIES, "title", TEXTS, 0, true},
    {CATALOGUE_CATEGORIES, "data_set", REFERENCE, CATALOGUE_DATA_SETS, true},
    {CATALOGUE_CATEGORIES, "fields", FIELDS, 0, true},
    {CATALOGUE_CATEGORIES, "sensitive", BOOLEAN, 0, false}, /* 要配慮個人情報 */
    {CATALOGUE_CATEGORIES, "iri", TEXT, 0, false},
    {CATALOGUE_PURPOSES, "title", TEXTS, 0, true},
    {CATALOGUE_PURPOSES, "text", TEXTS, 0, true},
    {CATALOGUE_PURPOSES, "parent", REFERENCE, CATALOGUE_PURPOSES, false},
    {CATALOGUE_PURPOSES, "iri", TEXT, 0, false}, /* of the Data Privacy Vocabulary */
    {CATALOGUE_PURPOSES, "renew", BOOLEAN, 0, false},
    {CATALOGUE_RECIPIENTS, "title", TEXTS, 0, true},
    {CATALOGUE_RULES, "owner", REFERENCE, CATALOGUE_OWNERS, true},
    {CATALOGUE_RULES, "recipients", REFERENCES, CATALOGUE_RECIPIENTS, true},
    {CATALOGUE_RULES, "categories", REFERENCES, CATALOGUE_CATEGORIES, true},
    {CATALOGUE_RULES, "deny", BOOLEAN, 0, false},
    {CATALOGUE_RULES, "fields", FIELDS, 0, false},
    {CATALOGUE_STATUTES, "title", TEXTS, 0, true},
    {CATALOGUE_STATUTES, "article", TEXT, 0, true},
    {CATALOGUE_STATUTES, "recipients", REFERENCES, CATALOGUE_RECIPIENTS, true},
    {CATALOGUE_STATUTES, "purposes", REFERENCES, CATALOGUE_PURPOSES, true},
    {CATALOGUE_STATUTES, "categories", REFERENCES, CATALOGUE_CATEGORIES, true},
    {CATALOGUE_STATUTES, "from", INSTANT, 0, false},
    {CATALOGUE_STATUTES, "until", INSTANT, 0, false},
    {CATALOGUE_STATUTES, "acr", ACR, 0, false},
};
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

bool catalogue_code_ok(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool letter = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
        if (!letter && !(ch >= '0' && ch <= '9') && ch != '-' && ch != '_' && ch != '.')
            return false;
    }
    return s.n > 0 && s.n <= CATALOGUE_CODE_MAX;
}

static bool is_text(const struct json *v, size_t max)
{
    return json_is(v, JSON_STRING) && v->n > 0 && v->n <= max && str_trim(json_text(v)).n > 0;
}

/* Japanese must be there: it is what counts where another language is missing. */
static bool are_texts(const struct json *v)
{
    if (!json_is(v, JSON_OBJECT) || !json_get(v, S("ja")))
        return false;
    for (size_t i = 0; i < v->n; i++) {
        struct str lang = json_key(&v->members[i]);
        if (lang.n > LANG_BYTES_MAX || !catalogue_code_ok(lang) ||
            !is_text(&v->members[i].value, TEXT_BYTES_MAX))
            return false;
    }
    return true;
}

static bool are_fields(const struct json *v)
{
    if (!json_is(v, JSON_ARRAY) || !v->n || v->n > CATEGORY_FIELDS_MAX)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        if (!is_text(&v->items[i], NAME_BYTES_MAX))
            return false;
        for (size_t j = 0; j < i; j++)
            if (str_eq(json_text(&v->items[i]), json_text(&v->items[j])))
                return false;
    }
    return true;
}

static bool is_reference(const struct json *v)
{
    return json_is(v, JSON_STRING) && catalogue_code_ok(json_text(v));
}

static bool are_references(const struct json *v)
{
    if (json_is(v, JSON_STRING))
        return str_eq(json_text(v), S("*"));
    if (!json_is(v, JSON_ARRAY) || !v->n || v->n > CATALOGUE_LIST_MAX)
        return false;
    for (size_t i = 0; i < v->n; i++)
        if (!is_reference(&v->items[i]))
            return false;
    return true;
}

static bool fits(const struct member *m, const struct json *v)
{
    int64_t at;
    enum acr acr;
    switch (m->form) {
    case TEXTS:
        return are_texts(v);
    case TEXT:
        return is_text(v, TEXT_BYTES_MAX);
    case BOOLEAN:
        return json_is_bool(v);
    case FIELDS:
        return are_fields(v);
    case REFERENCE:
        return is_reference(v);
    case REFERENCES:
        return are_references(v);
    case INSTANT:
        return json_is(v, JSON_STRING) && datetime_parse(json_text(v), &at);
    default:
        return json_is(v, JSON_STRING) && acr_find(json_text(v), &acr);
    }
}

static const struct member *member_of(enum catalogue_kind kind, struct str name)
{
    for (size_t i = 0; i < MEMBERS; i++)
        if (members[i].kind == kind && str_eq(name, str_c(members[i].name)))
            return &members[i];
    return NULL;
}

static enum err wrong(struct error *e, const char *name)
{
    return error_set(e, ERR_INVALID, "the member \"%s\" is missing or not what it may be", name);
}

static enum err check_form(enum catalogue_kind kind, const struct json *doc, struct error *e)
{
    if (!json_is(doc, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "an entry of the catalogue is a JSON object");
    for (size_t i = 0; i < doc->n; i++) {
        struct str name = json_key(&doc->members[i]);
        if (!member_of(kind, name))
            return error_set(e, ERR_INVALID, "there is no member \"%" STR_F "\" here",
                             STR_A(str_cut(name, 40)));
    }
    for (size_t i = 0; i < MEMBERS; i++) {
        const struct json *v = json_get(doc, str_c(members[i].name));
        if (members[i].kind == kind && (v ? !fits(&members[i], v) : members[i].needed))
            return wrong(e, members[i].name);
    }
    return OK;
}

static enum err is_there(struct store_conn *c, struct arena *a, const struct member *m,
                         struct str code, struct error *e)
{
    struct catalogue_entry x;
    struct error why = {0};
    enum err err = catalogue_read(c, a, m->to, code, 0, &x, &why);
    if (err == ERR_NOT_FOUND)
        return error_set(e, ERR_INVALID, "%s: there is no \"%" STR_F "\"", m->name, STR_A(code));
    return err ? error_set(e, err, "%s", why.text) : OK;
}

static enum err check_references(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                                 const struct json *doc, struct error *e)
{
    enum err err = OK;
    for (size_t i = 0; !err && i < MEMBERS; i++) {
        const struct member *m = &members[i];
        const struct json *v = m->kind == kind ? json_get(doc, str_c(m->name)) : NULL;
        if (v && m->form == REFERENCE)
            err = is_there(c, a, m, json_text(v), e);
        for (size_t j = 0; v && m->form == REFERENCES && json_is(v, JSON_ARRAY) && !err && j < v->n;
             j++)
            err = is_there(c, a, m, json_text(&v->items[j]), e);
    }
    return err;
}

/* A mask of fields means something for one category only. */
static enum err check_rule(const struct json *doc, struct error *e)
{
    const struct json *categories = json_get(doc, S("categories"));
    bool deny = json_true(json_get(doc, S("deny"))), fields = json_get(doc, S("fields")) != NULL;
    if (deny == fields)
        return error_set(e, ERR_INVALID, "a rule has either \"deny\": true or \"fields\"");
    if (fields && !(json_is(categories, JSON_ARRAY) && categories->n == 1))
        return error_set(e, ERR_INVALID, "a rule with fields is about one category");
    return OK;
}

bool json_lists(const struct json *list, struct str text)
{
    for (size_t i = 0; json_is(list, JSON_ARRAY) && i < list->n; i++)
        if (str_eq(json_text(&list->items[i]), text))
            return true;
    return false;
}

static bool same(const struct json *x, const struct json *y, struct str name)
{
    return str_eq(json_text(json_get(x, name)), json_text(json_get(y, name)));
}

static enum err check_change(enum catalogue_kind kind, const struct json *old,
                             const struct json *doc, struct error *e)
{
    const struct json *was = json_get(old, S("fields")), *is = json_get(doc, S("fields"));
    if (kind == CATALOGUE_DATA_SETS && !same(old, doc, S("owner")))
        return error_set(e, ERR_CONFLICT, "a data set keeps its owner");
    if (kind == CATALOGUE_PURPOSES && !same(old, doc, S("parent")))
        return error_set(e, ERR_CONFLICT, "a purpose keeps its parent");
    if (kind != CATALOGUE_CATEGORIES)
        return OK;
    if (!same(old, doc, S("data_set")))
        return error_set(e, ERR_CONFLICT, "a category keeps its data set");
    if (json_true(json_get(old, S("sensitive"))) != json_true(json_get(doc, S("sensitive"))))
        return error_set(e, ERR_CONFLICT, "a category stays as sensitive as it is");
    for (size_t i = 0; i < is->n; i++)
        if (!json_lists(was, json_text(&is->items[i])))
            return error_set(e, ERR_CONFLICT, "a category gets no further fields: make another");
    return OK;
}

enum err catalogue_check(struct store_conn *c, struct arena *a, enum catalogue_kind kind,
                         struct str code, const struct json *old, const struct json *doc,
                         struct error *e)
{
    if (!catalogue_code_ok(code))
        return error_set(e, ERR_INVALID, "a code is of letters, digits, '-', '_' and '.'");
    enum err err = check_form(kind, doc, e);
    if (!err && kind == CATALOGUE_RULES)
        err = check_rule(doc, e);
    if (!err && old)
        err = check_change(kind, old, doc, e);
    return err ? err : check_references(c, a, kind, doc, e);
}
