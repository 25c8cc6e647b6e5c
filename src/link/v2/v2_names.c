/* Names, ids and service paths of NGSIv2, to the stored form and back. */
#include "v2.h"

/* --- names --- */

static bool is_full_iri(struct str s)
{
    return (str_starts(s, S("http://")) || str_starts(s, S("https://")) ||
            str_starts(s, S("urn:"))) &&
           ld_is_uri(s);
}

/* Names that would read as members of an NGSI-LD entity or instance. */
static bool is_reserved(struct str name)
{
    static const struct str words[] = {S_INIT("instanceId"),
                                       S_INIT("lang"),
                                       S_INIT("entity"),
                                       S_INIT("entityList"),
                                       S_INIT("previousValue"),
                                       S_INIT("previousJson"),
                                       S_INIT("previousObject"),
                                       S_INIT("previousVocab"),
                                       S_INIT("previousLanguageMap"),
                                       S_INIT("previousValueList"),
                                       S_INIT("previousObjectList")};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (str_eq(name, words[i]))
            return true;
    return name.p[0] == '@' || entity_is_member(name) || slot_of(name, NULL) != SLOT_SUB;
}

struct str v2_iri(struct arena *a, struct str name)
{
    if (is_full_iri(name))
        return name;
    if (name.n && !is_reserved(name)) {
        struct str iri = ld_expand(ld_core(), a, name);
        if (str_eq(ld_compact(ld_core(), a, iri), name))
            return iri;
    }
    return str_concat(a, S(LD_DEFAULT_PREFIX), name);
}

struct str v2_name(struct arena *a, struct str iri)
{
    struct str name = str_starts(iri, S(LD_DEFAULT_PREFIX))
                          ? str_from(iri, sizeof(LD_DEFAULT_PREFIX) - 1)
                          : ld_compact(ld_core(), a, iri);
    return name.n && str_eq(v2_iri(a, name), iri) ? name : iri;
}

struct str v2_entity_type(struct arena *a, const struct json *stored)
{
    return v2_name(a, json_text(json_at(entity_types(stored), 0)));
}

/* --- ids --- */

struct str v2_alias(struct arena *a, struct str id)
{
    if (ld_is_uri(id) && !str_starts(id, S(V2_ALIAS)))
        return id;
    return str_concat(a, S(V2_ALIAS), url_encode(a, id));
}

struct str v2_alias_prefix(struct arena *a, struct str id)
{
    return str_printf(a, V2_ALIAS "%" STR_F ":", STR_A(url_encode(a, id)));
}

struct str v2_alias_more(struct arena *a, struct str id, struct str type, struct str path)
{
    return str_printf(a, "%" STR_F "%" STR_F ":%" STR_F, STR_A(v2_alias_prefix(a, id)),
                      STR_A(url_encode(a, type)), STR_A(url_encode(a, path.n ? path : S("/"))));
}

struct str v2_id(struct arena *a, struct str stored_id)
{
    if (!str_starts(stored_id, S(V2_ALIAS)))
        return stored_id;
    struct str rest = str_from(stored_id, sizeof(V2_ALIAS) - 1), first = STR_NONE;
    str_split(&rest, ':', &first);
    struct str id = url_decode(a, first, false);
    return id.n && str_is_utf8(id) ? id : stored_id;
}

/* --- field syntax --- */

static bool is_injection(char c)
{
    return c && strchr("<>\"'=;()", c);
}

static enum err check_length(struct str s, const char *what, struct error *e)
{
    if (s.n == 0)
        return error_set(e, ERR_INVALID, "%s length: 0, min length supported: 1", what);
    if (s.n > 256)
        return error_set(e, ERR_INVALID, "%s length: %zu, max length supported: 256", what, s.n);
    return OK;
}

enum err v2_check_id(struct str s, const char *what, struct error *e)
{
    if (check_length(s, what, e))
        return ERR_INVALID;
    bool iri = is_full_iri(s);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || is_injection(s.p[i]) || (!iri && strchr("&?/#", c)))
            return error_set(e, ERR_INVALID, "Invalid characters in %s", what);
    }
    return OK;
}

