/* text.c - folding of the widths, marks, blanks and dashes that Japanese text comes in. */
#include "core/text.h"

#include <string.h>

enum {
    VOICED_COMBINING = 0x3099,
    SEMI_COMBINING = 0x309A,
    VOICED_ALONE = 0x309B,
    SEMI_ALONE = 0x309C,
    VOICED_HALF = 0xFF9E,
    SEMI_HALF = 0xFF9F
};

/* U+FF61..U+FF9F: half-width punctuation and kana as their full-width forms (JIS X 0201 order). */
static const uint16_t half_kana[] = {
    0x3002, 0x300C, 0x300D, 0x3001, 0x30FB, 0x30F2, 0x30A1, 0x30A3, 0x30A5, 0x30A7, 0x30A9,
    0x30E3, 0x30E5, 0x30E7, 0x30C3, 0x30FC, 0x30A2, 0x30A4, 0x30A6, 0x30A8, 0x30AA, 0x30AB,
    0x30AD, 0x30AF, 0x30B1, 0x30B3, 0x30B5, 0x30B7, 0x30B9, 0x30BB, 0x30BD, 0x30BF, 0x30C1,
    0x30C4, 0x30C6, 0x30C8, 0x30CA, 0x30CB, 0x30CC, 0x30CD, 0x30CE, 0x30CF, 0x30D2, 0x30D5,
    0x30D8, 0x30DB, 0x30DE, 0x30DF, 0x30E0, 0x30E1, 0x30E2, 0x30E4, 0x30E6, 0x30E8, 0x30E9,
    0x30EA, 0x30EB, 0x30EC, 0x30ED, 0x30EF, 0x30F3, 0x309B, 0x309C,
};

static bool is_blank(uint32_t cp)
{
    return cp == ' ' || cp == 0xA0 || cp == 0x3000 || (cp >= 0x2000 && cp <= 0x200A) ||
           cp == 0x202F || cp == 0x205F;
}

static bool is_dash(uint32_t cp)
{
    return (cp >= 0x2010 && cp <= 0x2015) || cp == 0x2212 || cp == 0x2500 || cp == 0x2501 ||
           cp == 0xFE58 || cp == 0xFE63 || cp == 0xFF0D;
}

static bool is_tilde(uint32_t cp)
{
    return cp == 0x301C || cp == 0xFF5E || cp == 0x223C || cp == 0x2053 || cp == 0x02DC;
}

static uint32_t fold_one(uint32_t cp)
{
    if (cp < 0x80)
        return cp;
    if (is_blank(cp))
        return ' ';
    if (is_dash(cp))
        return '-';
    if (is_tilde(cp))
        return '~';
    if (cp >= 0xFF01 && cp <= 0xFF5D)
        return cp - 0xFF01 + '!';
    if (cp >= 0xFF61 && cp <= 0xFF9F)
        return half_kana[cp - 0xFF61];
    return cp;
}

/* The kana with the mark joined, 0 when there is none. semi: the ring of パ, else the dots of ガ.
 */
static uint32_t join_mark(uint32_t kana, bool semi)
{
    bool hiragana = kana >= 0x3041 && kana <= 0x3096;
    uint32_t k = hiragana ? kana + 0x60 : kana;
    uint32_t joined = 0;
    if (k >= 0x30CF && k <= 0x30DB && (k - 0x30CF) % 3 == 0)
        joined = k + (semi ? 2 : 1);
    else if (semi)
        return 0;
    else if ((k >= 0x30AB && k <= 0x30C1 && (k - 0x30AB) % 2 == 0) ||
             (k >= 0x30C4 && k <= 0x30C8 && k % 2 == 0))
        joined = k + 1;
    else if (k == 0x30A6)
        joined = 0x30F4;
    else if (k >= 0x30EF && k <= 0x30F2 && !hiragana)
        return k + 8;
    if (joined && hiragana)
        joined -= 0x60;
    return joined;
}

static bool is_joining(uint32_t cp)
{
    return cp == VOICED_HALF || cp == SEMI_HALF || cp == VOICED_COMBINING || cp == SEMI_COMBINING;
}

/* One folded character, with the mark that follows it taken in. */
static uint32_t fold_next(struct str s, size_t *i)
{
    uint32_t cp = fold_one(str_utf8_next(s, i));
    if (cp < 0x3041 || cp > 0x30F2 || *i >= s.n)
        return cp;
    size_t after = *i;
    uint32_t mark = str_utf8_next(s, &after);
    if (!is_joining(mark))
        return cp;
    uint32_t joined = join_mark(cp, mark == SEMI_HALF || mark == SEMI_COMBINING);
    if (!joined)
        return cp;
    *i = after;
    return joined;
}

