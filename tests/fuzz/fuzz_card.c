/*
 * What a card shows. The first byte chooses: a certificate, of which the items are read whoever
 * signed it, or a signed document. Nobody's certificate is one of our authorities', and nothing
 * that they signed holds.
 */
#include "../unit/trust/card_kit.h"
#include "card_impl.h"
#include "core/log.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_card: %s\n", what);
    abort();
}

static struct card *cards(void)
{
    static struct card *c;
    static struct card_options options;
    struct arena a = ARENA_INIT;
    struct error e = {0};
    if (c)
        return c;
    log_set_level(LOG_OFF);
    const char *folder = kit_folder(&a);
    for (int role = 0; role < CARD_ROLES; role++) {
        EVP_PKEY *key = kit_rsa(2048);
        struct kit_authority ca = kit_authority_new(role == CARD_AUTH ? "Auth CA" : "Sign CA", key);
        kit_put_x509(folder, role == CARD_AUTH ? "auth/ca.pem" : "sign/ca.pem", ca.x);
        kit_authority_free(&ca);
        EVP_PKEY_free(key);
    }
    options = kit_options(folder);
    c = card_open(&options, &e);
    check(c, e.text);
    kit_folder_remove(folder);
    options.folder = "";
    arena_release(&a);
    return c;
}

static void clean(struct str s)
{
    check(s.n <= CARD_ADDRESS_BYTES_MAX && str_is_utf8(s), "an item that is too long or no text");
    for (size_t i = 0; i < s.n; i++)
        check((unsigned char)s.p[i] >= 0x20, "an item with a control character");
}

static void try_certificate(struct arena *a, struct str der)
{
    struct card_certificate out;
    struct card_items items;
    struct error e = {0};
    for (int role = 0; role < CARD_ROLES; role++) {
        check(card_certificate_check(cards(), a, (enum card_role)role, der, KIT_NOW, &out, &e) !=
                  OK,
              "a certificate of nobody is good");
        check(e.code != OK && e.text[0], "an error without text");
    }
    CARD_X509 *x = card_x509_read(der);
    if (!x)
        return;
    if (!card_items_read(a, x, &items, &e)) {
        clean(items.name);
        clean(items.address);
        check(!items.birth_date.p || items.birth_date.n <= 10, "a date of birth");
        check(!card_items_agree(&items, &(struct card_items){0}), "agrees with nothing");
    }
    card_lists_ask(cards(), CARD_AUTH, x, KIT_NOW);
    EVP_PKEY *key = card_x509_key(x);
    check(!key || EVP_PKEY_get_bits(key) >= 2048, "a key that is too small");
    EVP_PKEY_free(key);
    card_x509_free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct card_certificate out;
    struct error e = {0};
    struct str in = size ? str_n((const char *)data + 1, size - 1) : S("");
    if (size && data[0] == 'm')
        check(card_signed(cards(), &a, in, S("content"), KIT_NOW, &out, &e) != OK,
              "a document of nobody holds");
    else
        try_certificate(&a, in);
    arena_release(&a);
    return 0;
}