enum err v2_check_lookup(struct str s, const char *what, struct error *e)
{
    if (s.n == 0)
        return check_length(s, what, e);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == 0x7f || is_injection(s.p[i]))
            return error_set(e, ERR_INVALID, "Invalid characters in %s", what);
    }
    return str_is_utf8(s) ? OK : error_set(e, ERR_INVALID, "Invalid characters in %s", what);
}

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (is_injection(s.p[i]))
            return false;
    return true;
}

/* Trees are at most as deep as json_parse() allows, so recursion is bounded. */
static bool is_clean_value(const struct json *v)
{
    if (v->type == JSON_STRING)
        return is_clean(json_text(v));
    if (v->type == JSON_ARRAY)
        for (uint32_t i = 0; i < v->n; i++)
            if (!is_clean_value(&v->items[i]))
                return false;
    if (v->type == JSON_OBJECT)
        for (uint32_t i = 0; i < v->n; i++)
            if (!is_clean(json_key(&v->members[i])) || !is_clean_value(&v->members[i].value))
                return false;
    return true;
}

enum err v2_check_value(const struct json *v, const char *what, struct error *e)
{
    return is_clean_value(v) ? OK : error_set(e, ERR_INVALID, "Invalid characters in %s", what);
}

/* --- service paths --- */

static bool is_level(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '_')
            return false;
    }
    return true;
}

static enum err read_path(struct str text, bool to_write, struct v2_path *out, struct error *e)
{
    *out = (struct v2_path){.path = S("")};
    if (!str_starts(text, S("/")))
        return error_set(e, ERR_INVALID,
                         "Only absolute Service Paths allowed: a service path must begin with /");
    if (str_ends(text, S("/#"))) {
        if (to_write)
            return error_set(e, ERR_INVALID, "a Service Path to write to cannot end in #");
        out->below = true;
        text = str_sub(text, 0, text.n - 2);
    }
    if (str_ends(text, S("/")))
        text = str_sub(text, 0, text.n - 1);
    struct str rest = str_from(text, 1), level;
    size_t levels = 0;
    bool last = text.n == 0;
    while (!last) {
        ptrdiff_t slash = str_find_char(rest, '/');
        last = slash < 0;
        level = last ? rest : str_sub(rest, 0, (size_t)slash);
        rest = str_from(rest, level.n + 1);
        if (++levels > V2_PATH_LEVELS)
            return error_set(e, ERR_INVALID, "too many components in ServicePath");
        if (!level.n)
            return error_set(e, ERR_INVALID, "empty component in ServicePath");
        if (level.n > V2_PATH_LEVEL_CHARS)
            return error_set(e, ERR_INVALID, "component-name too long in ServicePath");
        if (!is_level(level))
            return error_set(e, ERR_INVALID,
                             "a component of ServicePath contains an illegal character");
    }
    out->path = text;
    return OK;
}

enum err v2_paths_read(struct str header, bool to_write, struct v2_paths *out, struct error *e)
{
    *out = (struct v2_paths){.n = 0};
    struct str rest = header, field;
    while (rest.n && str_split(&rest, ',', &field)) {
        if (out->n == (to_write ? 1 : V2_PATHS_MAX))
            return to_write ? error_set(e, ERR_INVALID, "one Service Path only to write to")
                            : error_set(e, ERR_INVALID,
                                        "too many service paths - a maximum of ten service paths "
                                        "is allowed");
        enum err err = read_path(str_trim(field), to_write, &out->v[out->n++], e);
        if (err)
            return err;
    }
    if (!out->n)
        out->v[out->n++] = (struct v2_path){.path = S(""), .below = !to_write};
    return OK;
}

static bool path_holds(const struct v2_path *p, struct str scope)
{
    if (!p->path.n)
        return p->below || !scope.n;
    if (!str_starts(scope, p->path))
        return false;
    return scope.n == p->path.n || (p->below && str_starts(str_from(scope, p->path.n), S("/")));
}

bool v2_paths_hold(const struct v2_paths *p, const struct json *stored)
{
    const struct json *scopes = json_get(stored, S("scope"));
    size_t n = json_is(scopes, JSON_ARRAY) ? scopes->n : 0;
    for (size_t i = 0; i < p->n; i++) {
        if (!n && path_holds(&p->v[i], STR_NONE))
            return true;
        for (size_t k = 0; k < n; k++)
            if (path_holds(&p->v[i], json_text(&scopes->items[k])))
                return true;
    }
    return false;
}
