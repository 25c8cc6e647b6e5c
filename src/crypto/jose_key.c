/*
 * Keys: JWK to OpenSSL's form and back. OpenSSL checks what a number must fulfil (a point lies on
 * its curve, a private part belongs to its public one); sizes are checked here.
 */
#include "jose_impl.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

enum { P256_BYTES = 32, ED25519_BYTES = 32, RSA_BITS_MIN = 2048, RSA_BITS_MAX = 4096 };
enum { NUMBER_BYTES_MAX = RSA_BITS_MAX / 8, RSA_NUMBERS = 8 };

static const char *const alg_names[JOSE_ALGS] = {"ES256", "PS256", "RS256", "EdDSA"};

const char *jose_alg_name(enum jose_alg alg)
{
    return alg_names[alg];
}

bool jose_alg_find(struct str name, enum jose_alg *out)
{
    for (int i = 0; i < JOSE_ALGS; i++) {
        if (str_eq(name, str_c(alg_names[i]))) {
            *out = (enum jose_alg)i;
            return true;
        }
    }
    return false;
}

/* --- numbers --- */

/* A member of a JWK as bytes; ERR_INVALID unless it is there, decodes, and has n bytes (n 0: any).
 */
static enum err member_bytes(struct arena *a, const struct json *jwk, const char *name, size_t n,
                             struct str *out, struct error *e)
{
    const struct json *v = json_get(jwk, str_c(name));
    if (!json_is(v, JSON_STRING) || !base64url_decode(a, json_text(v), out) || out->n == 0 ||
        out->n > NUMBER_BYTES_MAX || (n && out->n != n))
        return error_set(e, ERR_INVALID, "the key's \"%s\" is missing or not well-formed", name);
    return OK;
}

/* The names of an RSA key: what JWK calls them, what OpenSSL does. The first two are public. */
static const struct {
    const char *jwk, *openssl;
} rsa_numbers[RSA_NUMBERS] = {
    {"n", OSSL_PKEY_PARAM_RSA_N},          {"e", OSSL_PKEY_PARAM_RSA_E},
    {"d", OSSL_PKEY_PARAM_RSA_D},          {"p", OSSL_PKEY_PARAM_RSA_FACTOR1},
    {"q", OSSL_PKEY_PARAM_RSA_FACTOR2},    {"dp", OSSL_PKEY_PARAM_RSA_EXPONENT1},
    {"dq", OSSL_PKEY_PARAM_RSA_EXPONENT2}, {"qi", OSSL_PKEY_PARAM_RSA_COEFFICIENT1},
};

/* Parameters of a key that is being put together; numbers live until it is. */
struct building {
    OSSL_PARAM_BLD *bld;
    BIGNUM *numbers[RSA_NUMBERS];
    size_t n;
};

static bool add_number(struct building *b, const char *name, struct str bytes)
{
    BIGNUM *v = BN_secure_new();
    if (!v)
        return false;
    b->numbers[b->n++] = v;
    return BN_bin2bn((const unsigned char *)bytes.p, (int)bytes.n, v) &&
           OSSL_PARAM_BLD_push_BN(b->bld, name, v);
}

/* The key of what was gathered, checked; NULL when OpenSSL refuses it. */
static EVP_PKEY *build(struct building *b, const char *type, bool pair)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(b->bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL), *check = NULL;
    bool good =
        params && ctx && EVP_PKEY_fromdata_init(ctx) > 0 &&
        EVP_PKEY_fromdata(ctx, &key, pair ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, params) > 0;
    if (good)
        check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    good = check && (pair ? EVP_PKEY_pairwise_check(check) > 0 : EVP_PKEY_public_check(check) > 0);
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    if (good)
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static void building_release(struct building *b)
{
    for (size_t i = 0; i < b->n; i++)
        BN_clear_free(b->numbers[i]);
    OSSL_PARAM_BLD_free(b->bld);
}

/* --- one reader for each type of key --- */

