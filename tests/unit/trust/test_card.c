/*
 * Cards: what a good one proves, and everything that must not pass for one. Certificates, lists and
 * documents are made here, each right in all but one thing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "card_kit.h"
#include "core/log.h"
#include <openssl/cms.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct arena arena = ARENA_INIT;
static EVP_PKEY *auth_ca_key, *sign_ca_key, *key;
static struct kit_authority auth_ca, sign_ca;
static const char *folder;
static struct card_options options;
static struct card *cards;

static const struct card_asked asked = {S_INIT("browser-1"), S_INIT("https://id.city.example"),
                                        S_INIT("つくパスにサインインします")};
static const struct str challenge = S_INIT("0123456789abcdef0123456789abcdef");

static int open_all(void **state)
{
    (void)state;
    log_set_level(LOG_OFF);
    auth_ca_key = kit_rsa(2048);
    sign_ca_key = kit_rsa(2048);
    key = kit_rsa(2048);
    auth_ca = kit_authority_new("Auth CA", auth_ca_key);
    sign_ca = kit_authority_new("Sign CA", sign_ca_key);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    kit_authority_free(&auth_ca);
    kit_authority_free(&sign_ca);
    EVP_PKEY_free(auth_ca_key);
    EVP_PKEY_free(sign_ca_key);
    EVP_PKEY_free(key);
    return 0;
}

static int begin(void **state)
{
    struct error e = {0};
    (void)state;
    folder = kit_folder(&arena);
    kit_put_x509(folder, "auth/ca.pem", auth_ca.x);
    kit_put_x509(folder, "sign/ca.pem", sign_ca.x);
    options = kit_options(folder);
    cards = card_open(&options, &e);
    if (!cards)
        fail_msg("%s", e.text);
    return 0;
}

static int end(void **state)
{
    (void)state;
    card_close(cards);
    kit_folder_remove(folder);
    arena_release(&arena);
    return 0;
}

static const struct kit_authority *ca_of(enum card_role role)
{
    return role == CARD_AUTH ? &auth_ca : &sign_ca;
}

static struct str made(const struct kit_wish *w, const struct kit_authority *by, EVP_PKEY *k)
{
    X509 *x = kit_certificate(w, by, k);
    struct str der = kit_der(&arena, x);
    X509_free(x);
    return der;
}

/* The verdict on a certificate of this role; its words are in said. */
static struct error said;
static enum err check(enum card_role role, struct str der, struct card_certificate *out)
{
    said = (struct error){0};
    *out = (struct card_certificate){0};
    enum err err = card_certificate_check(cards, &arena, role, der, KIT_NOW, out, &said);
    assert_int_equal(err, said.code);
    assert_int_equal(err != OK, said.text[0] != 0);
    return err;
}

static enum err check_wish(const struct kit_wish *w)
{
    struct card_certificate out;
    return check(w->role, made(w, ca_of(w->role), key), &out);
}

static void refused(enum err err, enum err want, const char *why)
{
    if (err != want || !strstr(said.text, why))
        fail_msg("%s: %s, not %s", err_name(err), said.text, why);
}

/* --- certificates --- */

static void a_good_certificate_of_each_role(void **state)
{
    struct card_certificate auth, sign, again;
    struct kit_wish w = {.role = CARD_AUTH, .serial = 77};
    (void)state;
    assert_int_equal(check(CARD_AUTH, made(&w, &auth_ca, key), &auth), OK);
    assert_int_equal(auth.status, CARD_UNKNOWN); /* no list */
    assert_int_equal(auth.serial.n, 1);
    assert_int_equal(auth.serial.p[0], 77);
    assert_int_equal(auth.not_before, KIT_NOW - 30 * DAY_US);
    assert_int_equal(auth.not_after, KIT_NOW + 1000 * DAY_US);
    assert_null(auth.items.name.p);
    w = (struct kit_wish){.role = CARD_SIGN, .serial = 78};
    assert_int_equal(check(CARD_SIGN, made(&w, &sign_ca, key), &sign), OK);
    assert_memory_equal(auth.key.b, sign.key.b, HASH_BYTES); /* the same key, for this test */
    assert_memory_not_equal(auth.issuer.b, sign.issuer.b, HASH_BYTES);
    /* issued again: another number */
    w = (struct kit_wish){.role = CARD_AUTH, .serial = 79};
    assert_int_equal(check(CARD_AUTH, made(&w, &auth_ca, key), &again), OK);
    assert_false(str_eq(again.serial, auth.serial));
    assert_memory_equal(auth.issuer.b, again.issuer.b, HASH_BYTES);
}

