/* card_impl.h - authorities, lists and certificates as the files of this folder share them. */
#ifndef TRUST_CARD_IMPL_H
#define TRUST_CARD_IMPL_H

#include "trust/card.h"
#include "x509.h"
#include <openssl/x509v3.h>
#include <pthread.h>

enum { CARD_AUTHORITIES_MAX = 16, CARD_LISTS_MAX = 256, CARD_FILE_BYTES_MAX = 64 * 1024 * 1024 };

/* A list of revoked certificates that is good. */
struct card_list {
    X509_CRL *crl;
    int64_t this_update, next_update; /* next_update 0: not told */
    ISSUING_DIST_POINT *part;         /* NULL: it covers all of its issuer's certificates */
};

struct card_lists {
    struct card_list v[CARD_LISTS_MAX];
    size_t n;
    uint64_t seen; /* of the files that they come from: names, sizes, times */
};

struct card_side {
    X509 *authorities[CARD_AUTHORITIES_MAX];
    size_t n;
    ASN1_OBJECT *policy;
    const char *ocsp; /* "": none */
    struct card_lists lists;
};

struct card {
    const struct card_options *options;
    struct card_side sides[CARD_ROLES];
    pthread_rwlock_t lock; /* over the lists */
    EVP_MD *sha256, *sha384, *sha512;
};

const char *card_role_name(enum card_role role); /* "auth", "sign" */

/* --- lists (lists.c) --- */

/* Read those of the role's folder again if they have changed. */
void card_lists_load(struct card *c, enum card_role role);
void card_lists_clear(struct card_lists *l);
/* What the lists say of a certificate. */
enum card_status card_lists_ask(struct card *c, enum card_role role, const CARD_X509 *x,
                                int64_t now);

/* --- certificates (certificate.c) --- */

/* card_certificate_check(), and the certificate's key; the caller frees it. */
enum err card_check(struct card *c, struct arena *a, enum card_role role, struct str der,
                    int64_t now, struct card_certificate *out, EVP_PKEY **key, struct error *e);
/* RSASSA-PKCS1-v1_5 with this digest. */
bool card_rsa_verify(EVP_PKEY *key, const EVP_MD *md, struct str text, struct str signature);
int64_t card_time(const ASN1_TIME *t); /* instant; INT64_MIN: none */
struct hash card_name_hash(const X509_NAME *name);

/* The four items (items.c). ERR_INVALID. */
enum err card_items_read(struct arena *a, const CARD_X509 *x, struct card_items *out,
                         struct error *e);

/* A new text of a file with a certificate or list, PEM or DER. */
enum err card_file_read(const char *path, char **bytes, size_t *n, struct error *e);

#endif
