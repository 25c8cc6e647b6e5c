/* The frame, and pages in it. See city/page.h. */
#include "city/page.h"
#include "crypto/hash.h"
#include "ruby.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PAGE_MAX = 4 * 1024 * 1024, COOKIE_S = 365 * 24 * 3600 };

struct frame {
    struct city city;
    struct assets *assets;
    struct frame_hooks hooks;
};

/* --- language --- */

static struct str first_segment(struct str path)
{
    struct str rest = str_from(path, 1), segment = STR_NONE;
    str_split(&rest, '/', &segment);
    return segment;
}

const struct locale *frame_language(const struct frame *f, struct request *req)
{
    const struct locales *all = f->city.locales;
    const struct locale *l = locales_by_path(all, first_segment(req->path));
    if (!l)
        l = locales_by_path(all, request_cookie(req, "lang"));
    return l ? l : locales_negotiate(all, request_header(req, "Accept-Language"));
}

/* The address of this page in another language. */
static struct str translated(struct page *p, const struct locale *l)
{
    struct str old = first_segment(p->req->path);
    bool ours = locales_by_path(p->city->locales, old) != NULL;
    struct str rest = ours ? str_from(p->req->path, 1 + old.n) : S("");
    if (!ours || !str_eq(p->req->method, S("GET")))
        return str_printf(p->arena, "/%" STR_F "%" STR_F, STR_A(l->path), STR_A(rest));
    return str_printf(p->arena, "/%" STR_F "%" STR_F "%s%" STR_F, STR_A(l->path), STR_A(rest),
                      p->req->query.n ? "?" : "", STR_A(p->req->query));
}

static void write_languages(struct page *p)
{
    const struct locales *all = p->city->locales;
    json_w_key(&p->w, S("languages"));
    json_w_array(&p->w);
    for (size_t i = 0; i < locales_count(all); i++) {
        const struct locale *l = locales_at(all, i);
        json_w_object(&p->w);
        json_w_kstr(&p->w, S("name"), l->name);
        json_w_kstr(&p->w, S("href"), translated(p, l));
        json_w_kstr(&p->w, S("html"), l->html);
        json_w_kbool(&p->w, S("current"), l == p->locale);
        /* Two languages share lang="ja": only one of them may be announced as the alternate. */
        json_w_kbool(&p->w, S("alternate"), !str_eq(l->path, S("easy")));
        json_w_end(&p->w);
    }
    json_w_end(&p->w);
}

static struct str city_name(struct page *p)
{
    const struct frame_hooks *h = &p->frame->hooks;
    struct str name = h->city_name ? h->city_name(h->ctx, p->arena, p->locale) : STR_NONE;
    return name.n ? name : locale_text(p->locale, p->arena, S("site.city"), NULL);
}

/* How programs reach this server: as configured, else as this reader did. */
static struct str origin(struct page *p)
{
    struct str host = request_header(p->req, "Host");
    if (p->city->base_url[0])
        return str_c(p->city->base_url);
    if (!host.n || !str_is_utf8(host))
        return S("");
    return str_printf(p->arena, "%s://%" STR_F, p->req->tls ? "https" : "http", STR_A(host));
}

static void write_frame(struct page *p, const char *nav)
{
    static const char *const files[] = {"portal.css", "map.css",  "chart.css",  "site.js",
                                        "map.js",     "chart.js", "console.js", "passkey.js"};
    const struct frame_hooks *h = &p->frame->hooks;
    json_w_kstr(&p->w, S("lang"), p->locale->html);
    json_w_kstr(&p->w, S("tag"), p->locale->tag);
    json_w_kstr(&p->w, S("base"), p->base);
    json_w_kstr(&p->w, S("origin"), origin(p));
    json_w_kstr(&p->w, S("city"), city_name(p));
    json_w_kbool(&p->w, S("staff"), h->staff && h->staff(h->ctx, p->req));
    json_w_key(&p->w, S("at"));
    json_w_object(&p->w);
    json_w_kbool(&p->w, str_c(nav), true);
    json_w_end(&p->w);
    json_w_key(&p->w, S("asset"));
    json_w_object(&p->w);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        /* "portal.css" is {{asset.portal_css}}: a dot would be a step of the path. */
        char *key = str_z(p->arena, str_c(files[i]));
        for (char *c = key; *c; c++)
            *c = *c == '.' ? '_' : *c;
        json_w_kstr(&p->w, str_c(key), assets_url(p->frame->assets, files[i]));
    }
    json_w_end(&p->w);
    write_languages(p);
}

/* --- begin and send --- */

static void start(struct page *p, struct frame *f, void *service, struct request *req,
                  struct response *res, const struct locale *l, const char *nav)
{
    *p = (struct page){.frame = f,
                       .city = &f->city,
                       .service = service,
                       .req = req,
                       .res = res,
                       .arena = req->arena,
                       .locale = l,
                       .status = 200,
                       .data = BUF_INIT};
    p->base = str_printf(p->arena, "/%" STR_F, STR_A(l->path));
    p->w = json_writer(&p->data);
    json_w_object(&p->w);
    write_frame(p, nav);
}

bool page_begin(struct page *p, struct frame *f, void *service, struct request *req,
                struct response *res, const char *nav)
{
    const struct locale *l = locales_by_path(f->city.locales, request_param(req, "lang"));
    if (!l) {
        response_problem(req, res, 404, NULL, NULL, S("there is no such page"));
        return false;
    }
    start(p, f, service, req, res, l, nav);
    return true;
}

void page_moved(struct page *p)
{
    p->w.out = &p->data;
}

struct str page_text(struct page *p, struct str key)
{
    return locale_text(p->locale, p->arena, key, NULL);
}

