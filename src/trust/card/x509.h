/*
 * x509.h - a certificate taken apart by OpenSSL's own ASN.1 reader, with a template of ours.
 * OpenSSL's struct X509 decodes the key with it, in a way that costs more than both signatures of a
 * card together; here the key is made of its two numbers when it is needed.
 */
#ifndef TRUST_CARD_X509_H
#define TRUST_CARD_X509_H

#include "core/error.h"
#include "core/str.h"
#include <openssl/asn1t.h>
#include <openssl/x509.h>

/* SubjectPublicKeyInfo */
typedef struct card_spki {
    ASN1_ENCODING enc; /* as it came */
    X509_ALGOR *algorithm;
    ASN1_BIT_STRING *key;
} CARD_SPKI;

/* TBSCertificate */
typedef struct card_tbs {
    ASN1_ENCODING enc; /* as it came: what is signed */
    ASN1_INTEGER *version;
    ASN1_INTEGER *serial;
    X509_ALGOR *algorithm;
    X509_NAME *issuer;
    X509_VAL *validity;
    X509_NAME *subject;
    CARD_SPKI *spki;
    ASN1_BIT_STRING *issuer_id, *subject_id;
    STACK_OF(X509_EXTENSION) * extensions;
} CARD_TBS;

typedef struct card_x509 {
    CARD_TBS *tbs;
    X509_ALGOR *algorithm;
    ASN1_BIT_STRING *signature;
} CARD_X509;

/* The certificate in these bytes and nothing else; NULL when there is none. */
CARD_X509 *card_x509_read(struct str der);
void card_x509_free(CARD_X509 *x); /* NULL is allowed */

/* An extension as OpenSSL's struct for it; NULL: it is not there, or not well-formed, then *bad. */
void *card_x509_extension(const CARD_X509 *x, int nid, bool *bad);
/* RSA of the sizes that are taken, else NULL; the caller frees it. */
EVP_PKEY *card_x509_key(const CARD_X509 *x);

#endif
