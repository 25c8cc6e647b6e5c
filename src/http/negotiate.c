#include "negotiate.h"

#include <string.h>

/* A weight "q=0.123" in thousandths; 1000 without one, -1 when malformed. */
static int read_weight(struct str s)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    int weight = (s.p[0] - '0') * 1000, scale = 100;
    for (size_t i = 2; i < s.n; i++, scale /= 10) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        weight += (s.p[i] - '0') * scale;
    }
    return weight <= 1000 ? weight : -1;
}

/* One element "type/subtype;p=v;q=0.5": its range, its parameters without q, its weight. */
struct element {
    struct str range;
    struct str parameter; /* "profile=x", or absent */
    int weight;
};

/* Cut at the next sep that is outside of a quoted string. */
static bool next_field(struct str *rest, char sep, struct str *field)
{
    if (rest->n == 0)
        return false;
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->n && (quoted || rest->p[i] != sep); i++) {
        if (rest->p[i] == '"')
            quoted = !quoted;
        else if (quoted && rest->p[i] == '\\')
            i++;
    }
    if (i > rest->n)
        i = rest->n;
    *field = str_trim(str_sub(*rest, 0, i));
    *rest = i < rest->n ? str_from(*rest, i + 1) : STR_NONE;
    return true;
}

static struct element read_element(struct str text)
{
    struct element e = {.weight = 1000};
    struct str field;
    next_field(&text, ';', &e.range);
    while (next_field(&text, ';', &field)) {
        if (field.n >= 2 && (field.p[0] == 'q' || field.p[0] == 'Q') && field.p[1] == '=') {
            int weight = read_weight(str_trim(str_from(field, 2)));
            if (weight >= 0) /* else it says nothing */
                e.weight = weight;
            break; /* what follows are extensions of Accept itself */
        }
        if (field.n && !e.parameter.n)
            e.parameter = field;
    }
    return e;
}

/* How closely a range names the offer: 0 not at all, 1 any type, 2 its type, 3 it, 4 it with its
 * parameter. */
static int specificity(const struct element *e, struct str offer)
{
    struct str type, parameter = STR_NONE;
    struct str rest = offer;
    next_field(&rest, ';', &type);
    next_field(&rest, ';', &parameter);
    if (e->parameter.n && !str_eq_nocase(e->parameter, parameter))
        return 0;
    if (str_eq(e->range, S("*/*")))
        return 1;
    if (str_ends(e->range, S("/*"))) {
        struct str prefix = str_sub(e->range, 0, e->range.n - 1);
        return type.n > prefix.n && str_eq_nocase(str_sub(type, 0, prefix.n), prefix) ? 2 : 0;
    }
    if (!str_eq_nocase(e->range, type))
        return 0;
    return e->parameter.n ? 4 : 3;
}

/* The weight that the header gives to an offer: that of the closest range; -1 when none fits. */
static int weigh(struct str accept, struct str offer, int *closest)
{
    struct str field;
    int best = 0, weight = -1;
    while (next_field(&accept, ',', &field)) {
        struct element e = read_element(field);
        int s = specificity(&e, offer);
        if (s > best) {
            best = s;
            weight = e.weight;
        }
    }
    *closest = best;
    return weight;
}

int negotiate_type(struct str accept, const char *const *offers, size_t n)
{
    accept = str_trim(accept);
    if (accept.n == 0)
        return n ? 0 : -1;
    int best = -1, best_weight = 0, best_close = 0;
    for (size_t i = 0; i < n; i++) {
        int close, weight = weigh(accept, str_c(offers[i]), &close);
        if (weight > best_weight || (weight == best_weight && weight > 0 && close > best_close)) {
            best = (int)i;
            best_weight = weight;
            best_close = close;
        }
    }
    return best;
}

bool http_accepts(struct str accept_header, const char *type)
{
    return negotiate_type(accept_header, &type, 1) == 0;
}

bool negotiate_gzip(struct str accept_encoding)
{
    struct str field;
    int any = -1;
    while (next_field(&accept_encoding, ',', &field)) {
        struct element e = read_element(field);
        if (str_eq_nocase(e.range, S("gzip")) || str_eq_nocase(e.range, S("x-gzip")))
            return e.weight > 0;
        if (str_eq(e.range, S("*")))
            any = e.weight;
    }
    return any > 0;
}
