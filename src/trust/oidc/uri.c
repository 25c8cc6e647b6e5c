/* Addresses that clients register and send: compared as texts, taken apart only to be refused. */
#include "oidc_impl.h"
#include <string.h>

enum { URI_BYTES_MAX = 2000 };

/* Behind "scheme://"; absent when it is not that scheme. */
static struct str after(struct str uri, struct str scheme)
{
    return str_starts(uri, scheme) ? str_from(uri, scheme.n) : STR_NONE;
}

static bool plain(struct str uri)
{
    if (!uri.n || uri.n > URI_BYTES_MAX)
        return false;
    for (size_t i = 0; i < uri.n; i++) {
        unsigned char ch = (unsigned char)uri.p[i];
        if (ch <= ' ' || ch >= 0x7F || strchr("#\\\"<>^`{|}", ch))
            return false;
    }
    return true;
}

/* Host with port, as it stands between "//" and what follows. */
static struct str authority(struct str rest)
{
    size_t n = 0;
    while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
        n++;
    return str_sub(rest, 0, n);
}

/* "127.0.0.1", "[::1]" or "localhost", with or without a port; *rest is what follows the host. */
static bool loopback(struct str text, struct str *rest, bool names_too)
{
    static const struct str hosts[] = {S_INIT("127.0.0.1"), S_INIT("[::1]"), S_INIT("localhost")};
    for (size_t i = 0; i < (names_too ? 3U : 2U); i++)
        if (str_starts(text, hosts[i])) {
            *rest = str_from(text, hosts[i].n);
            return !rest->n || strchr(":/?", rest->p[0]);
        }
    return false;
}

/* Without ":port" at its beginning; false when what follows ':' is no port. */
static bool skip_port(struct str *rest)
{
    size_t n = 1;
    int64_t port;
    if (!rest->n || rest->p[0] != ':')
        return true;
    while (n < rest->n && rest->p[n] >= '0' && rest->p[n] <= '9')
        n++;
    bool good =
        n > 1 && n <= 6 && str_to_i64(str_sub(*rest, 1, n - 1), &port) && port > 0 && port < 65536;
    *rest = str_from(*rest, n);
    return good && (!rest->n || rest->p[0] == '/' || rest->p[0] == '?');
}

static bool is_host(struct str name)
{
    struct str port = name;
    size_t n = 0;
    bool six = str_starts(name, S("["));
    while (n < name.n && (six ? name.p[n] != ']' : name.p[n] != ':')) {
        char ch = name.p[n];
        bool ok = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '.' ||
                  (six && (ch == ':' || ch == '['));
        if (!ok) /* capitals, '%', '@' and the like would be read by each in their own way */
            return false;
        n++;
    }
    port = str_from(name, n + (six ? 1 : 0));
    return n > (six ? 2U : 0U) && (!six || n < name.n) && skip_port(&port) && !port.n;
}

bool uri_is_web(struct str uri, bool loopback_http)
{
    struct str rest = after(uri, S("https://")), tail;
    if (!plain(uri))
        return false;
    if (rest.p)
        return is_host(authority(rest));
    rest = after(uri, S("http://"));
    return loopback_http && rest.p && is_host(authority(rest)) && loopback(rest, &tail, true);
}

bool uri_is_private_use(struct str uri)
{
    ptrdiff_t colon = str_find_char(uri, ':');
    bool dot = false;
    if (!plain(uri) || colon < 3 || !str_starts(str_from(uri, (size_t)colon), S(":/")))
        return false;
    for (ptrdiff_t i = 0; i < colon; i++) {
        char ch = uri.p[i];
        dot = dot || ch == '.';
        if (!((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '.' || ch == '-'))
            return false;
    }
    return dot; /* RFC 8252 section 7.1: a domain name turned round */
}

struct str uri_host(struct str uri)
{
    ptrdiff_t at = str_find(uri, S("://"));
    struct str host = at > 0 ? authority(str_from(uri, (size_t)at + 3)) : STR_NONE, name = host;
    if (str_starts(host, S("[")))
        return str_sub(host, 0, (size_t)str_find_char(host, ']') + 1);
    str_split(&host, ':', &name);
    return name;
}

bool uri_is_loopback(struct str uri)
{
    struct str rest = after(uri, S("http://")), tail;
    return uri_is_web(uri, true) && rest.p && loopback(rest, &tail, true);
}

bool uri_matches(struct str registered, struct str sent)
{
    struct str x = after(registered, S("http://")), y = after(sent, S("http://")), xt, yt;
    if (str_eq(registered, sent))
        return true;
    /* An address of the machine itself, at any port (RFC 8252 section 7.3); not the name, which may
     * lead elsewhere. */
    if (!x.p || !y.p || !plain(sent) || !loopback(x, &xt, false) || !loopback(y, &yt, false))
        return false;
    return str_eq(str_sub(x, 0, x.n - xt.n), str_sub(y, 0, y.n - yt.n)) && skip_port(&xt) &&
           skip_port(&yt) && str_eq(xt, yt);
}
