/* The items of a person: what can be one, how it is kept and found, how old somebody is. */
#include "account_impl.h"
#include "core/text.h"
#include "trust/number.h"
#include <string.h>

/* --- dates of birth --- */

/* "1980-01-02", "1980-01" or "1980"; a partial date is its last day. */
static bool read_birth(struct str text, struct civil *out)
{
    static const int last[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year, month = 12;
    *out = (struct civil){0};
    if (date_parse(text, out))
        return true;
    if ((text.n != 4 && text.n != 7) || !str_to_i64(str_sub(text, 0, 4), &year) || year < 1)
        return false;
    if (text.n == 7 && (text.p[4] != '-' || !str_to_i64(str_from(text, 5), &month)))
        return false;
    if (month < 1 || month > 12)
        return false;
    *out = (struct civil){.year = (int)year, .month = (int)month, .day = last[month - 1]};
    if (!civil_valid(out))
        out->day = 28;
    return civil_valid(out);
}

int account_age(const struct person *p, int64_t at)
{
    struct civil born, today = civil_of(at, JST_OFFSET_S);
    if (!read_birth(p->birth_date, &born))
        return -1;
    int years = today.year - born.year;
    bool before = today.month < born.month || (today.month == born.month && today.day < born.day);
    return years - before;
}

int64_t account_age_from(struct str birth_date, int years)
{
    struct civil born;
    if (!read_birth(birth_date, &born))
        return 0;
    born.year += years;
    /* Who was born on 29 February has the year full at the end of the 28th. */
    if (!civil_valid(&born)) {
        born.month = 3;
        born.day = 1;
    }
    return civil_to_instant(&born, JST_OFFSET_S);
}

/* --- what can be kept --- */

static enum err no_such(struct error *e, const char *item)
{
    return error_set(e, ERR_INVALID, "%s", item);
}

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return true;
    return false;
}

/* Any text of people: trimmed; an empty one is absent. */
static bool tidy_text(struct arena *a, struct str in, struct str *out)
{
    struct str s = text_trim(in);
    *out = s.n ? str_dup(a, s) : STR_NONE;
    return s.n <= PERSON_TEXT_MAX && str_is_utf8(s) && !has_control(s);
}

/* What can only be ASCII is often typed in full width. */
static bool tidy_ascii(struct arena *a, struct str in, struct str *out)
{
    struct str s = in.n <= PERSON_TEXT_MAX && str_is_utf8(in) ? text_fold(a, in) : STR_NONE;
    s = str_trim(s);
    *out = s.n ? s : STR_NONE;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] >= 0x80)
            return false;
    return !has_control(s) && (s.n > 0) == (text_trim(in).n > 0);
}

static bool is_email(struct str s)
{
    ptrdiff_t at = str_find_char(s, '@');
    struct str host = str_from(s, (size_t)(at < 0 ? 0 : at) + 1);
    return at > 0 && at <= 64 && s.n <= LOGIN_BYTES_MAX && str_find_char(host, '@') < 0 &&
           str_find_char(host, '.') > 0 && !str_ends(host, S(".")) && str_find_char(s, ' ') < 0;
}

/* Letters, digits and . _ - @ +, three at least: an address or a name of one's own. */
static bool is_login(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '_' || c == '-' || c == '@' || c == '+'))
            return false;
    }
    return s.n >= 3 && s.n <= LOGIN_BYTES_MAX;
}

static bool is_phone(struct str s)
{
    size_t digits = 0;
    for (size_t i = 0; i < s.n; i++) {
        bool digit = s.p[i] >= '0' && s.p[i] <= '9';
        digits += digit;
        if (!digit && s.p[i] != '-' && s.p[i] != ' ' && s.p[i] != '(' && s.p[i] != ')' &&
            !(s.p[i] == '+' && i == 0))
            return false;
    }
    return digits >= 8 && digits <= 15;
}

static bool is_birth(struct str s, int64_t now)
{
    struct civil born;
    struct civil today = civil_of(now, JST_OFFSET_S);
    bool whole = s.n == 10;
    return read_birth(s, &born) && born.year >= 1868 && born.year <= today.year &&
           (!whole || civil_to_instant(&born, JST_OFFSET_S) <= now);
}

static bool is_gender(struct str s)
{
    return str_eq(s, S("male")) || str_eq(s, S("female")) || str_eq(s, S("other"));
}

static bool is_postal_code(struct str s)
{
    return s.n == 8 && s.p[3] == '-';
}

/* "1234567" is written with its dash. */
static struct str postal_code(struct arena *a, struct str s)
{
    int64_t digits;
    if (s.n == 7 && str_to_i64(s, &digits) && digits >= 0)
        return str_printf(a, "%" STR_F "-%" STR_F, STR_A(str_sub(s, 0, 3)), STR_A(str_from(s, 3)));
    return s;
}

/* An individual number where words belong; telephone numbers with a country code have as many
 * digits. */
