/*
 * Policies in the console: their rules in words, and one policy with its versions, to be changed as
 * JSON or ended. Names stand in the JSON as short as they are; a policy whose conditions were
 * written with an @context of its own keeps it as the member "@context".
 */
#include "console.h"
#include "core/datetime.h"
#include "look.h"

static struct str say(struct page *p, const char *key, const char *arg, struct str value)
{
    struct json_member m = json_m(str_c(arg), json_v_str(value));
    struct json args = json_v_object(&m, 1);
    return locale_text(p->locale, p->arena, str_c(key), &args);
}

struct str console_join(struct page *p, const struct json *names,
                        struct str (*label)(struct page *p, struct str name))
{
    struct buf b = BUF_INIT;
    for (uint32_t i = 0; names && i < names->n; i++) {
        struct str name = json_text(&names->items[i]);
        buf_str(&b, i ? S(", ") : S(""));
        buf_str(&b, label ? label(p, name) : name);
    }
    struct str text = buf_dup(&b, p->arena);
    buf_release(&b);
    return text;
}

/* --- in words --- */

static struct str type_label(struct page *p, struct str iri)
{
    return look_type_label(p->arena, p->locale, look_short(p->arena, iri));
}

static struct str attr_label(struct page *p, struct str iri)
{
    return look_attr_label(p->arena, p->locale, look_short(p->arena, iri));
}

static struct str right_label(struct page *p, struct str name)
{
    return page_text(p, str_printf(p->arena, "keys.right.%" STR_F, STR_A(name)));
}

static void write_part(struct page *p, const char *key, const char *arg, struct str value)
{
    if (value.n)
        json_w_str(&p->w, say(p, key, arg, value));
}

/* Of a rule, or of what is personal. */
static void write_parts(struct page *p, const struct json *rule)
{
    struct str types = console_join(p, json_get(rule, S("types")), type_label);
    json_w_key(&p->w, S("parts"));
    json_w_array(&p->w);
    if (types.n)
        write_part(p, "keys.rule.types", "types", types);
    else if (json_get(rule, S("rights")))
        json_w_str(&p->w, page_text(p, S("keys.rule.all")));
    write_part(p, "keys.rule.attrs", "attrs",
               console_join(p, json_get(rule, S("attrs")), attr_label));
    write_part(p, "keys.rule.scope", "scope", json_text(json_get(rule, S("scope"))));
    write_part(p, "keys.rule.q", "q", json_text(json_get(rule, S("q"))));
    if (json_true(json_get(rule, S("own"))))
        json_w_str(&p->w, page_text(p, S("keys.rule.own")));
    write_part(p, "keys.rule.keep", "keep", json_text(json_get(rule, S("keep"))));
    write_part(p, "keys.rule.rollup", "rollup", json_text(json_get(rule, S("rollup"))));
    json_w_end(&p->w);
}

static void write_rule(struct page *p, const struct json *rule)
{
    const struct json *rights = json_get(rule, S("rights"));
    bool deny = str_eq(json_text(json_get(rule, S("effect"))), S("deny"));
    json_w_object(&p->w);
    if (rights)
        json_w_kstr(&p->w, S("head"),
                    say(p, deny ? "keys.rule.deny" : "keys.rule.allow", "rights",
                        console_join(p, rights, right_label)));
    write_parts(p, rule);
    json_w_end(&p->w);
}

static void write_quota(struct page *p, const struct json *doc)
{
    json_w_object(&p->w);
    json_w_key(&p->w, S("parts"));
    json_w_array(&p->w);
    for (uint32_t i = 0; i < doc->n; i++)
        json_w_str(&p->w,
                   str_printf(p->arena, "%" STR_F ": %" STR_F, STR_A(json_key(&doc->members[i])),
                              STR_A(json_to_text(p->arena, &doc->members[i].value))));
    json_w_end(&p->w);
    json_w_end(&p->w);
}