static void roles_are_never_exchanged(void **state)
{
    struct card_certificate out;
    struct kit_wish auth = {.role = CARD_AUTH}, sign = {.role = CARD_SIGN};
    (void)state;
    refused(check(CARD_AUTH, made(&sign, &sign_ca, key), &out), ERR_UNAUTHENTICATED, "its role");
    refused(check(CARD_SIGN, made(&auth, &auth_ca, key), &out), ERR_UNAUTHENTICATED, "its role");
    /* even if the right authority had issued it */
    refused(check(CARD_AUTH, made(&sign, &auth_ca, key), &out), ERR_UNAUTHENTICATED, "another use");
    refused(check(CARD_SIGN, made(&auth, &sign_ca, key), &out), ERR_UNAUTHENTICATED, "another use");
    sign.usage = "digitalSignature";
    refused(check(CARD_AUTH, made(&sign, &auth_ca, key), &out), ERR_UNAUTHENTICATED, "policy");
}

static void certificates_of_others(void **state)
{
    struct card_certificate out;
    struct kit_wish w = {.role = CARD_AUTH};
    EVP_PKEY *other = kit_rsa(2048);
    struct kit_authority twin = kit_authority_new("Auth CA", other); /* of the same name */
    struct kit_authority self = kit_authority_new("0123456789ABCDEF", key);
    X509 *middle = kit_certificate(&(struct kit_wish){.basic = "critical,CA:TRUE",
                                                      .usage = "critical,keyCertSign"},
                                   &auth_ca, other);
    struct kit_authority between = {middle, other};
    (void)state;
    refused(check(CARD_AUTH, made(&w, &twin, key), &out), ERR_UNAUTHENTICATED, "authority");
    refused(check(CARD_AUTH, made(&w, &self, key), &out), ERR_UNAUTHENTICATED, "authority");
    refused(check(CARD_AUTH, made(&w, &between, key), &out), ERR_UNAUTHENTICATED, "authority");
    refused(check(CARD_AUTH, kit_der(&arena, middle), &out), ERR_UNAUTHENTICATED, "another use");
    refused(check(CARD_AUTH, kit_der(&arena, auth_ca.x), &out), ERR_UNAUTHENTICATED, "another use");
    X509_free(middle);
    kit_authority_free(&twin);
    kit_authority_free(&self);
    EVP_PKEY_free(other);
}

