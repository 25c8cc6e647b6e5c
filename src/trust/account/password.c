/* Passwords: what is one that nobody guesses, and how it is kept. */
#include "crypto/password.h"
#include "account_impl.h"
#include "core/text.h"
#include <string.h>

#define PASSWORD "account.password"

/* --- looking at one --- */

enum { CHARS_LOOKED_AT = 1024, DIFFERENT_MIN = 5, BREAKS_MIN = 5, LEFT_MIN = 4 };

const char *password_flaw_name(enum password_flaw f)
{
    static const char *const names[PASSWORD_FLAWS] = {
        [PASSWORD_GOOD] = "good",     [PASSWORD_SHORT] = "short",
        [PASSWORD_LONG] = "long",     [PASSWORD_SIMPLE] = "simple",
        [PASSWORD_COMMON] = "common", [PASSWORD_PERSONAL] = "personal",
    };
    return names[f];
}

/* Characters, folded to lower case. */
struct chars {
    uint32_t *v;
    size_t n;
};

static struct chars chars_of(struct arena *a, struct str s)
{
    struct chars c = {ARENA_ARRAY(a, uint32_t, s.n + 1), 0};
    for (size_t i = 0; i < s.n;) {
        uint32_t cp = str_utf8_next(s, &i);
        c.v[c.n++] = cp >= 'A' && cp <= 'Z' ? cp + 32 : cp;
    }
    return c;
}

static size_t count_different(const struct chars *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = c->v[k] == c->v[i];
        n += !seen;
    }
    return n;
}

static bool is_repetition(const struct chars *c)
{
    for (size_t period = 1; period <= c->n / 2; period++) {
        size_t i = period;
        while (i < c->n && c->v[i] == c->v[i - period])
            i++;
        if (i == c->n)
            return true;
    }
    return false;
}

static bool are_neighbours(uint32_t x, uint32_t y)
{
    static const char *const rows[] = {"qwertyuiop", "asdfghjkl", "zxcvbnm", "1234567890",
                                       "qaz",        "wsx",       "edc",     "rfv",
                                       "tgb",        "yhn",       "ujm",     "!@#$%^&*()"};
    if (x == y || x + 1 == y || y + 1 == x)
        return true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && x < 128 && y < 128; i++) {
        const char *px = strchr(rows[i], (int)x), *py = strchr(rows[i], (int)y);
        if (x && y && px && py && (px + 1 == py || py + 1 == px))
            return true;
    }
    return false;
}

/* Where the eye has to look again. */
static size_t count_breaks(const struct chars *c)
{
    size_t n = 0;
    for (size_t i = 1; i < c->n; i++)
        n += !are_neighbours(c->v[i - 1], c->v[i]);
    return n;
}

/* Letters only; leet: digits and signs that stand for letters are those. */
static struct str letters_of(struct arena *a, const struct chars *c, bool leet)
{
    static const char signs[] = "013457@$!", meant[] = "oieastasi";
    char *out = arena_alloc(a, c->n * 4 + 1);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const char *sign = leet && c->v[i] && c->v[i] < 128 ? strchr(signs, (int)c->v[i]) : NULL;
        uint32_t cp = sign ? (uint32_t)meant[sign - signs] : c->v[i];
        if ((cp >= 'a' && cp <= 'z') || cp >= 128)
            n += str_utf8_put(cp, out + n);
    }
    out[n] = '\0';
    return str_n(out, n);
}

/* Words that are tried first, here and elsewhere; longer ones before those that they hold. */
static const char *const words[] = {
    "administrator", "konnichiwa", "changeme",  "computer", "password", "passphrase", "passwort",
    "princess",      "aishiteru",  "sunshine",  "football", "baseball", "internet",   "iloveyou",
    "pasuwado",      "doraemon",   "superman",  "starwars", "welcome",  "arigatou",   "arigato",
    "himitsu",       "letmein",    "default",   "michael",  "pokemon",  "monkey",     "dragon",
    "shadow",        "master",     "secret",    "qwerty",   "azerty",   "asdfgh",     "naruto",
    "sakura",        "summer",     "winter",    "spring",   "autumn",   "flower",     "orange",
    "tigers",        "giants",     "nippon",    "nihon",    "japan",    "tokyo",      "osaka",
    "kyoto",         "admin",      "hello",     "login",    "guest",    "happy",      "lucky",
    "angel",         "magic",      "money",     "sample",   "trust",    "abcdef",     "abcd",
    "pass",          "love",       "test",      "user",     "root",     "city",       "hana",
    "neko",          "word",       "abc",       "the",      "my",       "パスワード", "ひみつ",
    "秘密",          "さくら",     "ありがとう"};

/* What is left when the words are taken out; false: no word is in it. */
static bool without_words(struct arena *a, struct str s, size_t *left)
{
    char *z = str_z(a, s);
    size_t n = s.n;
    bool any = false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct str word = str_c(words[i]);
        ptrdiff_t at;
        while ((at = str_find(str_n(z, n), word)) >= 0) {
            memmove(z + at, z + at + word.n, n - (size_t)at - word.n);
            n -= word.n;
            any = true;
        }
    }
    *left = n;
    explicit_bzero(z, s.n);
    return any;
}

static bool is_common(struct arena *a, const struct chars *c)
{
    size_t left;
    for (int leet = 0; leet < 2; leet++)
        if (without_words(a, letters_of(a, c, leet), &left) && left < LEFT_MIN)
            return true;
    return false;
}

