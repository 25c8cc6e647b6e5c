/*
 * page.h - one page for people: the frame that all services share.
 *
 * A handler opens a page in the language of the path, writes the data of its template as JSON
 * members, and sends it:
 *
 *     struct page p;
 *     if (!page_begin(&p, city->frame, service, req, res, "data"))
 *         return HTTP_DONE;
 *     json_w_kstr(&p.w, S("count"), n);
 *     return page_send(&p, "datasets", S("data.title"));
 *
 * The frame itself (language menu, main menu, footer, files with hashes in their names, error
 * pages) is data that every template finds beside its own. Any HTTP worker; a page belongs to its
 * request.
 */
#ifndef CITY_PAGE_H
#define CITY_PAGE_H

#include "city/service.h"
#include "core/buf.h"
#include "core/json.h"
#include "http/http.h"
#include "http/server.h"

struct frame;

/* What the frame asks those who know. Each may be NULL. */
struct frame_hooks {
    void *ctx;
    /* The city's name; empty: the catalogue's. */
    struct str (*city_name)(void *ctx, struct arena *a, const struct locale *l);
    /* May this reader be shown the way to the staff's pages? */
    bool (*staff)(void *ctx, const struct request *req);
};

/* Reads what scripts/web built from city->web_dir and serves it; what city names must outlive it.
 * ERR_INVALID: the build is damaged. */
struct frame *frame_new(const struct city *city, struct router *r, struct error *e);
void frame_free(struct frame *f);
/* At start, before anything is served. */
void frame_hook(struct frame *f, const struct frame_hooks *hooks);
/* The page for an error, in the reader's language; for server_hooks.error_page. */
void frame_error_page(void *frame, struct request *req, struct response *res, int status,
                      struct str title, struct str detail);
/* The language of the path, else of the cookie, else that the browser asks for. */
const struct locale *frame_language(const struct frame *f, struct request *req);

struct page {
    struct frame *frame;
    const struct city *city;
    void *service; /* whose page it is */
    struct request *req;
    struct response *res;
    struct arena *arena;
    const struct locale *locale;
    struct str base; /* "/ja" */
    int status;
    bool private_page; /* not to be stored by anybody */
    struct buf data;
    struct json_writer w; /* inside the object of the page's data */
};

/* nav: the entry of the main menu that is current. false: answered (no such language). */
bool page_begin(struct page *p, struct frame *f, void *service, struct request *req,
                struct response *res, const char *nav);
/* A page is a value; one that was copied goes on with this. */
void page_moved(struct page *p);
/* Render and answer. title_key: of the catalogue; or title, when the page has its own. */
enum http_answer page_send(struct page *p, const char *name, struct str title_key);
enum http_answer page_send_titled(struct page *p, const char *name, struct str title);
/* Render a part without frame: for islands. */
enum http_answer page_send_part(struct page *p, const char *name);
/* Give up: an error page instead. */
enum http_answer page_fail(struct page *p, const struct error *e);
enum http_answer page_not_found(struct page *p);
/* Lead the reader to another page instead (303), not to be stored. */
enum http_answer page_go(struct page *p, struct str to);

struct str page_text(struct page *p, struct str key); /* of the catalogue, without arguments */
/* Path of a page in the page's language: page_href(p, "data/%" STR_F, ...). */
struct str page_href(struct page *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A field of the form that was sent; absent when it is not there. */
struct str page_field(const struct request *req, const char *name);

/* --- built files (assets.c) --- */

struct assets;
struct assets *assets_new(const char *web_dir, struct error *e);
void assets_free(struct assets *a);
void assets_serve(struct assets *a, struct router *r);
/* Address of a built file ("portal.css"), with the hash of its content; absent: not built. */
struct str assets_url(const struct assets *a, const char *name);

#endif
