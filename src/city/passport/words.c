/* What the pages of つくパス say alike: times, devices, persons; and what forms bring. */
#include "passport_impl.h"
#include <string.h>

void write_time(struct page *p, const char *key, int64_t at)
{
    json_w_kstr(&p->w, str_c(key), locale_datetime(p->locale, p->arena, at));
}

struct str text_of(struct page *p, const char *family, const char *name)
{
    return page_text(p, str_c(arena_printf(p->arena, "%s.%s", family, name)));
}

/* The first that is named counts: browsers name those that they descend from too. */
static const char *first_of(struct str agent, const char *const (*list)[2], size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_find(agent, str_c(list[i][0])) >= 0)
            return list[i][1];
    return NULL;
}

struct str device_name(struct arena *a, struct str agent)
{
    static const char *const browsers[][2] = {{"Edg", "Edge"},         {"OPR/", "Opera"},
                                              {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"},
                                              {"CriOS/", "Chrome"},    {"Safari/", "Safari"}};
    static const char *const systems[][2] = {{"iPhone", "iPhone"},   {"iPad", "iPad"},
                                             {"Android", "Android"}, {"Windows", "Windows"},
                                             {"Mac OS X", "macOS"},  {"Linux", "Linux"}};
    const char *browser = first_of(agent, browsers, COUNT(browsers));
    const char *os = first_of(agent, systems, COUNT(systems));
    if (browser && os)
        return str_printf(a, "%s (%s)", browser, os);
    return str_c(browser ? browser : os ? os : "?");
}

void write_person(struct page *p, const struct person *x)
{
    struct {
        const char *key;
        struct str text;
    } items[] = {{"login", x->login},        {"name", x->name},
                 {"nameKana", x->name_kana}, {"birthDate", x->birth_date},
                 {"gender", x->gender},      {"postalCode", x->postal_code},
                 {"address", x->address},    {"district", x->district},
                 {"email", x->email},        {"phone", x->phone}};
    json_w_key(&p->w, S("person"));
    json_w_object(&p->w);
    for (size_t i = 0; i < COUNT(items); i++)
        json_w_kstr(&p->w, str_c(items[i].key), str_is_utf8(items[i].text) ? items[i].text : S(""));
    if (x->gender.n) {
        json_w_key(&p->w, S("is"));
        json_w_object(&p->w);
        json_w_kbool(&p->w, str_is_utf8(x->gender) ? x->gender : S("x"), true);
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

struct person read_person(struct call *c)
{
    const struct request *req = c->page.req;
    return (struct person){.login = page_field(req, "login"),
                           .name = page_field(req, "name"),
                           .name_kana = page_field(req, "name_kana"),
                           .birth_date = page_field(req, "birth_date"),
                           .gender = page_field(req, "gender"),
                           .postal_code = page_field(req, "postal_code"),
                           .address = page_field(req, "address"),
                           .district = page_field(req, "district"),
                           .email = page_field(req, "email"),
                           .phone = page_field(req, "phone")};
}

bool is_checked(const struct call *c, const char *field)
{
    return page_field(c->page.req, field).n > 0;
}

int64_t int_field(const struct call *c, const char *name)
{
    int64_t v = 0;
    return str_to_i64(page_field(c->page.req, name), &v) ? v : 0;
}
