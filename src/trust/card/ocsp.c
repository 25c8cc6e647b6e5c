/*
 * The authority's responder (OCSP, RFC 6960): with a nonce, an answer of now, signed by the
 * authority itself or by a responder that it has named for this (id-kp-OCSPSigning). Whatever is
 * not so is an answer that says nothing.
 */
#include "card_impl.h"
#include "core/log.h"
#include <openssl/err.h>
#include <openssl/ocsp.h>

enum { OCSP_TIMEOUT_MS = 5000, OCSP_ANSWER_BYTES_MAX = 64 * 1024, OCSP_AGE_S = 24 * 3600 };

static X509 *issuer_of(const struct card_side *side, const struct card_certificate *cert)
{
    for (size_t i = 0; i < side->n; i++) {
        struct hash h = card_name_hash(X509_get_subject_name(side->authorities[i]));
        if (bytes_equal(str_n((const char *)h.b, sizeof(h.b)),
                        str_n((const char *)cert->issuer.b, sizeof(cert->issuer.b))))
            return side->authorities[i];
    }
    return NULL;
}

/* The name and key of the authority are hashed with SHA-1 here, which every responder knows
 * (RFC 6960 section 4.3 is about signatures); nothing rests on it: who answers is proved below. */
static OCSP_CERTID *id_of(X509 *issuer, const struct card_certificate *cert)
{
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    OCSP_CERTID *id = NULL;
    if (serial && ASN1_STRING_set(serial, cert->serial.p, (int)cert->serial.n))
        id = OCSP_cert_id_new(EVP_sha1(), X509_get_subject_name(issuer),
                              X509_get0_pubkey_bitstr(issuer), serial);
    ASN1_INTEGER_free(serial);
    return id;
}

/* *id belongs to the request. */
static OCSP_REQUEST *make_request(X509 *issuer, const struct card_certificate *cert,
                                  OCSP_CERTID **id)
{
    unsigned char nonce[CARD_CHALLENGE_BYTES];
    OCSP_REQUEST *req = OCSP_REQUEST_new();
    *id = id_of(issuer, cert);
    random_bytes(nonce, sizeof(nonce));
    if (req && *id && OCSP_request_add0_id(req, *id) &&
        OCSP_request_add1_nonce(req, nonce, sizeof(nonce)))
        return req;
    OCSP_REQUEST_free(req);
    return NULL;
}

/* --- the answer --- */

static bool is_of_now(const ASN1_GENERALIZEDTIME *from, const ASN1_GENERALIZEDTIME *until,
                      int64_t now)
{
    int64_t begin = card_time(from), end = until ? card_time(until) : INT64_MAX;
    int64_t slack = CARD_CLOCK_S * SECOND_US;
    return begin != INT64_MIN && begin <= now + slack && begin > now - OCSP_AGE_S * SECOND_US &&
           end > now - slack && end > begin;
}

/* Who has signed it; the chain is looked at with our clock and ends at the role's authorities. */
static bool is_signed(const struct card_side *side, OCSP_BASICRESP *basic, int64_t now)
{
    X509_STORE *store = X509_STORE_new();
    bool good = store;
    for (size_t i = 0; good && i < side->n; i++)
        good = X509_STORE_add_cert(store, side->authorities[i]) == 1;
    if (good) {
        X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), (time_t)(now / SECOND_US));
        X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
        good = OCSP_basic_verify(basic, NULL, store, OCSP_NOEXPLICIT) == 1;
    }
    X509_STORE_free(store);
    return good;
}

/* NULL, or why the answer says nothing. */
static const char *judge(const struct card_side *side, OCSP_REQUEST *req, OCSP_CERTID *id,
                         OCSP_RESPONSE *response, int64_t now, enum card_status *status)
{
    ASN1_GENERALIZEDTIME *from = NULL, *until = NULL;
    const char *why = NULL;
    int found = V_OCSP_CERTSTATUS_UNKNOWN;
    if (OCSP_response_status(response) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return "the responder answers with an error";
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(response);
    if (!basic)
        return "the answer is of an unknown kind";
    if (OCSP_check_nonce(req, basic) != 1)
        why = "the answer has not our nonce";
    else if (!is_signed(side, basic, now))
        why = "the answer is not signed by the authority or its responder";
    else if (!OCSP_resp_find_status(basic, id, &found, NULL, NULL, &from, &until))
        why = "the answer is about another certificate";
    else if (!is_of_now(from, until, now))
        why = "the answer is not of now";
    else if (found == V_OCSP_CERTSTATUS_UNKNOWN)
        why = "the responder does not know the certificate";
    else
        *status = found == V_OCSP_CERTSTATUS_GOOD ? CARD_GOOD : CARD_REVOKED;
    OCSP_BASICRESP_free(basic);
    return why;
}

static const char *read_answer(const struct card_side *side, OCSP_REQUEST *req, OCSP_CERTID *id,
                               const struct client_answer *answer, int64_t now,
                               enum card_status *status)
{
    const unsigned char *p = (const unsigned char *)answer->body.p;
    if (answer->status != 200 || !str_eq(answer->type, S("application/ocsp-response")))
        return "the responder does not answer";
    OCSP_RESPONSE *response =
        answer->body.n ? d2i_OCSP_RESPONSE(NULL, &p, (long)answer->body.n) : NULL;
    if (!response)
        return "the answer is not well-formed";
    const char *why = judge(side, req, id, response, now, status);
    OCSP_RESPONSE_free(response);
    return why;
}

/* --- asking --- */

static const char *fetch(const struct card_side *side, struct arena *a, struct client *http,
                         OCSP_REQUEST *req, OCSP_CERTID *id, int64_t now, enum card_status *status)
{
    static const struct http_header type = {S_INIT("Content-Type"),
                                            S_INIT("application/ocsp-request")};
    unsigned char *der = NULL;
    struct client_answer answer;
    struct error e = {0};
    int n = i2d_OCSP_REQUEST(req, &der);
    struct client_request r = {.method = "POST",
                               .url = str_c(side->ocsp),
                               .headers = &type,
                               .n_headers = 1,
                               .body = str_n((const char *)der, n > 0 ? (size_t)n : 0),
                               .timeout_ms = OCSP_TIMEOUT_MS,
                               .response_bytes = OCSP_ANSWER_BYTES_MAX};
    enum err err = n > 0 ? client_fetch(http, a, &r, &answer, &e) : ERR_INTERNAL;
    OPENSSL_free(der);
    return err ? "the responder cannot be reached"
               : read_answer(side, req, id, &answer, now, status);
}

enum err card_ask(struct card *c, struct arena *a, struct client *http,
                  struct card_certificate *cert, int64_t now, struct error *e)
{
    const struct card_side *side = &c->sides[cert->role];
    X509 *issuer = issuer_of(side, cert);
    OCSP_CERTID *id = NULL;
    if (cert->status != CARD_UNKNOWN || !side->ocsp[0] || !issuer)
        return OK;
    OCSP_REQUEST *req = make_request(issuer, cert, &id);
    const char *why = req ? fetch(side, a, http, req, id, now, &cert->status) : "no request";
    if (why)
        log_event(LOG_WARN, "trust.card_status_unknown", LOG_Z("role", card_role_name(cert->role)),
                  LOG_Z("reason", why));
    OCSP_REQUEST_free(req);
    ERR_clear_error();
    return cert->status == CARD_REVOKED
               ? error_set(e, ERR_UNAUTHENTICATED, "the card's certificate was revoked")
               : OK;
}
