/* Reading: parameters, media types, representations, answers. */
#include "api.h"
#include "link/access.h"
#include <stdio.h>

const struct access_view *api_sight(const struct api *c, int64_t tenant)
{
    return access_view(c->link->access, access_asks(c->req), tenant);
}

struct store_conn *api_reader(struct api *c, int64_t *tenant)
{
    struct error e = {0};
    struct store_conn *conn = store_read(c->link->store, &e);
    if (!conn) {
        api_fail(c, &e);
        return NULL;
    }
    enum err err = repo_tenant(conn, c->tenant, tenant, &e);
    if (!err)
        store_set_view(conn, api_sight(c, *tenant));
    if (!err)
        return conn;
    store_read_done(conn);
    if (err == ERR_NOT_FOUND)
        api_no_tenant(c);
    else
        api_fail(c, &e);
    return NULL;
}

/* --- parameters --- */

bool api_option(struct api *c, const char *param, const char *word)
{
    struct str list = request_query(c->req, param), field;
    while (list.p && str_split(&list, ',', &field))
        if (str_eq(field, str_c(word)))
            return true;
    return false;
}

bool api_wants(struct api *c, const char *word)
{
    bool format = request_query(c->req, "format").p; /* supersedes what options say */
    return api_option(c, format ? "format" : "options", word);
}

bool api_simplified(struct api *c)
{
    return api_wants(c, "keyValues") || api_wants(c, "simplified");
}

bool api_number(struct api *c, const char *name, int64_t preset, int64_t min, int64_t max,
                int64_t *out)
{
    struct str text = request_query(c->req, name);
    *out = preset;
    if (!text.p || (str_to_i64(text, out) && *out >= min && *out <= max))
        return true;
    api_fail_text(c, ERR_INVALID, "%s must be a whole number from %lld to %lld", name,
                  (long long)min, (long long)max);
    return false;
}

bool api_bool(struct api *c, const char *name, bool *out)
{
    struct str text = request_query(c->req, name);
    *out = str_eq(text, S("true"));
    if (!text.p || *out || str_eq(text, S("false")))
        return true;
    api_fail_text(c, ERR_INVALID, "%s must be true or false", name);
    return false;
}

size_t api_list(struct api *c, struct str list, const struct str **items)
{
    VEC(struct str) v = VEC_INIT;
    struct str field;
    while (list.p && str_split(&list, ',', &field)) {
        field = str_trim(field);
        if (field.n)
            *vec_push(c->arena, &v) = field;
    }
    *items = v.v;
    return v.n;
}

size_t api_names(struct api *c, struct str list, const struct str **names)
{
    const struct str *items;
    size_t n = api_list(c, list, &items);
    struct str *out = ARENA_ARRAY(c->arena, struct str, n);
    for (size_t i = 0; i < n; i++)
        out[i] = entity_is_member(items[i]) ? items[i] : ld_expand(c->ctx, c->arena, items[i]);
    *names = out;
    return n;
}

bool api_id(struct api *c, const char *param, struct str *id)
{
    *id = request_param(c->req, param);
    if (ld_is_uri(*id))
        return true;
    api_fail_text(c, ERR_INVALID, "\"%" STR_F "\" is not a URI", STR_A(str_cut(*id, 100)));
    return false;
}

struct str api_segment(struct arena *a, struct str id)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(a, id.n * 3 + 1);
    size_t n = 0;
    for (size_t i = 0; i < id.n; i++) {
        unsigned char ch = (unsigned char)id.p[i];
        if (ch > ' ' && ch < 0x7f && str_find_char(S("/?#%[]"), (char)ch) < 0) {
            out[n++] = (char)ch;
            continue;
        }
        out[n++] = '%';
        out[n++] = hex[ch >> 4];
        out[n++] = hex[ch & 15];
    }
    out[n] = '\0';
    return str_n(out, n);
}

static bool check_dataset(struct api *c, struct str id)
{
    if (str_eq(id, S("@none")) || ld_is_uri(id))
        return true;
    api_fail_text(c, ERR_INVALID, "datasetId is not a URI");
    return false;
}

bool api_dataset(struct api *c, struct str *id)
{
    *id = request_query(c->req, "datasetId");
    if (id->p && !check_dataset(c, *id))
        return false;
    if (str_eq(*id, S("@none")))
        *id = STR_NONE;
    return true;
}

