/*
 * context.h - JSON-LD contexts: the part of JSON-LD 1.1 that NGSI-LD needs (ETSI GS CIM 009 v1.8.1
 * clauses 4.4, 5.5.5 to 5.5.7).
 *
 * A context maps terms to IRIs: terms, prefixes, @vocab, term definitions with @id, @type and
 * @container, nested arrays, imported URLs. The core context is compiled in (all published versions
 * are the same terms for us) and always has the last word. A compiled context is immutable, shared
 * and kept for the life of the registry's cache; it carries the reverse map for compaction.
 *
 * Remote contexts are never fetched here: ld_context_get() answers ERR_UNAVAILABLE and the missing
 * URL; the caller fetches it off the hot path, hands it to ld_context_add() and asks again. What
 * was fetched is kept in the store and is there after a restart without network.
 */
#ifndef LINK_CONTEXT_H
#define LINK_CONTEXT_H

#include "core/clock.h"
#include "core/json.h"
#include "store/store.h"

#define LD_CORE_URL       "https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.8.jsonld"
#define LD_DEFAULT_PREFIX "https://uri.etsi.org/ngsi-ld/default-context/"
#define LD_NGSI_PREFIX    "https://uri.etsi.org/ngsi-ld/"
#define CONTEXT_REL       "http://www.w3.org/ns/json-ld#context" /* of Link headers */
#define LD_LOCAL_PATH     "/ngsi-ld/v1/jsonldContexts/" /* of hosted and implicit contexts */
#define LD_RETIRED_US     (5 * MINUTE_US) /* a context that was dropped stays readable so long */

struct ld_context;  /* compiled, immutable */
struct ld_contexts; /* the registry; thread-safe */

enum ld_kind { LD_HOSTED, LD_CACHED, LD_IMPLICIT }; /* clause 5.2.x kinds of @context entries */

struct ld_limits {
    uint32_t max_terms; /* of one compiled context; default 20000 */
    uint32_t max_depth; /* nested imports; default 8; cycles are errors */
    size_t max_bytes;   /* of one context document; default 1 MiB */
    size_t max_cached;  /* compiled contexts kept; default 1000, least recently used go first */
};

/* Loads what the store keeps. The table is made by link's migrations. A NULL store keeps nothing on
 * disk; NULL limits are the defaults. */
struct ld_contexts *ld_contexts_new(struct store *s, const struct clock *clock,
                                    const struct ld_limits *l, struct error *e);
void ld_contexts_free(struct ld_contexts *c);

const struct ld_context *ld_core(void);

/*
 * The compiled context for a value of "@context" (URL text, object, array of both) or a Link
 * header's URL (as a JSON string); NULL value gives the core context. A URL of any host that ends
 * in the LD_LOCAL_PATH of a context kept here means that context. The result stays readable for
 * LD_RETIRED_US at least, which is longer than any request; who keeps it longer holds it.
 * ERR_INVALID for a bad context, ERR_UNAVAILABLE when *missing (in a) must be fetched.
 */
enum err ld_context_get(struct ld_contexts *c, struct arena *a, const struct json *value,
                        const struct ld_context **out, struct str *missing, struct error *e);

/* Keep a context readable beyond LD_RETIRED_US (subscriptions do), until it is let go or the
 * registry is freed; it stays what it was when its documents change. Any thread, any number of
 * times; NULL does nothing. */
void ld_context_hold(const struct ld_context *c);
void ld_context_let_go(const struct ld_context *c);

/* The URL that identifies the context for a Link header: the user's URL, or for an inline or mixed
 * context the local path of its ImplicitlyCreated copy ("/ngsi-ld/v1/jsonldContexts/..."). The core
 * context's own URL when there is no other. */
struct str ld_context_url(const struct ld_context *c);
/* The "@context" value to put into a body: URL, or array of the user's value and the core URL. */
const struct json *ld_context_json(const struct ld_context *c);

/* A context document (an object with "@context") for url, as fetched or posted; stored durably. For
 * hosted contexts url is the local one made by the caller. May wait for the writer: never on an
 * HTTP worker. */
enum err ld_context_add(struct ld_contexts *c, struct str url, enum ld_kind kind, struct str body,
                        struct error *e);
enum err ld_context_delete(struct ld_contexts *c, struct str url, struct error *e);

struct ld_entry {
    struct str url;
    enum ld_kind kind;
    struct str body; /* document text */
    int64_t created_at, last_used;
    int64_t uses;
};
/* Entries in order of creation, to each() until it returns false. Texts live during the call. */
void ld_context_each(struct ld_contexts *c, bool (*each)(void *ctx, const struct ld_entry *e),
                     void *ctx);
bool ld_context_find(struct ld_contexts *c, struct arena *a, struct str url, struct ld_entry *out);

/* --- terms --- */

/* Term, prefixed name or IRI to IRI. Unknown terms get @vocab or LD_DEFAULT_PREFIX. Core members
 * ("type", "observedAt") are not attribute names and are the caller's business. */
struct str ld_expand(const struct ld_context *c, struct arena *a, struct str term);
/* IRI to the shortest term: exact term, else without @vocab / default prefix, else prefix:rest,
 * else the IRI; always a text that expands to the IRI again. The result may point into the context
 * or into iri. */
struct str ld_compact(const struct ld_context *c, struct arena *a, struct str iri);

/* @type of a term's definition: "@id", "@vocab", "@json", an IRI, or absent. */
struct str ld_term_type(const struct ld_context *c, struct str term);

/* A URI in the sense of RFC 3986 with a scheme, no blanks. */
bool ld_is_uri(struct str s);

#endif
