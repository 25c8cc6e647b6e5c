/* Authorities, cards and lists of our own, see card_kit.h. */
#include "card_kit.h"
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ITEM_ARC "1.2.392.200149.8.5.5."

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "card_kit: cannot make %s\n", what);
    exit(2);
}

EVP_PKEY *kit_rsa(unsigned bits)
{
    EVP_PKEY *key = EVP_RSA_gen(bits);
    must(key, "a key");
    return key;
}

static void add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    CONF *none = NCONF_new(NULL); /* policies are read only with one */
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509V3_set_nconf(&ctx, none);
    X509_EXTENSION *ext = X509V3_EXT_nconf_nid(none, &ctx, nid, value);
    must(ext && X509_add_ext(x, ext, -1), value);
    X509_EXTENSION_free(ext);
    NCONF_free(none);
}

static X509 *blank(const char *name, long serial, long from, long until, EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    must(X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), serial) &&
             ASN1_TIME_set(X509_getm_notBefore(x), KIT_NOW_S + from) &&
             ASN1_TIME_set(X509_getm_notAfter(x), KIT_NOW_S + until) && X509_set_pubkey(x, key) &&
             X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name,
                                        -1, -1, 0),
         "a certificate");
    return x;
}

struct kit_authority kit_authority_new(const char *name, EVP_PKEY *key)
{
    X509 *x = blank(name, 1, -365L * KIT_DAY, 3650L * KIT_DAY, key);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(x, x, NID_subject_key_identifier, "hash");
    must(X509_sign(x, key, EVP_sha256()) > 0, "an authority");
    EVP_PKEY_up_ref(key);
    return (struct kit_authority){x, key};
}

void kit_authority_free(struct kit_authority *a)
{
    X509_free(a->x);
    EVP_PKEY_free(a->key);
}

/* --- certificates of cards --- */

static const struct kit_item all_items[] = {
    {"1", S_INIT("丸毎　花子"), 0},
    {"2", S_INIT("00000"), 0},
    {"3", S_INIT("2"), 0},
    {"4", S_INIT("319800102"), 0},
    {"5", S_INIT("茨城県つくば市研究学園一丁目１番地１"), 0},
    {"6", S_INIT("000000000000000000"), 0},
};

static GENERAL_NAME *other_name(const struct kit_item *item)
{
    char oid[80];
    GENERAL_NAME *name = GENERAL_NAME_new();
    ASN1_TYPE *value = ASN1_TYPE_new();
    ASN1_STRING *s = ASN1_STRING_type_new(item->type ? item->type : V_ASN1_UTF8STRING);
    snprintf(oid, sizeof(oid), "%s%s", strlen(item->oid) == 1 ? ITEM_ARC : "", item->oid);
    must(name && value && s && ASN1_STRING_set(s, item->value.p, (int)item->value.n), "an item");
    ASN1_TYPE_set(value, s->type, s);
    must(GENERAL_NAME_set0_othername(name, OBJ_txt2obj(oid, 1), value), "an item");
    return name;
}

static void add_items(X509 *x, const struct kit_wish *w)
{
    const struct kit_item *items = w->items ? w->items : all_items;
    size_t n = w->items ? w->n_items : sizeof(all_items) / sizeof(all_items[0]);
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    for (size_t i = 0; i < n; i++)
        must(sk_GENERAL_NAME_push(names, other_name(&items[i])) > 0, "items");
    must(!n || X509_add1_ext_i2d(x, NID_subject_alt_name, names, 0, 0) == 1, "items");
    GENERAL_NAMES_free(names);
}

static void add_strange(X509 *x)
{
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    ASN1_OBJECT *oid = OBJ_txt2obj("1.2.3.4.5.6.7", 1);
    must(ASN1_OCTET_STRING_set(value, (const unsigned char *)"\5\0", 2), "an extension");
    X509_EXTENSION *ext = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value);
    must(ext && X509_add_ext(x, ext, -1), "an extension");
    X509_EXTENSION_free(ext);
    ASN1_OBJECT_free(oid);
    ASN1_OCTET_STRING_free(value);
}

X509 *kit_certificate(const struct kit_wish *w, const struct kit_authority *by, EVP_PKEY *key)
{
    bool sign = w->role == CARD_SIGN;
    const char *usage =
        sign ? "critical,digitalSignature,nonRepudiation" : "critical,digitalSignature";
    const char *policy = sign ? "1.2.392.200149.8.5.1.1.20" : "1.2.392.200149.8.5.1.3.30";
    X509 *x = blank("0123456789ABCDEF", w->serial ? w->serial : 1000,
                    w->from ? w->from : -30L * KIT_DAY, w->until ? w->until : 1000L * KIT_DAY, key);
    X509_set_issuer_name(x, X509_get_subject_name(by->x));
    if (w->basic)
        add_extension(x, by->x, NID_basic_constraints, w->basic);
    if (!w->usage || w->usage[0])
        add_extension(x, by->x, NID_key_usage, w->usage ? w->usage : usage);
    if (!w->policy || w->policy[0])
        add_extension(x, by->x, NID_certificate_policies, w->policy ? w->policy : policy);
    if (X509_get0_subject_key_id(by->x))
        add_extension(x, by->x, NID_authority_key_identifier, "keyid");
    if (w->extended)
        add_extension(x, by->x, NID_ext_key_usage, w->extended);
    if (w->twice)
        add_extension(x, by->x, NID_key_usage, usage);
    if (w->point)
        add_extension(x, by->x, NID_crl_distribution_points, w->point);
    if (sign || w->items)
        add_items(x, w);
    if (w->strange)
        add_strange(x);
    must(X509_sign(x, by->key, w->digest ? w->digest : EVP_sha256()) > 0, "a certificate");
    return x;
}

