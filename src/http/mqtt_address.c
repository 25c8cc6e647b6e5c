/* URLs of MQTT brokers and topics. */
#include "http/mqtt.h"

#include <string.h>

static enum err bad(struct error *e, const char *what)
{
    return error_set(e, ERR_INVALID, "an MQTT URL %s", what);
}

bool mqtt_topic_ok(struct str topic)
{
    if (!topic.n || topic.n > MQTT_TOPIC_MAX || !str_is_utf8(topic))
        return false;
    for (size_t i = 0; i < topic.n; i++)
        if (topic.p[i] == '+' || topic.p[i] == '#' || topic.p[i] == '\0')
            return false;
    return true;
}

/* What stands between the percent signs; false when it does not decode or holds a NUL. */
static bool decode(struct arena *a, struct str s, struct str *out)
{
    *out = url_decode(a, s, false);
    return out->p && str_find_char(*out, '\0') < 0;
}

/* Of the '@' before the host: a password that is not encoded may hold more of them. */
static ptrdiff_t last_at(struct str s)
{
    ptrdiff_t at = -1;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '@')
            at = (ptrdiff_t)i;
    return at;
}

static enum err take_credentials(struct arena *a, struct str s, struct mqtt_address *out,
                                 struct error *e)
{
    ptrdiff_t colon = str_find_char(s, ':');
    struct str user = colon < 0 ? s : str_sub(s, 0, (size_t)colon);
    if (!decode(a, user, &out->user) ||
        (colon >= 0 && !decode(a, str_from(s, (size_t)colon + 1), &out->password)))
        return bad(e, "has a user or password that does not decode");
    if (out->user.n > MQTT_TOPIC_MAX || out->password.n > MQTT_TOPIC_MAX)
        return bad(e, "has a user or password that is too long");
    if (!str_is_utf8(out->user))
        return bad(e, "has a user that is not UTF-8");
    return OK;
}

static enum err take_host(struct str s, struct mqtt_address *out, struct error *e)
{
    struct str port;
    if (s.n && s.p[0] == '[') {
        ptrdiff_t end = str_find_char(s, ']');
        if (end < 0)
            return bad(e, "has a '[' without ']'");
        out->host = str_sub(s, 1, (size_t)end - 1);
        s = str_from(s, (size_t)end + 1);
        if (s.n && s.p[0] != ':')
            return bad(e, "has something behind ']'");
        port = s.n ? str_from(s, 1) : STR_NONE;
    } else {
        ptrdiff_t colon = str_find_char(s, ':');
        out->host = colon < 0 ? s : str_sub(s, 0, (size_t)colon);
        port = colon < 0 ? STR_NONE : str_from(s, (size_t)colon + 1);
    }
    if (!out->host.n || out->host.n > 253)
        return bad(e, "needs a host");
    for (size_t i = 0; i < out->host.n; i++)
        if ((unsigned char)out->host.p[i] <= ' ' || strchr("/?#@[]\\%", out->host.p[i]))
            return bad(e, "has a host with strange signs");
    out->port = out->tls ? 8883 : 1883;
    if (port.p && (!str_to_i64(port, &out->port) || out->port < 1 || out->port > 65535))
        return bad(e, "has a port that is none");
    return OK;
}

enum err mqtt_address_parse(struct arena *a, struct str url, struct mqtt_address *out,
                            struct error *e)
{
    *out = (struct mqtt_address){0};
    ptrdiff_t end = str_find(url, S("://"));
    struct str scheme = str_sub(url, 0, end < 0 ? 0 : (size_t)end);
    out->tls = str_eq_nocase(scheme, S("mqtts"));
    if (!out->tls && !str_eq_nocase(scheme, S("mqtt")))
        return bad(e, "begins with mqtt:// or mqtts://");
    struct str rest = str_from(url, (size_t)end + 3);
    ptrdiff_t slash = str_find_char(rest, '/');
    struct str authority = slash < 0 ? rest : str_sub(rest, 0, (size_t)slash);
    ptrdiff_t at = last_at(authority);
    if (at >= 0 && take_credentials(a, str_sub(authority, 0, (size_t)at), out, e))
        return e->code;
    if (take_host(at < 0 ? authority : str_from(authority, (size_t)at + 1), out, e))
        return e->code;
    out->host = str_dup(a, out->host);
    struct str path = slash < 0 ? STR_NONE : str_from(rest, (size_t)slash + 1);
    if (!path.n)
        return OK;
    if (!decode(a, path, &out->topic) || !mqtt_topic_ok(out->topic))
        return bad(e, "has a topic that cannot be published to");
    return OK;
}

struct str url_without_password(struct arena *a, struct str url)
{
    ptrdiff_t from = str_find(url, S("://"));
    if (from < 0)
        return url;
    struct str rest = str_from(url, (size_t)from + 3);
    size_t n = 0;
    while (n < rest.n && !strchr("/?#", rest.p[n]))
        n++;
    struct str authority = str_sub(rest, 0, n);
    ptrdiff_t at = last_at(authority), colon = str_find_char(authority, ':');
    if (at < 0 || colon < 0 || colon > at)
        return url;
    struct str head = str_sub(url, 0, (size_t)from + 3 + (size_t)colon + 1);
    return str_concat(a, str_concat(a, head, S("***")), str_from(rest, (size_t)at));
}