static enum err parse_ec(struct arena *a, const struct json *jwk, bool pair, EVP_PKEY **out,
                         struct error *e)
{
    struct str x, y, d = STR_NONE;
    unsigned char point[1 + 2 * P256_BYTES] = {POINT_CONVERSION_UNCOMPRESSED};
    if (!str_eq(json_text(json_get(jwk, S("crv"))), S("P-256")))
        return error_set(e, ERR_INVALID, "the key's curve is not P-256");
    if (member_bytes(a, jwk, "x", P256_BYTES, &x, e) ||
        member_bytes(a, jwk, "y", P256_BYTES, &y, e) ||
        (pair && member_bytes(a, jwk, "d", P256_BYTES, &d, e)))
        return ERR_INVALID;
    memcpy(point + 1, x.p, P256_BYTES);
    memcpy(point + 1 + P256_BYTES, y.p, P256_BYTES);
    struct building b = {.bld = OSSL_PARAM_BLD_new()};
    if (b.bld &&
        OSSL_PARAM_BLD_push_utf8_string(b.bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(b.bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)) &&
        (!pair || add_number(&b, OSSL_PKEY_PARAM_PRIV_KEY, d)))
        *out = build(&b, "EC", pair);
    building_release(&b);
    return *out ? OK : error_set(e, ERR_INVALID, "the key is no point of P-256, or not a pair");
}

static enum err parse_rsa(struct arena *a, const struct json *jwk, bool pair, EVP_PKEY **out,
                          struct error *e)
{
    struct building b = {.bld = OSSL_PARAM_BLD_new()};
    bool good = b.bld;
    enum err err = OK;
    for (size_t i = 0; !err && good && i < (pair ? RSA_NUMBERS : 2); i++) {
        struct str bytes;
        err = member_bytes(a, jwk, rsa_numbers[i].jwk, 0, &bytes, e);
        if (!err)
            good = add_number(&b, rsa_numbers[i].openssl, bytes);
    }
    if (!err && good) {
        int bits = BN_num_bits(b.numbers[0]);
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
            err = error_set(e, ERR_INVALID, "an RSA key must have %d to %d bits", RSA_BITS_MIN,
                            RSA_BITS_MAX);
        else if (!BN_is_odd(b.numbers[1]) || BN_num_bits(b.numbers[1]) < 17 ||
                 BN_num_bits(b.numbers[1]) > 64)
            err = error_set(e, ERR_INVALID, "the key's \"e\" must be odd, 65537 to 2^64");
        else
            *out = build(&b, "RSA", pair);
    }
    building_release(&b);
    if (err)
        return err;
    return *out ? OK : error_set(e, ERR_INVALID, "the numbers are no RSA key");
}

static enum err parse_okp(struct arena *a, const struct json *jwk, bool pair, EVP_PKEY **out,
                          struct error *e)
{
    struct str x, d;
    unsigned char made[ED25519_BYTES];
    size_t n = sizeof(made);
    if (!str_eq(json_text(json_get(jwk, S("crv"))), S("Ed25519")))
        return error_set(e, ERR_INVALID, "the key's curve is not Ed25519");
    if (member_bytes(a, jwk, "x", ED25519_BYTES, &x, e) ||
        (pair && member_bytes(a, jwk, "d", ED25519_BYTES, &d, e)))
        return ERR_INVALID;
    *out =
        pair ? EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)d.p, d.n)
             : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, (const unsigned char *)x.p, x.n);
    if (*out && EVP_PKEY_get_raw_public_key(*out, made, &n) > 0 && !memcmp(made, x.p, n))
        return OK;
    EVP_PKEY_free(*out);
    *out = NULL;
    return error_set(e, ERR_INVALID, "the key is not one of Ed25519, or not a pair");
}

/* --- a key --- */