/* Folding never makes a well-formed text longer; a bad byte grows to the three of U+FFFD. */
static char *room_for_folded(struct arena *a, struct str s)
{
    return arena_alloc(a, (str_is_utf8(s) ? s.n : 3 * s.n) + 1);
}

struct str text_fold(struct arena *a, struct str s)
{
    if (!s.p)
        return STR_NONE;
    char *out = room_for_folded(a, s);
    size_t n = 0;
    for (size_t i = 0; i < s.n;)
        n += str_utf8_put(fold_next(s, &i), out + n);
    out[n] = 0;
    return str_n(out, n);
}

static bool dropped_from_key(uint32_t cp)
{
    if (cp < 0x80)
        return cp <= 0x20 || strchr("()[]{}<>_-", (int)cp);
    return cp == 0xFEFF || cp == 0x200B || (cp >= 0x3008 && cp <= 0x3011) || cp == 0x3014 ||
           cp == 0x3015 || (cp >= 0x3016 && cp <= 0x301B);
}

struct str text_key(struct arena *a, struct str s)
{
    if (!s.p)
        return STR_NONE;
    char *out = room_for_folded(a, s);
    size_t n = 0;
    for (size_t i = 0; i < s.n;) {
        uint32_t cp = fold_next(s, &i);
        if (dropped_from_key(cp))
            continue;
        if (cp >= 'A' && cp <= 'Z')
            cp += 'a' - 'A';
        n += str_utf8_put(cp, out + n);
    }
    out[n] = 0;
    return str_n(out, n);
}

/* Bytes of the blank that s starts or ends with; 0 when there is none. */
static size_t trimmable(struct str s, bool at_end)
{
    static const struct str wide[] = {S_INIT("\xE3\x80\x80"), S_INIT("\xC2\xA0"),
                                      S_INIT("\xEF\xBB\xBF")};
    char c = at_end ? s.p[s.n - 1] : s.p[0];
    if (c == ' ' || (c >= '\t' && c <= '\r'))
        return 1;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        if (at_end ? str_ends(s, wide[i]) : str_starts(s, wide[i]))
            return wide[i].n;
    return 0;
}

struct str text_trim(struct str s)
{
    size_t n;
    while (s.n && (n = trimmable(s, false)))
        s = str_from(s, n);
    while (s.n && (n = trimmable(s, true)))
        s.n -= n;
    return s;
}

/* --- individual numbers --- */

enum { NUMBER_DIGITS = 12, NUMBER_GROUP = 4 };

static bool is_digit(struct str s, size_t i)
{
    return i < s.n && s.p[i] >= '0' && s.p[i] <= '9';
}

static bool is_joint(struct str s, size_t i)
{
    return i < s.n && (s.p[i] == ' ' || s.p[i] == '-');
}

/* Weights 2 to 7 and 2 to 6, from the digit before the check digit leftwards. */
static bool check_digit_holds(const char digits[static NUMBER_DIGITS])
{
    int sum = 0;
    for (int n = 1; n < NUMBER_DIGITS; n++)
        sum += (digits[NUMBER_DIGITS - 1 - n] - '0') * (n <= 6 ? n + 1 : n - 5);
    int rest = sum % 11;
    return digits[NUMBER_DIGITS - 1] - '0' == (rest <= 1 ? 0 : 11 - rest);
}

/* The digits that begin at i, and where they end; false when they are not twelve and alone. */
static bool number_at(struct str s, size_t i, char digits[static NUMBER_DIGITS])
{
    bool grouped = is_joint(s, i + NUMBER_GROUP);
    char joint = grouped ? s.p[i + NUMBER_GROUP] : 0;
    for (size_t n = 0; n < NUMBER_DIGITS; n++) {
        if (grouped && n && n % NUMBER_GROUP == 0 && (i >= s.n || s.p[i++] != joint))
            return false;
        if (!is_digit(s, i))
            return false;
        digits[n] = s.p[i++];
    }
    return !is_digit(s, i) && !(grouped && i < s.n && s.p[i] == joint && is_digit(s, i + 1));
}

bool text_has_individual_number(struct str s)
{
    struct arena a = ARENA_INIT;
    char digits[NUMBER_DIGITS];
    bool found = false;
    struct str text = text_fold(&a, s);
    for (size_t i = 0; !found && i < text.n; i++) {
        bool begins = is_digit(text, i) && !(i && is_digit(text, i - 1)) &&
                      !(i > 1 && is_joint(text, i - 1) && is_digit(text, i - 2) &&
                        is_joint(text, i + NUMBER_GROUP));
        found = begins && number_at(text, i, digits) && check_digit_holds(digits);
    }
    arena_release(&a);
    return found;
}
