/*
 * Lists of revoked certificates (CRL, RFC 5280 section 5): complete ones, whole or parts by
 * distribution point; no deltas, no indirect ones. A list is checked once, when it is read; asking
 * is a search.
 *
 * What is on a list stays revoked even when the list is old; that something is not on it is worth
 * something only while it is fresh.
 */
#include "card_impl.h"
#include "core/log.h"
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* --- reading --- */

/* Its issuer is an authority of this role, and has signed it. */
static bool is_signed(const struct card_side *side, X509_CRL *crl)
{
    for (size_t i = 0; i < side->n; i++) {
        X509 *authority = side->authorities[i];
        if (!X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(authority)) &&
            X509_get_key_usage(authority) & KU_CRL_SIGN &&
            X509_CRL_verify(crl, X509_get0_pubkey(authority)) == 1)
            return true;
    }
    return false;
}

/* An extension that matters and that is not looked at here: a delta, for instance. */
static bool has_unknown(const X509_CRL *crl)
{
    for (int i = 0; i < X509_CRL_get_ext_count(crl); i++) {
        X509_EXTENSION *ext = X509_CRL_get_ext(crl, i);
        if (X509_EXTENSION_get_critical(ext) &&
            OBJ_obj2nid(X509_EXTENSION_get_object(ext)) != NID_issuing_distribution_point)
            return true;
    }
    return X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0;
}

/* NULL and *good false when the list is of a kind that is not taken. */
static ISSUING_DIST_POINT *read_part(const X509_CRL *crl, bool *good)
{
    int found = -1;
    ISSUING_DIST_POINT *part =
        X509_CRL_get_ext_d2i(crl, NID_issuing_distribution_point, &found, NULL);
    *good = part || found == -1;
    if (part && (part->indirectCRL > 0 || part->onlyattr > 0 || part->onlyCA > 0 ||
                 part->onlysomereasons)) {
        ISSUING_DIST_POINT_free(part);
        *good = false;
        return NULL;
    }
    return part;
}

static const char *add_list(struct card_lists *l, const struct card_side *side, X509_CRL *crl)
{
    bool good;
    if (l->n == CARD_LISTS_MAX)
        return "there are too many lists";
    if (!is_signed(side, crl))
        return "it is not signed by an authority of its role";
    if (has_unknown(crl))
        return "it is a delta, or has an extension that is not known here";
    ISSUING_DIST_POINT *part = read_part(crl, &good);
    if (!good)
        return "it is indirect, or of other certificates";
    int64_t next = card_time(X509_CRL_get0_nextUpdate(crl));
    X509_CRL_up_ref(crl);
    l->v[l->n++] = (struct card_list){.crl = crl,
                                      .this_update = card_time(X509_CRL_get0_lastUpdate(crl)),
                                      .next_update = next == INT64_MIN ? 0 : next,
                                      .part = part};
    return NULL;
}

static X509_CRL *crl_of_file(const char *path)
{
    char *bytes = NULL;
    size_t n = 0;
    if (card_file_read(path, &bytes, &n, NULL))
        return NULL;
    const unsigned char *p = (const unsigned char *)bytes;
    X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)n);
    if (!crl) {
        BIO *bio = BIO_new_mem_buf(bytes, (int)n);
        crl = bio ? PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL) : NULL;
        BIO_free(bio);
    }
    free(bytes);
    return crl;
}

static void load_file(struct card_lists *l, const struct card_side *side, const char *path)
{
    X509_CRL *crl = crl_of_file(path);
    const char *why = crl ? add_list(l, side, crl) : "it is no list";
    if (why)
        log_event(LOG_ERROR, "trust.card_list_refused", LOG_Z("file", path), LOG_Z("reason", why));
    X509_CRL_free(crl);
    ERR_clear_error();
}

void card_lists_clear(struct card_lists *l)
{
    for (size_t i = 0; i < l->n; i++) {
        X509_CRL_free(l->v[i].crl);
        ISSUING_DIST_POINT_free(l->v[i].part);
    }
    l->n = 0;
}

/* --- the folder --- */

static bool is_list(const char *name)
{
    return str_ends(str_c(name), S(".crl"));
}

