/* The journal body of an entity change, read back. Written by repo_put(). */
#include "link/repo.h"

static bool op_of(struct str letter, enum attr_op *op)
{
    if (str_eq(letter, S("c")))
        *op = ATTR_CREATED;
    else if (str_eq(letter, S("u")))
        *op = ATTR_UPDATED;
    else if (str_eq(letter, S("d")))
        *op = ATTR_DELETED;
    else
        return false;
    return true;
}

/* The instance of a dataset in the list of an attribute's instances. */
static const struct json *instance_of(const struct json *instances, struct str dataset)
{
    for (uint32_t i = 0; instances && i < instances->n; i++) {
        struct str d = json_text(json_get(&instances->items[i], S("datasetId")));
        if (d.p ? dataset.p && str_eq(d, dataset) : !dataset.p)
            return &instances->items[i];
    }
    return NULL;
}

enum err entity_event_parse(struct arena *a, struct str body, struct entity_event *out,
                            struct error *e)
{
    *out = (struct entity_event){0};
    const struct json *v = json_parse(a, body, &JSON_DEFAULT, e);
    const struct json *changed = json_get(v, S("changed"));
    struct str op = json_text(json_get(v, S("op")));
    out->doc = json_get(v, S("doc"));
    out->note = json_get(v, S("note"));
    if (!json_is(out->doc, JSON_OBJECT) || !json_is(changed, JSON_ARRAY) || op.n != 1)
        return error_set(e, ERR_CORRUPT, "a journal row of an entity cannot be read");
    out->op = op.p[0] == 'c' ? EVENT_CREATED : op.p[0] == 'd' ? EVENT_DELETED : EVENT_UPDATED;
    for (uint32_t i = 0; i < changed->n; i++) {
        const struct json *m = &changed->items[i];
        struct attr_change *ch = vec_push(a, &out->changes);
        ch->attr = json_text(json_get(m, S("a")));
        ch->dataset = json_text(json_get(m, S("d")));
        ch->before = json_get(m, S("b"));
        if (!op_of(json_text(json_get(m, S("o"))), &ch->op))
            return error_set(e, ERR_CORRUPT, "a journal row names an unknown change");
        const struct json *instance = instance_of(entity_attr(out->doc, ch->attr), ch->dataset);
        if (out->op == EVENT_DELETED)
            ch->before = instance;
        else if (ch->op != ATTR_DELETED)
            ch->after = instance;
    }
    return OK;
}
