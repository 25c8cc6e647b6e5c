#include "tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_MAX = 256 * 1024, DAYS = 365 };

static enum err read_pem(struct arena *a, const char *path, char **out, struct error *e)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    enum err err = OK;
    if (fstat(fd, &st) != 0 || st.st_size > PEM_MAX) {
        err = error_set(e, ERR_INVALID, "%s is not a PEM file", path);
    } else {
        char *text = arena_alloc(a, (size_t)st.st_size + 1);
        ssize_t n = read(fd, text, (size_t)st.st_size);
        if (n < 0)
            err = error_set(e, ERR_IO, "cannot read %s: %s", path, strerror(errno));
        text[n < 0 ? 0 : n] = '\0';
        *out = text;
    }
    close(fd);
    if (!err && !strstr(*out, "-----BEGIN "))
        err = error_set(e, ERR_INVALID, "%s is not a PEM file", path);
    return err;
}

static char *bio_text(struct arena *a, BIO *bio)
{
    char *p;
    long n = BIO_get_mem_data(bio, &p);
    return arena_dup(a, p, (size_t)n);
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = ext && X509_add_ext(cert, ext, -1) == 1;
    X509_EXTENSION_free(ext);
    return ok;
}

static bool fill_certificate(X509 *cert, EVP_PKEY *key)
{
    static const unsigned char name[] = "localhost";
    uint64_t serial;
    if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1)
        return false;
    X509_NAME *subject = X509_get_subject_name(cert);
    return X509_set_version(cert, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), serial >> 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -3600) &&
           X509_time_adj_ex(X509_getm_notAfter(cert), DAYS, 0, NULL) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(cert, subject) == 1 && X509_set_pubkey(cert, key) == 1 &&
           add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(cert, NID_ext_key_usage, "serverAuth") &&
           add_extension(cert, NID_subject_alt_name,
                         "DNS:localhost,IP:127.0.0.1,IP:0:0:0:0:0:0:0:1") &&
           X509_sign(cert, key, EVP_sha256()) > 0;
}

static enum err make_trial(struct arena *a, struct tls_pair *out, struct error *e)
{
    enum err err = ERR_INTERNAL;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    BIO *cert_text = BIO_new(BIO_s_mem()), *key_text = BIO_new(BIO_s_mem());
    bool ok = key && cert && cert_text && key_text && fill_certificate(cert, key) &&
              PEM_write_bio_X509(cert_text, cert) == 1 &&
              PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1;
    if (!ok) {
        error_set(e, err, "cannot make a certificate for trials");
        goto out;
    }
    out->cert = bio_text(a, cert_text);
    out->key = bio_text(a, key_text);
    out->trial = true;
    err = OK;
out:
    BIO_free(cert_text);
    BIO_free(key_text);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}

enum err tls_load(struct arena *a, const char *cert, const char *key, struct tls_pair *out,
                  struct error *e)
{
    *out = (struct tls_pair){0};
    if (!cert || !cert[0])
        return OK;
    if (strcmp(cert, "self") == 0)
        return make_trial(a, out, e);
    if (!key || !key[0])
        return error_set(e, ERR_INVALID, "http.tls_cert is set, http.tls_key is not");
    enum err err = read_pem(a, cert, &out->cert, e);
    return err ? err : read_pem(a, key, &out->key, e);
}
