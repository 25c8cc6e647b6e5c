/* Signatures and tokens in compact form, see jose.h. */
#include "jose_impl.h"
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

enum { TOKEN_BYTES_MAX = 64 * 1024, ES256_BYTES = 64, SIGNATURE_MAX = 512 };

/* --- signatures --- */

/* ECDSA: OpenSSL speaks DER, JOSE r and s of 32 bytes each (RFC 7518 section 3.4). */
static bool to_raw(const unsigned char *der, size_t n, unsigned char raw[static ES256_BYTES])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)n);
    bool good = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, ES256_BYTES / 2) > 0 &&
                BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + ES256_BYTES / 2, ES256_BYTES / 2) > 0;
    ECDSA_SIG_free(sig);
    return good;
}

/* The number of bytes; 0 for a signature that is none. OpenSSL refuses r or s of 0 or over n. */
static size_t to_der(struct str raw, unsigned char out[static SIGNATURE_MAX])
{
    const unsigned char *p = (const unsigned char *)raw.p;
    int n = 0;
    ECDSA_SIG *sig = raw.n == ES256_BYTES ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = sig ? BN_bin2bn(p, ES256_BYTES / 2, NULL) : NULL;
    BIGNUM *s = sig ? BN_bin2bn(p + ES256_BYTES / 2, ES256_BYTES / 2, NULL) : NULL;
    if (r && s && ECDSA_SIG_set0(sig, r, s)) {
        n = i2d_ECDSA_SIG(sig, &out);
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(sig);
    return n > 0 ? (size_t)n : 0;
}

/* Start signing or verifying with the key's algorithm; false when OpenSSL will not. */
static bool begin(EVP_MD_CTX *md, const struct jose_key *k, bool sign)
{
    EVP_PKEY_CTX *ctx = NULL;
    const char *digest = k->alg == JOSE_EDDSA ? NULL : "SHA256";
    if ((sign ? EVP_DigestSignInit_ex(md, &ctx, digest, NULL, NULL, k->pkey, NULL)
              : EVP_DigestVerifyInit_ex(md, &ctx, digest, NULL, NULL, k->pkey, NULL)) <= 0)
        return false;
    return k->alg != JOSE_PS256 ||
           (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) > 0 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) > 0);
}

enum err jose_sign(struct arena *a, const struct jose_key *k, struct str text, struct str *out,
                   struct error *e)
{
    unsigned char sig[SIGNATURE_MAX], raw[ES256_BYTES];
    size_t n = sizeof(sig);
    if (!k->signs)
        return error_set(e, ERR_INVALID, "the key has no private part");
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && begin(md, k, true) &&
                EVP_DigestSign(md, sig, &n, (const unsigned char *)text.p, text.n) > 0;
    EVP_MD_CTX_free(md);
    if (good && k->alg == JOSE_ES256) {
        good = to_raw(sig, n, raw);
        *out = str_dup(a, str_n((char *)raw, sizeof(raw)));
    } else if (good) {
        *out = str_dup(a, str_n((char *)sig, n));
    }
    ERR_clear_error();
    return good ? OK : error_set(e, ERR_INTERNAL, "signing failed");
}

bool jose_verify(const struct jose_key *k, struct str text, struct str signature)
{
    unsigned char der[SIGNATURE_MAX];
    if (k->alg == JOSE_ES256)
        signature = str_n((char *)der, to_der(signature, der));
    return jose_verify_der(k, text, signature);
}

bool jose_verify_der(const struct jose_key *k, struct str text, struct str signature)
{
    if (signature.n > SIGNATURE_MAX)
        return false;
    EVP_MD_CTX *md = signature.n ? EVP_MD_CTX_new() : NULL;
    bool good = md && begin(md, k, false) &&
                EVP_DigestVerify(md, (const unsigned char *)signature.p, signature.n,
                                 (const unsigned char *)text.p, text.n) == 1;
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return good;
}

/* --- tokens --- */

/* A member of the header that must be a text when it is there. */
static bool header_text(const struct json *header, struct str name, struct str *out)
{
    const struct json *v = json_get(header, name);
    *out = json_text(v);
    return !v || json_is(v, JSON_STRING);
}

static enum err malformed(struct error *e)
{
    return error_set(e, ERR_INVALID, "the token is not a signed one in compact form");
}

enum err jws_read(struct arena *a, struct str text, struct jws *out, struct error *e)
{
    struct str rest = text, header, payload, head;
    *out = (struct jws){0};
    if (text.n > TOKEN_BYTES_MAX)
        return error_set(e, ERR_TOO_LARGE, "a token may have %d bytes", TOKEN_BYTES_MAX);
    if (!str_split(&rest, '.', &header) || !str_split(&rest, '.', &payload) ||
        str_find_char(rest, '.') >= 0 || !base64url_decode(a, header, &head) ||
        !base64url_decode(a, payload, &out->payload) || !base64url_decode(a, rest, &out->signature))
        return malformed(e);
    out->signed_text = str_n(text.p, header.n + 1 + payload.n);
    out->header = json_parse(a, head, &JSON_DEFAULT, NULL);
    if (!json_is(out->header, JSON_OBJECT) || !header_text(out->header, S("alg"), &out->alg) ||
        !header_text(out->header, S("typ"), &out->type) ||
        !header_text(out->header, S("kid"), &out->kid) || !out->alg.p)
        return malformed(e);
    if (json_get(out->header, S("crit")))
        return error_set(e, ERR_INVALID, "the token needs an extension that is not known here");
    return OK;
}

enum err jws_verify(const struct jws *j, const struct jose_key *k, struct error *e)
{
    if (!str_eq(j->alg, str_c(jose_alg_name(k->alg))))
        return error_set(e, ERR_UNAUTHENTICATED, "the token's algorithm is not that of the key");
    if (!jose_verify(k, j->signed_text, j->signature))
        return error_set(e, ERR_UNAUTHENTICATED, "the token's signature does not hold");
    return OK;
}

enum err jws_sign(struct arena *a, const struct jose_key *k, struct str type, struct str payload,
                  struct str *out, struct error *e)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    struct str signature;
    json_w_object(&w);
    json_w_kstr(&w, S("alg"), str_c(jose_alg_name(k->alg)));
    if (type.p)
        json_w_kstr(&w, S("typ"), type);
    json_w_kstr(&w, S("kid"), k->kid);
    json_w_end(&w);
    struct str head = base64url_encode(a, buf_view(&b)), body = base64url_encode(a, payload);
    buf_clear(&b);
    buf_printf(&b, "%" STR_F ".", STR_A(head));
    buf_str(&b, body);
    enum err err = jose_sign(a, k, buf_view(&b), &signature, e);
    if (!err) {
        buf_char(&b, '.');
        buf_str(&b, base64url_encode(a, signature));
        *out = buf_dup(&b, a);
    }
    buf_release(&b);
    return err;
}
