/* Authenticator data and attestation objects: bytes taken apart, see WebAuthn section 6. */
#include "webauthn_impl.h"
#include <string.h>

enum { HEAD_BYTES = HASH_BYTES + 1 + 4 };

static uint32_t big_endian(struct str s)
{
    uint32_t v = 0;
    for (size_t i = 0; i < s.n; i++)
        v = v << 8 | (unsigned char)s.p[i];
    return v;
}

/* The next n bytes of *rest; false when there are not so many. */
static bool take(struct str *rest, size_t n, struct str *out)
{
    if (rest->n < n)
        return false;
    *out = str_n(rest->p, n);
    *rest = str_n(rest->p + n, rest->n - n);
    return true;
}

/* An item of CBOR, of which only the extent matters now. */
static enum err take_map(struct arena *a, struct str *rest, struct str *out, struct error *e)
{
    const char *from = rest->p;
    const struct cbor *v = cbor_read(a, rest, &CBOR_CTAP2, e);
    if (!v)
        return ERR_INVALID;
    if (!cbor_is(v, CBOR_MAP))
        return error_set(e, ERR_INVALID, "authenticator data: a map was expected");
    *out = str_n(from, (size_t)(rest->p - from));
    return OK;
}

static enum err read_attested(struct arena *a, struct str *rest, struct auth_data *out,
                              struct error *e)
{
    struct str length;
    if (!take(rest, WEBAUTHN_AAGUID_BYTES, &out->aaguid) || !take(rest, 2, &length) ||
        !take(rest, big_endian(length), &out->credential))
        return error_set(e, ERR_INVALID, "authenticator data ends within the credential");
    if (out->credential.n == 0 || out->credential.n > WEBAUTHN_ID_BYTES_MAX)
        return error_set(e, ERR_INVALID, "a credential's id must have 1 to %d bytes",
                         WEBAUTHN_ID_BYTES_MAX);
    return take_map(a, rest, &out->public_key, e);
}

enum err auth_data_read(struct arena *a, struct str bytes, struct auth_data *out, struct error *e)
{
    struct str rest = bytes, flags, count, extensions;
    *out = (struct auth_data){0};
    if (bytes.n > WEBAUTHN_ANSWER_BYTES_MAX || !take(&rest, HASH_BYTES, &out->rp_hash) ||
        !take(&rest, 1, &flags) || !take(&rest, 4, &count))
        return error_set(e, ERR_INVALID, "authenticator data must have at least %d bytes",
                         HEAD_BYTES);
    out->flags = big_endian(flags);
    out->sign_count = big_endian(count);
    enum err err = OK;
    if (out->flags & AUTH_ATTESTED)
        err = read_attested(a, &rest, out, e);
    if (!err && out->flags & AUTH_EXTENSIONS)
        err = take_map(a, &rest, &extensions, e);
    if (!err && rest.n)
        err = error_set(e, ERR_INVALID, "authenticator data with %zu bytes too many", rest.n);
    return err;
}

struct str signed_bytes(struct arena *a, struct str auth_data, struct str client_data)
{
    struct hash h = hash_sha256(client_data);
    return str_concat(a, auth_data, str_n((const char *)h.b, sizeof(h.b)));
}

/* Section 8.2, self attestation: signed with the key of the credential itself. */
static enum err packed_check(struct arena *a, const struct cbor *object,
                             const struct auth_data *data, struct str client_data, struct error *e)
{
    const struct cbor *statement = cbor_get(object, S("attStmt"));
    struct str signature = cbor_bytes(cbor_get(statement, S("sig")));
    struct str rest = data->public_key;
    int64_t alg, of_key;
    if (cbor_get(statement, S("x5c")) || cbor_get(statement, S("ecdaaKeyId")))
        return error_set(e, ERR_UNSUPPORTED, "attestation by a manufacturer was not asked for");
    if (statement->number != 2 || !signature.p || !cbor_i64(cbor_get(statement, S("alg")), &alg))
        return error_set(e, ERR_INVALID, "a packed attestation must have alg and sig");
    if (!cbor_i64(cbor_get_i64(cbor_read(a, &rest, &CBOR_CTAP2, e), 3), &of_key) || of_key != alg)
        return error_set(e, ERR_UNAUTHENTICATED, "the attestation's algorithm is not the key's");
    struct jose_key *k;
    enum err err = cose_key_read(data->public_key, &k, e);
    if (err)
        return err;
    struct str auth_data = cbor_bytes(cbor_get(object, S("authData")));
    if (!jose_verify_der(k, signed_bytes(a, auth_data, client_data), signature))
        err = error_set(e, ERR_UNAUTHENTICATED, "the attestation's signature does not hold");
    jose_key_free(k);
    return err;
}

enum err attestation_check(struct arena *a, const struct cbor *object, const struct auth_data *data,
                           struct str client_data, struct error *e)
{
    struct str format = cbor_text(cbor_get(object, S("fmt")));
    const struct cbor *statement = cbor_get(object, S("attStmt"));
    if (!format.p || !cbor_is(statement, CBOR_MAP))
        return error_set(e, ERR_INVALID, "an attestation object must have fmt and attStmt");
    if (str_eq(format, S("packed")))
        return packed_check(a, object, data, client_data, e);
    if (!str_eq(format, S("none")))
        return error_set(e, ERR_UNSUPPORTED, "attestation of this format was not asked for");
    return statement->number == 0
               ? OK
               : error_set(e, ERR_INVALID, "an attestation of format none must say nothing");
}