bool api_attr(struct api *c, struct str *iri)
{
    struct str name = request_param(c->req, "attr");
    if (entity_is_name(name) && str_is_utf8(name)) {
        *iri = entity_is_member(name) ? name : ld_expand(c->ctx, c->arena, name);
        return true;
    }
    api_fail_text(c, ERR_INVALID, "that is not the name of an attribute");
    return false;
}

bool api_type_of(struct api *c, const struct type_node **types)
{
    struct str text = request_query(c->req, "type");
    struct error e = {0};
    *types = NULL;
    if (!text.p)
        return true;
    *types = query_parse_types(c->arena, text, c->ctx, &QUERY_DEFAULT, &e);
    if (!*types)
        api_fail(c, &e);
    return *types != NULL;
}

bool api_expired(struct api *c, const struct json *stored)
{
    return entity_expired(stored, clock_now(c->link->clock));
}

/* --- media types (clauses 6.3.4, 6.3.6) --- */

bool api_accept(struct api *c, bool offer_geojson)
{
    static const char *const offers[] = {"application/json", "application/ld+json",
                                         "application/geo+json"};
    int accepted = request_accepts(c->req, offers, offer_geojson ? 3 : 2);
    if (accepted < 0) {
        api_status(
            c, 406,
            offer_geojson
                ? S("application/json, application/ld+json, application/geo+json are offered")
                : S("application/json, application/ld+json are offered"));
        return false;
    }
    c->type = offers[accepted];
    c->geojson = accepted == 2;
    /* GeoJSON carries the @context unless "Prefer: body=json" */
    c->embed = accepted == 1 || (accepted == 2 && str_find(request_header_all(c->req, "Prefer"),
                                                           S("body=json")) < 0);
    response_header(
        c->req, c->res, "Vary",
        S("Accept, Link, Prefer, NGSILD-Tenant, Authorization, X-API-Key, X-Auth-Token"));
    return true;
}

/* --- representation --- */

static bool view_form(struct api *c, struct entity_view *v)
{
    static const struct {
        const char *word;
        enum entity_form form;
    } forms[] = {{"simplified", FORM_SIMPLIFIED},
                 {"keyValues", FORM_SIMPLIFIED},
                 {"concise", FORM_CONCISE},
                 {"normalized", FORM_NORMALIZED}};
    struct str format = request_query(c->req, "format");
    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        /* format supersedes what options say */
        if (format.p ? !str_eq(format, str_c(forms[i].word))
                     : !api_option(c, "options", forms[i].word))
            continue;
        v->form = forms[i].form;
        return true;
    }
    if (!format.p || api_option(c, "format", "temporalValues") ||
        api_option(c, "format", "aggregatedValues"))
        return true;
    api_invalid_request(c, str_printf(c->arena, "no format \"%" STR_F "\"",
                                      STR_A(str_cut(format, 100))));
    return false;
}

/* attrs= narrows like pick=, but id and type always stay. */
static void view_attrs(struct api *c, struct entity_view *v, struct str attrs)
{
    const struct str *names;
    size_t n = api_names(c, attrs, &names);
    struct str *all = ARENA_ARRAY(c->arena, struct str, n + 3);
    all[0] = S("id");
    all[1] = S("type");
    all[2] = S("scope");
    for (size_t i = 0; i < n; i++)
        all[i + 3] = names[i];
    v->pick = all;
    v->n_pick = n + 3;
}

static bool view_names(struct api *c, struct entity_view *v)
{
    struct str attrs = request_query(c->req, "attrs");
    if (!api_project(c, request_query(c->req, "pick"), &c->pick) ||
        !api_project(c, request_query(c->req, "omit"), &c->omit))
        return false;
    if (attrs.p && (!attrs.n || c->pick || c->omit)) {
        api_fail_text(c, ERR_INVALID,
                      attrs.n ? "attrs stands beside pick or omit" : "attrs must name something");
        return false;
    }
    api_project_view(c, c->pick, c->omit, v);
    for (size_t i = 0; i < v->n_omit; i++)
        if (api_project_names(c->pick, v->omit[i])) {
            api_fail_text(c, ERR_INVALID, "a name stands in pick and in omit");
            return false;
        }
    if (attrs.p)
        view_attrs(c, v, attrs);
    return true;
}