void console_write_words(struct page *p, struct str name, const struct json *doc)
{
    const struct json *rules = json_get(doc, S("rules"));
    json_w_key(&p->w, S("rules"));
    json_w_array(&p->w);
    for (uint32_t i = 0; rules && i < rules->n; i++)
        write_rule(p, &rules->items[i]);
    if (!rules && str_eq(name, S("personal")))
        write_rule(p, doc);
    else if (!rules && doc)
        write_quota(p, doc);
    json_w_end(&p->w);
}

/* --- as JSON --- */

static struct json short_names(struct page *p, const struct json *v)
{
    struct json *items = ARENA_ARRAY(p->arena, struct json, v->n ? v->n : 1);
    for (uint32_t i = 0; i < v->n; i++)
        items[i] = json_v_str(ld_compact(ld_core(), p->arena, json_text(&v->items[i])));
    return json_v_array(items, v->n);
}

/* As people write it; context: where conditions have one of their own. */
static struct json as_written(struct page *p, const struct json *doc, const struct json **context)
{
    struct arena *a = p->arena;
    struct json out = json_v_object(NULL, 0);
    for (uint32_t i = 0; i < doc->n; i++) {
        struct str key = json_key(&doc->members[i]);
        const struct json *v = &doc->members[i].value;
        if (str_eq(key, S("types")) || str_eq(key, S("attrs"))) {
            out = json_with(a, &out, key, short_names(p, v));
        } else if (str_eq(key, S("context"))) {
            *context = v;
        } else if (str_eq(key, S("rules"))) {
            struct json *rules = ARENA_ARRAY(a, struct json, v->n ? v->n : 1);
            for (uint32_t k = 0; k < v->n; k++)
                rules[k] = as_written(p, &v->items[k], context);
            out = json_with(a, &out, key, json_v_array(rules, v->n));
        } else {
            out = json_with(a, &out, key, *v);
        }
    }
    return out;
}

/* A member a line, a rule a line. */
static struct str laid_out(struct page *p, const struct json *doc)
{
    const struct json *context = NULL;
    struct json v = as_written(p, doc, &context);
    struct buf b = BUF_INIT;
    if (context)
        v = json_with(p->arena, &v, S("@context"), *context);
    buf_str(&b, S("{"));
    for (uint32_t i = 0; i < v.n; i++) {
        const struct json *member = &v.members[i].value;
        bool lines = str_eq(json_key(&v.members[i]), S("rules")) && member->n;
        buf_str(&b, i ? S(",\n  ") : S("\n  "));
        json_write_str(&b, json_key(&v.members[i]));
        buf_str(&b, lines ? S(": [") : S(": "));
        for (uint32_t k = 0; lines && k < member->n; k++) {
            buf_str(&b, k ? S(",\n    ") : S("\n    "));
            json_write(&b, &member->items[k]);
        }
        if (lines)
            buf_str(&b, S("\n  ]"));
        else
            json_write(&b, member);
    }
    buf_str(&b, S("\n}\n"));
    struct str text = buf_dup(&b, p->arena);
    buf_release(&b);
    return text;
}

/* --- one policy --- */

struct policy_page {
    struct page page;
    struct str name, text;
    bool ordered, ends;
};

const struct json *console_policies(struct page *p, struct error *e)
{
    struct buf b = BUF_INIT;
    enum err err = access_list_policies(p->city->link, S(""), &b, e);
    const struct json *list =
        err ? NULL : json_parse(p->arena, buf_dup(&b, p->arena), &JSON_DEFAULT, e);
    buf_release(&b);
    return list;
}

static void write_version(struct page *p, const struct json *v)
{
    int64_t at;
    const struct json *doc = json_get(v, S("policy"));
    json_w_object(&p->w);
    json_w_kstr(&p->w, S("version"), json_to_text(p->arena, json_get(v, S("version"))));
    if (datetime_parse(json_text(json_get(v, S("at"))), &at))
        json_w_kstr(&p->w, S("at"), locale_datetime(p->locale, p->arena, at));
    json_w_kstr(&p->w, S("actor"), json_text(json_get(v, S("actor"))));
    json_w_kbool(&p->w, S("ended"), !doc);
    if (doc)
        json_w_kstr(&p->w, S("json"), laid_out(p, doc));
    json_w_end(&p->w);
}

