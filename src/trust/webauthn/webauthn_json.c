/* Options to browsers and answers from them, as JSON (WebAuthn level 3, section 5.1). */
#include "webauthn_impl.h"
#include <string.h>

enum { TRANSPORTS_MAX = 8, TRANSPORT_BYTES_MAX = 32 };

/* --- options --- */

static void key_bytes(struct json_writer *w, struct str key, struct str bytes)
{
    struct arena a = ARENA_INIT;
    json_w_kstr(w, key, base64url_encode(&a, bytes));
    arena_release(&a);
}

static void write_known(struct json_writer *w, struct str key, const struct webauthn_asked *asked)
{
    json_w_key(w, key);
    json_w_array(w);
    for (size_t i = 0; i < asked->n_known; i++) {
        struct str rest = asked->known[i].transports, transport;
        json_w_object(w);
        json_w_kstr(w, S("type"), S("public-key"));
        key_bytes(w, S("id"), asked->known[i].id);
        if (rest.n) {
            json_w_key(w, S("transports"));
            json_w_array(w);
            while (str_split(&rest, ' ', &transport))
                json_w_str(w, transport);
            json_w_end(w);
        }
        json_w_end(w);
    }
    json_w_end(w);
}

static struct str verification(const struct webauthn_asked *asked)
{
    return asked->user_verification ? S("required") : S("preferred");
}

static void write_entities(struct json_writer *w, const struct webauthn_asked *asked)
{
    json_w_key(w, S("rp"));
    json_w_object(w);
    json_w_kstr(w, S("id"), asked->rp->id);
    json_w_kstr(w, S("name"), asked->rp->name);
    json_w_end(w);
    json_w_key(w, S("user"));
    json_w_object(w);
    key_bytes(w, S("id"), asked->user.handle);
    json_w_kstr(w, S("name"), asked->user.name);
    json_w_kstr(w, S("displayName"), asked->user.display_name);
    json_w_end(w);
}

void webauthn_options_create(struct json_writer *w, const struct webauthn_asked *asked)
{
    static const int64_t algorithms[] = {-8, -7, -257}; /* the better first */
    json_w_object(w);
    write_entities(w, asked);
    key_bytes(w, S("challenge"), asked->challenge);
    json_w_key(w, S("pubKeyCredParams"));
    json_w_array(w);
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        json_w_object(w);
        json_w_kstr(w, S("type"), S("public-key"));
        json_w_ki64(w, S("alg"), algorithms[i]);
        json_w_end(w);
    }
    json_w_end(w);
    json_w_ki64(w, S("timeout"), asked->timeout_ms);
    write_known(w, S("excludeCredentials"), asked);
    json_w_key(w, S("authenticatorSelection"));
    json_w_object(w);
    json_w_kstr(w, S("residentKey"), S("required"));
    json_w_kbool(w, S("requireResidentKey"), true);
    json_w_kstr(w, S("userVerification"), verification(asked));
    json_w_end(w);
    json_w_kstr(w, S("attestation"), S("none"));
    json_w_key(w, S("extensions"));
    json_w_object(w);
    json_w_kbool(w, S("credProps"), true);
    json_w_end(w);
    json_w_end(w);
}

void webauthn_options_get(struct json_writer *w, const struct webauthn_asked *asked)
{
    json_w_object(w);
    key_bytes(w, S("challenge"), asked->challenge);
    json_w_ki64(w, S("timeout"), asked->timeout_ms);
    json_w_kstr(w, S("rpId"), asked->rp->id);
    write_known(w, S("allowCredentials"), asked);
    json_w_kstr(w, S("userVerification"), verification(asked));
    json_w_end(w);
}

/* --- answers --- */

/* A member of base64url; absent when it is not there or null. */
static bool member_bytes(struct arena *a, const struct json *v, struct str key, size_t max,
                         struct str *out)
{
    const struct json *m = json_get(v, key);
    *out = STR_NONE;
    if (!m || json_is(m, JSON_NULL))
        return true;
    return json_is(m, JSON_STRING) && m->n <= max * 4 / 3 + 3 &&
           base64url_decode(a, json_text(m), out) && out->n <= max;
}

static bool is_transport(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || s.p[i] == '-'))
            return false;
    return s.n > 0 && s.n <= TRANSPORT_BYTES_MAX;
}

/* What a browser tells of its way to the authenticator: a hint, so what is odd is left out. */
static struct str read_transports(struct arena *a, const struct json *v)
{
    struct str out = S("");
    for (size_t i = 0; i < TRANSPORTS_MAX; i++) {
        struct str s = json_text(json_at(v, i));
        if (s.p && is_transport(s))
            out = str_printf(a, "%" STR_F "%s%" STR_F, STR_A(out), out.n ? " " : "", STR_A(s));
    }
    return out;
}

enum err webauthn_answer_read(struct arena *a, const struct json *v, struct webauthn_answer *out,
                              struct error *e)
{
    enum { MAX = WEBAUTHN_ANSWER_BYTES_MAX };
    const struct json *response = json_get(v, S("response"));
    const struct json *props = json_get(json_get(v, S("clientExtensionResults")), S("credProps"));
    struct str raw_id;
    *out = (struct webauthn_answer){0};
    if (!str_eq(json_text(json_get(v, S("type"))), S("public-key")))
        return error_set(e, ERR_INVALID, "the answer is of no credential of type public-key");
    if (!member_bytes(a, v, S("id"), WEBAUTHN_ID_BYTES_MAX, &out->id) ||
        !member_bytes(a, v, S("rawId"), WEBAUTHN_ID_BYTES_MAX, &raw_id) ||
        !member_bytes(a, response, S("clientDataJSON"), MAX, &out->client_data) ||
        !member_bytes(a, response, S("attestationObject"), MAX, &out->attestation) ||
        !member_bytes(a, response, S("authenticatorData"), MAX, &out->auth_data) ||
        !member_bytes(a, response, S("signature"), MAX, &out->signature) ||
        !member_bytes(a, response, S("userHandle"), WEBAUTHN_HANDLE_BYTES_MAX, &out->user_handle))
        return error_set(e, ERR_INVALID, "a member of the answer is not base64url, or too long");
    if (!out->id.n || !raw_id.p || !str_eq(raw_id, out->id))
        return error_set(e, ERR_INVALID, "the answer's id and rawId differ");
    if (out->attestation.p ? out->signature.p != NULL : !out->signature.p || !out->auth_data.p)
        return error_set(e, ERR_INVALID, "the answer is neither of creating nor of asserting");
    out->transports = read_transports(a, json_get(response, S("transports")));
    out->discoverable = json_true(json_get(props, S("rk")));
    return OK;
}
