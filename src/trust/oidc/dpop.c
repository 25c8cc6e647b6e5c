/*
 * Proofs that a token's holder has its key (RFC 9449).
 *
 * A nonce is an HMAC over the running number of a stretch of time, under a key of the vault's: all
 * processes of a city make and know the same, and nothing is kept. A proof must carry one of this
 * stretch or the last. Its jti counts once: at endpoints that write, in the store with the change
 * itself; at resources, which only read, in the memory of the process.
 */
#include "core/map.h"
#include "oidc_impl.h"
#include "trust/vault.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { JTI_BYTES_MAX = 256, NONCE_BYTES = 18, FUTURE_S = 60, PROOFS_MAX = 200000 };

/* --- nonces --- */

static struct str nonce_of(struct oidc *o, struct arena *a, int64_t stretch)
{
    struct hash h;
    struct error e = {0};
    struct str number = str_n((const char *)&stretch, sizeof(stretch));
    if (vault_blind(o->trust->vault, S("oidc.nonce"), number, &h, &e))
        return STR_NONE; /* then nothing is signed either */
    return base64url_encode(a, str_n((const char *)h.b, NONCE_BYTES));
}

struct str dpop_nonce(struct oidc *o, struct arena *a, int64_t now)
{
    return nonce_of(o, a, now / (o->options->nonce_s * SECOND_US));
}

static bool nonce_good(struct oidc *o, struct arena *a, struct str nonce, int64_t now)
{
    int64_t stretch = now / (o->options->nonce_s * SECOND_US);
    return nonce.n && (bytes_equal(nonce, nonce_of(o, a, stretch)) ||
                       bytes_equal(nonce, nonce_of(o, a, stretch - 1)));
}

/* --- reading a proof --- */

static bool take_text(const struct json *claims, const char *name, struct str *out)
{
    const struct json *v = json_get(claims, str_c(name));
    *out = json_text(v);
    return json_is(v, JSON_STRING) && out->n > 0;
}