static struct str lower_text(struct arena *a, struct str s)
{
    struct chars c = chars_of(a, s);
    char *out = arena_alloc(a, c.n * 4 + 1);
    size_t n = 0;
    for (size_t i = 0; i < c.n; i++)
        n += str_utf8_put(c.v[i], out + n);
    return str_n(out, n);
}

static bool holds(struct str password, struct str part, size_t least)
{
    return part.n >= least && str_find(password, part) >= 0;
}

static bool holds_name(struct arena *a, struct str password, struct str name)
{
    struct str rest = lower_text(a, text_fold(a, name)), part;
    while (str_split(&rest, ' ', &part))
        if (holds(password, part, (unsigned char)part.p[0] < 0x80 ? 4 : 6))
            return true;
    return false;
}

static bool is_personal(struct arena *a, struct str password, const struct person *p)
{
    static const char *const ours[] = {"marugoto", "tsukupass", "つくパス", "まるごと"};
    struct str s = lower_text(a, password), login = lower_text(a, p->login),
               email = lower_text(a, p->email), at;
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (holds(s, str_c(ours[i]), 1))
            return true;
    if (p->birth_date.n == 10) {
        struct str d = p->birth_date;
        struct str digits = str_printf(a, "%" STR_F "%" STR_F "%" STR_F, STR_A(str_sub(d, 0, 4)),
                                       STR_A(str_sub(d, 5, 2)), STR_A(str_sub(d, 8, 2)));
        if (holds(s, digits, 8) || holds(s, d, 10))
            return true;
    }
    return holds(s, login, 4) || holds(s, email, 4) ||
           (str_split(&email, '@', &at) && holds(s, at, 4)) ||
           (str_split(&login, '@', &at) && holds(s, at, 4)) || holds_name(a, s, p->name) ||
           holds_name(a, s, p->name_kana);
}

enum password_flaw password_look(struct arena *a, struct str password, const struct person *p)
{
    if (password.n > PASSWORD_BYTES_MAX)
        return PASSWORD_LONG;
    struct chars c = chars_of(a, password);
    enum password_flaw flaw = PASSWORD_GOOD;
    if (c.n < PASSWORD_CHARS_MIN)
        flaw = PASSWORD_SHORT;
    else if (count_different(&c) < DIFFERENT_MIN || is_repetition(&c) ||
             count_breaks(&c) < BREAKS_MIN)
        flaw = PASSWORD_SIMPLE;
    else if (is_common(a, &c))
        flaw = PASSWORD_COMMON;
    else if (p && is_personal(a, password, p))
        flaw = PASSWORD_PERSONAL;
    explicit_bzero(c.v, c.n * sizeof(*c.v));
    return flaw;
}

/* --- keeping one --- */

enum err password_make(struct trust *t, struct arena *a, struct str password, struct str *phc,
                       struct error *e)
{
    (void)t;
    return password_hash(a, password, phc, e);
}

enum err password_read(struct trust *t, struct store_conn *c, struct arena *a, int64_t account,
                       struct str *phc, struct error *e)
{
    struct store_rows rows;
    struct str sealed = STR_NONE;
    struct vault_place at = {account, S(PASSWORD), 0};
    store_query(c, &rows, "SELECT phc, number FROM account_password WHERE account = $1",
                SV(SV_INT(account)));
    if (store_next(&rows)) {
        sealed = str_dup(a, store_blob(&rows, 0));
        at.number = store_int(&rows, 1);
    }
    enum err err = store_end(&rows, e);
    if (err)
        return err;
    if (!sealed.p)
        return error_set(e, ERR_NOT_FOUND, "no password is set");
    return vault_unseal(t->vault, c, a, &at, sealed, phc, e);
}

enum err password_keep(struct trust *t, struct store_conn *c, int64_t account, struct str phc,
                       struct error *e)
{
    struct arena a = ARENA_INIT;
    struct vault_place at = {account, S(PASSWORD), place_number()};
    struct str sealed;
    enum err err = vault_seal(t->vault, c, &a, &at, phc, &sealed, e);
    if (!err)
        err = store_exec(c,
                         "INSERT INTO account_password(account, phc, number, changed)"
                         " VALUES ($1, $2, $3, $4) ON CONFLICT (account) DO UPDATE SET"
                         " phc = excluded.phc, number = excluded.number,"
                         " changed = excluded.changed",
                         SV(SV_INT(account), SV_BLOB(sealed), SV_INT(at.number),
                            SV_INT(clock_now(t->clock))),
                         NULL, e);
    arena_release(&a);
    return err;
}

enum err password_set(struct trust *t, struct store_conn *c, int64_t account, struct str phc,
                      struct error *e)
{
    struct proof_ways ways;
    enum err err = OK;
    if (phc.p)
        err = password_keep(t, c, account, phc, e);
    else
        err = proof_ways(c, account, &ways, e);
    if (!err && !phc.p && !ways.passkeys)
        err = error_set(e, ERR_CONFLICT, "the password is the last way in");
    if (!err && !phc.p)
        err = store_exec(c, "DELETE FROM account_password WHERE account = $1", SV(SV_INT(account)),
                         NULL, e);
    return err ? err
               : proof_changed(t, c, account, phc.p ? "password-set" : "password-removed", STR_NONE,
                               e);
}
