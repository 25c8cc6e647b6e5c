/* Reading certificates, see x509.h. */
#include "x509.h"
#include "trust/card.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>

typedef struct card_rsa {
    ASN1_INTEGER *n, *e;
} CARD_RSA;

DECLARE_ASN1_ITEM(CARD_SPKI)
DECLARE_ASN1_ITEM(CARD_TBS)

/* clang-format off */
ASN1_SEQUENCE_enc(CARD_SPKI, enc, 0) = {
    ASN1_SIMPLE(CARD_SPKI, algorithm, X509_ALGOR),
    ASN1_SIMPLE(CARD_SPKI, key, ASN1_BIT_STRING)
} ASN1_SEQUENCE_END_enc(CARD_SPKI, CARD_SPKI)

ASN1_SEQUENCE_enc(CARD_TBS, enc, 0) = {
    ASN1_EXP_OPT(CARD_TBS, version, ASN1_INTEGER, 0),
    ASN1_SIMPLE(CARD_TBS, serial, ASN1_INTEGER),
    ASN1_SIMPLE(CARD_TBS, algorithm, X509_ALGOR),
    ASN1_SIMPLE(CARD_TBS, issuer, X509_NAME),
    ASN1_SIMPLE(CARD_TBS, validity, X509_VAL),
    ASN1_SIMPLE(CARD_TBS, subject, X509_NAME),
    ASN1_SIMPLE(CARD_TBS, spki, CARD_SPKI),
    ASN1_IMP_OPT(CARD_TBS, issuer_id, ASN1_BIT_STRING, 1),
    ASN1_IMP_OPT(CARD_TBS, subject_id, ASN1_BIT_STRING, 2),
    ASN1_EXP_SEQUENCE_OF_OPT(CARD_TBS, extensions, X509_EXTENSION, 3)
} ASN1_SEQUENCE_END_enc(CARD_TBS, CARD_TBS)

ASN1_SEQUENCE(CARD_X509) = {
    ASN1_SIMPLE(CARD_X509, tbs, CARD_TBS),
    ASN1_SIMPLE(CARD_X509, algorithm, X509_ALGOR),
    ASN1_SIMPLE(CARD_X509, signature, ASN1_BIT_STRING)
} static_ASN1_SEQUENCE_END(CARD_X509)

ASN1_SEQUENCE(CARD_RSA) = {
    ASN1_SIMPLE(CARD_RSA, n, ASN1_INTEGER),
    ASN1_SIMPLE(CARD_RSA, e, ASN1_INTEGER)
} static_ASN1_SEQUENCE_END(CARD_RSA)

enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 4096, EXPONENT_BITS_MIN = 17, EXPONENT_BITS_MAX = 64 };
/* clang-format on */

/* A string of bits that is one of bytes: the low bits of flags count those that are left over. */
static bool whole_bytes(const ASN1_BIT_STRING *s)
{
    return s->length > 0 && (s->flags & 7) == 0;
}

CARD_X509 *card_x509_read(struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    if (!der.n || der.n > CARD_CERTIFICATE_BYTES_MAX)
        return NULL;
    CARD_X509 *x = (CARD_X509 *)ASN1_item_d2i(NULL, &p, (long)der.n, ASN1_ITEM_rptr(CARD_X509));
    if (x && (p != (const unsigned char *)der.p + der.n || !whole_bytes(x->signature) ||
              !whole_bytes(x->tbs->spki->key))) {
        card_x509_free(x);
        x = NULL;
    }
    return x;
}

void card_x509_free(CARD_X509 *x)
{
    ASN1_item_free((ASN1_VALUE *)x, ASN1_ITEM_rptr(CARD_X509));
}

void *card_x509_extension(const CARD_X509 *x, int nid, bool *bad)
{
    int found = -1;
    void *v = X509V3_get_d2i(x->tbs->extensions, nid, &found, NULL);
    if (!v && found != -1) /* -2: it is there twice */
        *bad = true;
    return v;
}

/* --- the key --- */

static bool number(const ASN1_INTEGER *v, int bits_min, int bits_max, BIGNUM **out)
{
    *out = v->type == V_ASN1_INTEGER ? ASN1_INTEGER_to_BN(v, NULL) : NULL; /* negative: NULL */
    return *out && BN_is_odd(*out) && BN_num_bits(*out) >= bits_min &&
           BN_num_bits(*out) <= bits_max;
}

static EVP_PKEY *make_key(const BIGNUM *n, const BIGNUM *e)
{
    unsigned char n_bytes[RSA_BITS_MAX / 8], e_bytes[EXPONENT_BITS_MAX / 8];
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *key = NULL;
    OSSL_PARAM params[] = {OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, n_bytes,
                                                   (size_t)BN_num_bytes(n)),
                           OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, e_bytes,
                                                   (size_t)BN_num_bytes(e)),
                           OSSL_PARAM_construct_end()};
    if (!ctx || BN_bn2nativepad(n, n_bytes, BN_num_bytes(n)) < 0 ||
        BN_bn2nativepad(e, e_bytes, BN_num_bytes(e)) < 0 || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    return key;
}

EVP_PKEY *card_x509_key(const CARD_X509 *x)
{
    const CARD_SPKI *spki = x->tbs->spki;
    const unsigned char *p = spki->key->data;
    BIGNUM *n = NULL, *e = NULL;
    EVP_PKEY *key = NULL;
    if (OBJ_obj2nid(spki->algorithm->algorithm) != NID_rsaEncryption || spki->key->length <= 0)
        return NULL;
    CARD_RSA *rsa =
        (CARD_RSA *)ASN1_item_d2i(NULL, &p, spki->key->length, ASN1_ITEM_rptr(CARD_RSA));
    if (rsa && p == spki->key->data + spki->key->length &&
        number(rsa->n, RSA_BITS_MIN, RSA_BITS_MAX, &n) &&
        number(rsa->e, EXPONENT_BITS_MIN, EXPONENT_BITS_MAX, &e))
        key = make_key(n, e);
    BN_free(n);
    BN_free(e);
    ASN1_item_free((ASN1_VALUE *)rsa, ASN1_ITEM_rptr(CARD_RSA));
    return key;
}
