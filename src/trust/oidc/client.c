/*
 * Registered clients: what their metadata may be (RFC 7591 names where it has one), and reading
 * them. A row holds the checked metadata as JSON; a secret is kept as its SHA-256, which is enough
 * because it is 256 random bits that we made.
 */
#include "oidc_impl.h"
#include <string.h>

enum { NAME_MAX_BYTES = 200, TEXT_MAX_BYTES = 1000, LIST_MAX = 32, KEYS_IN_SET_MAX = 16 };

static const char *const auth_names[AUTHS] = {"none",
                                              "client_secret_basic",
                                              "client_secret_post",
                                              "private_key_jwt",
                                              "tls_client_auth",
                                              "self_signed_tls_client_auth"};

const char *client_auth_name(enum client_auth auth)
{
    return auth_names[auth];
}

static bool auth_find(struct str name, enum client_auth *out)
{
    for (int i = 0; i < AUTHS; i++)
        if (str_eq(name, str_c(auth_names[i]))) {
            *out = (enum client_auth)i;
            return true;
        }
    return false;
}

static const struct {
    struct str name;
    unsigned bit;
} grant_names[] = {{S_INIT("authorization_code"), GRANT_CODE},
                   {S_INIT("refresh_token"), GRANT_REFRESH},
                   {S_INIT("client_credentials"), GRANT_CLIENT},
                   {S_INIT("urn:ietf:params:oauth:grant-type:device_code"), GRANT_DEVICE}};

/* --- scopes --- */

bool scope_has(struct str list, struct str word)
{
    struct str one;
    while (list.n && str_split(&list, ' ', &one))
        if (word.n && str_eq(one, word))
            return true;
    return false;
}

bool scope_is_personal(struct str word)
{
    static const struct str words[] = {S_INIT("profile"), S_INIT("email"), S_INIT("address"),
                                       S_INIT("phone")};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_eq(word, words[i]))
            return true;
    return str_starts(word, S("personal:"));
}

bool scope_well_formed(struct str list)
{
    bool blank = true;
    for (size_t i = 0; i < list.n; i++) {
        unsigned char ch = (unsigned char)list.p[i];
        if (ch == ' ' ? blank : ch < 0x21 || ch > 0x7E || ch == '"' || ch == '\\')
            return false;
        blank = ch == ' ';
    }
    return list.n <= TEXT_MAX_BYTES && (!list.n || !blank);
}

struct str scope_within(struct arena *a, struct str list, struct str allowed)
{
    struct buf b = BUF_INIT;
    struct str one;
    while (list.n && str_split(&list, ' ', &one))
        if (scope_has(allowed, one) && !scope_has(buf_view(&b), one)) {
            if (b.n)
                buf_char(&b, ' ');
            buf_str(&b, one);
        }
    struct str out = b.n ? buf_dup(&b, a) : S("");
    buf_release(&b);
    return out;
}

/* --- single members --- */

static bool is_id(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char ch = s.p[i];
        bool ok = (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
                  (ch >= '0' && ch <= '9') || ch == '-' || ch == '_' || ch == '.';
        if (!ok)
            return false;
    }
    return s.n > 0 && s.n <= 64;
}

static bool is_name(struct str s)
{
    return s.n > 0 && s.n <= NAME_MAX_BYTES && str_is_utf8(s) && !memchr(s.p, '\n', s.n) &&
           !memchr(s.p, 0, s.n);
}

static bool is_https(struct str s)
{
    return uri_is_web(s, false);
}

/* Where we call ourselves: the HTTP client decides about the address when it connects. */
static bool is_callable(struct str s)
{
    return uri_is_web(s, true);
}

static bool is_resource(struct str s)
{
    return s.n > 0 && s.n <= TEXT_MAX_BYTES && str_find(s, S(":")) > 0 && !memchr(s.p, '#', s.n) &&
           scope_well_formed(s) && str_find_char(s, ' ') < 0;
}

static bool is_redirect(struct str s)
{
    return uri_is_web(s, true) || uri_is_private_use(s);
}

static bool is_auth(struct str s)
{
    enum client_auth auth;
    return auth_find(s, &auth);
}

static bool is_grant(struct str s)
{
    for (size_t i = 0; i < sizeof(grant_names) / sizeof(grant_names[0]); i++)
        if (str_eq(s, grant_names[i].name))
            return true;
    return false;
}

static bool is_format(struct str s)
{
    return str_eq(s, S("jwt")) || str_eq(s, S("opaque"));
}

