/* test_text.c - folding, keys, trimming, CP932 and UTF-16. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/text.h"
#include <stdio.h>
#include <string.h>

static struct arena mem = ARENA_INIT;

static int release(void **state)
{
    (void)state;
    arena_release(&mem);
    return 0;
}

static void folds_to(const char *from, const char *to)
{
    struct str got = text_fold(&mem, str_c(from));
    assert_string_equal(got.p, to);
    assert_int_equal(got.n, strlen(to));
}

static void folds_widths_blanks_and_dashes(void **state)
{
    (void)state;
    folds_to("", "");
    folds_to("ＩＣレコーダー（１２）", "ICレコーダー(12)");
    folds_to("あ　い\xC2\xA0う\xE2\x80\x89え", "あ い う え");
    folds_to("1‐2‑3–4—5―6−7－8─9", "1-2-3-4-5-6-7-8-9");
    folds_to("9：00〜17：00～18", "9:00~17:00~18");
    folds_to("ラーメン", "ラーメン"); /* the long vowel is no dash */
    folds_to("｢ﾃｽﾄ｣､･｡", "「テスト」、・。");
    folds_to("￥100 漢字", "￥100 漢字");
    assert_null(text_fold(&mem, STR_NONE).p);
}

static void joins_kana_marks(void **state)
{
    (void)state;
    folds_to("ｶﾞｷﾞｸﾞｹﾞｺﾞｻﾞｼﾞｽﾞｾﾞｿﾞﾀﾞﾁﾞﾂﾞﾃﾞﾄﾞ", "ガギグゲゴザジズゼゾダヂヅデド");
    folds_to("ﾊﾞﾋﾞﾌﾞﾍﾞﾎﾞﾊﾟﾋﾟﾌﾟﾍﾟﾎﾟｳﾞﾜﾞｦﾞ", "バビブベボパピプペポヴヷヺ");
    folds_to("ｱｲｳｴｵｯｬｭｮｰﾅﾝ", "アイウエオッャュョーナン");
    folds_to("ｱﾞｶﾟｯﾞ", "ア゛カ゜ッ゛"); /* no such letters: the mark stands alone */
    folds_to("ﾞｶ", "゛カ");
    folds_to("か\xE3\x82\x99は\xE3\x82\x9Aう\xE3\x82\x99", "がぱゔ"); /* as macOS names files */
    folds_to("ハ\xE3\x82\x99", "バ");
    folds_to("漢ﾞ", "漢゛");
    folds_to("ガﾞパﾟ", "ガ゛パ゜"); /* one mark is enough */
}

