/* query_holds.c - a whole query against one entity, cheapest conditions first. */
#include "query_impl.h"

static bool is_among(struct str id, const struct str *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(id, ids[i]))
            return true;
    return n == 0;
}

static bool has_any(const struct json *stored, const struct str *attrs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (entity_attr(stored, attrs[i]))
            return true;
    return n == 0;
}

enum err query_holds(const struct entity_query *q, const struct json *stored, bool *hit,
                     struct error *e)
{
    struct str id = entity_id(stored);
    *hit = is_among(id, q->ids, q->n_ids) &&
           (!q->types || query_types_hold(q->types, entity_types(stored))) &&
           has_any(stored, q->attrs, q->n_attrs) &&
           (!q->scope || query_scope_holds(q->scope, json_get(stored, S("scope"))));
    if (*hit && q->id_pattern && regex_match(q->id_pattern, id, hit))
        return error_set(e, ERR_TOO_COMPLEX, "idPattern takes too many steps");
    if (*hit && q->q) {
        enum err rc = query_q_holds_linked(q->q, stored, q->linker, hit, e);
        if (rc)
            return rc;
    }
    if (*hit && q->geo)
        *hit = query_geo_holds(q->geo, stored);
    return OK;
}

void entity_query_release(struct entity_query *q)
{
    regex_free(q->id_pattern);
    q->id_pattern = NULL;
    query_q_release(q->q);
    q->q = NULL;
    if (q->geo)
        geo_query_release(q->geo);
}