static bool is_profile(struct str s)
{
    return str_eq(s, S("fapi2"));
}

static bool is_consent(struct str s)
{
    return str_eq(s, S("ask")) || str_eq(s, S("none"));
}

static bool is_code(struct str s)
{
    return str_eq(s, S("code"));
}

static bool is_host_name(struct str s)
{
    return is_id(s) || (s.n <= NAME_MAX_BYTES && uri_is_web(s, false));
}

static bool is_es256(struct str s)
{
    return str_eq(s, S("ES256"));
}

static const struct member {
    const char *name;
    enum { AS_TEXT, AS_LIST, AS_BOOL, AS_NUMBER, AS_OBJECT } as;
    bool (*fits)(struct str); /* of a text, or of each of a list */
} members[] = {
    {"client_id", AS_TEXT, is_id},
    {"client_name", AS_TEXT, is_name},
    {"organization", AS_TEXT, is_name},
    {"purpose", AS_OBJECT, is_name},
    {"client_uri", AS_TEXT, is_https},
    {"policy_uri", AS_TEXT, is_https},
    {"tos_uri", AS_TEXT, is_https},
    {"token_endpoint_auth_method", AS_TEXT, is_auth},
    {"jwks", AS_OBJECT, NULL},
    {"jwks_uri", AS_TEXT, is_callable},
    {"tls_client_auth_subject_dn", AS_TEXT, is_name},
    {"tls_client_auth_san_dns", AS_TEXT, is_name},
    {"tls_client_auth_san_uri", AS_TEXT, is_name},
    {"tls_client_auth_san_ip", AS_TEXT, is_name},
    {"tls_client_auth_san_email", AS_TEXT, is_name},
    {"redirect_uris", AS_LIST, is_redirect},
    {"post_logout_redirect_uris", AS_LIST, is_redirect},
    {"backchannel_logout_uri", AS_TEXT, is_callable},
    {"backchannel_logout_session_required", AS_BOOL, NULL},
    {"grant_types", AS_LIST, is_grant},
    {"response_types", AS_LIST, is_code},
    {"scope", AS_TEXT, scope_well_formed},
    {"resources", AS_LIST, is_resource},
    {"access_token_format", AS_TEXT, is_format},
    {"id_token_signed_response_alg", AS_TEXT, is_es256},
    {"require_pushed_authorization_requests", AS_BOOL, NULL},
    {"dpop_bound_access_tokens", AS_BOOL, NULL},
    {"tls_client_certificate_bound_access_tokens", AS_BOOL, NULL},
    {"profile", AS_TEXT, is_profile},
    {"sandbox", AS_BOOL, NULL},
    {"sector_identifier", AS_TEXT, is_host_name},
    {"introspection", AS_BOOL, NULL},
    {"consent", AS_TEXT, is_consent},
    {"default_max_age", AS_NUMBER, NULL},
    {"authorization_details_types", AS_LIST, is_name},
};

static enum err misfit(const char *name, struct error *e)
{
    return error_set(e, ERR_INVALID, "\"%s\" is not what it may be", name);
}

static bool list_fits(const struct json *v, bool (*fits)(struct str))
{
    if (!json_is(v, JSON_ARRAY) || v->n > LIST_MAX)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        if (!json_is(&v->items[i], JSON_STRING) || !fits(json_text(&v->items[i])))
            return false;
    }
    return true;
}

static bool texts_fit(const struct json *v, bool (*fits)(struct str))
{
    if (!json_is(v, JSON_OBJECT) || v->n > LIST_MAX)
        return false;
    for (size_t i = 0; fits && i < v->n; i++)
        if (!json_is(&v->members[i].value, JSON_STRING) || !fits(json_text(&v->members[i].value)))
            return false;
    return true;
}

static bool member_fits(const struct member *m, const struct json *v)
{
    int64_t n;
    switch (m->as) {
    case AS_TEXT:
        return json_is(v, JSON_STRING) && m->fits(json_text(v));
    case AS_LIST:
        return list_fits(v, m->fits);
    case AS_BOOL:
        return json_is_bool(v);
    case AS_NUMBER:
        return json_i64(v, &n) && n >= 0 && n <= INT32_MAX;
    case AS_OBJECT:
        return texts_fit(v, m->fits);
    }
    return false;
}

