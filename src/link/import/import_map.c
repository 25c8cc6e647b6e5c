/*
 * import_map.c - a header row matched to a kind: by name, never by position.
 */
#include "import_impl.h"

#include "core/datetime.h"
#include "core/text.h"

#include <string.h>

enum { ATTR_NAME_BYTES = 100 };

/* --- single headers --- */

static void add_spellings(struct arena *a, struct map *m, const struct column *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct str rest = str_c(c[i].headers), one;
        while (str_split(&rest, '|', &one)) {
            struct str key = text_key(a, one);
            if (!map_get(m, key))
                map_put(m, key, (void *)(uintptr_t)&c[i]);
        }
    }
}

/* Folded spelling to column; the set's own columns go before the common ones. */
static struct map spellings(struct arena *a, const struct kind *k)
{
    struct map m = MAP_INIT;
    add_spellings(a, &m, k->columns, k->n);
    if (k->shared)
        add_spellings(a, &m, k->shared->v, k->shared->n);
    add_spellings(a, &m, import_common.v, import_common.n);
    return m;
}

/* "人数_令和6年1月9日午後6時時点": the header tells the time; what stands before it is the name. */
static struct str cut_time(struct arena *a, struct str header, int64_t *observed)
{
    for (size_t i = header.n; i-- > 1;) {
        if (header.p[i] == '_' && cell_instant(a, str_from(header, i + 1), observed))
            return str_sub(header, 0, i);
    }
    return header;
}

static const struct column age_column = {"ageGroups", "", V_AGES, COL_TIMED};

