/*
 * A token, or a key as JSON when it begins with '{'. What is read as a token and signed again by
 * our key verifies; a key that is read is written as one that reads back with the same thumbprint.
 */
#include "crypto/jose.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_jose: %s\n", what);
    abort();
}

static struct jose_key *ours(void)
{
    static struct jose_key *key;
    if (!key)
        check(jose_key_make(JOSE_EDDSA, &key, NULL) == OK, "no key");
    return key;
}

static void try_token(struct arena *a, struct str text)
{
    struct jws j, again;
    struct str token;
    struct error e = {0};
    if (jws_read(a, text, &j, &e)) {
        check(e.code != OK && e.text[0], "an error without text");
        return;
    }
    check(jws_verify(&j, ours(), &e) != OK, "a signature of nobody holds");
    check(jws_sign(a, ours(), STR_NONE, j.payload, &token, &e) == OK, "signing");
    check(jws_read(a, token, &again, &e) == OK && jws_verify(&again, ours(), &e) == OK,
          "our own token");
    check(str_eq(again.payload, j.payload), "another payload");
}

static void try_key(struct arena *a, struct str text)
{
    struct jose_key *k, *again;
    struct error e = {0};
    const struct json *v = json_parse(a, text, &JSON_DEFAULT, &e);
    if (!v || jose_key_parse(v, JOSE_RS256, true, &k, &e)) {
        check(e.code != OK && e.text[0], "an error without text");
        return;
    }
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    check(jose_key_write(&w, k, jose_key_signs(k), &e) == OK, "writing");
    v = json_parse(a, buf_view(&b), &JSON_DEFAULT, &e);
    check(jose_key_parse(v, JOSE_PS256, true, &again, &e) == OK, "reading back");
    check(str_eq(jose_key_thumbprint(k), jose_key_thumbprint(again)), "another key");
    jose_key_free(again);
    jose_key_free(k);
    buf_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct str text = str_n((const char *)data, size);
    if (str_starts(text, S("{")))
        try_key(&a, text);
    else
        try_token(&a, text);
    arena_release(&a);
    return 0;
}
