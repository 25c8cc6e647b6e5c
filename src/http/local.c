/* Whether a request comes from this machine or this network, and from no web page of another site.
 */
#include "address.h"
#include "deadline.h"
#include <arpa/inet.h>
#include <string.h>

static bool read_address(struct str text, struct sockaddr_storage *out)
{
    char z[INET6_ADDRSTRLEN];
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (!text.n || text.n >= sizeof(z))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    memset(out, 0, sizeof(*out));
    out->ss_family = AF_INET;
    if (inet_pton(AF_INET, z, &v4->sin_addr) == 1)
        return true;
    out->ss_family = AF_INET6;
    return inet_pton(AF_INET6, z, &v6->sin6_addr) == 1;
}

/* An address, not a name that begins like one: "127.evil.example" may lead anywhere. */
static bool loopback_address(struct str s)
{
    struct sockaddr_storage address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)&address)->sin6_addr;
    if (!read_address(s, &address))
        return false;
    if (address.ss_family == AF_INET)
        return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == 127);
}

/* "[::1]:8080" or "localhost:8080" without port and brackets. */
static struct str host_name(struct str host)
{
    struct str name = host;
    if (str_starts(host, S("["))) {
        ptrdiff_t end = str_find_char(host, ']');
        return end > 1 ? str_sub(host, 1, (size_t)end - 1) : STR_NONE;
    }
    str_split(&host, ':', &name);
    return name;
}

/* Via alone is no mark of a front end: brokers that forward to one another send it (ETSI GS CIM 009
 * clause 6.3.18), and proxies that send it name the client in another header too. */
static bool passed_a_proxy(const struct request *req)
{
    static const char *const marks[] = {"X-Forwarded-For", "Forwarded", "X-Real-IP"};
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (request_header(req, marks[i]).p)
            return true;
    return false;
}

/* A web page may have sent it: then only one that was served from here under an address, since a
 * name can be made to lead anywhere (DNS rebinding). */
static bool own_page_or_none(const struct request *req)
{
    struct sockaddr_storage address;
    struct str origin = request_header(req, "Origin");
    struct str host = request_header(req, "Host"), name = host_name(host);
    if (!origin.p)
        return true;
    ptrdiff_t at = str_find(origin, S("://"));
    return at > 0 && str_eq_nocase(str_from(origin, (size_t)at + 3), host) &&
           (str_eq_nocase(name, S("localhost")) || read_address(name, &address));
}

bool request_is_local(const struct request *req)
{
    struct str name = host_name(request_header(req, "Host"));
    return !passed_a_proxy(req) && !request_header(req, "Via").p && loopback_address(req->client) &&
           own_page_or_none(req) && (str_eq_nocase(name, S("localhost")) || loopback_address(name));
}

bool request_is_private(const struct request *req)
{
    struct sockaddr_storage address;
    /* The address of a proxy that is not named as one tells nothing about the client. */
    if (passed_a_proxy(req) && !exchange_of(req)->conn->proxy)
        return false;
    return read_address(req->client, &address) &&
           address_is_private((const struct sockaddr *)&address) && own_page_or_none(req);
}

struct str request_proxy_header(const struct request *req, const char *name)
{
    struct str first = request_header(req, name);
    return exchange_of(req)->conn->proxy && str_eq(first, request_header_all(req, name)) ? first
                                                                                         : STR_NONE;
}
