/* Opening: the authorities of each role, from files. */
#include "card_impl.h"
#include "core/log.h"
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { RSA_BITS_MIN = 2048 };

const char *card_role_name(enum card_role role)
{
    return role == CARD_AUTH ? "auth" : "sign";
}

/* --- files --- */

enum err card_file_read(const char *path, char **bytes, size_t *n, struct error *e)
{
    struct stat st;
    FILE *f = fopen(path, "rbe");
    bool good = f && fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode);
    if (good && st.st_size > CARD_FILE_BYTES_MAX) {
        fclose(f);
        return error_set(e, ERR_TOO_LARGE, "%s has more than %d bytes", path, CARD_FILE_BYTES_MAX);
    }
    *bytes = NULL;
    if (good) {
        *n = (size_t)st.st_size;
        *bytes = malloc(*n + 1);
        if (!*bytes)
            abort();
        good = fread(*bytes, 1, *n, f) == *n;
    }
    if (f)
        fclose(f);
    if (good)
        return OK;
    free(*bytes);
    *bytes = NULL;
    return error_set(e, ERR_IO, "cannot read %s: %s", path, strerror(errno));
}

static bool is_certificate_file(const char *name)
{
    struct str s = str_c(name);
    return str_ends(s, S(".pem")) || str_ends(s, S(".crt")) || str_ends(s, S(".cer"));
}

/* --- authorities --- */

static X509 *x509_of_file(const char *bytes, size_t n)
{
    BIO *bio = BIO_new_mem_buf(bytes, (int)n);
    X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    const unsigned char *der = (const unsigned char *)bytes;
    BIO_free(bio);
    if (!x)
        x = d2i_X509(NULL, &der, (long)n);
    ERR_clear_error();
    return x;
}

/* One whose words we understand wholly: nothing that narrows what it may issue is passed over. */
static bool is_authority(X509 *x)
{
    EVP_PKEY *key = X509_get0_pubkey(x);
    return X509_check_ca(x) == 1 && X509_get_key_usage(x) & KU_KEY_CERT_SIGN &&
           !(X509_get_extension_flags(x) & (EXFLAG_INVALID | EXFLAG_CRITICAL)) &&
           X509_get_ext_by_NID(x, NID_name_constraints, -1) < 0 && key &&
           EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_get_bits(key) >= RSA_BITS_MIN;
}

static enum err add_authority(struct card_side *side, const char *path, struct error *e)
{
    char *bytes = NULL;
    size_t n = 0;
    if (side->n == CARD_AUTHORITIES_MAX)
        return error_set(e, ERR_INVALID, "more than %d authorities", CARD_AUTHORITIES_MAX);
    enum err err = card_file_read(path, &bytes, &n, e);
    if (err)
        return err;
    X509 *x = x509_of_file(bytes, n);
    free(bytes);
    if (!x || !is_authority(x)) {
        X509_free(x);
        ERR_clear_error();
        return error_set(e, ERR_INVALID, "%s is no certificate of an authority", path);
    }
    side->authorities[side->n++] = x;
    return OK;
}

static enum err load_authorities(struct card *c, enum card_role role, struct error *e)
{
    struct arena a = ARENA_INIT;
    const char *folder = arena_printf(&a, "%s/%s", c->options->folder, card_role_name(role));
    DIR *dir = opendir(folder);
    enum err err = OK;
    if (!dir)
        err = error_set(e, ERR_INVALID, "trust.card_folder: cannot open %s: %s", folder,
                        strerror(errno));
    for (struct dirent *d; dir && !err && (d = readdir(dir));)
        if (is_certificate_file(d->d_name))
            err = add_authority(&c->sides[role], arena_printf(&a, "%s/%s", folder, d->d_name), e);
    if (dir)
        closedir(dir);
    if (!err && !c->sides[role].n)
        err = error_set(e, ERR_INVALID, "trust.card_folder: no authority in %s", folder);
    arena_release(&a);
    return err;
}

/* A key that speaks for both roles would make one card's certificates good for the other's use. */
static enum err check_apart(const struct card *c, struct error *e)
{
    const struct card_side *auth = &c->sides[CARD_AUTH], *sign = &c->sides[CARD_SIGN];
    for (size_t i = 0; i < auth->n; i++)
        for (size_t j = 0; j < sign->n; j++)
            if (EVP_PKEY_eq(X509_get0_pubkey(auth->authorities[i]),
                            X509_get0_pubkey(sign->authorities[j])) == 1)
                return error_set(e, ERR_INVALID,
                                 "trust.card_folder: one authority is in both "
                                 "auth and sign");
    return OK;
}

/* --- the whole --- */

static enum err open_side(struct card *c, enum card_role role, const char *policy, const char *ocsp,
                          struct error *e)
{
    struct card_side *side = &c->sides[role];
    side->ocsp = ocsp;
    side->policy = OBJ_txt2obj(policy, 1);
    ERR_clear_error();
    if (!side->policy)
        return error_set(e, ERR_INVALID, "trust.card_%s_policy is no OID", card_role_name(role));
    if (!c->options->folder[0])
        return OK;
    enum err err = load_authorities(c, role, e);
    if (!err)
        card_lists_load(c, role);
    return err;
}

struct card *card_open(const struct card_options *o, struct error *e)
{
    struct card *c = calloc(1, sizeof(*c));
    if (!c || pthread_rwlock_init(&c->lock, NULL))
        abort();
    c->options = o;
    c->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    c->sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
    c->sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
    if (!c->sha256 || !c->sha384 || !c->sha512)
        abort();
    enum err err = open_side(c, CARD_AUTH, o->auth_policy, o->auth_ocsp, e);
    if (!err)
        err = open_side(c, CARD_SIGN, o->sign_policy, o->sign_ocsp, e);
    if (!err)
        err = check_apart(c, e);
    if (!err)
        return c;
    card_close(c);
    return NULL;
}

void card_close(struct card *c)
{
    if (!c)
        return;
    for (int role = 0; role < CARD_ROLES; role++) {
        struct card_side *side = &c->sides[role];
        card_lists_clear(&side->lists);
        for (size_t i = 0; i < side->n; i++)
            X509_free(side->authorities[i]);
        ASN1_OBJECT_free(side->policy);
    }
    EVP_MD_free(c->sha256);
    EVP_MD_free(c->sha384);
    EVP_MD_free(c->sha512);
    pthread_rwlock_destroy(&c->lock);
    free(c);
}

void card_reload(struct card *c)
{
    for (int role = 0; c->options->folder[0] && role < CARD_ROLES; role++)
        card_lists_load(c, (enum card_role)role);
}

bool card_knows(const struct card *c, enum card_role role)
{
    return c->sides[role].n > 0;
}
