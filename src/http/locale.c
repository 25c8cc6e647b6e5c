#include "http/locale.h"

#include "core/map.h"
#include "dir.h"
#include "locale_impl.h"
#include <stdlib.h>

static const char *const known[] = {"ja", "ja-x-yasashii", "en", "zh-Hans", "ko", "vi", "pt"};
enum { KNOWN = sizeof(known) / sizeof(known[0]) };

struct catalogue {
    const struct style *style;
    struct map messages;
    const struct json *texts; /* the file: keys in order, for the comparison */
};

struct locales {
    struct arena arena;
    struct locale all[KNOWN];
    struct catalogue catalogues[KNOWN];
    size_t n;
};

static const struct catalogue *catalogue_of(const struct locale *l)
{
    return l->impl;
}

const struct message *locale_message(const struct locale *l, struct str key)
{
    return map_get(&catalogue_of(l)->messages, key);
}

const struct style *locale_style(const struct locale *l)
{
    return catalogue_of(l)->style;
}

/* --- loading --- */

static enum err add_text(struct locales *l, struct locale *to, struct str key,
                         const struct json *text, struct error *e)
{
    struct catalogue *c = to->impl;
    if (!json_is(text, JSON_STRING))
        return error_set(e, ERR_INVALID, "%" STR_F ".json: %" STR_F ": not a text", STR_A(to->tag),
                         STR_A(key));
    struct message *m = ARENA_NEW(&l->arena, struct message);
    struct error why = {0};
    if (message_compile(&l->arena, json_text(text), m, &why))
        return error_set(e, ERR_INVALID, "%" STR_F ".json: %" STR_F ": %s", STR_A(to->tag),
                         STR_A(key), why.text);
    map_put(&c->messages, key, m);
    return OK;
}

/* "@name" and the like: about the language, not a text of a page. */
static enum err about(struct locale *to, struct error *e)
{
    struct catalogue *c = to->impl;
    struct {
        const char *key;
        struct str *value;
    } members[] = {{"@name", &to->name}, {"@path", &to->path}, {"@html", &to->html}};
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const struct json *v = json_get(c->texts, str_c(members[i].key));
        *members[i].value = json_text(v);
        if (!json_is(v, JSON_STRING) || members[i].value->n == 0)
            return error_set(e, ERR_INVALID, "%" STR_F ".json: no text \"%s\"", STR_A(to->tag),
                             members[i].key);
    }
    return OK;
}

static enum err add_locale(struct locales *l, const struct dir_file *file, struct error *e)
{
    struct locale *to = &l->all[l->n];
    struct catalogue *c = &l->catalogues[l->n];
    l->n++;
    *to = (struct locale){.tag = file->name, .impl = c};
    c->style = style_of(to->tag);
    struct error why = {0};
    c->texts = json_parse(&l->arena, file->text, &JSON_DEFAULT, &why);
    if (!c->texts || !json_is(c->texts, JSON_OBJECT))
        return error_set(e, ERR_INVALID, "%" STR_F ".json: %s", STR_A(to->tag),
                         c->texts ? "not an object" : why.text);
    enum err r = about(to, e);
    for (uint32_t i = 0; !r && i < c->texts->n; i++) {
        const struct json_member *m = &c->texts->members[i];
        if (!str_starts(json_key(m), S("@")))
            r = add_text(l, to, json_key(m), &m->value, e);
    }
    for (size_t i = 0; !r && i + 1 < l->n; i++)
        if (str_eq(l->all[i].path, to->path))
            r = error_set(e, ERR_INVALID, "%" STR_F ".json: \"@path\" is that of %" STR_F,
                          STR_A(to->tag), STR_A(l->all[i].tag));
    return r;
}

/* Every text of x is in y, with every argument. what: how y's lack is to be told. */
static enum err compare(const struct locale *x, const struct locale *y, const struct locale *blame,
                        const char *what, struct error *e)
{
    const struct catalogue *c = x->impl;
    for (uint32_t i = 0; i < c->texts->n; i++) {
        struct str key = json_key(&c->texts->members[i]);
        const struct message *mx = locale_message(x, key), *my = locale_message(y, key);
        if (!mx)
            continue;
        if (!my)
            return error_set(e, ERR_INVALID, "%" STR_F ".json: key \"%" STR_F "\" is %s",
                             STR_A(blame->tag), STR_A(key), what);
        for (size_t j = 0; j < mx->n_args; j++)
            if (!message_takes(my, mx->args[j]))
                return error_set(e, ERR_INVALID,
                                 "%" STR_F ".json: %" STR_F ": argument {%" STR_F "} is %s",
                                 STR_A(blame->tag), STR_A(key), STR_A(mx->args[j]), what);
    }
    return OK;
}

static enum err load(struct locales *l, const char *dir, struct error *e)
{
    struct dir_file *files = NULL;
    size_t n = 0;
    enum err r = dir_read(&l->arena, dir, ".json", &files, &n, e);
    size_t found = 0;
    for (size_t k = 0; !r && k < KNOWN; k++)
        for (size_t i = 0; !r && i < n; i++)
            if (str_eq(files[i].name, str_c(known[k]))) {
                found++;
                r = add_locale(l, &files[i], e);
            }
    if (r)
        return r;
    if (l->n == 0 || !str_eq(l->all[0].tag, str_c(known[0])))
        return error_set(e, ERR_NOT_FOUND, "%s: no %s.json, the reference catalogue", dir,
                         known[0]);
    for (size_t i = 0; found < n && i < n; i++) {
        size_t k = 0;
        while (k < KNOWN && !str_eq(files[i].name, str_c(known[k])))
            k++;
        if (k == KNOWN)
            return error_set(e, ERR_INVALID, "%s/%" STR_F ".json: not a language of the city", dir,
                             STR_A(files[i].name));
    }
    for (size_t i = 1; !r && i < l->n; i++) {
        r = compare(&l->all[0], &l->all[i], &l->all[i], "missing", e);
        if (!r)
            r = compare(&l->all[i], &l->all[0], &l->all[i], "not in ja.json", e);
    }
    return r;
}