static void certificates_that_are_wrong_in_one_thing(void **state)
{
    static const struct {
        struct kit_wish w;
        const char *why;
    } cases[] = {
        {{.until = -1}, "not valid now"},
        {{.from = 60}, "not valid now"},
        {{.policy = ""}, "policy"},
        {{.policy = "1.2.392.200149.8.5.1.1.20"}, "policy"},
        {{.policy = "1.2.392.200149.8.5.1.3.300"}, "policy"},
        {{.usage = ""}, "another use"},
        {{.usage = "keyEncipherment"}, "another use"},
        {{.usage = "digitalSignature,nonRepudiation"}, "another use"},
        {{.usage = "digitalSignature,keyCertSign"}, "another use"},
        {{.usage = "digitalSignature,cRLSign"}, "another use"},
        {{.basic = "CA:TRUE"}, "another use"},
        {{.extended = "serverAuth"}, "another use"},
        {{.strange = true}, "critical"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(check_wish(&cases[i].w), ERR_UNAUTHENTICATED, cases[i].why);
    refused(check_wish(&(struct kit_wish){.digest = EVP_sha1()}), ERR_UNAUTHENTICATED, "authority");
    assert_int_equal(check_wish(&(struct kit_wish){.basic = "CA:FALSE"}), OK);
    assert_int_equal(check_wish(&(struct kit_wish){.extended = "serverAuth,clientAuth"}), OK);
    refused(check_wish(&(struct kit_wish){.twice = true}), ERR_INVALID, "twice");
    assert_int_equal(check_wish(&(struct kit_wish){.policy = "1.2.3.4,1.2.392.200149.8.5.1.3.30"}),
                     OK);
}

static void keys_that_no_card_has(void **state)
{
    struct card_certificate out;
    struct kit_wish w = {.role = CARD_AUTH};
    EVP_PKEY *keys[] = {kit_rsa(1024), EVP_EC_gen("P-256"),
                        EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"),
                        EVP_PKEY_Q_keygen(NULL, NULL, "RSA-PSS", (size_t)2048)};
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        if (keys[i])
            assert_int_equal(check(CARD_AUTH, made(&w, &auth_ca, keys[i]), &out),
                             ERR_UNAUTHENTICATED);
        EVP_PKEY_free(keys[i]);
    }
}

static void bytes_that_are_no_certificate(void **state)
{
    struct card_certificate out;
    struct kit_wish w = {.role = CARD_AUTH};
    struct str der = made(&w, &auth_ca, key);
    (void)state;
    refused(check(CARD_AUTH, str_concat(&arena, der, S("\0")), &out), ERR_INVALID, "well-formed");
    refused(check(CARD_AUTH, STR_NONE, &out), ERR_INVALID, "well-formed");
    refused(check(CARD_AUTH, S("0"), &out), ERR_INVALID, "well-formed");
    for (size_t n = 0; n < der.n; n += 13)
        refused(check(CARD_AUTH, str_sub(der, 0, n), &out), ERR_INVALID, "well-formed");
    char *large = arena_calloc(&arena, 1, CARD_CERTIFICATE_BYTES_MAX + 1);
    refused(check(CARD_AUTH, str_n(large, CARD_CERTIFICATE_BYTES_MAX + 1), &out), ERR_INVALID,
            "well-formed");
    /* one bit turned over anywhere */
    char *turned = arena_dup(&arena, der.p, der.n);
    for (size_t i = 0; i < der.n; i++) {
        turned[i] = (char)(der.p[i] ^ 1 << i % 8);
        if (check(CARD_AUTH, str_n(turned, der.n), &out) == OK)
            fail_msg("a bit of byte %zu of %zu is not looked at", i, der.n);
        turned[i] = der.p[i];
    }
}

/* --- items --- */

static enum err items(const struct kit_item *v, size_t n, struct card_items *out)
{
    struct card_certificate cert;
    struct kit_wish w = {.role = CARD_SIGN, .items = v, .n_items = n};
    enum err err = check(CARD_SIGN, made(&w, &sign_ca, key), &cert);
    *out = cert.items;
    return err;
}

static void the_four_items_of_a_signing_certificate(void **state)
{
    struct card_certificate c;
    struct kit_wish w = {.role = CARD_SIGN};
    (void)state;
    assert_int_equal(check(CARD_SIGN, made(&w, &sign_ca, key), &c), OK);
    assert_true(str_eq(c.items.name, S("丸毎　花子")));
    assert_true(str_eq(c.items.name_flags, S("00000")));
    assert_true(str_eq(c.items.gender, S("female")));
    assert_true(str_eq(c.items.birth_date, S("1980-01-02")));
    assert_true(str_eq(c.items.birth_text, S("319800102")));
    assert_true(str_eq(c.items.address, S("茨城県つくば市研究学園一丁目１番地１")));
    /* nothing of the kind is read from the other certificate */
    static const struct kit_item name[] = {{"1", S_INIT("丸毎　花子"), 0}};
    w = (struct kit_wish){.role = CARD_AUTH, .items = name, .n_items = 1};
    assert_int_equal(check(CARD_AUTH, made(&w, &auth_ca, key), &c), OK);
    assert_null(c.items.name.p);
}

static void items_that_are_refused(void **state)
{
    static char longest[CARD_NAME_BYTES_MAX + 1];
    memset(longest, 'x', sizeof(longest));
    static const struct kit_item twice[] = {{"1", S_INIT("A"), 0}, {"1", S_INIT("A"), 0}};
    const struct kit_item cases[][1] = {
        {{"1", S_INIT("A\0B"), 0}},
        {{"1", S_INIT("A\nB"), 0}},
        {{"1", S_INIT("A\x7f"), 0}},
        {{"1", S_INIT("\xff"), 0}},
        {{"1", S_INIT("\xed\xa0\x80"), 0}},
        {{"1", {longest, sizeof(longest)}, 0}},
        {{"1", S_INIT("A"), V_ASN1_PRINTABLESTRING}},
        {{"1", S_INIT("A"), V_ASN1_OCTET_STRING}},
        {{"3", S_INIT(""), 0}},
        {{"3", S_INIT("0"), 0}},
        {{"3", S_INIT("4"), 0}},
        {{"3", S_INIT("12"), 0}},
        {{"4", S_INIT(""), 0}},
        {{"4", S_INIT("31980010"), 0}},
        {{"4", S_INIT("3198001021"), 0}},
        {{"4", S_INIT("x19800102"), 0}},
        {{"4", S_INIT("319801302"), 0}},
        {{"4", S_INIT("319800132"), 0}},
        {{"4", S_INIT("319810229"), 0}},
        {{"4", S_INIT("319800002"), 0}},
        {{"4", S_INIT("300000102"), 0}},
        {{"4", S_INIT("301230102"), 0}},
    };
    struct card_items out;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (items(cases[i], 1, &out) != ERR_INVALID)
            fail_msg("case %zu: %s", i, said.text);
    refused(items(twice, 2, &out), ERR_INVALID, "twice");
    longest[0] = 'y';
    assert_int_equal(items((struct kit_item[]){{"1", {longest, CARD_NAME_BYTES_MAX}, 0}}, 1, &out),
                     OK);
    /* what stands in a certificate is not quoted */
    assert_null(strstr(said.text, "xxx"));
}

static void dates_that_are_known_in_part(void **state)
{
    static const struct {
        const char *text, *date;
    } cases[] = {
        {"419891231", "1989-12-31"}, {"320000229", "2000-02-29"}, {"319800100", "1980-01"},
        {"319800000", "1980"},       {"300000000", NULL},         {"118991130", "1899-11-30"},
        {"520190501", "2019-05-01"},
    };
    struct card_items out;
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct kit_item item = {"4", str_c(cases[i].text), 0};
        assert_int_equal(items(&item, 1, &out), OK);
        assert_true(str_eq(out.birth_text, item.value));
        assert_true(cases[i].date ? str_eq(out.birth_date, str_c(cases[i].date))
                                  : !out.birth_date.p);
    }
}