static void survives_bad_bytes(void **state)
{
    (void)state;
    folds_to("a\xFF\xE3\x81", "a\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    char all[256];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    struct str got = text_fold(&mem, str_n(all, sizeof all));
    assert_true(str_is_utf8(got));
    assert_true(str_is_utf8(text_key(&mem, str_n(all, sizeof all))));
}

static void keys_compare_headers(void **state)
{
    (void)state;
    struct str a = text_key(&mem, str_c("Telephone　Number（代表）"));
    assert_string_equal(a.p, "telephonenumber代表");
    assert_true(str_eq(a, text_key(&mem, str_c("telephone_number[代表]"))));
    assert_string_equal(text_key(&mem, str_c("都道府県コード又は市区町村コード【ID】\r\n")).p,
                        "都道府県コード又は市区町村コードid");
    assert_string_equal(text_key(&mem, str_c("\xEF\xBB\xBF名 称－－")).p, "名称");
    assert_int_equal(text_key(&mem, S(" 　")).n, 0);
}

static void trims_all_blanks(void **state)
{
    (void)state;
    assert_true(str_eq(text_trim(S("\xEF\xBB\xBF 　a　b\xC2\xA0\r\n　")), S("a　b")));
    assert_int_equal(text_trim(S(" 　\xC2\xA0\xEF\xBB\xBF\t")).n, 0);
    assert_int_equal(text_trim(STR_NONE).n, 0);
    /* the last bytes look like half of a wide blank, but are another character's */
    assert_true(str_eq(text_trim(S("あ\x80")), S("あ\x80")));
}

static void reads_cp932(void **state)
{
    (void)state;
    struct str out;
    struct error e;
    /* ソ and 表 have a backslash as second byte; ① NEC row 13, 纊 IBM extension, 〜 as U+FF5E */
    assert_int_equal(text_from_cp932(&mem,
                                     S("\x83\x5C\x95\x5C\x87\x40\xFA\x5C\x81\x60\xB6\xDE"
                                       "A"),
                                     &out, &e),
                     OK);
    assert_string_equal(out.p, "ソ表①纊～ｶﾞA");
    assert_int_equal(text_from_cp932(&mem, S("plain"), &out, &e), OK);
    assert_string_equal(out.p, "plain");
    assert_int_equal(text_from_cp932(&mem, S(""), &out, &e), OK);
    assert_int_equal(out.n, 0);
}

static void refuses_what_cp932_lacks(void **state)
{
    (void)state;
    struct str out;
    struct error e;
    assert_int_equal(text_from_cp932(&mem, S("ab\x81\xAD"), &out, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "0x81 0xAD at byte 2"));
    assert_int_equal(text_from_cp932(&mem, S("ab\x83"), &out, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "0x83 at byte 2"));
    assert_int_equal(text_from_cp932(&mem, S("\xFD\xFE"), &out, &e), ERR_INVALID);
}

static void reads_utf16(void **state)
{
    (void)state;
    struct str out;
    struct error e;
    assert_int_equal(text_from_utf16(&mem, S("a\0\x42\x30\x40\xD8\x0B\xDC"), false, &out, &e), OK);
    assert_string_equal(out.p, "aあ𠀋");
    assert_int_equal(text_from_utf16(&mem, S("\0a\x30\x42\xD8\x40\xDC\x0B"), true, &out, &e), OK);
    assert_string_equal(out.p, "aあ𠀋");
    assert_int_equal(text_from_utf16(&mem, S("a\0b"), false, &out, &e), ERR_INVALID);
    assert_int_equal(text_from_utf16(&mem, S("\x40\xD8"), false, &out, &e), ERR_INVALID);
    assert_int_equal(text_from_utf16(&mem, S("\x40\xD8\x40\xD8"), false, &out, &e), ERR_INVALID);
    assert_int_equal(text_from_utf16(&mem, S("\x0B\xDC\x40\xD8"), false, &out, &e), ERR_INVALID);
}

static void individual_numbers_are_found_in_any_width_and_grouping(void **state)
{
    static const char *const found[] = {
        "123456789018",
        "341672110680",
        "１２３４５６７８９０１８",
        "1234-5678-9018",
        "1234 5678 9018",
        "１２３４　５６７８　９０１８",
        "1234‐5678‐9018",
        "no. 123456789018.",
        "x123456789018y",
        "111111111111 123456789018",
        "1-123456789018",
        "123456789018-1",
    };
    static const char *const not_found[] = {
        "",
        "123456789017",        /* another check digit */
        "12345678901",         /* eleven digits */
        "1234567890182",       /* thirteen: a number of a corporation */
        "0123456789018",       /* the same, from the left */
        "1234-5678-9018-0000", /* of a payment card */
        "0000-1234-5678-9018", /* the same, from the left */
        "123-456-789-018",     /* other groups */
        "1234-5678 9018",      /* joints that differ */
        "1234--5678-9018",
        "1234567-89018",
        "12345678901x8",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(found) / sizeof(found[0]); i++)
        if (!text_has_individual_number(str_c(found[i])))
            fail_msg("%s is not found", found[i]);
    for (size_t i = 0; i < sizeof(not_found) / sizeof(not_found[0]); i++)
        if (text_has_individual_number(str_c(not_found[i])))
            fail_msg("%s is found", not_found[i]);
    assert_false(text_has_individual_number(STR_NONE));
    /* one check digit for each eleven digits */
    int n = 0;
    for (int d = 0; d < 10; d++)
        n += text_has_individual_number(str_printf(&mem, "98765432109%d", d));
    assert_int_equal(n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_widths_blanks_and_dashes),
        cmocka_unit_test(joins_kana_marks),
        cmocka_unit_test(survives_bad_bytes),
        cmocka_unit_test(keys_compare_headers),
        cmocka_unit_test(trims_all_blanks),
        cmocka_unit_test(reads_cp932),
        cmocka_unit_test(refuses_what_cp932_lacks),
        cmocka_unit_test(reads_utf16),
        cmocka_unit_test(individual_numbers_are_found_in_any_width_and_grouping),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