static enum err show(struct policy_page *x, struct error *e)
{
    struct page *p = &x->page;
    const struct json *doc = NULL, *list = console_policies(p, e);
    size_t n = 0;
    if (!list)
        return e->code;
    json_w_key(&p->w, S("versions"));
    json_w_array(&p->w);
    for (uint32_t i = list->n; i-- > 0;) {
        const struct json *v = &list->items[i];
        if (!str_eq(json_text(json_get(v, S("name"))), x->name))
            continue;
        write_version(p, v);
        doc = n++ ? doc : json_get(v, S("policy"));
    }
    json_w_end(&p->w);
    struct json none = json_v_array(NULL, 0), fresh = json_v_object(NULL, 0);
    fresh = json_with(p->arena, &fresh, S("rules"), none);
    console_write_words(p, x->name, doc);
    json_w_kbool(&p->w, S("live"), doc != NULL);
    json_w_kbool(&p->w, S("known"), n > 0);
    json_w_kstr(&p->w, S("policy"), str_is_utf8(x->name) ? x->name : S(""));
    json_w_kstr(&p->w, S("json"),
                x->text.p && str_is_utf8(x->text) ? x->text : laid_out(p, doc ? doc : &fresh));
    return OK;
}

/* --- what is wrong with it --- */

static bool rule_is_good(struct page *p, struct str name, const struct json *rule,
                         const struct ld_context *ctx)
{
    struct error e;
    struct json payload = json_v_object(NULL, 0);
    payload = json_with(p->arena, &payload, S("rules"), json_v_array(rule, 1));
    return access_policy_expand(p->arena, name, &payload, ctx, &e) != NULL;
}

/* The member without which the rule would do; absent: none alone is to blame. */
static struct str culprit(struct page *p, struct str name, const struct json *rule,
                          const struct ld_context *ctx)
{
    for (uint32_t i = 0; json_is(rule, JSON_OBJECT) && i < rule->n; i++) {
        struct json less = json_without(p->arena, rule, json_key(&rule->members[i]));
        if (rule_is_good(p, name, &less, ctx))
            return json_key(&rule->members[i]);
    }
    return STR_NONE;
}

static void explain_refusal(struct policy_page *x, const struct json *payload,
                            const struct ld_context *ctx)
{
    struct page *p = &x->page;
    const struct json *rules = json_get(payload, S("rules"));
    struct json_member m[2];
    for (uint32_t i = 0; json_is(rules, JSON_ARRAY) && i < rules->n; i++) {
        if (rule_is_good(p, x->name, &rules->items[i], ctx))
            continue;
        struct str member = culprit(p, x->name, &rules->items[i], ctx);
        m[0] = json_m(S("n"), json_v_i64(p->arena, (int64_t)i + 1));
        m[1] = json_m(S("member"), json_v_str(member.p ? str_cut(member, 100) : S("rights")));
        struct json args = json_v_object(m, 2);
        json_w_kstr(&p->w, S("where"),
                    locale_text(p->locale, p->arena, S("keys.error.rule"), &args));
        return;
    }
}

static void refuse(struct policy_page *x, const struct error *e, const char *what)
{
    struct page *p = &x->page;
    p->status = http_status_of(e->code);
    json_w_kstr(&p->w, S("refused"), page_text(p, str_printf(p->arena, "keys.error.%s", what)));
    json_w_kstr(&p->w, S("detail"), str_dup(p->arena, str_c(e->text)));
}

/* The @context of names and conditions: the core one, or that which the text names. */
static enum err context_of(struct policy_page *x, const struct json *payload,
                           const struct ld_context **ctx, struct error *e)
{
    const struct json *value = json_get(payload, S("@context"));
    struct str missing = STR_NONE;
    *ctx = ld_core();
    return value ? ld_context_get(x->page.city->link->contexts, x->page.arena, value, ctx, &missing,
                                  e)
                 : OK;
}