bool api_view(struct api *c, struct entity_view *v)
{
    *v = (struct entity_view){.ctx = c->ctx, .now = clock_now(c->link->clock)};
    if (!view_form(c, v) || !view_names(c, v))
        return false;
    struct str geometry = request_query(c->req, "geometryProperty");
    if (geometry.p && !c->geojson) {
        api_fail_text(c, ERR_INVALID, "geometryProperty is for GeoJSON");
        return false;
    }
    c->entities = !c->geojson;
    c->simplified = v->form == FORM_SIMPLIFIED;
    v->geojson = c->geojson;
    v->geometry = ld_expand(c->ctx, c->arena, geometry.n ? geometry : S("location"));
    v->with_context = c->embed;
    v->sys_attrs = api_option(c, "options", "sysAttrs");
    v->lang = request_query(c->req, "lang");
    v->n_datasets = api_list(c, request_query(c->req, "datasetId"), &v->datasets);
    if (!v->n_datasets)
        v->datasets = NULL;
    for (size_t i = 0; i < v->n_datasets; i++)
        if (!check_dataset(c, v->datasets[i]))
            return false;
    return true;
}

/* --- answers --- */

struct str api_base_url(struct api *c)
{
    const char *set = c->link->options.public_url;
    struct str host = request_header(c->req, "Host");
    if (set[0])
        return str_c(set);
    return host.n
               ? str_printf(c->arena, "%s://%" STR_F, c->req->tls ? "https" : "http", STR_A(host))
               : STR_NONE;
}

struct str api_full_url(struct api *c, struct str url)
{
    return str_starts(url, S("/")) ? str_concat(c->arena, api_base_url(c), url) : url;
}

/* "Prefer: ngsi-ld=1.5" (RFC 7240): names in any case, a value perhaps in quotes. */
static bool preferred_version(struct api *c, int *version)
{
    struct str all = request_header_all(c->req, "Prefer"), one;
    while (all.p && str_split(&all, ',', &one)) {
        struct str rest = one, name, value;
        if (!str_split(&rest, '=', &name) || !str_eq_nocase(str_trim(name), S("ngsi-ld")) ||
            !rest.p || !str_split(&rest, ';', &value))
            continue;
        value = str_trim(value);
        if (value.n > 1 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = str_sub(value, 1, value.n - 2);
        if (entity_version_parse(value, version))
            return true;
    }
    return false;
}

/* The body as of the version that the client prefers (clauses 4.3.6.8, 6.3.6); what was amended is
 * 203. */
static void prefer_version(struct api *c, int *status, struct str *body)
{
    int version;
    if (c->geojson || !preferred_version(c, &version))
        return;
    version = version < ENTITY_VERSION ? version : ENTITY_VERSION;
    if (c->entities && entity_conform_text(c->arena, *body, version, c->simplified, body) &&
        *status == 200)
        *status = 203;
    response_header(c->req, c->res, "Preference-Applied",
                    str_printf(c->arena, "ngsi-ld=%d.%d", version / 100, version % 100));
}

void api_answer(struct api *c, int status, const char *type, struct str body)
{
    prefer_version(c, &status, &body);
    response_body(c->req, c->res, status, type, body);
    if (c->embed || str_eq(str_c(type), S("application/ld+json")))
        return;
    response_header(c->req, c->res, "Link",
                    str_printf(c->arena,
                               "<%" STR_F ">; rel=\"" CONTEXT_REL
                               "\"; type=\"application/ld+json\"",
                               STR_A(api_full_url(c, ld_context_url(c->ctx)))));
}

void api_answer_buf(struct api *c, int status, struct buf *b)
{
    api_answer(c, status, c->type, buf_dup(b, c->arena));
    buf_release(b);
}

void api_w_context(struct api *c, struct json_writer *w)
{
    if (!c->embed)
        return;
    json_w_key(w, S("@context"));
    json_w_value(w, ld_context_json(c->ctx));
}

struct str api_version_tag(struct arena *a, int64_t version)
{
    return str_printf(a, "\"%lld\"", (long long)version);
}