enum err dpop_read(struct key_cache *keys, struct arena *a, struct str text,
                   struct dpop_claims *out, struct error *e)
{
    struct jws j;
    struct jose_key *key = NULL;
    *out = (struct dpop_claims){0};
    enum err err = jws_read(a, text, &j, e);
    if (err)
        return err;
    const struct json *jwk = json_get(j.header, S("jwk"));
    if (!str_eq(j.type, S("dpop+jwt")) || !json_is(jwk, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "a proof has typ dpop+jwt and its key as jwk");
    err = key_cache_get(keys, jwk, &key, e);
    if (!err && jose_key_alg(key) == JOSE_RS256)
        err = error_set(e, ERR_INVALID, "proofs are signed by ES256, PS256 or EdDSA");
    if (!err)
        err = jws_verify(&j, key, e);
    if (!err)
        out->jkt = str_dup(a, jose_key_thumbprint(key));
    jose_key_free(key);
    const struct json *claims = err ? NULL : json_parse(a, j.payload, &JSON_DEFAULT, e);
    if (err || !claims)
        return e->code;
    if (!take_text(claims, "jti", &out->jti) || out->jti.n > JTI_BYTES_MAX ||
        !take_text(claims, "htm", &out->htm) || !take_text(claims, "htu", &out->htu) ||
        !json_i64(json_get(claims, S("iat")), &out->iat))
        return error_set(e, ERR_INVALID, "a proof needs jti, htm, htu and iat");
    take_text(claims, "nonce", &out->nonce);
    take_text(claims, "ath", &out->ath);
    return OK;
}

/* --- checking it against the request --- */

/* Without query and fragment (RFC 9449 section 4.3): the rest is what the client called. */
static struct str without_query(struct str url)
{
    size_t n = 0;
    while (n < url.n && url.p[n] != '?' && url.p[n] != '#')
        n++;
    return str_sub(url, 0, n);
}

static struct str origin_of_url(struct str url)
{
    ptrdiff_t at = str_find(url, S("://"));
    size_t n = at > 0 ? (size_t)at + 3 : url.n;
    while (n < url.n && url.p[n] != '/')
        n++;
    return str_sub(url, 0, n);
}

static enum err check(struct oidc *o, struct request *req, struct str issuer,
                      const struct dpop_claims *k, const char **code, struct error *e)
{
    int64_t now = clock_now(o->trust->clock), at = now / SECOND_US;
    struct str here = str_concat(req->arena, origin_of_url(issuer), req->path);
    *code = "invalid_dpop_proof";
    if (!str_eq(k->htm, req->method))
        return error_set(e, ERR_INVALID, "the proof is for another method");
    if (!str_eq(without_query(k->htu), here))
        return error_set(e, ERR_INVALID, "the proof is for another address");
    if (k->iat > at + FUTURE_S)
        return error_set(e, ERR_INVALID, "the proof is from the future");
    if (!nonce_good(o, req->arena, k->nonce, now)) {
        *code = "use_dpop_nonce";
        return error_set(e, ERR_INVALID, "a proof must carry the nonce of this server");
    }
    if (k->iat < at - 3 * o->options->nonce_s)
        return error_set(e, ERR_INVALID, "the proof is too old");
    return OK;
}

static int64_t proof_until(const struct oidc *o, int64_t now)
{
    return now + 2 * o->options->nonce_s * SECOND_US; /* its nonce is no good then */
}

/* The one header; absent when there is none, empty when there are several. */
static struct str proof_header(const struct request *req)
{
    struct str first = request_header(req, "DPoP");
    return !first.p || str_eq(first, request_header_all(req, "DPoP")) ? first : S("");
}

bool call_proof(struct call *c)
{
    struct str text = proof_header(c->req);
    struct dpop_claims k;
    struct error e = {0};
    const char *code = "invalid_dpop_proof";
    if (!text.p)
        return true;
    response_header(c->req, c->res, "DPoP-Nonce", dpop_nonce(c->o, c->a, c->now));
    if (dpop_read(c->o->cache, c->a, text, &k, &e) ||
        check(c->o, c->req, c->issuer, &k, &code, &e)) {
        call_fail(c, 400, code, e.text);
        return false;
    }
    c->proof = (struct proof){true, k.jkt};
    call_once(c, "proof", k.jkt, k.jti, proof_until(c->o, c->now), "invalid_dpop_proof",
              "the proof was used before");
    return true;
}

/* --- proofs at resources --- */

struct proof_memory {
    pthread_mutex_t lock;
    struct map young, old; /* as long as two nonces; keys are on the heap */
    int64_t stretch;       /* of young */
};

struct proof_memory *proof_memory_new(void)
{
    struct proof_memory *m = calloc(1, sizeof(*m));
    if (!m)
        abort();
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

static void forget(struct map *m)
{
    struct map_iter it = {0};
    while (map_next(m, &it))
        free(it.value);
    map_release(m);
    *m = (struct map)MAP_INIT;
}

void proof_memory_free(struct proof_memory *m)
{
    if (!m)
        return;
    forget(&m->young);
    forget(&m->old);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* A proof is remembered while a nonce that it can carry is good: this stretch and the two before
 * (it was accepted in the second at the latest). */
static enum err remember(struct oidc *o, const struct dpop_claims *k, int64_t now, struct error *e)
{
    struct proof_memory *m = o->proofs;
    struct str fields[] = {k->jkt, k->jti};
    struct hash h = hash_blake2b_fields(fields, 2);
    int64_t stretch = now / (2 * o->options->nonce_s * SECOND_US);
    enum err err = OK;
    pthread_mutex_lock(&m->lock);
    if (stretch != m->stretch) {
        forget(&m->old);
        if (stretch == m->stretch + 1)
            m->old = m->young;
        else
            forget(&m->young);
        m->young = (struct map)MAP_INIT;
        m->stretch = stretch;
    }
    if (map_get(&m->young, hash_bytes(&h)) || map_get(&m->old, hash_bytes(&h))) {
        err = error_set(e, ERR_CONFLICT, "the proof was used before");
    } else if (m->young.n >= PROOFS_MAX) {
        err = error_set(e, ERR_TOO_MANY, "too many proofs at once");
    } else {
        struct hash *kept = malloc(sizeof(*kept));
        if (!kept)
            abort();
        *kept = h;
        map_put(&m->young, hash_bytes(kept), kept);
    }
    pthread_mutex_unlock(&m->lock);
    return err;
}

enum err dpop_at_resource(struct oidc *o, struct request *req, struct str token, struct str *jkt,
                          const char **code, struct error *e)
{
    struct str text = proof_header(req), issuer = oidc_issuer(o, req);
    struct hash h = hash_sha256(token);
    struct dpop_claims k;
    *code = "invalid_dpop_proof";
    if (!text.n || !issuer.n)
        return error_set(e, ERR_INVALID, "one proof must come with the token");
    enum err err = dpop_read(o->cache, req->arena, text, &k, e);
    if (!err)
        err = check(o, req, issuer, &k, code, e);
    if (!err && !bytes_equal(k.ath, hash_b64(req->arena, &h))) {
        *code = "invalid_dpop_proof";
        err = error_set(e, ERR_INVALID, "the proof is for another token");
    }
    if (!err)
        err = remember(o, &k, clock_now(o->trust->clock), e);
    if (!err)
        *jkt = k.jkt;
    return err;
}