/* Differs when a file has come, gone or changed. Order does not matter. */
static uint64_t look(const char *folder)
{
    struct arena a = ARENA_INIT;
    struct stat st;
    uint64_t sum = 1;
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir));) {
        if (!is_list(d->d_name) || stat(arena_printf(&a, "%s/%s", folder, d->d_name), &st))
            continue;
        sum += str_hash(str_printf(&a, "%s %lld %lld %lld.%ld", d->d_name, (long long)st.st_ino,
                                   (long long)st.st_size, (long long)st.st_mtim.tv_sec,
                                   st.st_mtim.tv_nsec));
    }
    if (dir)
        closedir(dir);
    arena_release(&a);
    return sum;
}

static void load_folder(struct card_lists *l, const struct card_side *side, const char *folder)
{
    struct arena a = ARENA_INIT;
    DIR *dir = opendir(folder);
    for (struct dirent *d; dir && (d = readdir(dir));)
        if (is_list(d->d_name))
            load_file(l, side, arena_printf(&a, "%s/%s", folder, d->d_name));
    if (dir)
        closedir(dir);
    arena_release(&a);
}

void card_lists_load(struct card *c, enum card_role role)
{
    struct arena a = ARENA_INIT;
    struct card_side *side = &c->sides[role];
    const char *folder = arena_printf(&a, "%s/%s", c->options->folder, card_role_name(role));
    struct card_lists *fresh = ARENA_NEW(&a, struct card_lists);
    fresh->seen = look(folder);
    pthread_rwlock_rdlock(&c->lock);
    bool changed = fresh->seen != side->lists.seen;
    pthread_rwlock_unlock(&c->lock);
    if (changed) {
        load_folder(fresh, side, folder);
        pthread_rwlock_wrlock(&c->lock);
        struct card_lists old = side->lists;
        side->lists = *fresh;
        pthread_rwlock_unlock(&c->lock);
        log_event(LOG_INFO, "trust.card_lists", LOG_Z("role", card_role_name(role)),
                  LOG_I("lists", fresh->n));
        card_lists_clear(&old);
    }
    arena_release(&a);
}

/* --- asking --- */

static bool names_meet(const GENERAL_NAMES *x, const GENERAL_NAMES *y)
{
    for (int i = 0; i < sk_GENERAL_NAME_num(x); i++)
        for (int j = 0; j < sk_GENERAL_NAME_num(y); j++)
            if (!GENERAL_NAME_cmp(sk_GENERAL_NAME_value(x, i), sk_GENERAL_NAME_value(y, j)))
                return true;
    return false;
}

/* Is the part one that the certificate names as its own? By full names only. */
static bool covers(const ISSUING_DIST_POINT *part, const CARD_X509 *x)
{
    bool bad = false;
    if (!part || !part->distpoint)
        return true;
    STACK_OF(DIST_POINT) *points = card_x509_extension(x, NID_crl_distribution_points, &bad);
    bool found = false;
    for (int i = 0; i < sk_DIST_POINT_num(points) && part->distpoint->type == 0; i++) {
        const DIST_POINT_NAME *name = sk_DIST_POINT_value(points, i)->distpoint;
        found = found || (name && name->type == 0 &&
                          names_meet(name->name.fullname, part->distpoint->name.fullname));
    }
    sk_DIST_POINT_pop_free(points, DIST_POINT_free);
    return found;
}

static bool is_fresh(const struct card_list *l, int64_t now)
{
    return l->this_update <= now + CARD_CLOCK_S * SECOND_US && now < l->next_update;
}

enum card_status card_lists_ask(struct card *c, enum card_role role, const CARD_X509 *x,
                                int64_t now)
{
    enum card_status status = CARD_UNKNOWN;
    pthread_rwlock_rdlock(&c->lock);
    const struct card_lists *lists = &c->sides[role].lists;
    for (size_t i = 0; i < lists->n && status != CARD_REVOKED; i++) {
        const struct card_list *l = &lists->v[i];
        X509_REVOKED *entry;
        if (X509_NAME_cmp(X509_CRL_get_issuer(l->crl), x->tbs->issuer))
            continue;
        if (X509_CRL_get0_by_serial(l->crl, &entry, x->tbs->serial) == 1)
            status = CARD_REVOKED;
        else if (is_fresh(l, now) && covers(l->part, x))
            status = CARD_GOOD;
    }
    pthread_rwlock_unlock(&c->lock);
    return status;
}