static void items_of_others_are_left_alone(void **state)
{
    static const struct kit_item others[] = {{"1.2.392.200149.8.5.5.7", S_INIT("x"), 0},
                                             {"1.2.392.200149.8.5.5.1.1", S_INIT("x"), 0},
                                             {"1.3.6.1.4.1.311.20.2.3", S_INIT("a@b"), 0},
                                             {"3", S_INIT("1"), 0}};
    struct card_items out;
    (void)state;
    assert_int_equal(items(others, 4, &out), OK);
    assert_null(out.name.p);
    assert_null(out.address.p);
    assert_true(str_eq(out.gender, S("male")));
    assert_int_equal(items(others, 0, &out), OK); /* no subjectAltName at all */
    assert_null(out.gender.p);
}

static void an_individual_number_is_refused_and_not_repeated(void **state)
{
    /* 123456789018 has a valid check digit */
    const struct kit_item address = {"5", S_INIT("つくば市 1234-5678-9018"), 0};
    struct card_items out;
    (void)state;
    refused(items(&address, 1, &out), ERR_UNPROCESSABLE, "card.address");
    assert_null(strstr(said.text, "5678"));
}

static void items_agree_when_all_four_do(void **state)
{
    const struct card_items x = {.name = S("丸毎　花子"),
                                 .name_flags = S("00000"),
                                 .gender = S("female"),
                                 .birth_date = S("1980-01-02"),
                                 .address = S("つくば市研究学園１－１")};
    struct card_items y = x;
    (void)state;
    assert_true(card_items_agree(&x, &y));
    y.name = S("丸毎 花子");
    y.address = S("つくば市研究学園 1-1");
    assert_true(card_items_agree(&x, &y));
    y.address = S("つくば市研究学園11");
    assert_false(card_items_agree(&x, &y));
#define DIFFERS(change)                                                                            \
    y = x;                                                                                         \
    change;                                                                                        \
    assert_false(card_items_agree(&x, &y));                                                        \
    assert_false(card_items_agree(&y, &x))
    DIFFERS(y.name = S("丸毎　太郎"));
    DIFFERS(y.gender = S("male"));
    DIFFERS(y.birth_date = S("1980-01-03"));
    DIFFERS(y.name = STR_NONE);
    DIFFERS(y.address = STR_NONE);
    DIFFERS(y.gender = STR_NONE);
    DIFFERS(y.birth_date = STR_NONE);
    DIFFERS(y.name_flags = S("01000"));
    struct card_items partial = x;
    partial.birth_date = S("1980");
    y = partial;
    assert_false(card_items_agree(&partial, &y)); /* what is not known agrees with nothing */
    partial = y = (struct card_items){0};
    assert_false(card_items_agree(&partial, &y));
}

