/*
 * Cards verified a second on one core: certificate parsed, chain to the authority, policy, use,
 * list of revoked certificates (10,000 on it), the signature of the challenge. Each is another
 * card; the authority is parsed once. Beside it, in turns: the two RSA-2048 verifications that no
 * implementation can do without, alone, with keys that are ready.
 */
#include "../tests/unit/trust/card_kit.h"
#include "core/log.h"
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CARDS = 200, REVOKED = 10000, ROUNDS = 10, PAIR = 2 };

struct shown {
    struct str der, challenge, signature;
};

static struct arena arena = ARENA_INIT;
static const struct card_asked asked = {S_INIT("browser"), S_INIT("https://id.city.example"),
                                        S_INIT("sign in")};
static struct shown shown[CARDS];

static void fail(const char *what)
{
    fprintf(stderr, "bench_card: %s\n", what);
    exit(1);
}

/* Of this thread: others on the machine do not count. */
static int64_t cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

static void make_cards(const struct kit_authority *ca, EVP_PKEY *key)
{
    for (int i = 0; i < CARDS; i++) {
        struct kit_wish w = {.role = CARD_AUTH, .serial = 100000 + i};
        X509 *x = kit_certificate(&w, ca, key);
        shown[i].der = kit_der(&arena, x);
        shown[i].challenge = random_token(&arena, 24); /* 32 characters: as good as any bytes */
        shown[i].signature = kit_sign(&arena, key, EVP_sha256(), false,
                                      card_text(&arena, &asked, shown[i].challenge));
        X509_free(x);
    }
}

static void put_list(const char *folder, const struct kit_authority *ca)
{
    static long serials[REVOKED];
    for (int i = 0; i < REVOKED; i++)
        serials[i] = 1000 + i;
    X509_CRL *crl = kit_list_make(&(struct kit_list){.serials = serials, .n = REVOKED}, ca);
    kit_put_list(folder, "auth/all.crl", crl);
    X509_CRL_free(crl);
}

static int64_t verify_all(struct card *cards, int n)
{
    struct arena a = ARENA_INIT;
    int64_t from = cpu_us();
    for (int i = 0; i < n; i++) {
        const struct shown *s = &shown[i % CARDS];
        struct card_certificate out;
        struct error e = {0};
        if (card_proof(cards, &a, &asked, s->challenge, s->der, s->signature, KIT_NOW, &out, &e) ||
            out.status != CARD_GOOD)
            fail(e.text[0] ? e.text : "the status is not known");
        arena_reset(&a);
    }
    arena_release(&a);
    return cpu_us() - from;
}

static int64_t rsa_alone(EVP_PKEY *key, int n)
{
    int64_t from = cpu_us();
    EVP_MD *sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    struct hash h = hash_sha256(card_text(&arena, &asked, shown[0].challenge));
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
    if (EVP_PKEY_verify_init(ctx) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) <= 0 ||
        EVP_PKEY_CTX_set_signature_md(ctx, sha256) <= 0)
        fail("no verification");
    for (int i = 0; i < n * PAIR; i++)
        if (EVP_PKEY_verify(ctx, (const unsigned char *)shown[0].signature.p, shown[0].signature.n,
                            h.b, sizeof(h.b)) != 1)
            fail("a signature does not hold");
    EVP_PKEY_CTX_free(ctx);
    EVP_MD_free(sha256);
    return cpu_us() - from;
}

int main(void)
{
    log_set_level(LOG_OFF);
    int n = getenv("BENCH_QUICK") ? 200 : 5000;
    EVP_PKEY *auth_key = kit_rsa(2048), *sign_key = kit_rsa(2048), *key = kit_rsa(2048);
    struct kit_authority auth = kit_authority_new("Auth CA", auth_key);
    struct kit_authority sign = kit_authority_new("Sign CA", sign_key);
    const char *folder = kit_folder(&arena);
    struct card_options options = kit_options(folder);
    struct error e = {0};
    int64_t ours = 0, alone = 0;
    kit_put_x509(folder, "auth/ca.pem", auth.x);
    kit_put_x509(folder, "sign/ca.pem", sign.x);
    put_list(folder, &auth);
    struct card *cards = card_open(&options, &e);
    if (!cards)
        fail(e.text);
    make_cards(&auth, key);
    for (int i = 0; i < ROUNDS; i++) {
        ours += verify_all(cards, n);
        alone += rsa_alone(key, n);
    }
    double rate = (double)n * ROUNDS * 1e6 / (double)ours;
    printf(
        "%s cards verified on one core (goal >= 10000/s): %.0f/s, %.2f x the time of two RSA-2048 "
        "verifications (%.0f pairs/s)\n",
        rate >= 10000 ? "met   " : "MISSED", rate, (double)ours / (double)alone,
        (double)n * ROUNDS * 1e6 / (double)alone);
    card_close(cards);
    kit_folder_remove(folder);
    kit_authority_free(&auth);
    kit_authority_free(&sign);
    EVP_PKEY_free(auth_key);
    EVP_PKEY_free(sign_key);
    EVP_PKEY_free(key);
    arena_release(&arena);
    return 0;
}
