/*
 * webauthn.h - passkeys: we are the relying party of Web Authentication (W3C, levels 2 and 3).
 *
 * Pure functions: what was asked for, what came back, what was kept of the credential; no store, no
 * clock. The caller keeps the challenge for one use and a short time, knows whose it is, and keeps
 * the credential.
 *
 *     webauthn_options_create(&w, &asked);              to the page, which calls the browser
 *     webauthn_answer_read(a, json, &answer, e);        PublicKeyCredential.toJSON()
 *     webauthn_created(a, &asked, &answer, &new, e);    keep new
 *
 *     webauthn_options_get(&w, &asked);
 *     webauthn_answer_read(a, json, &answer, e);        find the credential by answer.id
 *     webauthn_asserted(a, &asked, &kept, &answer, &now, e);  keep now.sign_count, now.backed_up
 *
 * What is checked is section 7.1 (creating) and 7.2 (asserting), and in addition what those leave
 * to the relying party:
 *
 *   - user presence always; user verification when it was asked for
 *   - origins are compared as a whole; a page in a foreign frame (crossOrigin, topOrigin) is
 * refused
 *   - ES256, EdDSA with Ed25519, RS256; keys with other members than their type needs are refused
 *     (section 5.8.5)
 *   - attestation is asked for as "none". "none", and "packed" signed by the credential itself, are
 *     taken; everything else (packed with certificates, tpm, android-key, apple, fido-u2f ...) is
 *     refused as not acceptable under our policy (7.1, the step "assess the attestation
 *     trustworthiness"): a browser that was asked for "none" does not send it. So nothing that is
 *     said of the authenticator (its AAGUID, backup_eligible) is proved by a manufacturer
 *   - a counter that does not rise refuses the assertion (7.2, the step about signCount), because
 *     the authenticator may be a copy; ERR_CONFLICT tells it apart
 *   - CBOR in other than the canonical form, and JSON with a name twice, are refused (section 2)
 *
 * Errors: ERR_INVALID is not well-formed, ERR_UNSUPPORTED a key or an attestation that we do not
 * take, ERR_UNAUTHENTICATED well-formed but no proof, ERR_CONFLICT the counter. Any thread.
 */
#ifndef TRUST_WEBAUTHN_H
#define TRUST_WEBAUTHN_H

#include "core/cbor.h"
#include "core/json.h"
#include "crypto/jose.h"

enum {
    WEBAUTHN_CHALLENGE_BYTES = 32, /* that a caller should make, random; at least 16 are needed */
    WEBAUTHN_ID_BYTES_MAX = 1023,
    WEBAUTHN_HANDLE_BYTES_MAX = 64,
    WEBAUTHN_AAGUID_BYTES = 16,
    WEBAUTHN_ANSWER_BYTES_MAX = 64 * 1024 /* of each part of an answer */
};

/* Who asks. */
struct webauthn_rp {
    struct str id;             /* "city.example": the host, or a domain that it is in */
    struct str name;           /* shown by browsers */
    const struct str *origins; /* "https://id.city.example", as browsers write them */
    size_t n_origins;
};

struct webauthn_user {
    struct str handle; /* 1 to 64 bytes, random: nothing personal (section 14.6.1) */
    struct str name, display_name;
};

/* What is kept of a credential. */
struct webauthn_credential {
    struct str id;
    struct str public_key; /* COSE_Key, as it came */
    struct str handle;     /* of its user */
    struct str aaguid;     /* 16 bytes, as the authenticator says */
    struct str transports; /* "internal hybrid", as the browser says; may be empty */
    uint32_t sign_count;   /* 0: the authenticator has none */
    bool user_verified;    /* at this ceremony */
    bool backup_eligible;  /* may be copied to other devices of its user */
    bool backed_up;        /* is */
};

/* What is asked for, for creating and for asserting. */
struct webauthn_asked {
    const struct webauthn_rp *rp;
    struct str challenge;
    bool user_verification; /* is required; else preferred */
    int64_t timeout_ms;
    struct webauthn_user user; /* creating; asserting: handle, when the user is known already */
    /* creating: those that the user has; asserting: those that may answer, none: any */
    const struct webauthn_credential *known;
    size_t n_known;
};

/* What came back; bytes, decoded. */
struct webauthn_answer {
    struct str id;
    struct str client_data;
    struct str attestation;                       /* of creating, else absent */
    struct str auth_data, signature, user_handle; /* of asserting; the handle may be absent */
    struct str transports;
    bool
        discoverable; /* the credential can be found without its id, the browser says (credProps) */
};

/* PublicKeyCredentialCreationOptionsJSON and PublicKeyCredentialRequestOptionsJSON (level 3,
 * sections 5.1.8 and 5.1.9), as an object. */
void webauthn_options_create(struct json_writer *w, const struct webauthn_asked *asked);
void webauthn_options_get(struct json_writer *w, const struct webauthn_asked *asked);

/* RegistrationResponseJSON or AuthenticationResponseJSON (level 3, section 5.1). Decoded bytes are
 * in the arena. */
enum err webauthn_answer_read(struct arena *a, const struct json *v, struct webauthn_answer *out,
                              struct error *e);

/* A new credential of asked->user. Texts of *out are in the arena, the answer or asked. That no
 * other user has a credential of this id (7.1) is for the caller's unique index to say. */
enum err webauthn_created(struct arena *a, const struct webauthn_asked *asked,
                          const struct webauthn_answer *answer, struct webauthn_credential *out,
                          struct error *e);
/*
 * The user of the credential has signed. *now is the credential with what changed. asked->known
 * must list the credential, unless it is empty: then the authenticator must have told its user's
 * handle.
 */
enum err webauthn_asserted(struct arena *a, const struct webauthn_asked *asked,
                           const struct webauthn_credential *kept,
                           const struct webauthn_answer *answer, struct webauthn_credential *now,
                           struct error *e);

#endif
