/*
 * One certificate against the authorities of its role, see card.h.
 *
 * An authority issues the certificates of cards directly, so the path has one step, and the rules
 * for it (RFC 5280 section 6.1.3) are few: signed with the key of an authority of that name, both
 * in their time, no extension that is critical and that is not looked at here, none twice.
 */
#include "card_impl.h"
#include "trust/session.h"
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <time.h>

enum { SERIAL_BYTES_MAX = 64, EXTENSIONS_MAX = 32, VERSION_3 = 2 };

static enum err no_proof(struct error *e, const char *what)
{
    return error_set(e, ERR_UNAUTHENTICATED, "the card's certificate %s", what);
}

int64_t card_time(const ASN1_TIME *t)
{
    struct tm tm;
    return t && ASN1_TIME_to_tm(t, &tm) ? (int64_t)timegm(&tm) * SECOND_US : INT64_MIN;
}

struct hash card_name_hash(const X509_NAME *name)
{
    const unsigned char *der = NULL;
    size_t n = 0;
    return X509_NAME_get0_der(name, &der, &n) ? hash_sha256(str_n((const char *)der, n))
                                              : (struct hash){0};
}

/* --- issued by an authority --- */

static const EVP_MD *digest_of(const struct card *c, const X509_ALGOR *algorithm)
{
    switch (OBJ_obj2nid(algorithm->algorithm)) {
    case NID_sha256WithRSAEncryption:
        return c->sha256;
    case NID_sha384WithRSAEncryption:
        return c->sha384;
    case NID_sha512WithRSAEncryption:
        return c->sha512;
    default:
        return NULL;
    }
}

bool card_rsa_verify(EVP_PKEY *key, const EVP_MD *md, struct str text, struct str signature)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    bool good =
        ctx && EVP_Digest(text.p, text.n, digest, &n, md, NULL) && EVP_PKEY_verify_init(ctx) > 0 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) > 0 &&
        EVP_PKEY_CTX_set_signature_md(ctx, md) > 0 &&
        EVP_PKEY_verify(ctx, (const unsigned char *)signature.p, signature.n, digest, n) == 1;
    EVP_PKEY_CTX_free(ctx);
    return good;
}

static bool is_signed_by(const struct card *c, const CARD_X509 *x, X509 *authority)
{
    const EVP_MD *md = digest_of(c, x->algorithm);
    struct str text = str_n((const char *)x->tbs->enc.enc, (size_t)x->tbs->enc.len);
    struct str signature = str_n((const char *)x->signature->data, (size_t)x->signature->length);
    return md && !X509_ALGOR_cmp(x->algorithm, x->tbs->algorithm) &&
           card_rsa_verify(X509_get0_pubkey(authority), md, text, signature);
}

static bool is_in_time(const ASN1_TIME *from, const ASN1_TIME *until, int64_t now)
{
    int64_t begin = card_time(from), end = card_time(until);
    return begin != INT64_MIN && begin <= now && now <= end;
}

static enum err issuer_check(const struct card *c, const struct card_side *side, const CARD_X509 *x,
                             int64_t now, struct error *e)
{
    X509 *found = NULL;
    for (size_t i = 0; !found && i < side->n; i++) {
        X509 *authority = side->authorities[i];
        if (!X509_NAME_cmp(x->tbs->issuer, X509_get_subject_name(authority)) &&
            is_signed_by(c, x, authority))
            found = authority;
    }
    if (!found)
        return no_proof(e, "is not one of an authority of its role");
    if (!is_in_time(X509_get0_notBefore(found), X509_get0_notAfter(found), now) ||
        !is_in_time(x->tbs->validity->notBefore, x->tbs->validity->notAfter, now))
        return no_proof(e, "is not valid now");
    return OK;
}

/* --- extensions --- */

static bool is_looked_at(int nid)
{
    return nid == NID_basic_constraints || nid == NID_key_usage || nid == NID_ext_key_usage ||
           nid == NID_certificate_policies || nid == NID_subject_alt_name ||
           nid == NID_crl_distribution_points;
}

static enum err extensions_check(const CARD_X509 *x, struct error *e)
{
    const STACK_OF(X509_EXTENSION) *list = x->tbs->extensions;
    int n = sk_X509_EXTENSION_num(list);
    if (!x->tbs->version || ASN1_INTEGER_get(x->tbs->version) != VERSION_3 || n <= 0 ||
        n > EXTENSIONS_MAX)
        return error_set(e, ERR_INVALID, "the card's certificate is not well-formed");
    for (int i = 0; i < n; i++) {
        X509_EXTENSION *ext = sk_X509_EXTENSION_value(list, i);
        const ASN1_OBJECT *oid = X509_EXTENSION_get_object(ext);
        if (X509_EXTENSION_get_critical(ext) && !is_looked_at(OBJ_obj2nid(oid)))
            return no_proof(e, "has an extension that is critical and not known here");
        for (int j = 0; j < i; j++)
            if (!OBJ_cmp(oid, X509_EXTENSION_get_object(sk_X509_EXTENSION_value(list, j))))
                return error_set(e, ERR_INVALID, "the card's certificate has an extension twice");
    }
    return OK;
}

static bool is_authority(const CARD_X509 *x, bool *bad)
{
    BASIC_CONSTRAINTS *basic = card_x509_extension(x, NID_basic_constraints, bad);
    bool ca = basic && basic->ca;
    BASIC_CONSTRAINTS_free(basic);
    return ca;
}

/* The bits of keyUsage in the order of RFC 5280: 0 digitalSignature, 1 nonRepudiation ... */
enum { USE_SIGNATURE = 0, USE_DOCUMENTS = 1, USE_CERTIFICATES = 5, USE_LISTS = 6 };

