/* Certificates of clients: read, named, listed. See certificate.h. */
#include "certificate.h"
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <string.h>

enum { DER_BYTES_MAX = 16384, NAME_BYTES_MAX = 1024 };

const struct certificate *certificate_of(struct oidc *o, struct request *req)
{
    struct str header = request_proxy_header(req, "Client-Cert"), der;
    if (!o->options->certificates || header.n < 3 || header.p[0] != ':' ||
        header.p[header.n - 1] != ':' ||
        !base64_decode(req->arena, str_sub(header, 1, header.n - 2), &der) || !der.n ||
        der.n > DER_BYTES_MAX)
        return NULL;
    struct certificate *k = ARENA_NEW(req->arena, struct certificate);
    struct hash h = hash_sha256(der);
    k->der = der;
    k->x5t = base64url_encode(req->arena, str_n((const char *)h.b, HASH_BYTES));
    return k;
}

static X509 *open_der(struct str der)
{
    const unsigned char *p = (const unsigned char *)der.p;
    X509 *x = d2i_X509(NULL, &p, (long)der.n);
    if (x && p == (const unsigned char *)der.p + der.n &&
        X509_cmp_current_time(X509_get0_notBefore(x)) < 0 &&
        X509_cmp_current_time(X509_get0_notAfter(x)) > 0)
        return x;
    X509_free(x);
    return NULL;
}

/* The subject as RFC 4514 writes it. */
static bool has_subject(X509 *x, struct str name)
{
    char text[NAME_BYTES_MAX];
    BIO *b = BIO_new(BIO_s_mem());
    bool same = false;
    if (b && X509_NAME_print_ex(b, X509_get_subject_name(x), 0,
                                XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB) >= 0) {
        int n = BIO_read(b, text, sizeof(text));
        same = n > 0 && n < (int)sizeof(text) && str_eq(str_n(text, (size_t)n), name);
    }
    BIO_free(b);
    return same;
}

static bool is_text(const ASN1_STRING *s, struct str name)
{
    return str_eq(str_n((const char *)ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)),
                  name);
}

static bool is_address(const ASN1_STRING *s, struct str name)
{
    char z[64];
    if (name.n >= sizeof(z))
        return false;
    memcpy(z, name.p, name.n);
    z[name.n] = '\0';
    ASN1_OCTET_STRING *want = a2i_IPADDRESS(z);
    bool same = want && ASN1_OCTET_STRING_cmp(want, s) == 0;
    ASN1_OCTET_STRING_free(want);
    return same;
}

static bool has_alternative(X509 *x, int type, struct str name)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
    bool found = false;
    for (int i = 0; !found && i < sk_GENERAL_NAME_num(all); i++) {
        int kind;
        const void *value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(all, i), &kind);
        if (kind == type)
            found = type == GEN_IPADD ? is_address(value, name) : is_text(value, name);
    }
    GENERAL_NAMES_free(all);
    return found;
}

bool certificate_is_named(const struct certificate *k, const struct json *metadata)
{
    static const struct {
        const char *member;
        int type; /* 0: the subject */
    } names[] = {{"tls_client_auth_subject_dn", 0},
                 {"tls_client_auth_san_dns", GEN_DNS},
                 {"tls_client_auth_san_uri", GEN_URI},
                 {"tls_client_auth_san_ip", GEN_IPADD},
                 {"tls_client_auth_san_email", GEN_EMAIL}};
    X509 *x = open_der(k->der);
    bool named = false;
    for (size_t i = 0; x && !named && i < sizeof(names) / sizeof(names[0]); i++) {
        struct str want = json_text(json_get(metadata, str_c(names[i].member)));
        if (want.n)
            named = names[i].type ? has_alternative(x, names[i].type, want) : has_subject(x, want);
    }
    X509_free(x);
    return named;
}

bool certificate_is_listed(struct arena *a, const struct certificate *k, const struct json *set)
{
    const struct json *keys = json_get(set, S("keys"));
    X509 *x = open_der(k->der);
    bool listed = false;
    for (size_t i = 0; x && !listed && json_is(keys, JSON_ARRAY) && i < keys->n; i++) {
        struct str first = json_text(json_at(json_get(&keys->items[i], S("x5c")), 0)), der;
        listed = first.n && base64_decode(a, first, &der) && str_eq(der, k->der);
    }
    X509_free(x);
    return listed;
}
