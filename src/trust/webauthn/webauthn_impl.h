/* webauthn_impl.h - the parts of an answer, as the files of this folder share them. */
#ifndef TRUST_WEBAUTHN_IMPL_H
#define TRUST_WEBAUTHN_IMPL_H

#include "trust/webauthn.h"

/* --- authenticator data (section 6.1) --- */

enum {
    AUTH_PRESENT = 1 << 0,
    AUTH_VERIFIED = 1 << 2,
    AUTH_BACKUP_ELIGIBLE = 1 << 3,
    AUTH_BACKED_UP = 1 << 4,
    AUTH_ATTESTED = 1 << 6,
    AUTH_EXTENSIONS = 1 << 7
};

struct auth_data {
    struct str rp_hash;
    unsigned flags;
    uint32_t sign_count;
    struct str aaguid, credential, public_key; /* absent without AUTH_ATTESTED */
};
/* Slices of bytes. ERR_INVALID. */
enum err auth_data_read(struct arena *a, struct str bytes, struct auth_data *out, struct error *e);

/* --- client data (section 5.8.1) --- */

/* That the browser was asked this, by us, on one of our pages. */
enum err client_data_check(struct arena *a, struct str bytes, struct str type,
                           const struct webauthn_asked *asked, struct error *e);

/* --- attestation (section 6.5) --- */

/* That its statement is one that we take; the caller has looked at data already. */
enum err attestation_check(struct arena *a, const struct cbor *object, const struct auth_data *data,
                           struct str client_data, struct error *e);
/* What a signature of an authenticator is over: its data and the hash of the client data. */
struct str signed_bytes(struct arena *a, struct str auth_data, struct str client_data);

/* --- keys (RFC 9052 section 7, RFC 9053; WebAuthn section 5.8.5) --- */

/* ERR_INVALID, ERR_UNSUPPORTED for another algorithm. The caller frees the key. */
enum err cose_key_read(struct str bytes, struct jose_key **out, struct error *e);

#endif
