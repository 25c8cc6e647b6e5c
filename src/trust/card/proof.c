/* What a card has signed: a challenge with one key, a document with the other. */
#include "card_impl.h"
#include <openssl/cms.h>
#include <openssl/err.h>

/* --- a challenge --- */

static struct str digest_text(struct arena *a, struct str s)
{
    struct hash h = hash_sha256(s);
    return hex_encode(a, str_n((const char *)h.b, sizeof(h.b)));
}

/* Words may hold line breaks, so their digest stands for them. */
struct str card_text(struct arena *a, const struct card_asked *asked, struct str challenge)
{
    return str_printf(a,
                      "Marugoto: sign in with a card, 1\n"
                      "origin: %" STR_F "\n"
                      "purpose: sha-256 %" STR_F "\n"
                      "challenge: %" STR_F "\n",
                      STR_A(asked->origin), STR_A(digest_text(a, asked->purpose)),
                      STR_A(base64url_encode(a, challenge)));
}

enum err card_proof(struct card *c, struct arena *a, const struct card_asked *asked,
                    struct str challenge, struct str der, struct str signature, int64_t now,
                    struct card_certificate *out, struct error *e)
{
    EVP_PKEY *key;
    enum err err = card_check(c, a, CARD_AUTH, der, now, out, &key, e);
    if (!err && (challenge.n != CARD_CHALLENGE_BYTES ||
                 !card_rsa_verify(key, c->sha256, card_text(a, asked, challenge), signature)))
        err = error_set(e, ERR_UNAUTHENTICATED, "the card's signature does not hold");
    EVP_PKEY_free(key);
    ERR_clear_error();
    return err;
}

/* --- a document --- */

static enum err malformed(struct error *e, const char *what)
{
    return error_set(e, ERR_INVALID, "the signed document (CMS): %s", what);
}

static CMS_ContentInfo *read_cms(struct str bytes)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (!bytes.n || bytes.n > CARD_CMS_BYTES_MAX)
        return NULL;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &p, (long)bytes.n);
    if (cms && (p != (const unsigned char *)bytes.p + bytes.n ||
                OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed)) {
        CMS_ContentInfo_free(cms);
        cms = NULL;
    }
    return cms;
}

/* The attributes say of what type the content is; it is data. */
static bool attributes_are_right(CMS_SignerInfo *signer)
{
    const ASN1_OBJECT *type =
        CMS_signed_get0_data_by_OBJ(signer, OBJ_nid2obj(NID_pkcs9_contentType), -3, V_ASN1_OBJECT);
    return type && OBJ_obj2nid(type) == NID_pkcs7_data &&
           CMS_signed_get0_data_by_OBJ(signer, OBJ_nid2obj(NID_pkcs9_messageDigest), -3,
                                       V_ASN1_OCTET_STRING);
}

static enum err algorithms_check(CMS_SignerInfo *signer, struct error *e)
{
    X509_ALGOR *digest = NULL, *signature = NULL;
    CMS_SignerInfo_get0_algs(signer, NULL, NULL, &digest, &signature);
    int nid = OBJ_obj2nid(signature->algorithm);
    if (OBJ_obj2nid(digest->algorithm) != NID_sha256 ||
        (nid != NID_rsaEncryption && nid != NID_sha256WithRSAEncryption))
        return error_set(e, ERR_UNAUTHENTICATED,
                         "the signed document (CMS): not RSA and SHA-256, which a card signs with");
    return OK;
}

/* One signer, one certificate, and it is the signer's: DER of it in *der, which the caller frees.
 */
static enum err signer_check(CMS_ContentInfo *cms, CMS_SignerInfo **signer, unsigned char **der,
                             int *n, struct error *e)
{
    STACK_OF(CMS_SignerInfo) *signers = CMS_get0_SignerInfos(cms);
    STACK_OF(X509) *certs = CMS_get1_certs(cms);
    enum err err = OK;
    X509 *x = sk_X509_num(certs) == 1 ? sk_X509_value(certs, 0) : NULL;
    *signer = sk_CMS_SignerInfo_num(signers) == 1 ? sk_CMS_SignerInfo_value(signers, 0) : NULL;
    if (!*signer)
        err = malformed(e, "there must be one signer");
    else if (!x || CMS_SignerInfo_cert_cmp(*signer, x))
        err = malformed(e, "there must be the signer's certificate, and no other");
    else if (!attributes_are_right(*signer))
        err = malformed(e, "the signed attributes are missing or of another content");
    else
        err = algorithms_check(*signer, e);
    if (!err) {
        *n = i2d_X509(x, der);
        if (*n <= 0)
            err = malformed(e, "the certificate cannot be read");
    }
    sk_X509_pop_free(certs, X509_free);
    return err;
}

/* The attributes hold the digest of the content, and the signature is over the attributes. Not
 * CMS_verify(): it goes through streams, and leaks one for some messages that are not well-formed.
 */
static bool content_holds(CMS_ContentInfo *cms, CMS_SignerInfo *signer, struct str content)
{
    struct hash h = hash_sha256(content);
    const ASN1_OCTET_STRING *digest =
        CMS_signed_get0_data_by_OBJ(signer, OBJ_nid2obj(NID_pkcs9_messageDigest), -3,
                                    V_ASN1_OCTET_STRING);
    return digest &&
           bytes_equal(str_n((const char *)digest->data, (size_t)digest->length),
                       str_n((const char *)h.b, sizeof(h.b))) &&
           CMS_set1_signers_certs(cms, NULL, 0) == 1 && CMS_SignerInfo_verify(signer) == 1;
}

enum err card_signed(struct card *c, struct arena *a, struct str cms, struct str content,
                     int64_t now, struct card_certificate *out, struct error *e)
{
    CMS_SignerInfo *signer;
    unsigned char *der = NULL;
    int n = 0;
    CMS_ContentInfo *signed_data = read_cms(cms);
    enum err err = signed_data ? OK : malformed(e, "it is no SignedData in DER");
    if (!err && (CMS_is_detached(signed_data) != 1 ||
                 OBJ_obj2nid(CMS_get0_eContentType(signed_data)) != NID_pkcs7_data))
        err = malformed(e, "the content must be data, and beside it");
    if (!err)
        err = signer_check(signed_data, &signer, &der, &n, e);
    if (!err)
        err = card_certificate_check(c, a, CARD_SIGN, str_n((const char *)der, (size_t)n), now, out,
                                     e);
    if (!err && !content_holds(signed_data, signer, content))
        err = error_set(e, ERR_UNAUTHENTICATED,
                        "the signed document (CMS): the signature does not hold");
    OPENSSL_free(der);
    CMS_ContentInfo_free(signed_data);
    ERR_clear_error();
    return err;
}