/* --- lists --- */

static enum card_status listed(long serial, enum err *err)
{
    struct card_certificate out;
    struct kit_wish w = {.role = CARD_AUTH, .serial = serial};
    *err = check(CARD_AUTH, made(&w, &auth_ca, key), &out);
    return out.status;
}

static void put_list(const char *file, const struct kit_list *w, const struct kit_authority *by)
{
    X509_CRL *crl = kit_list_make(w, by);
    kit_put_list(folder, file, crl);
    X509_CRL_free(crl);
    card_reload(cards);
}

static void expect(long serial, enum card_status want)
{
    enum err err;
    enum card_status status = listed(serial, &err);
    assert_int_equal(status, want);
    assert_int_equal(err, want == CARD_REVOKED ? ERR_UNAUTHENTICATED : OK);
}

static void lists_tell_good_revoked_and_unknown(void **state)
{
    const long revoked[] = {5, 7, 9};
    (void)state;
    expect(7, CARD_UNKNOWN);
    put_list("auth/all.crl", &(struct kit_list){.serials = revoked, .n = 3}, &auth_ca);
    expect(6, CARD_GOOD);
    expect(7, CARD_REVOKED);
    /* a list that is too old says nothing of those that are not on it */
    put_list("auth/all.crl",
             &(struct kit_list){.serials = revoked, .n = 3, .from = -2L * KIT_DAY, .until = -1},
             &auth_ca);
    expect(6, CARD_UNKNOWN);
    expect(7, CARD_REVOKED);
    put_list("auth/all.crl", &(struct kit_list){.from = 2L * KIT_DAY, .until = 3L * KIT_DAY},
             &auth_ca);
    expect(6, CARD_UNKNOWN); /* nor one of the future */
    put_list("auth/all.crl", &(struct kit_list){0}, &auth_ca);
    expect(7, CARD_GOOD);
    assert_int_equal(unlink(arena_printf(&arena, "%s/auth/all.crl", folder)), 0);
    card_reload(cards);
    expect(7, CARD_UNKNOWN);
}

static void lists_of_others_are_not_believed(void **state)
{
    struct kit_authority twin = kit_authority_new("Auth CA", sign_ca_key);
    const long revoked[] = {7};
    (void)state;
    put_list("auth/twin.crl", &(struct kit_list){.serials = revoked, .n = 1}, &twin);
    expect(7, CARD_UNKNOWN);
    put_list("auth/sign.crl", &(struct kit_list){.serials = revoked, .n = 1}, &sign_ca);
    expect(7, CARD_UNKNOWN);
    put_list("sign/auth.crl", &(struct kit_list){.serials = revoked, .n = 1}, &auth_ca);
    expect(7, CARD_UNKNOWN);
    put_list("auth/delta.crl", &(struct kit_list){.serials = revoked, .n = 1, .delta = "1"},
             &auth_ca);
    expect(7, CARD_UNKNOWN);
    kit_put_x509(folder, "auth/wrong.crl", auth_ca.x);
    card_reload(cards);
    expect(7, CARD_UNKNOWN);
    kit_authority_free(&twin);
}

