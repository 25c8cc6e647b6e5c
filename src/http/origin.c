#include "origin.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char *origin_of(const char *url)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *origin = NULL;
    CURLU *u = curl_url();
    if (!u || curl_url_set(u, CURLUPART_URL, url, CURLU_DISALLOW_USER) ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT))
        goto out;
    if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        goto out;
    for (char *c = host; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c + 32);
    if (asprintf(&origin, "%s://%s:%s", scheme, host, port) < 0)
        origin = NULL;
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_url_cleanup(u);
    return origin;
}

/* The host with nothing else when the origin is that of the scheme's usual port. */
static bool usual(const char *origin, const char *scheme, const char *port, const char **host,
                  size_t *n)
{
    size_t head = strlen(scheme), tail = strlen(port), all = strlen(origin);
    if (strncmp(origin, scheme, head) != 0 || strcmp(origin + all - tail, port) != 0)
        return false;
    *host = origin + head;
    *n = all - head - tail;
    return true;
}

static bool is_upgrade(const char *from, const char *to)
{
    const char *x, *y;
    size_t nx, ny;
    return usual(from, "http://", ":80", &x, &nx) && usual(to, "https://", ":443", &y, &ny) &&
           nx == ny && memcmp(x, y, nx) == 0;
}

bool origin_allows(const char *from_url, const char *to_url)
{
    char *from = origin_of(from_url), *to = origin_of(to_url);
    bool allowed = from && to && (strcmp(from, to) == 0 || is_upgrade(from, to));
    free(from);
    free(to);
    return allowed;
}