static enum err refuse_numbers(const struct person *p, struct error *e)
{
    const struct {
        const char *item, *where;
        struct str text;
    } words[] = {{"login", "person.login", p->login},
                 {"name", "person.name", p->name},
                 {"name_kana", "person.name_kana", p->name_kana},
                 {"address", "person.address", p->address}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (number_refuse(words[i].where, words[i].text, NULL))
            return no_such(e, words[i].item);
    return OK;
}

enum err person_tidy(struct arena *a, const struct person *in, int64_t now, struct person *out,
                     struct error *e)
{
    const struct person given = *in; /* which may be where out is */
    *out = (struct person){.email_verified = given.email_verified,
                           .phone_verified = given.phone_verified};
    if (!tidy_ascii(a, given.login, &out->login) || (out->login.n && !is_login(out->login)))
        return no_such(e, "login");
    if (!tidy_text(a, given.name, &out->name))
        return no_such(e, "name");
    if (!tidy_text(a, given.name_kana, &out->name_kana))
        return no_such(e, "name_kana");
    if (!tidy_ascii(a, given.birth_date, &out->birth_date) ||
        (out->birth_date.n && !is_birth(out->birth_date, now)))
        return no_such(e, "birth_date");
    if (!tidy_ascii(a, given.gender, &out->gender) || (out->gender.n && !is_gender(out->gender)))
        return no_such(e, "gender");
    if (!tidy_ascii(a, given.postal_code, &out->postal_code))
        return no_such(e, "postal_code");
    out->postal_code = postal_code(a, out->postal_code);
    if (out->postal_code.n && !is_postal_code(out->postal_code))
        return no_such(e, "postal_code");
    if (!tidy_text(a, given.address, &out->address))
        return no_such(e, "address");
    if (!tidy_text(a, given.district, &out->district))
        return no_such(e, "district");
    if (!tidy_ascii(a, given.email, &out->email) || (out->email.n && !is_email(out->email)))
        return no_such(e, "email");
    if (!tidy_ascii(a, given.phone, &out->phone) || (out->phone.n && !is_phone(out->phone)))
        return no_such(e, "phone");
    return refuse_numbers(out, e);
}

/* --- as one object --- */

static const struct {
    const char *name;
    size_t offset;
} items[] = {
    {"login", offsetof(struct person, login)},
    {"name", offsetof(struct person, name)},
    {"name_kana", offsetof(struct person, name_kana)},
    {"birth_date", offsetof(struct person, birth_date)},
    {"gender", offsetof(struct person, gender)},
    {"postal_code", offsetof(struct person, postal_code)},
    {"address", offsetof(struct person, address)},
    {"district", offsetof(struct person, district)},
    {"email", offsetof(struct person, email)},
    {"phone", offsetof(struct person, phone)},
};
enum { ITEMS = sizeof(items) / sizeof(items[0]) };

struct str person_to_json(struct arena *a, const struct person *p)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    json_w_object(&w);
    for (size_t i = 0; i < ITEMS; i++) {
        struct str text = *(const struct str *)((const char *)p + items[i].offset);
        if (text.n)
            json_w_kstr(&w, str_c(items[i].name), text);
    }
    if (p->email_verified)
        json_w_kbool(&w, S("email_verified"), true);
    if (p->phone_verified)
        json_w_kbool(&w, S("phone_verified"), true);
    json_w_end(&w);
    struct str text = buf_dup(&b, a);
    explicit_bzero(b.p, b.n);
    buf_release(&b);
    return text;
}

enum err person_of_json(struct arena *a, struct str text, struct person *out, struct error *e)
{
    const struct json *v = json_parse(a, text, &JSON_DEFAULT, e);
    *out = (struct person){0};
    if (!v)
        return error_set(e, ERR_CORRUPT, "a person's items are damaged");
    for (size_t i = 0; i < ITEMS; i++)
        *(struct str *)((char *)out + items[i].offset) =
            json_text(json_get(v, str_c(items[i].name)));
    out->email_verified = json_true(json_get(v, S("email_verified")));
    out->phone_verified = json_true(json_get(v, S("phone_verified")));
    return OK;
}

/* --- as indexes find them --- */

static struct str lower(struct arena *a, struct str s)
{
    char *z = str_z(a, s);
    for (char *c = z; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
    return str_n(z, s.n);
}

/* Digits as from abroad: "03-1234-5678" and "+81 3 1234 5678" are the same. */
static struct str phone_digits(struct arena *a, struct str s)
{
    char *z = arena_alloc(a, s.n + 3);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            continue;
        if (n == 0 && s.p[i] == '0' && s.p[0] != '+') {
            z[n++] = '8';
            z[n++] = '1';
        } else {
            z[n++] = s.p[i];
        }
    }
    return str_n(z, n);
}

struct str account_name_birth(struct arena *a, struct str name, struct str birth_date)
{
    if (!name.n || !birth_date.n)
        return STR_NONE;
    return str_printf(a, "%" STR_F "\n%" STR_F, STR_A(text_key(a, name)), STR_A(birth_date));
}

struct str index_value(struct arena *a, enum account_index index, struct str value)
{
    if (!value.n || !str_is_utf8(value) || value.n > 4 * PERSON_TEXT_MAX)
        return STR_NONE;
    switch (index) {
    case INDEX_LOGIN:
    case INDEX_EMAIL:
        return lower(a, str_trim(text_fold(a, value)));
    case INDEX_PHONE:
        return phone_digits(a, str_trim(text_fold(a, value)));
    case INDEX_NAME_BIRTH:
        break;
    }
    return value;
}
