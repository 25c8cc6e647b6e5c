/*
 * The four items of a signing certificate: otherName values in its subjectAltName, by the table
 * below. All come from a certificate that is good, and are distrusted all the same: bounded, UTF-8
 * without control characters, none twice.
 */
#include "card_impl.h"
#include "core/datetime.h"
#include "core/text.h"
#include "trust/number.h"

enum { OID_TEXT_MAX = 64, BIRTH_DIGITS = 9, ALT_NAMES_MAX = 32 };

static const struct item {
    const char *oid;
    size_t offset; /* in struct card_items */
    size_t max;
} items[] = {
    {"1.2.392.200149.8.5.5.1", offsetof(struct card_items, name), CARD_NAME_BYTES_MAX},
    {"1.2.392.200149.8.5.5.2", offsetof(struct card_items, name_flags), CARD_FLAGS_BYTES_MAX},
    {"1.2.392.200149.8.5.5.3", offsetof(struct card_items, gender), 1},
    {"1.2.392.200149.8.5.5.4", offsetof(struct card_items, birth_text), BIRTH_DIGITS},
    {"1.2.392.200149.8.5.5.5", offsetof(struct card_items, address), CARD_ADDRESS_BYTES_MAX},
    {"1.2.392.200149.8.5.5.6", offsetof(struct card_items, address_flags), CARD_FLAGS_BYTES_MAX},
};

static enum err bad(struct error *e, const char *what)
{
    return error_set(e, ERR_INVALID, "the items of the card's certificate: %s", what);
}

static struct str *place(struct card_items *out, const struct item *item)
{
    return (struct str *)((char *)out + item->offset);
}

static const struct item *find_item(const ASN1_OBJECT *oid)
{
    char text[OID_TEXT_MAX];
    int n = OBJ_obj2txt(text, sizeof(text), oid, 1);
    for (size_t i = 0; n > 0 && n < OID_TEXT_MAX && i < sizeof(items) / sizeof(items[0]); i++)
        if (str_eq(str_c(text), str_c(items[i].oid)))
            return &items[i];
    return NULL;
}

static bool is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return str_is_utf8(s);
}

static enum err take_item(struct arena *a, const OTHERNAME *name, struct card_items *out,
                          struct error *e)
{
    const struct item *item = find_item(name->type_id);
    if (!item)
        return OK; /* of others */
    if (!name->value || name->value->type != V_ASN1_UTF8STRING)
        return bad(e, "one is no UTF8String");
    const ASN1_UTF8STRING *v = name->value->value.utf8string;
    struct str text = str_n((const char *)v->data, (size_t)v->length);
    if (place(out, item)->p)
        return bad(e, "one is there twice");
    if (text.n > item->max)
        return bad(e, "one is too long");
    if (!is_clean(text))
        return bad(e, "one is not UTF-8, or has control characters");
    *place(out, item) = str_dup(a, text);
    return OK;
}

/* --- what the codes mean --- */

static bool digits(struct str s, size_t from, size_t n, int *out)
{
    *out = 0;
    for (size_t i = from; i < from + n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *out = *out * 10 + (s.p[i] - '0');
    }
    return true;
}

/* EYYYYMMDD, in the Gregorian calendar whatever the era; 0 for a year, month or day that is not
 * known, and then for what is smaller too. */
static enum err read_birth(struct arena *a, struct card_items *out, struct error *e)
{
    static const int days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    struct str s = out->birth_text;
    int era, year, month, day;
    if (!s.p)
        return OK;
    if (s.n != BIRTH_DIGITS || !digits(s, 0, 1, &era) || !digits(s, 1, 4, &year) ||
        !digits(s, 5, 2, &month) || !digits(s, 7, 2, &day))
        return bad(e, "the date of birth is not of nine digits");
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (month > 12 || (month ? day > days[month - 1] - (month == 2 && !leap) : day != 0) ||
        (year ? year < 1800 : month != 0))
        return bad(e, "the date of birth is none");
    if (year && month && day)
        out->birth_date = str_printf(a, "%04d-%02d-%02d", year, month, day);
    else if (year && month)
        out->birth_date = str_printf(a, "%04d-%02d", year, month);
    else if (year)
        out->birth_date = str_printf(a, "%04d", year);
    return OK;
}

static enum err read_gender(struct card_items *out, struct error *e)
{
    static const struct str names[] = {S_INIT("male"), S_INIT("female"), S_INIT("other")};
    if (!out->gender.p)
        return OK;
    if (out->gender.n != 1 || out->gender.p[0] < '1' || out->gender.p[0] > '3')
        return bad(e, "the gender is none of 1, 2, 3");
    out->gender = names[out->gender.p[0] - '1'];
    return OK;
}

static enum err no_numbers(const struct card_items *out, struct error *e)
{
    enum err err = number_refuse("card.name", out->name, e);
    return err ? err : number_refuse("card.address", out->address, e);
}

enum err card_items_read(struct arena *a, const CARD_X509 *x, struct card_items *out,
                         struct error *e)
{
    bool broken = false;
    GENERAL_NAMES *names = card_x509_extension(x, NID_subject_alt_name, &broken);
    enum err err = OK;
    *out = (struct card_items){0};
    if (!names)
        return broken ? bad(e, "they are not well-formed") : OK;
    if (sk_GENERAL_NAME_num(names) > ALT_NAMES_MAX)
        err = bad(e, "there are too many names");
    for (int i = 0; !err && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_OTHERNAME)
            err = take_item(a, name->d.otherName, out, e);
    }
    GENERAL_NAMES_free(names);
    if (!err)
        err = read_birth(a, out, e);
    if (!err)
        err = read_gender(out, e);
    return err ? err : no_numbers(out, e);
}

/* --- comparing --- */

/* Without widths and blanks; dashes count, between house numbers. */
static struct str plain(struct arena *a, struct str s)
{
    struct str folded = text_fold(a, s);
    char *out = arena_alloc(a, folded.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < folded.n; i++)
        if (folded.p[i] != ' ')
            out[n++] = folded.p[i];
    return str_n(out, n);
}

static bool same_text(struct arena *a, struct str x, struct str y)
{
    return x.n && y.n && str_eq(plain(a, x), plain(a, y));
}

/* A character that stands for another may stand for a different one next time. */
static bool has_substitute(struct str flags)
{
    return flags.n && str_find_char(flags, '1') >= 0;
}

bool card_items_agree(const struct card_items *x, const struct card_items *y)
{
    struct arena a = ARENA_INIT;
    bool good = !has_substitute(x->name_flags) && !has_substitute(y->name_flags) &&
                !has_substitute(x->address_flags) && !has_substitute(y->address_flags) &&
                same_text(&a, x->name, y->name) && x->birth_date.n == sizeof("1980-01-02") - 1 &&
                str_eq(x->birth_date, y->birth_date) && x->gender.n &&
                str_eq(x->gender, y->gender) && same_text(&a, x->address, y->address);
    arena_release(&a);
    return good;
}
