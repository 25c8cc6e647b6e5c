/*
 * query_impl.h - the parsed forms behind query.h, shared by parsers, evaluation and hints.
 *
 * q, type selection and scopeQ are the same language of ';', '|' and parentheses over different
 * leaves: struct query_expr is that language, the leaf is whatever the parser made of the rest.
 */
#ifndef LINK_QUERY_IMPL_H
#define LINK_QUERY_IMPL_H

#include "core/regex.h"
#include "core/vec.h"
#include "link/query.h"

/* --- and, or, parentheses --- */

enum expr_kind { EXPR_LEAF, EXPR_AND, EXPR_OR };

struct query_expr {
    enum expr_kind kind;
    const struct query_expr **kids; /* of EXPR_AND and EXPR_OR: two or more */
    size_t n;
    const void *leaf;
};

struct query_parser {
    struct arena *arena;
    const char *what; /* name of the parameter, for messages */
    struct str text;
    size_t at;
    const struct query_limits *limits;
    uint32_t nodes, depth;
    bool comma_is_or;
    const void *(*leaf)(struct query_parser *p); /* reads one leaf; NULL after query_fail() */
    struct error *e;
};

/* The whole text as an expression, or NULL with the error set. */
const struct query_expr *query_expr_parse(struct query_parser *p);
/* Say what was expected at the present offset; always NULL, for a return statement. */
void *query_fail(struct query_parser *p, const char *expected);
void query_skip_blanks(struct query_parser *p);
int query_peek(const struct query_parser *p); /* the byte at hand, or -1 at the end */
/* Count one more node against the limit; false after query_fail(). */
bool query_count(struct query_parser *p);

enum err query_expr_holds(const struct query_expr *x,
                          enum err (*leaf)(const void *leaf, void *ctx, bool *hit), void *ctx,
                          bool *hit);

/* --- q --- */

enum q_op {
    Q_EXISTS,
    Q_ABSENT, /* "!a": not in the grammar of v1.8.1, but peers and NGSIv2 have it */
    Q_EQ,
    Q_NE,
    Q_LT,
    Q_LE,
    Q_GT,
    Q_GE,
    Q_MATCH,
    Q_NO_MATCH
};

enum q_kind { Q_NUMBER, Q_TEXT, Q_BOOL, Q_DATETIME, Q_DATE, Q_TIME };

struct q_value {
    enum q_kind kind;
    struct str text; /* of numbers, texts (URIs too) and dates */
    double number;
    int64_t instant; /* of date-times, us; of times: us of the day */
    bool truth;
};

struct q_step {
    struct str name; /* IRI, or the member's name */
    bool member;     /* observedAt, unitCode, ...: a member of an instance (or of the entity) */
};

struct q_term {
    const struct q_step *steps; /* at least one; only the last can be a member */
    size_t n_steps;
    /* attr{...}: what must hold of an entity that the attribute points to; NULL: no such thing. The
     * fields below, but for the hints, are then those of that term. */
    const struct q_term *linked;
    const struct str *hints; /* types of linked entities to look at; none: all */
    size_t n_hints;
    const struct str *trail; /* the path in square brackets */
    size_t n_trail;
    enum q_op op;
    const struct q_value *values; /* a list; for a range its two ends */
    size_t n_values;
    bool range;
    struct regex *pattern;
};

struct query_node {
    const struct query_expr *root; /* leaves: struct q_term */
    uint32_t links;                /* the longest way over linked entities */
    struct regex *const *patterns; /* all of them, for query_q_release() */
    size_t n_patterns;
};

/*
 * An attribute path at p: steps and the path in square brackets, without an operator. any_member:
 * type may be the first step, as in orderBy. false after query_fail().
 */
bool query_path(struct query_parser *p, const struct ld_context *ctx, bool any_member,
                struct q_term *t);
/* The value that a path without links leads to: of the default instance, else of the first. Of a
 * LanguageProperty the text of lang (a priority list; may be absent), else any. *kind (may be NULL)
 * is the type of the instance; absent for members. NULL: there is none. */
const struct json *query_target(const struct json *stored, const struct q_term *t, struct str lang,
                                struct str *kind);

/* The nearest double, infinite when there is none: never decreases as the number grows. */
double query_number(struct str text);

/*
 * What "attribute == x" looks at in one instance: its scalar, the scalars of its array, the texts
 * of its languageMap. fn returns false to stop.
 */
void query_scalars(const struct json *instance, bool (*fn)(void *ctx, const struct json *scalar),
                   void *ctx);
/* The scalar in {"@type": ..., "@value": scalar}, else v itself. */
const struct json *query_unwrap(const struct json *v);

/* --- type selection --- */

struct type_node {
    const struct query_expr *root; /* leaves: struct str, an IRI */
};

/* --- scopeQ --- */

struct scope_pattern {
    const struct str *levels; /* "+" stands for any one level */
    size_t n;
    bool below; /* ends in '#': the scope and everything below it */
};

struct scope_node {
    const struct query_expr *root; /* leaves: struct scope_pattern */
};

/* --- geo --- */

bool query_geo_holds(const struct geo_query *g, const struct json *stored);

#endif
