#include "look.h"
#include "core/geo.h"
#include <string.h>

enum { TEXT_DEPTH = 4, TEXT_ITEMS = 50 };

/* --- finding --- */

static bool named(struct str iri, struct str name)
{
    if (!str_ends(iri, name) || iri.n <= name.n)
        return false;
    char before = iri.p[iri.n - name.n - 1];
    return before == '/' || before == '#';
}

const struct json *look_attr(const struct json *stored, const char *name)
{
    struct str want = str_c(name);
    if (!json_is(stored, JSON_OBJECT))
        return NULL;
    for (uint32_t i = 0; i < stored->n; i++) {
        struct str key = json_key(&stored->members[i]);
        if (!entity_is_member(key) && (str_eq(key, want) || named(key, want)))
            return &stored->members[i].value;
    }
    return NULL;
}

const struct json *look_value(const struct json *stored, const char *name)
{
    const struct json *instances = look_attr(stored, name);
    const struct json *one = instances ? instance_default(instances) : NULL;
    if (!one && instances)
        one = json_at(instances, 0);
    return one ? instance_value(one) : NULL;
}

struct str look_plain(const struct json *stored, const char *name)
{
    return json_text(look_value(stored, name));
}

struct str look_short(struct arena *a, struct str iri)
{
    struct str name = ld_compact(ld_core(), a, iri);
    for (size_t i = name.n; i-- > 0;)
        if (name.p[i] == '/' || name.p[i] == '#')
            return i + 1 < name.n ? str_from(name, i + 1) : name;
    return name;
}

struct str look_type(struct arena *a, const struct json *stored)
{
    return look_short(a, json_text(json_at(entity_types(stored), 0)));
}

/* --- labels --- */

static struct str label(struct arena *a, const struct locale *l, const char *kind, struct str name)
{
    struct str key = str_printf(a, "%s.%" STR_F, kind, STR_A(name));
    return locale_has(l, key) ? locale_text(l, a, key, NULL) : name;
}

struct str look_type_label(struct arena *a, const struct locale *l, struct str short_name)
{
    return label(a, l, "type", short_name);
}

struct str look_attr_label(struct arena *a, const struct locale *l, struct str short_name)
{
    return label(a, l, "attr", short_name);
}

struct str look_code(struct arena *a, const struct locale *l, struct str code)
{
    if (!code.n || code.n > 40)
        return code;
    for (size_t i = 0; i < code.n; i++) {
        char c = code.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return code;
    }
    return label(a, l, "value", code);
}

bool look_is_technical(struct str short_name)
{
    static const char *const names[] = {"name",     "nameKana", "nameEn", "alternateName", "title",
                                        "location", "dataset",  "source", "dataProvider"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_eq(short_name, str_c(names[i])))
            return true;
    return false;
}

/* --- values --- */

/* The text of a language map that the reader understands best. */
static struct str pick_language(const struct locale *l, const struct json *map)
{
    struct str tries[] = {l->tag, l->html, str_cut(l->html, 2), S("@none"), S("ja"), S("en")};
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        const struct json *v = json_get(map, tries[i]);
        if (json_is(v, JSON_ARRAY))
            v = json_at(v, 0);
        if (json_is(v, JSON_STRING))
            return json_text(v);
    }
    return map->n ? json_text(&map->members[0].value) : STR_NONE;
}

static struct str show(struct arena *a, const struct locale *l, const struct json *v, int depth);

static struct str show_string(struct arena *a, const struct locale *l, struct str s)
{
    int64_t at;
    struct civil day;
    if (s.n >= 16 && datetime_parse(s, &at))
        return locale_datetime(l, a, at);
    if (s.n == 10 && date_parse(s, &day))
        return locale_date(l, a, civil_to_instant(&day, JST_OFFSET_S));
    return look_code(a, l, s);
}

static void join(struct buf *out, struct str part, const char *separator)
{
    if (!part.n)
        return;
    if (out->n)
        buf_str(out, str_c(separator));
    buf_str(out, part);
}

static struct str taken(struct buf *b, struct arena *a)
{
    struct str s = buf_dup(b, a);
    buf_release(b);
    return s;
}

/* A Japanese address from the larger to the smaller. */
static struct str show_address(struct arena *a, const struct json *v)
{
    static const char *const parts[] = {"addressRegion", "addressLocality", "addressDistrict",
                                        "streetAddress", "buildingName"};
    struct buf out = BUF_INIT;
    struct str postal = json_text(json_get(v, S("postalCode")));
    if (postal.n)
        buf_printf(&out, "〒%" STR_F " ", STR_A(postal));
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        buf_str(&out, json_text(json_get(v, str_c(parts[i]))));
    return taken(&out, a);
}

static struct str show_object(struct arena *a, const struct locale *l, const struct json *v,
                              int depth)
{
    const struct json *typed = json_get(v, S("@value"));
    if (typed)
        return show(a, l, typed, depth + 1);
    if (json_get(v, S("addressLocality")) || json_get(v, S("streetAddress")))
        return show_address(a, v);
    struct buf out = BUF_INIT;
    for (uint32_t i = 0; i < v->n && i < TEXT_ITEMS; i++) {
        struct str name = look_attr_label(a, l, json_key(&v->members[i]));
        struct str text = show(a, l, &v->members[i].value, depth + 1);
        join(&out, str_printf(a, "%" STR_F ": %" STR_F, STR_A(name), STR_A(text)), "; ");
    }
    return taken(&out, a);
}