/* --- lists --- */

static void add_revoked(X509_CRL *crl, long serial)
{
    X509_REVOKED *entry = X509_REVOKED_new();
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    ASN1_TIME *at = ASN1_TIME_set(NULL, KIT_NOW_S - KIT_DAY);
    must(ASN1_INTEGER_set(number, serial) && X509_REVOKED_set_serialNumber(entry, number) &&
             X509_REVOKED_set_revocationDate(entry, at) && X509_CRL_add0_revoked(crl, entry),
         "a list");
    ASN1_INTEGER_free(number);
    ASN1_TIME_free(at);
}

static void add_crl_extension(X509_CRL *crl, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, NULL, NULL, NULL, crl, 0);
    X509V3_set_ctx_nodb(&ctx);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(ext && X509_CRL_add_ext(crl, ext, -1), value);
    X509_EXTENSION_free(ext);
}

X509_CRL *kit_list_make(const struct kit_list *w, const struct kit_authority *by)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *from = ASN1_TIME_set(NULL, KIT_NOW_S + (w->from ? w->from : -3600));
    ASN1_TIME *until = ASN1_TIME_set(NULL, KIT_NOW_S + (w->until ? w->until : KIT_DAY));
    must(X509_CRL_set_version(crl, 1) &&
             X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->x)) &&
             X509_CRL_set1_lastUpdate(crl, from) && X509_CRL_set1_nextUpdate(crl, until),
         "a list");
    for (size_t i = 0; i < w->n; i++)
        add_revoked(crl, w->serials[i]);
    if (w->part)
        add_crl_extension(crl, NID_issuing_distribution_point, w->part);
    if (w->delta) {
        ASN1_INTEGER *number = s2i_ASN1_INTEGER(NULL, w->delta);
        must(X509_CRL_add1_ext_i2d(crl, NID_delta_crl, number, 1, 0) == 1, "a delta");
        ASN1_INTEGER_free(number);
    }
    must(X509_CRL_sort(crl) && X509_CRL_sign(crl, by->key, EVP_sha256()) > 0, "a list");
    ASN1_TIME_free(from);
    ASN1_TIME_free(until);
    return crl;
}

/* --- bytes and files --- */

struct str kit_der(struct arena *a, const X509 *x)
{
    unsigned char *der = NULL;
    int n = i2d_X509(x, &der);
    must(n > 0, "DER");
    struct str out = str_dup(a, str_n((const char *)der, (size_t)n));
    OPENSSL_free(der);
    return out;
}

struct str kit_sign(struct arena *a, EVP_PKEY *key, const EVP_MD *digest, bool pss, struct str text)
{
    unsigned char sig[512];
    size_t n = sizeof(sig);
    EVP_PKEY_CTX *ctx = NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    must(EVP_DigestSignInit(md, &ctx, digest, NULL, key) > 0 &&
             EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) >
                 0 &&
             EVP_DigestSign(md, sig, &n, (const unsigned char *)text.p, text.n) > 0,
         "a signature");
    EVP_MD_CTX_free(md);
    return str_dup(a, str_n((const char *)sig, n));
}

const char *kit_folder(struct arena *a)
{
    char *folder = arena_printf(a, "/tmp/marugoto-card-XXXXXX");
    must(mkdtemp(folder) && !mkdir(arena_printf(a, "%s/auth", folder), 0700) &&
             !mkdir(arena_printf(a, "%s/sign", folder), 0700),
         "a folder");
    return folder;
}

void kit_folder_remove(const char *folder)
{
    struct arena a = ARENA_INIT;
    must(system(arena_printf(&a, "rm -rf '%s'", folder)) == 0, "the folder's end");
    arena_release(&a);
}

static FILE *create(struct arena *a, const char *folder, const char *file)
{
    FILE *f = fopen(arena_printf(a, "%s/%s", folder, file), "wb");
    must(f, file);
    return f;
}

void kit_put_x509(const char *folder, const char *file, const X509 *x)
{
    struct arena a = ARENA_INIT;
    FILE *f = create(&a, folder, file);
    must(PEM_write_X509(f, x) && !fclose(f), file);
    arena_release(&a);
}

void kit_put_list(const char *folder, const char *file, const X509_CRL *crl)
{
    struct arena a = ARENA_INIT;
    FILE *f = create(&a, folder, file);
    must(i2d_X509_CRL_fp(f, crl) && !fclose(f), file);
    arena_release(&a);
}

struct card_options kit_options(const char *folder)
{
    return (struct card_options){.folder = folder,
                                 .auth_policy = "1.2.392.200149.8.5.1.3.30",
                                 .sign_policy = "1.2.392.200149.8.5.1.1.20",
                                 .auth_ocsp = "",
                                 .sign_ocsp = "",
                                 .reload_s = 60};
}
