/* Terms to IRIs and back, on a compiled context. */
#include "context_impl.h"

#include <string.h>

/* Compaction tries prefixes at this many places of an IRI, from its end. */
enum { MAX_CUTS = 16 };

void ld_define(struct ld_context *c, struct ld_term term)
{
    struct ld_term *t = arena_alloc(&c->arena, sizeof(*t));
    *t = term;
    map_put(&c->terms, t->name, t);
}

static void keep_shortest(struct map *m, struct ld_term *t)
{
    const struct ld_term *other = map_get(m, t->iri);
    if (!other || t->name.n < other->name.n ||
        (t->name.n == other->name.n && str_cmp(t->name, other->name) < 0))
        map_put(m, t->iri, t);
}

void ld_index(struct ld_context *c)
{
    struct map_iter it = {0};
    while (map_next(&c->terms, &it)) {
        struct ld_term *t = it.value;
        keep_shortest(&c->reverse, t);
        if (t->prefix)
            keep_shortest(&c->prefixes, t);
    }
}

void ld_context_free(struct ld_context *c)
{
    if (!c)
        return;
    map_release(&c->terms);
    map_release(&c->reverse);
    map_release(&c->prefixes);
    struct arena own = c->arena; /* c lives in it */
    arena_release(&own);
}

const struct ld_term *ld_find(const struct ld_context *c, struct str name)
{
    const struct ld_context *core = ld_core();
    const struct ld_term *t = map_get(&core->terms, name);
    return t || c == core ? t : map_get(&c->terms, name);
}

static struct str vocab_of(const struct ld_context *c)
{
    return c->vocab.p ? c->vocab : S(LD_DEFAULT_PREFIX);
}

struct str ld_expand(const struct ld_context *c, struct arena *a, struct str term)
{
    if (term.n && term.p[0] == '@')
        return term;
    const struct ld_term *t = ld_find(c, term);
    if (t)
        return t->iri;
    ptrdiff_t colon = str_find_char(term, ':');
    if (colon < 0)
        return str_concat(a, vocab_of(c), term);
    struct str rest = str_from(term, (size_t)colon + 1);
    if (colon == 0 || str_starts(rest, S("//")))
        return term;
    t = ld_find(c, str_sub(term, 0, (size_t)colon));
    return t && t->iri.p[0] != '@' ? str_concat(a, t->iri, rest) : term;
}

/* What follows the vocabulary's IRI, when it would expand to the same IRI again. */
static struct str vocab_relative(const struct ld_context *c, struct str iri)
{
    struct str vocab = vocab_of(c);
    if (iri.n <= vocab.n || memcmp(iri.p, vocab.p, vocab.n) != 0)
        return STR_NONE;
    struct str rest = str_n(iri.p + vocab.n, iri.n - vocab.n);
    bool readable = rest.p[0] != '@' && !memchr(rest.p, ':', rest.n) && !ld_find(c, rest);
    return readable ? rest : STR_NONE;
}

static const struct ld_term *prefix_of(const struct ld_context *c, struct str iri)
{
    const struct ld_term *t = map_get(&ld_core()->prefixes, iri);
    return t || c == ld_core() ? t : map_get(&c->prefixes, iri);
}

static struct str with_prefix(const struct ld_context *c, struct arena *a, struct str iri)
{
    size_t cuts = 0;
    for (size_t n = iri.n; n-- > 1 && cuts < MAX_CUTS;) {
        if (!ld_is_delimiter(iri.p[n - 1]) || n == iri.n)
            continue;
        cuts++;
        const struct ld_term *t = prefix_of(c, str_sub(iri, 0, n));
        if (!t || str_starts(str_from(iri, n), S("//")))
            continue;
        struct str name =
            str_printf(a, "%" STR_F ":%" STR_F, STR_A(t->name), STR_A(str_from(iri, n)));
        if (!ld_find(c, name))
            return name;
    }
    return STR_NONE;
}

struct str ld_compact(const struct ld_context *c, struct arena *a, struct str iri)
{
    const struct ld_term *t = c->reverse.n && c != ld_core() ? map_get(&c->reverse, iri) : NULL;
    if (!t && !str_starts(iri, S(LD_DEFAULT_PREFIX)))
        t = map_get(&ld_core()->reverse, iri);
    if (t)
        return t->name;
    struct str name = vocab_relative(c, iri);
    if (!name.p)
        name = with_prefix(c, a, iri);
    return name.p ? name : iri;
}

struct str ld_term_type(const struct ld_context *c, struct str term)
{
    const struct ld_term *t = ld_find(c, term);
    return t ? t->type : STR_NONE;
}

void ld_context_hold(const struct ld_context *c)
{
    if (c)
        atomic_fetch_add(&((struct ld_context *)(uintptr_t)c)->holds, 1);
}

void ld_context_let_go(const struct ld_context *c)
{
    if (c)
        atomic_fetch_sub(&((struct ld_context *)(uintptr_t)c)->holds, 1);
}

struct str ld_context_url(const struct ld_context *c)
{
    return c->url;
}

const struct json *ld_context_json(const struct ld_context *c)
{
    return c->value;
}

/* ucschar of RFC 3987, without what nobody sees: blanks, marks of direction, joiners, fillers. */
static bool is_iri_char(uint32_t cp)
{
    static const struct {
        uint32_t from, to;
    } unseen[] = {{0, 0xA0},          {0xAD, 0xAD},         {0x34F, 0x34F},   {0x61C, 0x61C},
                  {0x115F, 0x1160},   {0x1680, 0x1680},     {0x17B4, 0x17B5}, {0x180B, 0x180F},
                  {0x2000, 0x200F},   {0x2028, 0x202F},     {0x205F, 0x206F}, {0x2800, 0x2800},
                  {0x3000, 0x3000},   {0x3164, 0x3164},     {0xD800, 0xF8FF}, {0xFDD0, 0xFDEF},
                  {0xFE00, 0xFE0F},   {0xFEFF, 0xFEFF},     {0xFFA0, 0xFFA0}, {0xFFF0, 0xFFFF},
                  {0xE0000, 0xE0FFF}, {0xF0000, UINT32_MAX}};
    for (size_t i = 0; i < sizeof(unseen) / sizeof(*unseen); i++)
        if (cp >= unseen[i].from && cp <= unseen[i].to)
            return false;
    return (cp & 0xFFFE) != 0xFFFE;
}

/* RFC 3986: scheme ":" and characters that may stand in a URI; beyond ASCII as in an IRI. */
bool ld_is_uri(struct str s)
{
    size_t i = 0;
    while (i < s.n) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool other = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!letter && !(i && other))
            break;
        i++;
    }
    if (i == 0 || i + 1 >= s.n || s.p[i] != ':')
        return false;
    for (i++; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c == 0x7f || str_find_char(S("<>\"{}|\\^`"), s.p[i]) >= 0)
            return false;
        if (c < 0x80)
            i++;
        else if (!is_iri_char(str_utf8_next(s, &i)))
            return false;
    }
    return true;
}