struct str page_href(struct page *p, const char *fmt, ...)
{
    char path[2048];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(path, sizeof(path), fmt, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof(path))
        return p->base;
    return str_printf(p->arena, "%" STR_F "/%s", STR_A(p->base), path);
}

enum http_answer page_fail(struct page *p, const struct error *e)
{
    buf_release(&p->data);
    response_error(p->req, p->res, e);
    return HTTP_DONE;
}

enum http_answer page_not_found(struct page *p)
{
    struct error e;
    error_set(&e, ERR_NOT_FOUND, "there is no such page");
    return page_fail(p, &e);
}

enum http_answer page_go(struct page *p, struct str to)
{
    buf_release(&p->data);
    response_redirect(p->req, p->res, 303, to);
    response_header(p->req, p->res, "Cache-Control", S("no-store"));
    return HTTP_DONE;
}

struct str page_field(const struct request *req, const char *name)
{
    const struct http_pair *pairs;
    size_t n = request_form(req, &pairs);
    for (size_t i = 0; i < n; i++)
        if (str_eq(pairs[i].name, str_c(name)))
            return pairs[i].value;
    return STR_NONE;
}

/* The finished page in the arena, readings put in place; absent with *e. */
static struct str render(struct page *p, const char *name, struct error *e)
{
    struct buf html = {.limit = PAGE_MAX}, ruby = BUF_INIT;
    struct str text = STR_NONE;
    while (p->w.depth > 0)
        json_w_end(&p->w);
    struct json_limits limits = JSON_DEFAULT;
    limits.duplicates = JSON_DUP_LAST;
    const struct json *data = json_parse(p->arena, buf_dup(&p->data, p->arena), &limits, e);
    if (data && !template_render(p->city->templates, name, data, p->locale, &html, e)) {
        if (str_eq(p->locale->path, S("easy"))) {
            ruby_page(&ruby, buf_view(&html));
            text = buf_dup(&ruby, p->arena);
        } else {
            text = buf_dup(&html, p->arena);
        }
    }
    buf_release(&html);
    buf_release(&ruby);
    buf_release(&p->data);
    return text;
}

static void finish(struct page *p, struct str html)
{
    response_body(p->req, p->res, p->status, "text/html; charset=utf-8", html);
    response_header(p->req, p->res, "Content-Language", p->locale->html);
    if (p->private_page) {
        response_header(p->req, p->res, "Cache-Control", S("no-store"));
    } else if (p->status == 200) {
        struct hash h = hash_blake2b(html);
        struct str hex = hex_encode(p->arena, str_n((const char *)h.b, 8));
        p->res->etag = str_printf(p->arena, "\"%" STR_F "\"", STR_A(hex));
        response_header(p->req, p->res, "Cache-Control", S("no-cache"));
    }
    if (!str_eq(request_cookie(p->req, "lang"), p->locale->path))
        response_cookie(p->req, p->res, "lang", p->locale->path, COOKIE_S, false);
}

enum http_answer page_send_titled(struct page *p, const char *name, struct str title)
{
    struct error e = {0};
    json_w_kstr(&p->w, S("title"), title);
    struct str html = render(p, name, &e);
    if (!html.p)
        response_error(p->req, p->res, &e);
    else
        finish(p, html);
    return HTTP_DONE;
}

enum http_answer page_send(struct page *p, const char *name, struct str title_key)
{
    return page_send_titled(p, name, page_text(p, title_key));
}

enum http_answer page_send_part(struct page *p, const char *name)
{
    return page_send_titled(p, name, S(""));
}

/* --- error pages --- */

static const char *error_kind(int status)
{
    switch (status) {
    case 401:
    case 403:
        return "forbidden";
    case 404:
    case 410:
        return "missing";
    case 413:
        return "large";
    case 429:
        return "many";
    case 503:
    case 504:
        return "busy";
    default:
        return status >= 500 ? "broken" : "wrong";
    }
}

void frame_error_page(void *frame, struct request *req, struct response *res, int status,
                      struct str title, struct str detail)
{
    struct error e = {0};
    struct page p;
    start(&p, frame, NULL, req, res, frame_language(frame, req), "none");
    p.status = status;
    const char *kind = error_kind(status);
    struct str heading = page_text(&p, str_c(arena_printf(p.arena, "error.%s.title", kind)));
    json_w_kstr(&p.w, S("title"), heading);
    json_w_kstr(&p.w, S("text"),
                page_text(&p, str_c(arena_printf(p.arena, "error.%s.text", kind))));
    json_w_ki64(&p.w, S("status"), status);
    json_w_kstr(&p.w, S("reason"), title);
    json_w_kstr(&p.w, S("detail"), str_is_utf8(detail) ? detail : S(""));
    json_w_kstr(&p.w, S("request"), req->id);
    struct str html = render(&p, "error", &e);
    /* A page about the failure of a page must not fail: plain words then. */
    if (html.p)
        finish(&p, html);
    else
        response_body(req, res, status, "text/plain; charset=utf-8", heading);
}

/* --- the frame --- */

struct frame *frame_new(const struct city *city, struct router *r, struct error *e)
{
    struct frame *f = calloc(1, sizeof(*f));
    if (!f)
        abort();
    f->city = *city;
    f->city.frame = f;
    f->assets = assets_new(city->web_dir, e);
    if (!f->assets) {
        frame_free(f);
        return NULL;
    }
    assets_serve(f->assets, r);
    return f;
}

void frame_hook(struct frame *f, const struct frame_hooks *hooks)
{
    f->hooks = *hooks;
}

void frame_free(struct frame *f)
{
    if (!f)
        return;
    assets_free(f->assets);
    free(f);
}
