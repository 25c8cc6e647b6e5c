/*
 * card_kit.h - authorities, cards and lists of our own, for tests and benchmarks: right in all, or
 * wrong in what a wish says. What cannot be made ends the program.
 */
#ifndef TEST_CARD_KIT_H
#define TEST_CARD_KIT_H

#include "trust/card.h"
#include <openssl/x509.h>
#include <openssl/x509v3.h>

enum { KIT_NOW_S = 1790000000 }; /* the instant that everything is made around */
#define KIT_NOW (KIT_NOW_S * SECOND_US)
#define KIT_DAY 86400

struct kit_authority {
    X509 *x;
    EVP_PKEY *key;
};

/* One otherName of a certificate. */
struct kit_item {
    const char *oid; /* the last number, "1" to "6", or a whole OID */
    struct str value;
    int type; /* V_ASN1_UTF8STRING when 0 */
};

/* Zero and NULL: as a card has it. */
struct kit_wish {
    enum card_role role;
    const char *policy;   /* "" for none */
    const char *usage;    /* as openssl.cnf writes it; "" for none */
    const char *basic;    /* basicConstraints */
    const char *point;    /* a distribution point, "URI:..." */
    const char *extended; /* extendedKeyUsage */
    bool twice;           /* an extension that is there two times */
    bool strange;         /* a critical extension that nobody knows */
    long serial;
    long from, until; /* seconds from KIT_NOW_S */
    const EVP_MD *digest;
    const struct kit_item *items;
    size_t n_items;
};

EVP_PKEY *kit_rsa(unsigned bits);
/* A self-signed authority of this name. */
struct kit_authority kit_authority_new(const char *name, EVP_PKEY *key);
void kit_authority_free(struct kit_authority *a);
X509 *kit_certificate(const struct kit_wish *w, const struct kit_authority *by, EVP_PKEY *key);

struct kit_list {
    const long *serials;
    size_t n;
    long from, until;  /* seconds from KIT_NOW_S */
    const char *part;  /* issuingDistributionPoint, as openssl.cnf writes it */
    const char *delta; /* deltaCRL, a number */
};
X509_CRL *kit_list_make(const struct kit_list *w, const struct kit_authority *by);

struct str kit_der(struct arena *a, const X509 *x);
/* RSASSA-PKCS1-v1_5 or, with pss, PSS. */
struct str kit_sign(struct arena *a, EVP_PKEY *key, const EVP_MD *digest, bool pss,
                    struct str text);
/* A new folder with auth/ and sign/; and a file in it, by its role ("auth/x.pem"). */
const char *kit_folder(struct arena *a);
void kit_folder_remove(const char *folder);
void kit_put_x509(const char *folder, const char *file, const X509 *x);
void kit_put_list(const char *folder, const char *file, const X509_CRL *crl);

struct card_options kit_options(const char *folder);

#endif
