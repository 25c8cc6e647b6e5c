/*
 * Compiling a value of "@context" into terms: the part of the context processing algorithm of
 * JSON-LD 1.1 (section 4.1 of its API) that names need. @reverse and @nest do not change names of
 * NGSI-LD and are left aside; scoped contexts are an error (clause 5.5.7).
 */
#include "context_impl.h"

#include <string.h>

/* MAX_READS and MAX_GROWTH bound what a context may pull in, however its documents repeat others.
 */
enum { MAX_REFERENCES = 32, MAX_NESTED = 16, MAX_READS = 64, MAX_GROWTH = 8, DOCUMENT_DEPTH = 32 };

const struct ld_limits LD_DEFAULT_LIMITS = {.max_terms = 20000,
                                            .max_depth = 8,
                                            .max_bytes = 1 << 20,
                                            .max_cached = 1000};

struct compilation {
    const struct ld_source *source;
    struct arena *scratch; /* parsed documents */
    struct ld_context *out;
    struct str *missing;
    struct error *e;
    struct str open[MAX_NESTED]; /* URLs being read, outermost first */
    uint32_t depth;
    uint32_t reads;
    size_t bytes;     /* of all documents read */
    bool core_inside; /* one of them brings the core context */
};

/* One object of definitions at work. */
struct definitions {
    struct compilation *x;
    const struct json *object;
    struct map index; /* key to its member: objects of thousands of terms are common */
    struct map state; /* key to BUSY or DONE */
};
static char busy, done;

static enum err define(struct definitions *d, struct str key, unsigned level);

static struct str keep(struct compilation *x, struct str s)
{
    return str_dup(&x->out->arena, s);
}

/* Define what an IRI refers to first, when the same object defines it. */
static enum err define_first(struct definitions *d, struct str name, struct str self,
                             unsigned level)
{
    if (str_eq(name, self) || !map_get(&d->index, name))
        return OK;
    return define(d, name, level + 1);
}

/* The IRI that text in a definition stands for; self is the term being defined. */
static enum err resolve(struct definitions *d, struct str text, struct str self, unsigned level,
                        struct str *out)
{
    struct compilation *x = d->x;
    *out = text;
    if (text.n && text.p[0] == '@')
        return OK;
    if (!str_eq(text, self)) {
        enum err err = define_first(d, text, self, level);
        if (err)
            return err;
    }
    ptrdiff_t colon = str_find_char(text, ':');
    if (colon > 0 && !str_starts(str_from(text, (size_t)colon + 1), S("//"))) {
        enum err err = define_first(d, str_sub(text, 0, (size_t)colon), self, level);
        if (err)
            return err;
    }
    if (str_eq(text, self)) { /* not by its own former meaning */
        if (colon < 0) {
            struct str vocab = x->out->vocab.p ? x->out->vocab : S(LD_DEFAULT_PREFIX);
            *out = str_concat(x->scratch, vocab, text);
            return OK;
        }
        map_del(&x->out->terms, self);
    }
    *out = ld_expand(x->out, x->scratch, text);
    return OK;
}

static enum err term_of(struct definitions *d, struct str key, const struct json *v, unsigned level,
                        struct ld_term *t, bool *usable)
{
    struct compilation *x = d->x;
    bool simple = json_is(v, JSON_STRING);
    const struct json *id = simple ? v : json_get(v, S("@id")), *type = json_get(v, S("@type"));
    *usable = false;
    if (!simple && !json_is(v, JSON_OBJECT))
        return json_is(v, JSON_NULL)
                   ? OK
                   : error_set(x->e, ERR_INVALID, "context: term '%" STR_F "' is not text",
                               STR_A(str_sub(key, 0, 120)));
    if (json_is(id, JSON_NULL) || json_get(v, S("@reverse")))
        return OK;
    if (id && !json_is(id, JSON_STRING))
        return error_set(x->e, ERR_INVALID, "context: @id of '%" STR_F "' is not text",
                         STR_A(str_sub(key, 0, 120)));
    enum err err = resolve(d, id ? json_text(id) : key, key, level, &t->iri);
    if (err)
        return err;
    bool keyword = t->iri.n && t->iri.p[0] == '@';
    if (keyword && !str_eq(t->iri, S("@id")) && !str_eq(t->iri, S("@type")))
        return OK;
    if (!keyword && !ld_is_uri(t->iri))
        return error_set(x->e, ERR_INVALID, "context: term '%" STR_F "' has no IRI",
                         STR_A(str_sub(key, 0, 120)));
    if (json_is(type, JSON_STRING)) {
        err = resolve(d, json_text(type), key, level, &t->type);
        if (err)
            return err;
    }
    t->prefix = !keyword && str_find_char(key, ':') < 0 &&
                ((simple && ld_is_delimiter(t->iri.p[t->iri.n - 1])) ||
                 json_true(json_get(v, S("@prefix"))));
    *usable = true;
    return OK;
}

