/*
 * template_parse.h - a template's text as a flat list of operations.
 *
 * The parser follows the HTML around the tags just far enough to know where a value would land. It
 * refuses what no escaping makes safe: values in a tag outside a quoted attribute, in event
 * attributes, in script and style. Names are looked up when rendering, parts are linked by
 * template.c.
 */
#ifndef HTTP_TEMPLATE_PARSE_H
#define HTTP_TEMPLATE_PARSE_H

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"

enum { TEMPLATE_DEPTH = 32, TEMPLATE_ARGS = 8 };

enum template_op_kind {
    TEMPLATE_TEXT,     /* text as is */
    TEMPLATE_VALUE,    /* path, written as mode says */
    TEMPLATE_MESSAGE,  /* the catalogue's text of that key, args */
    TEMPLATE_SECTION,  /* path; to: the operation after its TEMPLATE_END */
    TEMPLATE_INVERTED, /* path; to: the operation after the section */
    TEMPLATE_END,      /* to: the first operation inside the section */
    TEMPLATE_PART      /* to: number of the template, set when all are known */
};

enum template_mode {
    TEMPLATE_ESCAPED,
    TEMPLATE_URL, /* escaped, and '#' when the scheme could run code */
    TEMPLATE_RAW
};

struct template_path {
    const struct str *names;
    size_t n; /* 0: the current item, "." */
};

struct template_arg {
    struct str name; /* in the message */
    struct template_path path;
};

struct template_op {
    enum template_op_kind kind;
    enum template_mode mode;
    uint32_t to;
    uint32_t line;
    struct str text; /* literal, key or name of the part */
    struct template_path path;
    const struct template_arg *args;
    size_t n_args;
};

struct template_program {
    struct str label;        /* for errors: the file's name */
    struct template_op *ops; /* immutable once the parts are linked */
    size_t n;
};

/* text must live as long as the program. ERR_INVALID with label and line. */
enum err template_parse(struct arena *a, struct str label, struct str text,
                        struct template_program *out, struct error *e);

#endif
