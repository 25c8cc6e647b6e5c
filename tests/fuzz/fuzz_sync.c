/*
 * What comes from another node: the input is a message, or a packed one. What is taken is written
 * and read again, and joined with itself and with its parts: both must change nothing. Messages of
 * evolution (sync_evolution.c) are read too.
 */
#include "evolution.h"
#include "feed.h"
#include "pack.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_sync: %s\n", what);
    abort();
}

static struct str text_of(struct arena *a, const struct sync_piece *p)
{
    struct buf b = BUF_INIT;
    sync_piece_write(a, &b, p);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

static void check_piece(struct arena *a, const struct sync_piece *p)
{
    struct sync_piece again, joined = {.id = p->id, .at = p->at};
    struct error e;
    struct str text = text_of(a, p);
    const struct json *v = json_parse(a, text, &JSON_DEFAULT, NULL);
    if (!v) /* nests deeper with its own levels than a message may */
        return;
    check(sync_piece_read(a, v, &again, &e) == OK, "what was written is refused");
    check(str_eq(text_of(a, &again), text), "what was written reads differently");
    for (size_t i = 0; i < p->parts.n; i++) {
        struct sync_part *part = vec_push(a, &joined.parts);
        *part = (struct sync_part){p->parts.v[i].attr, p->parts.v[i].dataset, {{0}, {0}}};
        sync_join(a, &part->reg, &p->parts.v[i].reg);
        sync_join(a, &part->reg, &p->parts.v[i].reg);
        check(sync_effect(&part->reg) == sync_effect(&p->parts.v[i].reg),
              "another value in effect");
    }
    check(str_eq(text_of(a, &joined), text), "joining with itself changes it");
}

static struct str past_text(struct arena *a, const struct past *p)
{
    struct buf b = BUF_INIT;
    struct json_writer w = json_writer(&b);
    past_write(&w, p);
    struct str text = buf_dup(&b, a);
    buf_release(&b);
    return text;
}

static void check_past(struct arena *a, const struct past *p)
{
    struct past again;
    struct error e;
    struct str text = past_text(a, p);
    const struct json *v = json_parse(a, text, &JSON_DEFAULT, NULL);
    check(v && past_read(a, v, &again, &e) == OK, "evolution that was written is refused");
    check(str_eq(past_text(a, &again), text), "evolution that was written reads differently");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct error e;
    struct feed_message m;
    struct str in = str_n((const char *)data, size);
    const struct json *v = unpack_json(&a, in, &e);
    if (!v)
        v = json_parse(&a, in, &JSON_DEFAULT, NULL);
    struct evolution_list list;
    struct trace_set set = {.v = VEC_INIT};
    if (v && evolution_read(&a, json_get(v, S("rows")), &list, &e) == OK)
        for (size_t i = 0; i < list.v.n; i++)
            check(list.v.v[i].id.n > 0, "evolution of nobody");
    if (v && trace_set_read(&a, json_text(json_get(v, S("have"))), &set)) {
        struct str text = trace_set_text(&a, &set);
        struct trace_set again = {.v = VEC_INIT};
        check(trace_set_read(&a, text, &again) && again.v.n == set.v.n, "hashes read differently");
    }
    if (v && feed_parse(&a, v, &m, &e) == OK)
        for (size_t i = 0; i < m.rows.n; i++) {
            if (m.rows.v[i].kind == FEED_PAST)
                check_past(&a, &m.rows.v[i].past);
            else if (m.rows.v[i].kind == FEED_PIECE)
                check_piece(&a, &m.rows.v[i].piece);
        }
    arena_release(&a);
    return 0;
}