static void parts_of_a_list_cover_their_own_certificates(void **state)
{
    struct card_certificate out;
    struct kit_wish here = {.role = CARD_AUTH, .serial = 6, .point = "URI:http://crl/a"};
    struct kit_wish there = {.role = CARD_AUTH, .serial = 8, .point = "URI:http://crl/b"};
    struct kit_wish nowhere = {.role = CARD_AUTH, .serial = 10};
    const long revoked[] = {7, 8};
    (void)state;
    put_list("auth/a.crl",
             &(struct kit_list){.serials = revoked,
                                .n = 2,
                                .part = "critical,fullname:URI:http://crl/a"},
             &auth_ca);
    assert_int_equal(check(CARD_AUTH, made(&here, &auth_ca, key), &out), OK);
    assert_int_equal(out.status, CARD_GOOD);
    assert_int_equal(check(CARD_AUTH, made(&nowhere, &auth_ca, key), &out), OK);
    assert_int_equal(out.status, CARD_UNKNOWN);
    /* numbers are the issuer's: on whichever part, it is revoked */
    assert_int_equal(check(CARD_AUTH, made(&there, &auth_ca, key), &out), ERR_UNAUTHENTICATED);
    there.serial = 12;
    assert_int_equal(check(CARD_AUTH, made(&there, &auth_ca, key), &out), OK);
    assert_int_equal(out.status, CARD_UNKNOWN);
    static const char *const kinds[] = {"critical,onlyCA:TRUE", "critical,onlyAA:TRUE",
                                        "critical,indirectCRL:TRUE",
                                        "critical,onlysomereasons:keyCompromise"};
    for (size_t i = 0; i < 4; i++) {
        put_list("auth/a.crl", &(struct kit_list){.part = kinds[i]}, &auth_ca);
        expect(6, CARD_UNKNOWN);
    }
    put_list("auth/a.crl", &(struct kit_list){.part = "critical,onlyuser:TRUE"}, &auth_ca);
    expect(6, CARD_GOOD);
}

static void a_status_is_worth_what_it_shows(void **state)
{
    (void)state;
    assert_int_equal(card_acr(CARD_GOOD), ACR_AAL3);
    assert_int_equal(card_acr(CARD_UNKNOWN), ACR_AAL2);
    assert_int_equal(card_acr(CARD_REVOKED), ACR_NONE);
}

/* --- challenges --- */

static enum err proof(const struct card_asked *q, struct str c, struct str der,
                      struct str signature)
{
    struct card_certificate out;
    said = (struct error){0};
    return card_proof(cards, &arena, q, c, der, signature, KIT_NOW, &out, &said);
}

static void a_signed_challenge_is_a_proof_here_and_nowhere_else(void **state)
{
    struct kit_wish w = {.role = CARD_AUTH};
    struct str der = made(&w, &auth_ca, key);
    struct str good =
        kit_sign(&arena, key, EVP_sha256(), false, card_text(&arena, &asked, challenge));
    struct str other = S("1123456789abcdef0123456789abcdef");
    struct card_asked q = asked;
    (void)state;
    assert_int_equal(proof(&asked, challenge, der, good), OK);
    assert_int_equal(proof(&asked, other, der, good), ERR_UNAUTHENTICATED);
    assert_int_equal(proof(&asked, S(""), der, good), ERR_UNAUTHENTICATED);
    q.origin = S("https://city.example");
    assert_int_equal(proof(&q, challenge, der, good), ERR_UNAUTHENTICATED);
    q = asked;
    q.purpose = S("別の目的");
    assert_int_equal(proof(&q, challenge, der, good), ERR_UNAUTHENTICATED);
    /* the text is no other text's: lines cannot be moved from one field to the next */
    q.purpose = S("x\nchallenge: y");
    assert_int_equal(str_find(card_text(&arena, &q, challenge), S("challenge: y")), -1);
}