static bool bn_member(struct json_writer *w, const EVP_PKEY *pkey, const char *name,
                      const char *openssl, size_t width)
{
    BIGNUM *v = NULL;
    unsigned char bytes[NUMBER_BYTES_MAX];
    struct arena a = ARENA_INIT;
    bool good = EVP_PKEY_get_bn_param(pkey, openssl, &v) && BN_num_bytes(v) <= NUMBER_BYTES_MAX;
    if (good) {
        int n = width ? (int)width : BN_num_bytes(v);
        good = BN_bn2binpad(v, bytes, n) == n;
        if (good)
            json_w_kstr(w, str_c(name), base64url_encode(&a, str_n((char *)bytes, (size_t)n)));
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
    BN_clear_free(v);
    arena_release(&a);
    return good;
}

static bool raw_member(struct json_writer *w, const EVP_PKEY *pkey, const char *name, bool private)
{
    unsigned char bytes[ED25519_BYTES];
    size_t n = sizeof(bytes);
    struct arena a = ARENA_INIT;
    bool good = (private ? EVP_PKEY_get_raw_private_key(pkey, bytes, &n)
                         : EVP_PKEY_get_raw_public_key(pkey, bytes, &n)) > 0;
    if (good)
        json_w_kstr(w, str_c(name), base64url_encode(&a, str_n((char *)bytes, n)));
    OPENSSL_cleanse(bytes, sizeof(bytes));
    arena_release(&a);
    return good;
}

/* The members that RFC 7638 section 3.2 hashes, in its order. */
static bool write_required(struct json_writer *w, const struct jose_key *k)
{
    switch (k->alg) {
    case JOSE_ES256:
        json_w_kstr(w, S("crv"), S("P-256"));
        json_w_kstr(w, S("kty"), S("EC"));
        return bn_member(w, k->pkey, "x", OSSL_PKEY_PARAM_EC_PUB_X, P256_BYTES) &&
               bn_member(w, k->pkey, "y", OSSL_PKEY_PARAM_EC_PUB_Y, P256_BYTES);
    case JOSE_EDDSA:
        json_w_kstr(w, S("crv"), S("Ed25519"));
        json_w_kstr(w, S("kty"), S("OKP"));
        return raw_member(w, k->pkey, "x", false);
    default: {
        bool good = bn_member(w, k->pkey, "e", OSSL_PKEY_PARAM_RSA_E, 0);
        json_w_kstr(w, S("kty"), S("RSA"));
        return good && bn_member(w, k->pkey, "n", OSSL_PKEY_PARAM_RSA_N, 0);
    }
    }
}

static bool write_private(struct json_writer *w, const struct jose_key *k)
{
    if (k->alg == JOSE_ES256)
        return bn_member(w, k->pkey, "d", OSSL_PKEY_PARAM_PRIV_KEY, P256_BYTES);
    if (k->alg == JOSE_EDDSA)
        return raw_member(w, k->pkey, "d", true);
    for (size_t i = 2; i < RSA_NUMBERS; i++)
        if (!bn_member(w, k->pkey, rsa_numbers[i].jwk, rsa_numbers[i].openssl, 0))
            return false;
    return true;
}

/* Takes the pkey over. kid absent: the thumbprint. */
static enum err key_new(enum jose_alg alg, EVP_PKEY *pkey, bool signs, struct str kid,
                        struct jose_key **out, struct error *e)
{
    struct jose_key *k = calloc(1, sizeof(*k));
    struct buf text = BUF_INIT;
    struct json_writer w = json_writer(&text);
    if (!k)
        abort();
    atomic_init(&k->refs, 1);
    k->alg = alg;
    k->signs = signs;
    k->pkey = pkey;
    json_w_object(&w);
    bool good = write_required(&w, k);
    json_w_end(&w);
    struct hash h = hash_sha256(buf_view(&text));
    buf_release(&text);
    if (!good) {
        jose_key_free(k);
        return error_set(e, ERR_INTERNAL, "a key cannot be written");
    }
    k->thumbprint = base64url_encode(&k->arena, str_n((const char *)h.b, sizeof(h.b)));
    k->kid = kid.p ? str_dup(&k->arena, kid) : k->thumbprint;
    *out = k;
    return OK;
}

enum err jose_key_make(enum jose_alg alg, struct jose_key **out, struct error *e)
{
    EVP_PKEY *pkey = alg == JOSE_ES256   ? EVP_EC_gen("P-256")
                     : alg == JOSE_EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                         : EVP_RSA_gen(RSA_BITS_MIN);
    if (!pkey)
        return error_set(e, ERR_INTERNAL, "no key of %s can be made", jose_alg_name(alg));
    return key_new(alg, pkey, true, STR_NONE, out, e);
}

/* --- reading a JWK --- */

typedef enum err parse_fn(struct arena *a, const struct json *jwk, bool pair, EVP_PKEY **out,
                          struct error *e);

static const struct {
    const char *kty;
    parse_fn *parse;
    enum jose_alg alg; /* when the JWK names none; of RSA the caller says */
} types[] = {{"EC", parse_ec, JOSE_ES256},
             {"RSA", parse_rsa, JOSE_PS256},
             {"OKP", parse_okp, JOSE_EDDSA}};

static bool fits(const char *kty, enum jose_alg alg)
{
    bool rsa = alg == JOSE_PS256 || alg == JOSE_RS256;
    return strcmp(kty, alg == JOSE_ES256 ? "EC" : rsa ? "RSA" : "OKP") == 0;
}

/* Does the JWK let us sign or verify with it? */
static bool for_signatures(const struct json *jwk)
{
    const struct json *use = json_get(jwk, S("use")), *ops = json_get(jwk, S("key_ops"));
    if (use && !str_eq(json_text(use), S("sig")))
        return false;
    bool found = !ops;
    for (uint32_t i = 0; json_is(ops, JSON_ARRAY) && i < ops->n; i++) {
        struct str op = json_text(&ops->items[i]);
        found = found || str_eq(op, S("verify")) || str_eq(op, S("sign"));
    }
    return found;
}

enum err jose_key_parse(const struct json *jwk, enum jose_alg rsa, bool private_too,
                        struct jose_key **out, struct error *e)
{
    struct str kty = json_text(json_get(jwk, S("kty")));
    const struct json *named = json_get(jwk, S("alg")), *kid = json_get(jwk, S("kid"));
    bool pair = json_get(jwk, S("d")) != NULL;
    size_t i = 0, n = sizeof(types) / sizeof(types[0]);
    if (!json_is(jwk, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "a key must be an object");
    while (i < n && !str_eq(kty, str_c(types[i].kty)))
        i++;
    if (i == n)
        return error_set(e, ERR_INVALID, "keys of type \"%" STR_F "\" are not used here",
                         STR_A(str_cut(kty, 20)));
    enum jose_alg alg = types[i].parse == parse_rsa ? rsa : types[i].alg;
    if (named && (!jose_alg_find(json_text(named), &alg) || !fits(types[i].kty, alg)))
        return error_set(e, ERR_INVALID, "the key's \"alg\" does not fit its type");
    if (!for_signatures(jwk))
        return error_set(e, ERR_INVALID, "the key is not for signatures");
    if (pair && !private_too)
        return error_set(e, ERR_INVALID, "a private key was sent where a public one belongs");
    if (kid && (!json_is(kid, JSON_STRING) || !kid->n || kid->n > 255))
        return error_set(e, ERR_INVALID, "the key's \"kid\" must be a text of 1 to 255 bytes");
    struct arena a = ARENA_INIT;
    EVP_PKEY *pkey = NULL;
    enum err err = types[i].parse(&a, jwk, pair, &pkey, e);
    arena_release(&a);
    return err ? err : key_new(alg, pkey, pair, json_text(kid), out, e);
}

/* --- the rest --- */

struct jose_key *jose_key_hold(struct jose_key *k)
{
    atomic_fetch_add(&k->refs, 1);
    return k;
}

void jose_key_free(struct jose_key *k)
{
    if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
        return;
    EVP_PKEY_free(k->pkey);
    arena_release(&k->arena);
    free(k);
}

enum jose_alg jose_key_alg(const struct jose_key *k)
{
    return k->alg;
}

bool jose_key_signs(const struct jose_key *k)
{
    return k->signs;
}

struct str jose_key_id(const struct jose_key *k)
{
    return k->kid;
}

struct str jose_key_thumbprint(const struct jose_key *k)
{
    return k->thumbprint;
}

enum err jose_key_write(struct json_writer *w, const struct jose_key *k, bool private_too,
                        struct error *e)
{
    if (private_too && !k->signs)
        return error_set(e, ERR_INVALID, "the key has no private part");
    json_w_object(w);
    bool good = write_required(w, k);
    json_w_kstr(w, S("alg"), str_c(jose_alg_name(k->alg)));
    json_w_kstr(w, S("use"), S("sig"));
    json_w_kstr(w, S("kid"), k->kid);
    good = good && (!private_too || write_private(w, k));
    json_w_end(w);
    return good ? OK : error_set(e, ERR_INTERNAL, "a key cannot be written");
}