/* Text that is no JSON: in which line. */
static void refuse_json(struct policy_page *x, const struct error *e)
{
    struct page *p = &x->page;
    struct str text = str_c(e->text), number;
    ptrdiff_t at = str_find(text, S("byte "));
    int64_t byte = 0, line = 1;
    text = at < 0 ? STR_NONE : str_from(text, (size_t)at + 5);
    if (text.p && str_split(&text, ':', &number))
        str_to_i64(number, &byte);
    for (size_t i = 0; i < x->text.n && (int64_t)i < byte; i++)
        line += x->text.p[i] == '\n';
    refuse(x, e, "json");
    json_w_kstr(&p->w, S("where"),
                say(p, "keys.error.line", "line", str_printf(p->arena, "%lld", (long long)line)));
}

/* true: done. */
static bool save(struct policy_page *x)
{
    struct page *p = &x->page;
    struct error e = {0};
    int64_t version;
    const struct ld_context *ctx;
    const struct json *payload = json_parse(p->arena, x->text, &JSON_DEFAULT, &e);
    if (!payload) {
        refuse_json(x, &e);
        return false;
    }
    if (context_of(x, payload, &ctx, &e)) {
        refuse(x, &e, "context");
        return false;
    }
    const struct json *doc = access_policy_expand(p->arena, x->name, payload, ctx, &e);
    if (!doc) {
        refuse(x, &e, "policy");
        explain_refusal(x, payload, ctx);
        return false;
    }
    if (access_put_policy(p->city->link, S(""), x->name, doc, S("console"), &version, &e)) {
        refuse(x, &e, "other");
        return false;
    }
    return true;
}

/* true: done. */
static bool end(struct policy_page *x)
{
    struct error e = {0};
    int64_t version;
    if (!page_field(x->page.req, "confirm").n) {
        error_set(&e, ERR_INVALID, "confirm it");
        refuse(x, &e, "confirm");
        return false;
    }
    if (access_put_policy(x->page.city->link, S(""), x->name, NULL, S("console"), &version, &e)) {
        refuse(x, &e, e.code == ERR_NOT_FOUND ? "gone" : "other");
        return false;
    }
    return true;
}

static void make_page(void *ctx)
{
    struct policy_page *x = ctx;
    struct page *p = &x->page;
    struct error e = {0};
    if (x->ordered && (x->ends ? end(x) : save(x)))
        page_go(p, page_href(p, "console/keys?done=1"));
    else if (show(x, &e))
        page_fail(p, &e);
    else
        page_send(p, "console-policy", S("keys.policy"));
    http_resume(p->req);
}

static enum http_answer handle(struct request *req, struct response *res, void *ctx, bool ordered)
{
    struct page p;
    struct error e;
    if (!console_begin(&p, ctx, req, res, "keys"))
        return HTTP_DONE;
    struct policy_page *x = ARENA_NEW(p.arena, struct policy_page);
    x->page = p;
    page_moved(&x->page);
    x->ordered = ordered;
    if (ordered && !console_form_ok(&x->page, page_field(req, "csrf")))
        return HTTP_DONE;
    x->name = str_trim(ordered ? page_field(req, "name") : request_query(req, "name"));
    x->ends = str_eq(page_field(req, "action"), S("end"));
    if (ordered && !x->ends)
        x->text = page_field(req, "json");
    if (!pool_submit(p.city->pool, make_page, x))
        return HTTP_LATER;
    error_set(&e, ERR_UNAVAILABLE, "too much slow work is waiting");
    return page_fail(&x->page, &e);
}

enum http_answer console_get_policy(struct request *req, struct response *res, void *ctx)
{
    return handle(req, res, ctx, false);
}

enum http_answer console_post_policy(struct request *req, struct response *res, void *ctx)
{
    return handle(req, res, ctx, true);
}