static enum err define(struct definitions *d, struct str key, unsigned level)
{
    struct compilation *x = d->x;
    void *state = map_get(&d->state, key);
    if (state == &done)
        return OK;
    if (state == &busy)
        return error_set(x->e, ERR_INVALID, "context: term '%" STR_F "' is defined by itself",
                         STR_A(str_sub(key, 0, 120)));
    if (level > MAX_REFERENCES)
        return error_set(x->e, ERR_INVALID, "context: terms refer to each other too deeply");
    map_put(&d->state, key, &busy);
    const struct json_member *m = map_get(&d->index, key);
    struct ld_term t = {.type = STR_NONE};
    bool usable;
    if (!map_get(&ld_core()->terms, key)) { /* core terms cannot be redefined */
        enum err err = term_of(d, key, &m->value, level, &t, &usable);
        if (err)
            return err;
        if (usable) {
            t.name = keep(x, key);
            t.iri = keep(x, t.iri);
            t.type = t.type.p ? keep(x, t.type) : STR_NONE;
            ld_define(x->out, t);
        } else {
            map_del(&x->out->terms, key);
        }
    }
    map_put(&d->state, key, &done);
    if (x->out->terms.n > x->source->limits->max_terms)
        return error_set(x->e, ERR_INVALID, "context: more than %u terms",
                         x->source->limits->max_terms);
    return OK;
}

static enum err set_vocab(struct compilation *x, const struct json *v)
{
    if (!v)
        return OK;
    if (json_is(v, JSON_NULL)) {
        x->out->vocab = STR_NONE;
        return OK;
    }
    if (!json_is(v, JSON_STRING))
        return error_set(x->e, ERR_INVALID, "context: @vocab is not text");
    struct str iri = ld_expand(x->out, x->scratch, json_text(v));
    if (!ld_is_uri(iri))
        return error_set(x->e, ERR_INVALID, "context: @vocab is not an IRI");
    x->out->vocab = keep(x, iri);
    return OK;
}

static enum err compile_value(struct compilation *x, const struct json *v);

static enum err compile_object(struct compilation *x, const struct json *object)
{
    struct definitions d = {x, object, MAP_INIT, MAP_INIT};
    const struct json *import = json_get(object, S("@import"));
    enum err err = json_is(import, JSON_STRING) ? compile_value(x, import) : OK;
    for (uint32_t i = 0; !err && i < object->n; i++)
        map_put(&d.index, json_key(&object->members[i]),
                (void *)(uintptr_t)&object->members[i]); /* only read through it */
    if (!err)
        err = set_vocab(x, json_get(object, S("@vocab")));
    for (uint32_t i = 0; !err && i < object->n; i++) {
        struct str key = json_key(&object->members[i]);
        if (key.n == 0)
            err = error_set(x->e, ERR_INVALID, "context: a term without a name");
        else if (key.p[0] != '@' && json_get(&object->members[i].value, S("@context")))
            err = error_set(x->e, ERR_INVALID, "context: '%" STR_F "' has a @context of its own",
                            STR_A(str_sub(key, 0, 120)));
        else if (key.p[0] != '@')
            err = define(&d, key, 0);
    }
    map_release(&d.index);
    map_release(&d.state);
    return err;
}

