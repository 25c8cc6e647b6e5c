/* Signed notes: the published example of another implementation, round trips, forgeries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "crypto/note.h"

static struct arena arena = ARENA_INIT;

/* The example in the documentation of Go's golang.org/x/mod/sumdb/note. */
#define NEUMANN "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define TEXT                                                                                       \
    "If you think cryptography is the answer to your problem,\n"                                   \
    "then you don't know what your problem is.\n"
#define SIGNED                                                                                     \
    TEXT                                                                                           \
        "\n\xe2\x80\x94 PeterNeumann x08go/"                                                       \
        "ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"

static struct note_key parsed(struct str text)
{
    struct note_key k;
    struct error e = {0};
    assert_int_equal(note_key_parse(&arena, text, &k, &e), OK);
    return k;
}

static struct note_key made(const char *name)
{
    struct note_key k;
    struct error e = {0};
    assert_int_equal(note_key_make(&arena, str_c(name), &k, &e), OK);
    return k;
}

static enum err open_with(struct str note, const struct note_key *keys, size_t n, bool *by)
{
    struct str text;
    struct error e = {0};
    return note_open(&arena, note, keys, n, &text, by, &e);
}

static void the_published_example_opens(void **state)
{
    struct note_key k = parsed(S(NEUMANN));
    struct str text;
    struct error e = {0};
    (void)state;
    assert_int_equal(note_open(&arena, S(SIGNED), &k, 1, &text, NULL, &e), OK);
    assert_true(str_eq(text, S(TEXT)));
    assert_true(str_eq(note_key_public(&arena, &k), S(NEUMANN)));
    assert_false(k.signs);
}

static void keys_are_written_and_read_back(void **state)
{
    struct note_key k = made("city.example/log");
    struct note_key secret = parsed(note_key_secret(&arena, &k));
    struct note_key shown = parsed(note_key_public(&arena, &k));
    (void)state;
    assert_true(secret.signs);
    assert_false(shown.signs);
    assert_int_equal(secret.id, k.id);
    assert_memory_equal(shown.public_key, k.public_key, sizeof(k.public_key));
    assert_memory_equal(secret.secret_key, k.secret_key, sizeof(k.secret_key));
    note_key_wipe(&secret);
    assert_false(secret.signs);
}

static void several_may_sign(void **state)
{
    struct note_key keys[] = {made("a"), made("b"), made("c")};
    struct str a = note_sign(&arena, &keys[0], S("x\n\ny\n"));
    struct str b = note_sign(&arena, &keys[1], S("x\n\ny\n"));
    struct str both = str_concat(&arena, a, str_from(b, sizeof("x\n\ny\n\n") - 1));
    bool by[3];
    (void)state;
    assert_int_equal(open_with(both, keys, 3, by), OK);
    assert_true(by[0] && by[1] && !by[2]);
    /* an unknown signature is passed over, but does not count */
    assert_int_equal(open_with(both, &keys[1], 1, by), OK);
    assert_int_equal(open_with(both, &keys[2], 1, by), ERR_UNAUTHENTICATED);
}

static void every_changed_byte_shows(void **state)
{
    struct note_key k = parsed(S(NEUMANN));
    char text[sizeof(SIGNED)];
    (void)state;
    for (size_t i = 0; i < sizeof(SIGNED) - 1; i++) {
        memcpy(text, SIGNED, sizeof(text));
        text[i] = (char)(text[i] ^ 1);
        assert_int_not_equal(open_with(str_n(text, sizeof(text) - 1), &k, 1, NULL), OK);
        assert_int_not_equal(open_with(str_n(SIGNED, i), &k, 1, NULL), OK);
    }
}

static void what_is_no_note_is_refused(void **state)
{
    static const char *const notes[] = {
        "",
        "\n",
        "\n\n",
        "x",
        "x\n",
        "x\n\n",
        "x\n\n\n",
        "x\n\ny\n",
        "x\n\n\xe2\x80\x94 a\n",
        "x\n\n\xe2\x80\x94 a AAAA\n",
        "x\n\n\xe2\x80\x94 a+b AAAAAAAA\n",
        "x\t\n\n\xe2\x80\x94 a AAAAAAAA\n",
        "\xff\n\n\xe2\x80\x94 a AAAAAAAA\n",
    };
    struct note_key k = made("a");
    (void)state;
    for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
        assert_int_equal(open_with(str_c(notes[i]), &k, 1, NULL), ERR_INVALID);
    assert_false(note_is_text(S("")));
    assert_false(note_is_text(S("x")));
    assert_false(note_is_text(S("x\r\n")));
    assert_true(note_is_text(S("x\n")));
}

static void what_is_no_key_is_refused(void **state)
{
    static const char *const keys[] = {
        "",
        "+",
        "++",
        "a+b",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PRIVATE+KEY+" NEUMANN,
        "PeterNeumann+c74f20a3+AhpcAAcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"};
    struct note_key k;
    struct error e = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        assert_int_equal(note_key_parse(&arena, str_c(keys[i]), &k, &e), ERR_INVALID);
    assert_int_equal(note_key_make(&arena, S("a b"), &k, &e), ERR_INVALID);
    assert_int_equal(note_key_make(&arena, S("a+b"), &k, &e), ERR_INVALID);
    assert_int_equal(note_key_make(&arena, S(""), &k, &e), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_example_opens),
        cmocka_unit_test(keys_are_written_and_read_back),
        cmocka_unit_test(several_may_sign),
        cmocka_unit_test(every_changed_byte_shows),
        cmocka_unit_test(what_is_no_note_is_refused),
        cmocka_unit_test(what_is_no_key_is_refused),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