static enum err check_members(const struct json *in, struct error *e)
{
    if (!json_is(in, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "a client is a JSON object");
    for (size_t i = 0; i < in->n; i++) {
        struct str key = json_key(&in->members[i]);
        const struct member *m = NULL;
        for (size_t k = 0; k < sizeof(members) / sizeof(members[0]) && !m; k++)
            if (str_eq(key, str_c(members[k].name)))
                m = &members[k];
        if (!m)
            return error_set(e, ERR_INVALID, "there is no \"%" STR_F "\" of clients",
                             STR_A(str_cut(key, 80)));
        if (!member_fits(m, &in->members[i].value))
            return misfit(m->name, e);
    }
    return OK;
}

/* --- the whole --- */

static unsigned grants_of(const struct json *list)
{
    unsigned bits = 0;
    if (!list)
        return GRANT_CODE;
    for (size_t i = 0; i < list->n; i++)
        for (size_t k = 0; k < sizeof(grant_names) / sizeof(grant_names[0]); k++)
            if (str_eq(json_text(&list->items[i]), grant_names[k].name))
                bits |= grant_names[k].bit;
    return bits;
}

static void fill(struct oidc_client *k, const struct json *doc)
{
    struct str auth = json_text(json_get(doc, S("token_endpoint_auth_method")));
    struct str sector = json_text(json_get(doc, S("sector_identifier")));
    k->doc = doc;
    k->id = json_text(json_get(doc, S("client_id")));
    k->name = json_text(json_get(doc, S("client_name")));
    k->auth = AUTH_BASIC;
    auth_find(auth, &k->auth);
    k->grants = grants_of(json_get(doc, S("grant_types")));
    k->scope = json_text(json_get(doc, S("scope")));
    k->opaque = !str_eq(json_text(json_get(doc, S("access_token_format"))), S("jwt"));
    k->fapi2 = json_get(doc, S("profile")) != NULL;
    k->sandbox = json_true(json_get(doc, S("sandbox")));
    k->pushes = k->fapi2 || json_true(json_get(doc, S("require_pushed_authorization_requests")));
    k->dpop = json_true(json_get(doc, S("dpop_bound_access_tokens")));
    k->mtls = json_true(json_get(doc, S("tls_client_certificate_bound_access_tokens")));
    k->introspects = json_true(json_get(doc, S("introspection")));
    k->trusted = str_eq(json_text(json_get(doc, S("consent"))), S("none"));
    k->sector =
        sector.p ? sector : uri_host(json_text(json_at(json_get(doc, S("redirect_uris")), 0)));
    if (!k->sector.n) /* the client's own */
        k->sector = k->id;
}

static enum err check_keys(const struct oidc_client *k, struct error *e)
{
    const struct json *set = json_get(k->doc, S("jwks")), *keys = json_get(set, S("keys"));
    bool remote = json_get(k->doc, S("jwks_uri")) != NULL;
    if (set && remote)
        return error_set(e, ERR_INVALID, "a client has jwks or jwks_uri, not both");
    if (set && (!json_is(keys, JSON_ARRAY) || !keys->n || keys->n > KEYS_IN_SET_MAX))
        return misfit("jwks", e);
    for (size_t i = 0; set && i < keys->n; i++) {
        struct jose_key *key = NULL;
        enum err err = jose_key_parse(&keys->items[i], JOSE_PS256, false, &key, e);
        if (!err && jose_key_alg(key) == JOSE_RS256)
            err = error_set(e, ERR_INVALID, "keys of clients are for ES256, PS256 or EdDSA");
        jose_key_free(key);
        if (err)
            return err;
    }
    bool needs = k->auth == AUTH_KEY || k->auth == AUTH_TLS_OWN_KEY;
    if (needs && !set && !remote)
        return error_set(e, ERR_INVALID, "this way to authenticate needs jwks or jwks_uri");
    return OK;
}

static enum err check_tls(const struct oidc_client *k, struct error *e)
{
    static const char *const names[] = {"tls_client_auth_subject_dn", "tls_client_auth_san_dns",
                                        "tls_client_auth_san_uri", "tls_client_auth_san_ip",
                                        "tls_client_auth_san_email"};
    int n = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        n += json_get(k->doc, str_c(names[i])) != NULL;
    if (n == (k->auth == AUTH_TLS))
        return OK;
    return error_set(e, ERR_INVALID,
                     "tls_client_auth needs one name of its certificate, and nothing else has one");
}

/* Redirects: https; on this machine for sandboxes and programs without a secret; for those also
 * schemes of their own. A sandbox leads nowhere else. */
static enum err check_redirects(const struct oidc_client *k, struct error *e)
{
    const struct json *list = json_get(k->doc, S("redirect_uris"));
    bool open = k->auth == AUTH_NONE || k->sandbox;
    struct str host = STR_NONE;
    if ((k->grants & GRANT_CODE) && (!list || !list->n))
        return error_set(e, ERR_INVALID, "the code flow needs redirect_uris");
    for (size_t i = 0; list && i < list->n; i++) {
        struct str uri = json_text(&list->items[i]);
        bool here = uri_is_loopback(uri), own = uri_is_private_use(uri);
        if ((here && !open) || (own && k->auth != AUTH_NONE) || (k->sandbox && !here && !own))
            return error_set(e, ERR_INVALID,
                             "redirect_uris: this kind of client cannot have %" STR_F, STR_A(uri));
        if (host.p && !str_eq(host, uri_host(uri)) && !json_get(k->doc, S("sector_identifier")))
            return error_set(e, ERR_INVALID,
                             "redirect_uris on several hosts need a sector_identifier");
        host = uri_host(uri);
    }
    return OK;
}

static enum err check_profile(const struct oidc_client *k, struct error *e)
{
    struct str list = k->scope, word;
    bool key = k->auth == AUTH_KEY || k->auth == AUTH_TLS || k->auth == AUTH_TLS_OWN_KEY;
    while (!k->fapi2 && list.n && str_split(&list, ' ', &word))
        if (scope_is_personal(word) || str_starts(word, S("consent:")))
            return error_set(e, ERR_INVALID,
                             "the scope %" STR_F " is for clients with \"profile\": \"fapi2\"",
                             STR_A(word));
    if (k->fapi2 && (!key || (!k->dpop && !k->mtls)))
        return error_set(e, ERR_INVALID,
                         "fapi2 needs private_key_jwt or mutual TLS, and tokens bound by DPoP or a "
                         "certificate");
    if (k->auth == AUTH_NONE && ((k->grants & GRANT_CLIENT) || k->introspects))
        return error_set(e, ERR_INVALID,
                         "a client without a secret speaks for nobody but its user");
    return OK;
}

const struct json *client_check(struct arena *a, const struct json *in, struct error *e)
{
    struct oidc_client k = {0};
    struct json *doc = ARENA_NEW(a, struct json);
    if (check_members(in, e))
        return NULL;
    *doc = *in;
    if (!json_get(doc, S("client_id")))
        *doc = json_with(a, doc, S("client_id"), json_v_str(random_token(a, 16)));
    if (!json_get(doc, S("token_endpoint_auth_method")))
        *doc = json_with(a, doc, S("token_endpoint_auth_method"),
                         json_v_str(S("client_secret_basic")));
    fill(&k, doc);
    if (!k.name.n) {
        error_set(e, ERR_INVALID, "a client needs a client_name that residents understand");
        return NULL;
    }
    if (check_keys(&k, e) || check_tls(&k, e) || check_redirects(&k, e) || check_profile(&k, e))
        return NULL;
    return doc;
}

bool client_redirects(const struct oidc_client *k, struct str member, struct str uri)
{
    const struct json *list = json_get(k->doc, member);
    for (size_t i = 0; list && i < list->n; i++)
        if (uri_matches(json_text(&list->items[i]), uri))
            return true;
    return false;
}

enum err client_read(struct store_conn *c, struct arena *a, struct str id, struct oidc_client *out,
                     struct error *e)
{
    struct store_rows rows;
    struct str text = STR_NONE;
    *out = (struct oidc_client){0};
    if (!is_id(id))
        return error_set(e, ERR_NOT_FOUND, "there is no such client");
    store_query(c, &rows,
                "SELECT version, secret, doc FROM oidc_client WHERE id = $1 AND removed = 0",
                SV(SV_TEXT(id)));
    if (store_next(&rows)) {
        struct str secret = store_blob(&rows, 1);
        out->version = store_int(&rows, 0);
        if (secret.n == HASH_BYTES)
            memcpy(out->secret.b, secret.p, HASH_BYTES);
        text = str_dup(a, store_text(&rows, 2));
    }
    enum err err = store_end(&rows, e);
    if (err)
        return err;
    if (!text.p)
        return error_set(e, ERR_NOT_FOUND, "there is no such client");
    const struct json *doc = json_parse(a, text, &JSON_DEFAULT, e);
    if (!doc)
        return error_set(e, ERR_CORRUPT, "the metadata of a client are damaged");
    fill(out, doc);
    return OK;
}