static enum err compile_document(struct compilation *x, struct str url)
{
    static const struct json_limits limits = {.max_depth = DOCUMENT_DEPTH,
                                              .max_bytes = 64 << 20,
                                              .duplicates = JSON_DUP_LAST};
    struct str body;
    enum err err = x->source->document(x->source->ctx, x->scratch, url, &body, x->e);
    if (err == ERR_UNAVAILABLE && x->missing)
        *x->missing = str_dup(x->scratch, url);
    if (err)
        return err;
    x->bytes += body.n;
    if (++x->reads > MAX_READS || x->bytes > MAX_GROWTH * x->source->limits->max_bytes)
        return error_set(x->e, ERR_INVALID, "context: too many documents");
    struct error why;
    const struct json *doc = json_parse(x->scratch, body, &limits, &why);
    const struct json *value = json_get(doc, S("@context"));
    if (!value)
        return error_set(x->e, ERR_INVALID, "context %" STR_F ": %s", STR_A(str_sub(url, 0, 200)),
                         doc ? "has no @context" : why.text);
    return compile_value(x, value);
}

static enum err import(struct compilation *x, struct str url)
{
    uint32_t max =
        x->source->limits->max_depth < MAX_NESTED ? x->source->limits->max_depth : MAX_NESTED;
    if (ld_is_core_url(url)) {
        x->core_inside = x->core_inside || x->depth > 0;
        return OK;
    }
    for (uint32_t i = 0; i < x->depth; i++)
        if (str_eq(x->open[i], url))
            return error_set(x->e, ERR_INVALID, "context %" STR_F " imports itself",
                             STR_A(str_sub(url, 0, 200)));
    if (x->depth >= max)
        return error_set(x->e, ERR_INVALID, "context %" STR_F " is nested too deeply",
                         STR_A(str_sub(url, 0, 200)));
    x->open[x->depth++] = url;
    enum err err = compile_document(x, url);
    x->depth--;
    return err;
}

static void forget_terms(struct ld_context *c)
{
    map_release(&c->terms);
    c->vocab = STR_NONE;
}

static enum err compile_value(struct compilation *x, const struct json *v)
{
    enum err err = OK;
    switch (json_type(v)) {
    case JSON_NULL:
        forget_terms(x->out);
        return OK;
    case JSON_STRING:
        return import(x, json_text(v));
    case JSON_OBJECT:
        return compile_object(x, v);
    case JSON_ARRAY:
        for (uint32_t i = 0; !err && i < v->n; i++)
            err = json_is(&v->items[i], JSON_ARRAY)
                      ? error_set(x->e, ERR_INVALID, "context: a list in a list")
                      : compile_value(x, &v->items[i]);
        return err;
    default:
        return error_set(x->e, ERR_INVALID, "context: neither a URL nor an object");
    }
}

/* What goes into a body: the user's value, with the core context behind it unless a document of it
 * brings that along. */
static const struct json *with_core(struct arena *a, const struct json *value)
{
    uint32_t n = json_is(value, JSON_ARRAY) ? value->n : 1, kept = 0;
    struct json *items = arena_alloc(a, (n + 1) * sizeof(*items)), *array;
    for (uint32_t i = 0; i < n; i++) {
        const struct json *item = json_is(value, JSON_ARRAY) ? &value->items[i] : value;
        if (!json_is(item, JSON_STRING) || !ld_is_core_url(json_text(item)))
            items[kept++] = json_copy(a, item);
    }
    items[kept++] = json_v_str(S(LD_CORE_URL));
    array = arena_alloc(a, sizeof(*array));
    *array = json_v_array(items, kept);
    return array;
}

static struct ld_context *new_context(void)
{
    struct arena own = ARENA_INIT;
    struct ld_context *c = ARENA_NEW(&own, struct ld_context);
    c->arena = own;
    return c;
}

enum err ld_compile(const struct ld_source *source, struct arena *a, const struct json *value,
                    struct str url, struct ld_context **out, struct str *missing, struct error *e)
{
    struct ld_context *c = new_context();
    struct compilation x = {.source = source, .scratch = a, .out = c, .missing = missing, .e = e};
    enum err err = compile_value(&x, value);
    if (err) {
        ld_context_free(c);
        return err;
    }
    c->url = str_dup(&c->arena, url);
    struct json *whole = ARENA_NEW(&c->arena, struct json);
    *whole = json_copy(&c->arena, value);
    c->value = x.core_inside ? whole : with_core(&c->arena, value);
    ld_index(c);
    *out = c;
    return OK;
}