/* Keys that sign documents do not sign people in, nor the other way round. */
static bool usage_fits(const CARD_X509 *x, enum card_role role, bool *bad)
{
    ASN1_BIT_STRING *use = card_x509_extension(x, NID_key_usage, bad);
    bool fits = use && ASN1_BIT_STRING_get_bit(use, USE_SIGNATURE) &&
                !ASN1_BIT_STRING_get_bit(use, USE_CERTIFICATES) &&
                !ASN1_BIT_STRING_get_bit(use, USE_LISTS) &&
                !ASN1_BIT_STRING_get_bit(use, USE_DOCUMENTS) == (role == CARD_AUTH);
    ASN1_BIT_STRING_free(use);
    return fits;
}

/* When it says more about its use, signing in must be among it; for documents nothing is defined.
 */
static bool extended_usage_fits(const CARD_X509 *x, enum card_role role, bool *bad)
{
    EXTENDED_KEY_USAGE *uses = card_x509_extension(x, NID_ext_key_usage, bad);
    bool fits = !uses || role == CARD_SIGN;
    for (int i = 0; i < sk_ASN1_OBJECT_num(uses); i++)
        fits = fits || OBJ_obj2nid(sk_ASN1_OBJECT_value(uses, i)) == NID_client_auth;
    EXTENDED_KEY_USAGE_free(uses);
    return fits;
}

static bool policy_fits(const CARD_X509 *x, const ASN1_OBJECT *policy, bool *bad)
{
    CERTIFICATEPOLICIES *found = card_x509_extension(x, NID_certificate_policies, bad);
    bool fits = false;
    for (int i = 0; i < sk_POLICYINFO_num(found); i++)
        fits = fits || !OBJ_cmp(sk_POLICYINFO_value(found, i)->policyid, policy);
    CERTIFICATEPOLICIES_free(found);
    return fits;
}

static enum err use_check(const struct card_side *side, const CARD_X509 *x, enum card_role role,
                          struct error *e)
{
    bool bad = false, authority = is_authority(x, &bad);
    bool fits = usage_fits(x, role, &bad) && extended_usage_fits(x, role, &bad) && !authority;
    bool policy = policy_fits(x, side->policy, &bad);
    if (bad)
        return error_set(e, ERR_INVALID,
                         "an extension of the card's certificate is not "
                         "well-formed");
    if (!fits)
        return no_proof(e, "is for another use");
    return policy ? OK : no_proof(e, "has not the policy of its role");
}

/* --- what is told of it --- */

static enum err describe(struct arena *a, enum card_role role, const CARD_X509 *x,
                         struct card_certificate *out, struct error *e)
{
    const ASN1_INTEGER *serial = x->tbs->serial;
    const ASN1_ENCODING *spki = &x->tbs->spki->enc;
    if (serial->length <= 0 || serial->length > SERIAL_BYTES_MAX || serial->type != V_ASN1_INTEGER)
        return error_set(e, ERR_INVALID, "the card's certificate has no number");
    *out = (struct card_certificate){
        .role = role,
        .issuer = card_name_hash(x->tbs->issuer),
        .serial = str_dup(a, str_n((const char *)serial->data, (size_t)serial->length)),
        .key = hash_sha256(str_n((const char *)spki->enc, (size_t)spki->len)),
        .not_before = card_time(x->tbs->validity->notBefore),
        .not_after = card_time(x->tbs->validity->notAfter),
    };
    return role == CARD_SIGN ? card_items_read(a, x, &out->items, e) : OK;
}

static enum err check_read(struct card *c, struct arena *a, enum card_role role, const CARD_X509 *x,
                           int64_t now, struct card_certificate *out, EVP_PKEY **key,
                           struct error *e)
{
    const struct card_side *side = &c->sides[role];
    enum err err = extensions_check(x, e);
    if (!err)
        err = issuer_check(c, side, x, now, e);
    if (!err)
        err = use_check(side, x, role, e);
    if (!err)
        err = describe(a, role, x, out, e);
    if (!err)
        out->status = card_lists_ask(c, role, x, now);
    if (!err && out->status == CARD_REVOKED)
        err = no_proof(e, "was revoked");
    if (err)
        return err;
    *key = card_x509_key(x);
    return *key ? OK : no_proof(e, "is not of a key that cards have");
}

enum err card_check(struct card *c, struct arena *a, enum card_role role, struct str der,
                    int64_t now, struct card_certificate *out, EVP_PKEY **key, struct error *e)
{
    *key = NULL;
    if (!c->sides[role].n)
        return error_set(e, ERR_UNAVAILABLE, "no authority of cards is known here");
    CARD_X509 *x = card_x509_read(der);
    enum err err = x ? check_read(c, a, role, x, now, out, key, e)
                     : error_set(e, ERR_INVALID, "the card's certificate is not well-formed");
    card_x509_free(x);
    ERR_clear_error();
    return err;
}

enum err card_certificate_check(struct card *c, struct arena *a, enum card_role role,
                                struct str der, int64_t now, struct card_certificate *out,
                                struct error *e)
{
    EVP_PKEY *key;
    enum err err = card_check(c, a, role, der, now, out, &key, e);
    EVP_PKEY_free(key);
    return err;
}

enum acr card_acr(enum card_status status)
{
    return acr_of(card_amr(status));
}

unsigned card_amr(enum card_status status)
{
    return status == CARD_GOOD ? AMR_CARD : status == CARD_UNKNOWN ? AMR_CARD | AMR_UNCHECKED : 0;
}