static void signatures_that_are_not_the_cards(void **state)
{
    struct kit_wish w = {.role = CARD_AUTH}, s = {.role = CARD_SIGN};
    struct str der = made(&w, &auth_ca, key), text = card_text(&arena, &asked, challenge);
    struct str good = kit_sign(&arena, key, EVP_sha256(), false, text);
    EVP_PKEY *other = kit_rsa(2048);
    (void)state;
    assert_int_equal(proof(&asked, challenge, der,
                           kit_sign(&arena, other, EVP_sha256(), false, text)),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(proof(&asked, challenge, der,
                           kit_sign(&arena, key, EVP_sha512(), false, text)),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(proof(&asked, challenge, der, kit_sign(&arena, key, EVP_sha256(), true, text)),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(proof(&asked, challenge, der, STR_NONE), ERR_UNAUTHENTICATED);
    assert_int_equal(proof(&asked, challenge, der, str_sub(good, 0, good.n - 1)),
                     ERR_UNAUTHENTICATED);
    assert_int_equal(proof(&asked, challenge, der, str_concat(&arena, good, S("\0"))),
                     ERR_UNAUTHENTICATED);
    /* the signing certificate signs nobody in */
    assert_int_equal(proof(&asked, challenge, made(&s, &sign_ca, key), good), ERR_UNAUTHENTICATED);
    EVP_PKEY_free(other);
}

/* --- documents --- */

static const struct str document = S_INIT("同意します。\r\n1 行目\n");

struct cms_wish {
    enum card_role role;
    const struct kit_authority *by;
    const EVP_MD *digest;
    unsigned flags; /* besides the usual ones */
    bool attached, twice, extra, pss;
};

static struct str cms_made(const struct cms_wish *w, struct str content)
{
    struct kit_wish wish = {.role = w->role, .serial = 50};
    unsigned flags = CMS_BINARY | CMS_PARTIAL | (w->attached ? 0 : CMS_DETACHED);
    const EVP_MD *md = w->digest ? w->digest : EVP_sha256();
    X509 *x = kit_certificate(&wish, w->by ? w->by : ca_of(w->role), key);
    BIO *bio = BIO_new_mem_buf(content.p, (int)content.n);
    unsigned char *der = NULL;
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, bio, flags);
    assert_non_null(cms);
    CMS_SignerInfo *signer =
        CMS_add1_signer(cms, x, key, md, w->flags | (w->pss ? CMS_KEY_PARAM : 0));
    assert_non_null(signer);
    if (w->pss)
        assert_true(EVP_PKEY_CTX_set_rsa_padding(CMS_SignerInfo_get0_pkey_ctx(signer),
                                                 RSA_PKCS1_PSS_PADDING) > 0);
    if (w->twice)
        assert_non_null(CMS_add1_signer(cms, x, key, md, CMS_NOCERTS));
    if (w->extra)
        assert_true(CMS_add1_cert(cms, sign_ca.x));
    assert_true(CMS_final(cms, bio, NULL, flags));
    int n = i2d_CMS_ContentInfo(cms, &der);
    assert_true(n > 0);
    struct str out = str_dup(&arena, str_n((const char *)der, (size_t)n));
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    BIO_free(bio);
    X509_free(x);
    return out;
}

static enum err document_signed(struct str cms, struct str content)
{
    struct card_certificate out;
    said = (struct error){0};
    enum err err = card_signed(cards, &arena, cms, content, KIT_NOW, &out, &said);
    if (!err)
        assert_true(str_eq(out.items.gender, S("female")));
    return err;
}

static void a_document_is_signed_with_the_signing_certificate(void **state)
{
    struct cms_wish w = {.role = CARD_SIGN};
    struct str cms = cms_made(&w, document);
    (void)state;
    assert_int_equal(document_signed(cms, document), OK);
    refused(document_signed(cms, S("同意しません。")), ERR_UNAUTHENTICATED, "does not hold");
    refused(document_signed(cms, S("同意します。\n1 行目\n")), ERR_UNAUTHENTICATED, "not hold");
    refused(document_signed(cms, STR_NONE), ERR_UNAUTHENTICATED, "does not hold");
    assert_int_equal(document_signed(cms_made(&w, S("")), S("")), OK);
}

static void documents_that_are_wrong_in_one_thing(void **state)
{
    const struct {
        struct cms_wish w;
        enum err err;
        const char *why;
    } cases[] = {
        {{.role = CARD_AUTH}, ERR_UNAUTHENTICATED, "its role"},
        {{.role = CARD_SIGN, .by = &auth_ca}, ERR_UNAUTHENTICATED, "its role"},
        {{.role = CARD_AUTH, .by = &sign_ca}, ERR_UNAUTHENTICATED, "another use"},
        {{.role = CARD_SIGN, .digest = EVP_sha1()}, ERR_UNAUTHENTICATED, "SHA-256"},
        {{.role = CARD_SIGN, .digest = EVP_sha512()}, ERR_UNAUTHENTICATED, "SHA-256"},
        {{.role = CARD_SIGN, .pss = true}, ERR_UNAUTHENTICATED, "SHA-256"},
        {{.role = CARD_SIGN, .twice = true}, ERR_INVALID, "one signer"},
        {{.role = CARD_SIGN, .extra = true}, ERR_INVALID, "no other"},
        {{.role = CARD_SIGN, .flags = CMS_NOCERTS}, ERR_INVALID, "certificate"},
        {{.role = CARD_SIGN, .flags = CMS_NOATTR}, ERR_INVALID, "attributes"},
        {{.role = CARD_SIGN, .attached = true}, ERR_INVALID, "beside"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(document_signed(cms_made(&cases[i].w, document), document), cases[i].err,
                cases[i].why);
}

static void bytes_that_are_no_document(void **state)
{
    struct cms_wish w = {.role = CARD_SIGN};
    struct str cms = cms_made(&w, document);
    size_t held = 0;
    (void)state;
    refused(document_signed(str_concat(&arena, cms, S("\0")), document), ERR_INVALID, "DER");
    refused(document_signed(STR_NONE, document), ERR_INVALID, "DER");
    for (size_t n = 0; n < cms.n; n += 29)
        assert_int_not_equal(document_signed(str_sub(cms, 0, n), document), OK);
    char *turned = arena_dup(&arena, cms.p, cms.n);
    for (size_t i = 0; i < cms.n; i++) {
        turned[i] = (char)(cms.p[i] ^ 1 << i % 8);
        if (!document_signed(str_n(turned, cms.n), document))
            held++;
        turned[i] = cms.p[i];
    }
    /* only what nobody signs: versions, the parameters of algorithms, the list of digests */
    assert_true(held < 40);
}

static void a_revoked_card_signs_nothing(void **state)
{
    const long revoked[] = {50};
    struct cms_wish w = {.role = CARD_SIGN};
    (void)state;
    put_list("sign/all.crl", &(struct kit_list){.serials = revoked, .n = 1}, &sign_ca);
    refused(document_signed(cms_made(&w, document), document), ERR_UNAUTHENTICATED, "revoked");
}

/* --- opening --- */

static void fails_to_open(const char *why)
{
    struct error e = {0};
    struct card *c = card_open(&options, &e);
    if (c || e.code != ERR_INVALID || !strstr(e.text, why))
        fail_msg("%s", c ? "opened" : e.text);
}

static void authorities_must_be_what_they_are_said_to_be(void **state)
{
    struct kit_wish w = {.role = CARD_AUTH};
    struct card_certificate out;
    struct error e = {0};
    X509 *x = kit_certificate(&w, &auth_ca, key);
    (void)state;
    kit_put_x509(folder, "sign/auth.pem", auth_ca.x);
    fails_to_open("both");
    kit_put_x509(folder, "sign/auth.pem", x);
    fails_to_open("no certificate of an authority");
    kit_put_x509(folder, "sign/auth.pem", sign_ca.x); /* twice the same is no harm */
    options.auth_policy = "1.2.x";
    fails_to_open("trust.card_auth_policy");
    options = kit_options("/nonexistent");
    fails_to_open("cannot open");
    options = kit_options("");
    struct card *none = card_open(&options, &e);
    assert_false(card_knows(none, CARD_AUTH));
    assert_true(card_knows(cards, CARD_AUTH));
    assert_int_equal(card_certificate_check(none, &arena, CARD_AUTH, kit_der(&arena, x), KIT_NOW,
                                            &out, &e),
                     ERR_UNAVAILABLE);
    card_close(none);
    X509_free(x);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
    const struct CMUnitTest tests[] = {
        T(a_good_certificate_of_each_role),
        T(roles_are_never_exchanged),
        T(certificates_of_others),
        T(certificates_that_are_wrong_in_one_thing),
        T(keys_that_no_card_has),
        T(bytes_that_are_no_certificate),
        T(the_four_items_of_a_signing_certificate),
        T(items_that_are_refused),
        T(dates_that_are_known_in_part),
        T(items_of_others_are_left_alone),
        T(an_individual_number_is_refused_and_not_repeated),
        T(items_agree_when_all_four_do),
        T(lists_tell_good_revoked_and_unknown),
        T(lists_of_others_are_not_believed),
        T(parts_of_a_list_cover_their_own_certificates),
        T(a_status_is_worth_what_it_shows),
        T(a_signed_challenge_is_a_proof_here_and_nowhere_else),
        T(signatures_that_are_not_the_cards),
        T(a_document_is_signed_with_the_signing_certificate),
        T(documents_that_are_wrong_in_one_thing),
        T(bytes_that_are_no_document),
        T(a_revoked_card_signs_nothing),
        T(authorities_must_be_what_they_are_said_to_be),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