struct locales *locales_load(const char *dir, struct error *e)
{
    struct locales *l = calloc(1, sizeof(*l));
    if (!l) {
        error_set(e, ERR_INTERNAL, "out of memory");
        return NULL;
    }
    if (load(l, dir, e)) {
        locales_free(l);
        return NULL;
    }
    return l;
}

void locales_free(struct locales *l)
{
    if (!l)
        return;
    for (size_t i = 0; i < l->n; i++)
        map_release(&l->catalogues[i].messages);
    arena_release(&l->arena);
    free(l);
}

size_t locales_count(const struct locales *l)
{
    return l->n;
}

const struct locale *locales_at(const struct locales *l, size_t i)
{
    return i < l->n ? &l->all[i] : NULL;
}

const struct locale *locales_by_path(const struct locales *l, struct str path)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->all[i].path, path))
            return &l->all[i];
    return NULL;
}

/* --- negotiation --- */

enum { RANGES_MAX = 16 }; /* languages that a browser's header is read up to */

struct range {
    struct str tag;
    int64_t q; /* thousandths */
};

/* "0.8" in thousandths; -1 for what is no weight (RFC 9110 section 12.4.2). */
static int64_t weight(struct str s)
{
    if (s.n == 0 || s.n > 5 || (s.p[0] != '0' && s.p[0] != '1') || (s.n > 1 && s.p[1] != '.'))
        return -1;
    int64_t q = 0, scale = 1000;
    for (size_t i = 0; i < s.n; i++) {
        if (i == 1)
            continue;
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        q += (s.p[i] - '0') * scale;
        scale /= 10;
    }
    return q > 1000 ? -1 : q;
}

static size_t parse_ranges(struct str header, struct range out[RANGES_MAX])
{
    size_t n = 0;
    struct str item;
    while (n < RANGES_MAX && str_split(&header, ',', &item)) {
        struct str tag, parameter;
        if (!str_split(&item, ';', &tag))
            continue;
        struct range r = {str_trim(tag), 1000};
        while (str_split(&item, ';', &parameter)) {
            parameter = str_trim(parameter);
            if (str_starts(parameter, S("q=")) || str_starts(parameter, S("Q=")))
                r.q = weight(str_from(parameter, 2));
        }
        if (r.tag.n > 0 && r.q >= 0)
            out[n++] = r;
    }
    return n;
}

/* x is y or y goes on after x with another subtag. */
static bool tag_within(struct str x, struct str y)
{
    return y.n >= x.n && str_eq_nocase(str_sub(y, 0, x.n), x) && (y.n == x.n || y.p[x.n] == '-');
}

/* How well a language range fits a tag: 3 exactly, 2 one is part of the other, 1 the same
 * language, 0 not. */
static int fit(struct str range, struct str tag)
{
    if (str_eq_nocase(range, tag))
        return 3;
    if (tag_within(range, tag) || tag_within(tag, range))
        return 2;
    struct str x, y;
    return str_split(&range, '-', &x) && str_split(&tag, '-', &y) && str_eq_nocase(x, y) ? 1 : 0;
}

static const struct locale *best_for(const struct locales *l, struct str range)
{
    const struct locale *best = NULL;
    int best_fit = 0;
    for (size_t i = 0; i < l->n; i++) {
        int f = fit(range, l->all[i].tag);
        if (f > best_fit) {
            best = &l->all[i];
            best_fit = f;
        }
    }
    return best;
}

const struct locale *locales_negotiate(const struct locales *l, struct str accept_language)
{
    struct range ranges[RANGES_MAX];
    size_t n = parse_ranges(accept_language, ranges);
    for (size_t round = 0; round < n; round++) {
        struct range *top = &ranges[0];
        for (size_t i = 1; i < n; i++)
            if (ranges[i].q > top->q)
                top = &ranges[i];
        if (top->q <= 0)
            break;
        const struct locale *best = best_for(l, top->tag);
        if (best)
            return best;
        top->q = -1; /* seen */
    }
    return &l->all[0];
}

/* --- texts and values --- */

bool locale_has(const struct locale *l, struct str key)
{
    return locale_message(l, key) != NULL;
}

struct str locale_text(const struct locale *l, struct arena *a, struct str key,
                       const struct json *args)
{
    const struct message *m = locale_message(l, key);
    if (!m)
        return str_dup(a, key);
    struct buf out = BUF_INIT;
    message_format(m, locale_style(l), args, &out);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

struct str locale_number(const struct locale *l, struct arena *a, struct str number)
{
    struct buf out = BUF_INIT;
    style_number(locale_style(l), &out, number);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

struct str locale_datetime(const struct locale *l, struct arena *a, int64_t instant)
{
    struct buf out = BUF_INIT;
    style_datetime(locale_style(l), &out, instant);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}

struct str locale_date(const struct locale *l, struct arena *a, int64_t instant)
{
    struct buf out = BUF_INIT;
    style_date(locale_style(l), &out, instant);
    struct str text = buf_dup(&out, a);
    buf_release(&out);
    return text;
}
