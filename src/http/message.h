/*
 * message.h - one text of a catalogue: a subset of ICU MessageFormat, compiled.
 *
 *     {name}                    the value as it is
 *     {n, number}               as the language writes numbers
 *     {when, date}              an instant (microseconds, or ISO 8601 text) as a date
 *     {when, datetime}          the same with the time of day
 *     {n, plural, =0 {none} one {# item} other {# items}}
 *     {kind, select, a {..} other {..}}
 *
 * Quoting is ICU's: '' is an apostrophe, '{ starts a quotation that ends at the next apostrophe.
 * Choices nest at most MESSAGE_DEPTH deep and must have "other". A compiled message is immutable:
 * a flat list of operations, in which a choice jumps.
 *
 *     struct message m;
 *     if (message_compile(&arena, S("{n, number}件"), &m, &e)) ...
 *     message_format(&m, style, args, &out);
 */
#ifndef HTTP_MESSAGE_H
#define HTTP_MESSAGE_H

#include "core/error.h"
#include "core/json.h"
#include "style.h"

enum { MESSAGE_DEPTH = 8, MESSAGE_ARGS = 16, MESSAGE_BYTES = 64 * 1024 };

struct message_op;

struct message {
    const struct message_op *ops;
    size_t n;
    const struct str *args; /* names, each once, in order of appearance */
    size_t n_args;
};

/* text is borrowed and must live as long as the message. ERR_INVALID tells the byte and why. */
enum err message_compile(struct arena *a, struct str text, struct message *out, struct error *e);

bool message_takes(const struct message *m, struct str arg);

/* Append the text; args is an object (or NULL), a value that it lacks prints nothing. */
void message_format(const struct message *m, const struct style *s, const struct json *args,
                    struct buf *out);

#endif
