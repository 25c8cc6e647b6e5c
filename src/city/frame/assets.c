/*
 * What scripts/web built: files whose names carry the hash of their content, so that browsers may
 * keep them for ever. assets.json says which file a page means by "portal.css".
 */
#include "city/page.h"
#include "core/log.h"
#include <stdio.h>
#include <string.h>

enum { MANIFEST_MAX = 64 * 1024 };

struct assets {
    struct arena arena;
    struct str dir;           /* web/dist */
    const struct json *names; /* "portal.css": "/assets/portal-1a2b3c4d.css"; NULL: not built */
};

static struct str read_text(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return STR_NONE;
    char *p = arena_alloc(a, MANIFEST_MAX);
    size_t n = fread(p, 1, MANIFEST_MAX, f);
    fclose(f);
    return str_n(p, n);
}

struct assets *assets_new(const char *web_dir, struct error *e)
{
    struct arena arena = ARENA_INIT;
    struct assets *a = ARENA_NEW(&arena, struct assets);
    a->dir = str_printf(&arena, "%s/dist", web_dir);
    struct str text =
        read_text(&arena, arena_printf(&arena, "%" STR_F "/assets.json", STR_A(a->dir)));
    if (!text.p)
        log_event(LOG_WARN, "frame.not_built", LOG_S("folder", a->dir),
                  LOG_S("run", S("scripts/web")));
    else
        a->names = json_parse(&arena, text, &JSON_DEFAULT, e);
    a->arena = arena;
    if (text.p && !a->names) {
        assets_free(a);
        return NULL;
    }
    return a;
}

void assets_free(struct assets *a)
{
    if (!a)
        return;
    struct arena arena = a->arena; /* holds the struct itself */
    arena_release(&arena);
}

struct str assets_url(const struct assets *a, const char *name)
{
    return json_text(json_get(a->names, str_c(name)));
}

static const char *media_type(struct str name)
{
    static const struct {
        const char *suffix, *type;
    } types[] = {{".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"},
                 {".png", "image/png"},
                 {".webmanifest", "application/manifest+json"},
                 {".txt", "text/plain; charset=utf-8"}};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if (str_ends(name, str_c(types[i].suffix)))
            return types[i].type;
    return NULL;
}

/* One flat folder; names as scripts/web makes them. */
static bool good_name(struct str name)
{
    if (!name.n || name.n > 100 || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '.' || c == '-' || c == '_'))
            return false;
    }
    return true;
}

static enum http_answer get_asset(struct request *req, struct response *res, void *ctx)
{
    const struct assets *a = ctx;
    struct str name = request_param(req, "name");
    const char *type = good_name(name) ? media_type(name) : NULL;
    if (!type) {
        response_problem(req, res, 404, NULL, NULL, S("there is no such file"));
        return HTTP_DONE;
    }
    res->status = 200;
    res->type = str_c(type);
    res->file = arena_printf(req->arena, "%" STR_F "/%" STR_F, STR_A(a->dir), STR_A(name));
    response_header(req, res, "Cache-Control", S("public, max-age=31536000, immutable"));
    return HTTP_DONE;
}

/* Files that must keep their name. */
static enum http_answer get_root_file(struct request *req, struct response *res, void *ctx)
{
    const struct assets *a = ctx;
    struct str name = str_from(req->path, 1);
    if (str_eq(name, S("favicon.ico")))
        name = S("icon.svg");
    res->status = 200;
    res->type = str_c(media_type(name));
    res->file = arena_printf(req->arena, "%" STR_F "/%" STR_F, STR_A(a->dir), STR_A(name));
    response_header(req, res, "Cache-Control", S("public, max-age=86400"));
    return HTTP_DONE;
}

static const struct route routes[] = {
    {"GET", "/assets/{name}", get_asset, ROUTE_NO_LIMIT | ROUTE_HIDDEN},
    {"GET", "/manifest.webmanifest", get_root_file, ROUTE_HIDDEN},
    {"GET", "/icon.svg", get_root_file, ROUTE_HIDDEN},
    {"GET", "/favicon.ico", get_root_file, ROUTE_HIDDEN},
};

void assets_serve(struct assets *a, struct router *r)
{
    router_add(r, routes, sizeof(routes) / sizeof(routes[0]), a);
}
