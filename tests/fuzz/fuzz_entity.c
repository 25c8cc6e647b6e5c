/*
 * Entities from hostile payloads. The input is a JSON array: a whole entity, then fragments that
 * are applied to it by every operation. What is stored has a kind, a value and times everywhere and
 * nothing that stands for deletion; what is written parses; the concise form means the same as the
 * normalized one.
 */
#include "link/entity.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void check_instances(const struct json *instances)
{
    must(json_is(instances, JSON_ARRAY) && instances->n > 0);
    for (size_t i = 0; i < instances->n; i++) {
        const struct json *v = json_at(instances, i);
        must(!str_eq(json_text(json_get(v, S("type"))), S("deleted")));
        must(instance_value(v) && json_get(v, S("createdAt")) && json_get(v, S("modifiedAt")));
        must(i == 0 || json_get(v, S("datasetId")));
        for (uint32_t k = 0; k < v->n; k++)
            if (str_find_char(json_key(&v->members[k]), ':') >= 0)
                check_instances(&v->members[k].value);
    }
}

static void check_stored(const struct json *v)
{
    must(json_get(v, S("id")) && entity_types(v)->n > 0);
    for (uint32_t i = 0; i < v->n; i++)
        if (!entity_is_member(json_key(&v->members[i])))
            check_instances(&v->members[i].value);
}

static const struct json *written(struct arena *a, const struct json *stored,
                                  const struct entity_view *v)
{
    struct buf b = BUF_INIT;
    entity_write(&b, a, stored, v);
    const struct json *read = json_parse(a, buf_dup(&b, a), &JSON_DEFAULT, NULL);
    buf_release(&b);
    must(read != NULL);
    return read;
}

static void check_forms(struct arena *a, const struct json *stored)
{
    struct entity_view v = {.form = FORM_NORMALIZED};
    const struct json *normalized = written(a, stored, &v);
    v.form = FORM_CONCISE;
    const struct json *concise = written(a, stored, &v);
    normalized = entity_expand(a, normalized, ENTITY_WHOLE, false, NULL, NULL);
    concise = entity_expand(a, concise, ENTITY_WHOLE, false, NULL, NULL);
    must(normalized && concise && json_equal(normalized, concise, true));
    for (int form = FORM_NORMALIZED; form <= FORM_SIMPLIFIED; form++) {
        v = (struct entity_view){.form = (enum entity_form)form,
                                 .geojson = true,
                                 .sys_attrs = true,
                                 .lang = S("ja, en;q=0.5"),
                                 .with_context = true};
        written(a, stored, &v);
    }
}

static void check_changes(struct arena *a, const struct json *stored, const struct json *payload)
{
    static const enum entity_in modes[] = {ENTITY_WHOLE, ENTITY_FRAGMENT, ENTITY_MERGE};
    for (size_t m = 0; m < 6; m++) {
        struct error e;
        const struct json *input = entity_expand(a, payload, modes[m % 3], m >= 3, NULL, &e);
        for (int op = ENTITY_REPLACE; input && op <= ENTITY_REPLACE_ATTR; op++) {
            struct entity_delta d;
            if (op == ENTITY_REPLACE && modes[m % 3] != ENTITY_WHOLE)
                continue;
            if (!entity_apply(a, (enum entity_op)op, stored, input, 1000000, &d, &e))
                check_stored(d.after);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct entity_delta d;
    struct error e;
    const struct json *doc = json_parse(&a, str_n((const char *)data, size), &JSON_DEFAULT, NULL);
    const struct json *first = json_at(doc, 0);
    const struct json *input =
        first ? entity_expand(&a, first, ENTITY_WHOLE, false, NULL, &e) : NULL;
    if (input && !entity_apply(&a, ENTITY_CREATE, NULL, input, 0, &d, &e)) {
        const struct json *stored = d.after;
        check_stored(stored);
        check_forms(&a, stored);
        for (size_t i = 1; i < doc->n && i < 4; i++)
            check_changes(&a, stored, json_at(doc, i));
        entity_delete(&a, stored, &d);
    }
    arena_release(&a);
    return 0;
}
