/*
 * What an authenticator and its browser send. The first byte chooses: an answer as JSON, an
 * attestation object with client data that are right, authenticator data of an assertion. Nothing
 * signed by nobody may prove anything, and a credential that is taken can be asked again.
 */
#include "trust/webauthn.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHALLENGE "0123456789abcdef0123456789abcdef"
#define CLIENT(type)                                                                               \
    "{\"type\":\"webauthn." type "\",\"challenge\":"                                               \
    "\"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY\",\"origin\":\"https://city.example\"}"

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_webauthn: %s\n", what);
    abort();
}

static const struct str origin = S_INIT("https://city.example");
static const struct webauthn_rp rp = {S_INIT("city.example"), S_INIT("City"), &origin, 1};

static void try_created(struct arena *a, struct webauthn_asked *asked,
                        const struct webauthn_answer *answer)
{
    struct webauthn_credential made, now;
    struct error e = {0};
    if (webauthn_created(a, asked, answer, &made, &e)) {
        check(e.code != OK && e.text[0], "an error without text");
        return;
    }
    check(made.id.n && made.id.n <= WEBAUTHN_ID_BYTES_MAX && made.public_key.n, "no credential");
    check(str_eq(made.id, answer->id), "another id");
    struct webauthn_answer forged = {.id = made.id,
                                     .client_data = S(CLIENT("get")),
                                     .auth_data = made.public_key,
                                     .signature = made.public_key};
    check(webauthn_asserted(a, asked, &made, &forged, &now, &e) != OK, "a forged answer holds");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct webauthn_asked asked = {.rp = &rp,
                                   .challenge = S(CHALLENGE),
                                   .user = {.handle = S("h")}};
    struct webauthn_answer answer;
    struct error e = {0};
    struct str in = size ? str_n((const char *)data + 1, size - 1) : S("");
    if (size && data[0] == 'j') {
        const struct json *v = json_parse(&a, in, &JSON_DEFAULT, &e);
        if (v && !webauthn_answer_read(&a, v, &answer, &e)) {
            check(answer.id.n && (!answer.attestation.p || !answer.signature.p), "half an answer");
            if (answer.attestation.p)
                try_created(&a, &asked, &answer);
        }
    } else if (size && data[0] == 'a') {
        /* the id is where authenticator data have it */
        struct str rest = in;
        const struct cbor *object = cbor_read(&a, &rest, &CBOR_CTAP2, &e);
        struct str auth = cbor_bytes(cbor_get(object, S("authData")));
        size_t n =
            auth.n > 55 ? (size_t)(unsigned char)auth.p[53] << 8 | (unsigned char)auth.p[54] : 0;
        answer = (struct webauthn_answer){.id = str_sub(auth, 55, n),
                                          .client_data = S(CLIENT("create")),
                                          .attestation = in};
        try_created(&a, &asked, &answer);
    } else {
        struct webauthn_credential kept = {.id = S("x"), .public_key = in, .handle = S("h")}, now;
        answer = (struct webauthn_answer){.id = S("x"),
                                          .client_data = S(CLIENT("get")),
                                          .auth_data = in,
                                          .signature = in,
                                          .user_handle = S("h")};
        check(webauthn_asserted(&a, &asked, &kept, &answer, &now, &e) != OK, "a proof of nothing");
    }
    arena_release(&a);
    return 0;
}
