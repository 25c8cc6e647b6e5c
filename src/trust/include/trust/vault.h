/*
 * vault.h - personal data at rest: sealed under a key of each subject, erased by destroying it.
 *
 * Each subject (a person, by internal number) has a data key, kept wrapped by the city's
 * key-encryption key, which is not in the store. What is sealed is bound to its place: subject, a
 * name such as "account.email", and a number that the caller chooses (a version or row). Destroying
 * the data key erases all that was sealed for the subject, in the store and in its older backups as
 * soon as the table of keys in those is gone too.
 *
 *     err = vault_seal(v, conn, a, &place, plain, &sealed, e);      inside apply() of a change
 *     err = vault_unseal(v, conn, a, &place, sealed, &plain, e);    on any connection
 */
#ifndef TRUST_VAULT_H
#define TRUST_VAULT_H

#include "crypto/seal.h"
#include "trust/trust.h"

struct vault;

/* Reads the key-encryption key, or makes one when nothing is sealed yet. When something is sealed
 * and its key is not there (a backup does not hold it), the vault is closed: everything else of the
 * city works, and all functions here answer ERR_UNAVAILABLE. ERR_CONFLICT: the key is not the one
 * that sealed it. */
struct vault *vault_open(struct trust *t, struct error *e);
void vault_close(struct vault *v);

struct vault_place {
    int64_t subject;
    struct str name;
    int64_t number;
};

/* Inside a change: makes the subject's key when there is none. ERR_NOT_FOUND: it was erased. */
enum err vault_seal(struct vault *v, struct store_conn *c, struct arena *a,
                    const struct vault_place *at, struct str plain, struct str *sealed,
                    struct error *e);
/* ERR_NOT_FOUND: the subject was erased, or never had a key; ERR_CORRUPT: forged, damaged, or from
 * another place. */
enum err vault_unseal(struct vault *v, struct store_conn *c, struct arena *a,
                      const struct vault_place *at, struct str sealed, struct str *plain,
                      struct error *e);
/* Inside a change: destroy the subject's key. Erasing again is no error. */
enum err vault_erase(struct store_conn *c, int64_t subject, int64_t now, struct error *e);

/* A value as an index can hold it: equal values of the same name give equal texts, and nobody
 * without the city's key can tell which. */
enum err vault_blind(const struct vault *v, struct str name, struct str value, struct hash *out,
                     struct error *e);

#endif
