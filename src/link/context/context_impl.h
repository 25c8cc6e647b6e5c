/*
 * context_impl.h - a compiled context, shared by the files context_*.c.
 *
 * Terms of the core context live in one context of their own (ld_core()); every other compiled
 * context holds only what its user added, because core terms always win and cannot be redefined.
 */
#ifndef LINK_CONTEXT_IMPL_H
#define LINK_CONTEXT_IMPL_H

#include "core/map.h"
#include "link/context.h"
#include <stdatomic.h>

struct ld_term {
    struct str name;
    struct str iri;
    struct str type; /* @type: keyword or IRI, or absent */
    bool prefix;     /* may stand before a colon when compacting (JSON-LD 1.1 prefix flag) */
};

struct ld_context {
    struct arena arena;  /* owns all texts and terms */
    struct map terms;    /* name to struct ld_term */
    struct map reverse;  /* IRI to the shortest term of it */
    struct map prefixes; /* IRI to the shortest prefix of it */
    struct str vocab;    /* absent: LD_DEFAULT_PREFIX */
    struct str url;
    const struct json *value;
    atomic_uint holds; /* ld_context_hold(); the only member that changes after compiling */
};

/* What a compilation needs from outside: the text of an imported document, in the arena, or
 * ERR_UNAVAILABLE when it must be fetched first. */
struct ld_source {
    enum err (*document)(void *ctx, struct arena *a, struct str url, struct str *body,
                         struct error *e);
    void *ctx;
    const struct ld_limits *limits;
};

extern const struct ld_limits LD_DEFAULT_LIMITS;

/* Whether a prefix may end in it (gen-delims of RFC 3986). */
static inline bool ld_is_delimiter(char c)
{
    return str_find_char(S(":/?#[]@"), c) >= 0;
}

/* Rows of implicit contexts, where several processes share a store. keep: later, behind the answer;
 * most: how many rows there may be. find: the texts in the arena; reads, so it may wait for a
 * reader. */
void ld_implicit_keep(struct store *s, struct str path, struct str body, int64_t now, size_t most);
bool ld_implicit_find(struct store *s, struct arena *a, struct str path, struct ld_entry *out);
enum err ld_implicit_each(struct store *s, bool (*each)(void *ctx, const struct ld_entry *e),
                          void *ctx, struct error *e);

/* Names that the core context, in whichever version, is known by. */
bool ld_is_core_url(struct str url);

/* Compile a value of "@context". *missing (in a) is set with ERR_UNAVAILABLE. */
enum err ld_compile(const struct ld_source *source, struct arena *a, const struct json *value,
                    struct str url, struct ld_context **out, struct str *missing, struct error *e);
void ld_context_free(struct ld_context *c);

/* Add a term; the shortest name of an IRI (then the first in order) becomes its compact form. */
void ld_define(struct ld_context *c, struct ld_term term);
void ld_index(struct ld_context *c); /* build the reverse maps when all terms are there */
const struct ld_term *ld_find(const struct ld_context *c, struct str name);

#endif
