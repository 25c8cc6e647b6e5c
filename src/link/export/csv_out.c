/* Fields of CSV. */
#include "csv_out.h"
#include "link/entity.h"

/* A spreadsheet must not take a text for a formula. Telephone numbers may begin with '+'. */
static bool is_formula(struct str s)
{
    if (!s.n || str_find_char(S("=+@\t\r"), s.p[0]) < 0)
        return false;
    for (size_t i = 1; s.p[0] == '+' && i < s.n; i++)
        if (str_find_char(S("0123456789 -()."), s.p[i]) < 0)
            return true;
    return s.p[0] != '+';
}

void csv_field(struct buf *out, struct str s)
{
    bool quote = s.n && (s.p[0] == ' ' || s.p[s.n - 1] == ' ');
    for (size_t i = 0; i < s.n && !quote; i++)
        quote = s.p[i] == '"' || s.p[i] == ',' || s.p[i] == '\n' || s.p[i] == '\r';
    if (quote)
        buf_char(out, '"');
    if (is_formula(s))
        buf_char(out, '\'');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"')
            buf_char(out, '"');
        buf_char(out, s.p[i]);
    }
    if (quote)
        buf_char(out, '"');
}

struct str csv_value(struct arena *a, const struct json *instances)
{
    const struct json *instance = instance_default(instances);
    const struct json *v = instance_value(instance ? instance : json_at(instances, 0));
    if (!v)
        return S("");
    if (json_is(v, JSON_STRING) || json_is(v, JSON_NUMBER))
        return json_text(v);
    return json_to_text(a, v);
}