static struct str show(struct arena *a, const struct locale *l, const struct json *v, int depth)
{
    if (!v || depth > TEXT_DEPTH)
        return S("");
    switch (json_type(v)) {
    case JSON_STRING:
        return show_string(a, l, json_text(v));
    case JSON_NUMBER:
        return locale_number(l, a, json_text(v));
    case JSON_TRUE:
        return locale_text(l, a, S("value.yes"), NULL);
    case JSON_FALSE:
        return locale_text(l, a, S("value.no"), NULL);
    case JSON_OBJECT:
        return show_object(a, l, v, depth);
    case JSON_ARRAY: {
        struct buf out = BUF_INIT;
        const char *comma =
            str_starts(l->html, S("ja")) || str_starts(l->html, S("zh")) ? "、" : ", ";
        for (uint32_t i = 0; i < v->n && i < TEXT_ITEMS; i++)
            join(&out, show(a, l, &v->items[i], depth + 1), comma);
        return taken(&out, a);
    }
    case JSON_NULL:
        break;
    }
    return S("");
}

/* UN/CEFACT Recommendation 20 codes that cities use. */
static struct str unit_sign(struct str code)
{
    static const struct {
        const char *code, *sign;
    } units[] = {{"CEL", "°C"},   {"P1", "%"},    {"MTR", "m"},   {"CMT", "cm"},   {"MMT", "mm"},
                 {"KMT", "km"},   {"MTK", "m²"},  {"KMK", "km²"}, {"KMH", "km/h"}, {"MTS", "m/s"},
                 {"A97", "hPa"},  {"HPA", "hPa"}, {"59", "ppm"},  {"61", "ppb"},   {"GQ", "µg/m³"},
                 {"GP", "mg/m³"}, {"LUX", "lx"},  {"DD", "°"},    {"MIN", "min"},  {"HUR", "h"},
                 {"KWH", "kWh"},  {"WTT", "W"},   {"LTR", "L"},   {"MQS", "m³/s"}, {"2N", "dB"},
                 {"C62", ""},     {"IE", ""},     {"H87", ""}};
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_eq(code, str_c(units[i].code)))
            return str_c(units[i].sign);
    return code;
}

struct look_shown look_instance(struct arena *a, const struct locale *l,
                                const struct json *instance)
{
    struct look_shown out = {.text = S("")};
    const struct json *v = instance_value(instance);
    struct str kind = json_text(json_get(instance, S("type")));
    if (!v)
        return out;
    if (str_eq(kind, S("LanguageProperty")) && json_is(v, JSON_OBJECT)) {
        out.text = pick_language(l, v);
        return out;
    }
    if (str_eq(kind, S("VocabProperty")) && json_is(v, JSON_STRING)) {
        out.text = look_code(a, l, look_short(a, json_text(v)));
        return out;
    }
    if (str_eq(kind, S("GeoProperty"))) {
        out.text = json_text(json_get(v, S("type")));
        return out;
    }
    out.text = show(a, l, v, 0);
    out.number = json_is(v, JSON_NUMBER);
    if (str_eq(kind, S("Relationship")) && json_is(v, JSON_STRING))
        out.id = json_text(v);
    else if (json_is(v, JSON_STRING) &&
             (str_starts(json_text(v), S("https://")) || str_starts(json_text(v), S("http://"))))
        out.href = json_text(v);
    struct str unit = unit_sign(json_text(json_get(instance, S("unitCode"))));
    if (unit.n && out.text.n)
        out.text = str_printf(a, "%" STR_F "%s%" STR_F, STR_A(out.text),
                              str_eq(unit, S("%")) || str_eq(unit, S("°")) ? "" : " ", STR_A(unit));
    return out;
}

/* --- the whole --- */

struct str look_name(struct arena *a, const struct locale *l, const struct json *stored)
{
    static const char *const names[] = {"nameEn", "name", "title", "alternateName", "stationName"};
    bool chinese_characters = str_starts(l->html, S("ja")) || str_starts(l->html, S("zh"));
    for (size_t i = chinese_characters; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct json *instances = look_attr(stored, names[i]);
        const struct json *one = instances ? instance_default(instances) : NULL;
        struct str text = one ? look_instance(a, l, one).text : STR_NONE;
        if (text.n)
            return text;
    }
    struct str id = entity_id(stored);
    for (size_t i = id.n; i-- > 0;)
        if (id.p[i] == ':' && i + 1 < id.n)
            return str_from(id, i + 1);
    return id;
}

bool look_place(struct arena *a, const struct json *stored, double *lon, double *lat)
{
    const struct json *g = look_value(stored, "location");
    if (!g)
        return false;
    if (str_eq(json_text(json_get(g, S("type"))), S("Point"))) {
        const struct json *xy = json_get(g, S("coordinates"));
        return json_double(json_at(xy, 0), lon) && json_double(json_at(xy, 1), lat);
    }
    const struct geo *geo = geo_parse(a, g, GEO_MAX_POSITIONS, NULL);
    if (!geo)
        return false;
    geo_centre(geo, lon, lat);
    return true;
}

int64_t look_updated(const struct json *stored)
{
    int64_t newest = 0, at;
    if (!json_is(stored, JSON_OBJECT))
        return 0;
    for (uint32_t i = 0; i < stored->n; i++) {
        const struct json *v = &stored->members[i].value;
        if (!json_is(v, JSON_ARRAY) || entity_is_member(json_key(&stored->members[i])))
            continue;
        for (uint32_t k = 0; k < v->n; k++)
            if (datetime_parse(json_text(json_get(&v->items[k], S("observedAt"))), &at) &&
                at > newest)
                newest = at;
    }
    if (!newest && datetime_parse(json_text(json_get(stored, S("modifiedAt"))), &at))
        newest = at;
    return newest;
}
