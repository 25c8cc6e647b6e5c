/* The two ceremonies, step by step as in WebAuthn sections 7.1 and 7.2. */
#include "webauthn_impl.h"

enum { CHALLENGE_BYTES_MIN = 16 };

static enum err no_proof(struct error *e, const char *what)
{
    return error_set(e, ERR_UNAUTHENTICATED, "%s", what);
}

/* --- what both have in common --- */

static bool is_ours(const struct webauthn_rp *rp, struct str origin)
{
    for (size_t i = 0; i < rp->n_origins; i++)
        if (str_eq(origin, rp->origins[i]))
            return true;
    return false;
}

enum err client_data_check(struct arena *a, struct str bytes, struct str type,
                           const struct webauthn_asked *asked, struct error *e)
{
    struct str challenge;
    const struct json *v = json_parse(a, bytes, &JSON_DEFAULT, NULL), *cross, *binding, *sent;
    if (!json_is(v, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "the client data is no JSON object");
    sent = json_get(v, S("challenge"));
    cross = json_get(v, S("crossOrigin"));
    binding = json_get(v, S("tokenBinding"));
    if (!json_is(sent, JSON_STRING) || !json_is(json_get(v, S("type")), JSON_STRING) ||
        !json_is(json_get(v, S("origin")), JSON_STRING) || (cross && !json_is_bool(cross)) ||
        (binding && !json_is(json_get(binding, S("status")), JSON_STRING)))
        return error_set(e, ERR_INVALID, "the client data has not the members of its type");
    if (!str_eq(json_text(json_get(v, S("type"))), type))
        return no_proof(e, "the client data is of another ceremony");
    if (asked->challenge.n < CHALLENGE_BYTES_MIN ||
        !base64url_decode(a, json_text(sent), &challenge) ||
        !bytes_equal(challenge, asked->challenge))
        return no_proof(e, "another challenge was signed");
    if (!is_ours(asked->rp, json_text(json_get(v, S("origin")))))
        return no_proof(e, "the client data is of another origin");
    if (json_true(cross) || json_get(v, S("topOrigin")))
        return no_proof(e, "the page was in a frame of another origin");
    /* level 2: a binding that is present is to a connection that we know nothing of */
    if (str_eq(json_text(json_get(binding, S("status"))), S("present")))
        return no_proof(e, "the client data is bound to another connection");
    return OK;
}

static enum err flags_check(const struct auth_data *data, const struct webauthn_asked *asked,
                            struct error *e)
{
    struct hash h = hash_sha256(asked->rp->id);
    if (!bytes_equal(data->rp_hash, str_n((const char *)h.b, sizeof(h.b))))
        return no_proof(e, "the authenticator answered another relying party");
    if (!(data->flags & AUTH_PRESENT))
        return no_proof(e, "nobody was present at the authenticator");
    if (asked->user_verification && !(data->flags & AUTH_VERIFIED))
        return no_proof(e, "the authenticator has not verified its user");
    if (data->flags & AUTH_BACKED_UP && !(data->flags & AUTH_BACKUP_ELIGIBLE))
        return error_set(e, ERR_INVALID, "a credential that cannot be backed up says that it is");
    return OK;
}

static void take_state(struct webauthn_credential *out, const struct auth_data *data)
{
    out->sign_count = data->sign_count;
    out->user_verified = data->flags & AUTH_VERIFIED;
    out->backup_eligible = data->flags & AUTH_BACKUP_ELIGIBLE;
    out->backed_up = data->flags & AUTH_BACKED_UP;
}

/* --- creating --- */

static enum err read_attestation(struct arena *a, struct str bytes, const struct cbor **object,
                                 struct auth_data *data, struct error *e)
{
    struct str rest = bytes;
    *object = cbor_read(a, &rest, &CBOR_CTAP2, e);
    if (!*object)
        return ERR_INVALID;
    struct str auth_data = cbor_bytes(cbor_get(*object, S("authData")));
    if (!cbor_is(*object, CBOR_MAP) || rest.n || !auth_data.p)
        return error_set(e, ERR_INVALID, "the attestation object is not well-formed");
    enum err err = auth_data_read(a, auth_data, data, e);
    if (!err && !(data->flags & AUTH_ATTESTED))
        err = error_set(e, ERR_INVALID, "the authenticator data holds no credential");
    return err;
}

static bool is_known(const struct webauthn_asked *asked, struct str id)
{
    for (size_t i = 0; i < asked->n_known; i++)
        if (str_eq(asked->known[i].id, id))
            return true;
    return false;
}

enum err webauthn_created(struct arena *a, const struct webauthn_asked *asked,
                          const struct webauthn_answer *answer, struct webauthn_credential *out,
                          struct error *e)
{
    const struct cbor *object;
    struct auth_data data = {0};
    struct jose_key *k;
    enum err err = client_data_check(a, answer->client_data, S("webauthn.create"), asked, e);
    if (!err)
        err = read_attestation(a, answer->attestation, &object, &data, e);
    if (!err)
        err = flags_check(&data, asked, e);
    if (!err && !str_eq(data.credential, answer->id))
        err = error_set(e, ERR_INVALID, "the answer's id is not that of the credential");
    if (!err && is_known(asked, data.credential))
        err = no_proof(e, "the credential is there already");
    if (!err)
        err = attestation_check(a, object, &data, answer->client_data, e);
    if (!err) /* the key is one that can verify */
        err = cose_key_read(data.public_key, &k, e);
    if (err)
        return err;
    jose_key_free(k);
    *out = (struct webauthn_credential){.id = data.credential,
                                        .public_key = data.public_key,
                                        .handle = asked->user.handle,
                                        .aaguid = data.aaguid,
                                        .transports = answer->transports};
    take_state(out, &data);
    return OK;
}

/* --- asserting --- */

/* Section 7.2: the credential is one that may answer, and belongs to the user whom it names. */
static enum err owner_check(const struct webauthn_asked *asked,
                            const struct webauthn_credential *kept,
                            const struct webauthn_answer *answer, struct error *e)
{
    if (!str_eq(kept->id, answer->id) || (asked->n_known && !is_known(asked, answer->id)))
        return no_proof(e, "another credential was asked for");
    if (asked->user.handle.p && !str_eq(asked->user.handle, kept->handle))
        return no_proof(e, "the credential is of another user");
    if (answer->user_handle.n ? !str_eq(answer->user_handle, kept->handle) : !asked->n_known)
        return no_proof(e, "the authenticator has not named the credential's user");
    return OK;
}

/* Section 6.1.1: a counter rises, or is always 0. */
static bool counter_rises(uint32_t kept, uint32_t now)
{
    return now > kept || (now == 0 && kept == 0);
}

enum err webauthn_asserted(struct arena *a, const struct webauthn_asked *asked,
                           const struct webauthn_credential *kept,
                           const struct webauthn_answer *answer, struct webauthn_credential *now,
                           struct error *e)
{
    struct auth_data data = {0};
    struct jose_key *k;
    enum err err = owner_check(asked, kept, answer, e);
    if (!err)
        err = client_data_check(a, answer->client_data, S("webauthn.get"), asked, e);
    if (!err)
        err = auth_data_read(a, answer->auth_data, &data, e);
    if (!err)
        err = flags_check(&data, asked, e);
    if (!err && data.flags & AUTH_ATTESTED)
        err = error_set(e, ERR_INVALID, "an assertion must not bring a new credential");
    if (!err && !(data.flags & AUTH_BACKUP_ELIGIBLE) != !kept->backup_eligible)
        err = no_proof(e, "whether the credential can be backed up never changes");
    if (!err)
        err = cose_key_read(kept->public_key, &k, e);
    if (err)
        return err;
    struct str text = signed_bytes(a, answer->auth_data, answer->client_data);
    if (!jose_verify_der(k, text, answer->signature))
        err = no_proof(e, "the authenticator's signature does not hold");
    jose_key_free(k);
    if (!err && !counter_rises(kept->sign_count, data.sign_count))
        err = error_set(e, ERR_CONFLICT,
                        "the authenticator's counter does not rise: there may be "
                        "a copy of it");
    if (err)
        return err;
    *now = *kept;
    take_state(now, &data);
    return OK;
}
