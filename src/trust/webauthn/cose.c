/*
 * COSE keys: each becomes a JWK, which jose.h checks (the point lies on its curve, the size of
 * numbers). A key has the members that its type needs and no others.
 */
#include "webauthn_impl.h"

enum { LABEL_TYPE = 1, LABEL_ALG = 3, LABEL_1 = -1, LABEL_2 = -2, LABEL_3 = -3 };

/* The members of each kind of key: its type, algorithm and curve, and the bytes that go into the
 * JWK. */
static const struct kind {
    enum jose_alg alg;
    int64_t kty, cose_alg;
    const char *jwk_type, *jwk_curve; /* curve NULL: the kind has none */
    int64_t curve;
    struct {
        int64_t label;
        const char *jwk;
    } bytes[2];
    uint64_t members;
} kinds[] = {
    {JOSE_ES256, 2, -7, "EC", "P-256", 1, {{LABEL_2, "x"}, {LABEL_3, "y"}}, 5},
    {JOSE_EDDSA, 1, -8, "OKP", "Ed25519", 6, {{LABEL_2, "x"}, {0, NULL}}, 4},
    {JOSE_RS256, 3, -257, "RSA", NULL, 0, {{LABEL_1, "n"}, {LABEL_2, "e"}}, 4},
};

static const struct kind *kind_of(const struct cbor *key)
{
    int64_t alg;
    if (!cbor_i64(cbor_get_i64(key, LABEL_ALG), &alg))
        return NULL;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].cose_alg == alg)
            return &kinds[i];
    return NULL;
}

static bool has(const struct cbor *key, int64_t label, int64_t value)
{
    int64_t found;
    return cbor_i64(cbor_get_i64(key, label), &found) && found == value;
}

/* The JWK of a key of this kind; false when a member is missing, of another type, or too many. */
static bool to_jwk(struct arena *a, const struct cbor *key, const struct kind *kind,
                   struct json *out)
{
    struct json_member *m = ARENA_ARRAY(a, struct json_member, 5);
    size_t n = 0;
    if (key->number != kind->members || !has(key, LABEL_TYPE, kind->kty) ||
        (kind->jwk_curve && !has(key, LABEL_1, kind->curve)))
        return false;
    m[n++] = json_m(S("kty"), json_v_str(str_c(kind->jwk_type)));
    m[n++] = json_m(S("alg"), json_v_str(str_c(jose_alg_name(kind->alg))));
    if (kind->jwk_curve)
        m[n++] = json_m(S("crv"), json_v_str(str_c(kind->jwk_curve)));
    for (size_t i = 0; i < 2 && kind->bytes[i].jwk; i++) {
        struct str bytes = cbor_bytes(cbor_get_i64(key, kind->bytes[i].label));
        if (!bytes.p)
            return false;
        m[n++] = json_m(str_c(kind->bytes[i].jwk), json_v_str(base64url_encode(a, bytes)));
    }
    *out = json_v_object(m, n);
    return true;
}

enum err cose_key_read(struct str bytes, struct jose_key **out, struct error *e)
{
    struct arena a = ARENA_INIT;
    struct json jwk;
    const struct cbor *key = cbor_read(&a, &bytes, &CBOR_CTAP2, e);
    enum err err = key ? OK : ERR_INVALID;
    const struct kind *kind = kind_of(key);
    if (!err && (!cbor_is(key, CBOR_MAP) || bytes.n))
        err = error_set(e, ERR_INVALID, "the credential's key is no COSE key");
    if (!err && !kind)
        err = error_set(e, ERR_UNSUPPORTED, "the credential's algorithm was not asked for");
    if (!err && !to_jwk(&a, key, kind, &jwk))
        err = error_set(e, ERR_INVALID, "the credential's key has not the members of its type");
    if (!err)
        err = jose_key_parse(&jwk, kind->alg, false, out, e);
    arena_release(&a);
    return err;
}