static bool take_number(struct str *s, int *out)
{
    size_t n = 0;
    int64_t v;
    while (n < s->n && n < 3 && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    if (!n || !str_to_i64(str_sub(*s, 0, n), &v))
        return false;
    *out = (int)v;
    *s = str_from(*s, n);
    return true;
}

static bool take(struct str *s, struct str what)
{
    if (!str_starts(*s, what))
        return false;
    *s = str_from(*s, what.n);
    return true;
}

/* "0-4歳の男性", "85歳以上の女性", or Takamatsu's "man1" (0 to 4) up to "woman18" (85 and older).
 */
static bool match_age(struct arena *a, struct mapped *m)
{
    struct str s = str_trim(text_fold(a, m->header));
    int class;
    bool woman = str_starts(s, S("woman"));
    if (woman || str_starts(s, S("man"))) {
        s = str_from(s, woman ? 5 : 3);
        if (!take_number(&s, &class) || s.n || class < 1 || class > 18)
            return false;
        m->age_from = (class - 1) * 5;
        m->age_to = class == 18 ? -1 : m->age_from + 4;
        m->female = woman;
        return true;
    }
    if (!take_number(&s, &m->age_from))
        return false;
    if (take(&s, S("-")) || take(&s, S("~"))) {
        if (!take_number(&s, &m->age_to) || m->age_to < m->age_from || !take(&s, S("歳の")))
            return false;
    } else {
        if (!take(&s, S("歳以上の")))
            return false;
        m->age_to = -1;
    }
    m->female = str_eq(s, S("女性"));
    return m->female || str_eq(s, S("男性"));
}

struct str import_attr_name(struct arena *a, struct str name)
{
    static const char *const members[] = {"id",        "type",       "scope",
                                          "createdAt", "modifiedAt", "expiresAt",
                                          "deletedAt", "location",   "dataset"};
    char *p = arena_alloc(a, name.n + 1);
    size_t n = 0, i = 0;
    bool upper = false;
    while (i < name.n && n < ATTR_NAME_BYTES) {
        size_t at = i;
        uint32_t cp = str_utf8_next(name, &i);
        bool small = cp >= 'a' && cp <= 'z';
        bool kept = small || (cp >= 'A' && cp <= 'Z') || (cp >= '0' && cp <= '9') || cp == '_' ||
                    (cp >= 0xA1 && cp != 0x3000 && cp != 0xFEFF);
        if (kept) {
            memcpy(p + n, name.p + at, i - at);
            if (small && upper && n)
                p[n] = (char)(cp - 'a' + 'A');
            n += i - at;
        }
        upper = !kept;
    }
    struct str out = str_n(p, n);
    if (!out.n)
        return STR_NONE;
    for (size_t k = 0; k < sizeof(members) / sizeof(members[0]); k++)
        if (str_eq(out, str_c(members[k])))
            return str_concat(a, out, S("Value"));
    if (out.p[0] >= '0' && out.p[0] <= '9')
        return str_concat(a, S("n"), out);
    return out;
}

/* --- the row --- */

static void map_column(struct import *im, const struct kind *k, const struct map *index,
                       struct str key, struct mapped *m)
{
    struct arena *a = im->arena;
    struct str header = text_trim(m->header);
    if (!key.n)
        return;
    m->spec = map_get(index, key);
    if (!m->spec && k->columns) {
        struct str name = cut_time(a, header, &m->observed);
        if (m->observed)
            m->spec = map_get(index, text_key(a, name));
        if (m->spec)
            m->header = name;
    }
    if (!m->spec && str_eq(str_c(k->public->name), S("population")) && match_age(a, m))
        m->spec = &age_column;
    if (m->spec && m->spec->attr)
        m->attr = str_c(m->spec->attr);
    else if (!m->spec && k->any_column)
        m->attr = import_attr_name(a, header);
    if (m->attr.p && !(m->spec && m->spec->value == V_ADDRESS))
        m->iri = ld_expand(ld_core(), a, m->attr);
}

struct score {
    size_t known, marks, named;
};

static struct score map_row(struct import *im, const struct kind *k, const struct str *keys,
                            const struct table_row *row, struct import_map *out)
{
    struct score s = {0};
    struct map index = spellings(im->arena, k);
    out->kind = k;
    out->n = row->n;
    out->columns = ARENA_ARRAY(im->arena, struct mapped, row->n);
    for (size_t i = 0; i < row->n; i++) {
        struct mapped *m = &out->columns[i];
        m->header = str_dup(im->arena, row->cells[i].text);
        map_column(im, k, &index, keys[i], m);
        s.named += keys[i].n > 0;
        s.known += m->spec != NULL;
        s.marks += m->spec && (m->spec->flags & COL_MARKS);
    }
    map_release(&index);
    return s;
}

/* Two spellings of one attribute in a file: slot tells them. */
static void find_slots(struct import_map *map)
{
    struct map first = MAP_INIT;
    for (size_t i = 0; i < map->n; i++) {
        struct mapped *m = &map->columns[i], *before = m->attr.p ? map_get(&first, m->attr) : NULL;
        m->slot = before ? before->slot : i;
        if (m->attr.p && !before)
            map_put(&first, m->attr, m);
    }
    map_release(&first);
}

/* Of the kinds that know most of the headers and one that speaks for them: the one that knows most
 * of all. */
static const struct kind *recognise(struct import *im, const struct str *keys,
                                    const struct table_row *row)
{
    const struct kind *best = NULL;
    size_t best_score = 0;
    for (size_t i = 0; i < import_kind_count; i++) {
        const struct kind *k = &import_kind_table[i];
        struct import_map map;
        if (k->format != FORMAT_TABLE || k->any_column)
            continue;
        struct score s = map_row(im, k, keys, row, &map);
        bool named = str_find(im->job->name, str_c(k->public->name)) >= 0;
        if ((!s.marks && !named) || s.known * 2 < s.named || s.known < 2)
            continue;
        size_t score = s.known * 100 + s.marks + (named ? 200 : 0);
        if (score > best_score) {
            best = k;
            best_score = score;
        }
    }
    return best;
}

bool import_map_header(struct import *im, const struct kind *kind, const struct table_row *row,
                       struct import_map *out)
{
    if (row->n > ENTITY_MAX_ATTRS)
        return false;
    struct str *keys = ARENA_ARRAY(im->arena, struct str, row->n);
    for (size_t i = 0; i < row->n; i++)
        keys[i] = text_key(im->arena, text_trim(row->cells[i].text));
    if (!kind)
        kind = recognise(im, keys, row);
    if (!kind)
        return false;
    struct score s = map_row(im, kind, keys, row, out);
    find_slots(out);
    if (kind->any_column)
        return s.named >= 2;
    return s.known >= 2 || (s.known == 1 && s.named == 1);
}
