#include "multipart.h"

#include "core/vec.h"
#include "exchange.h"
#include <string.h>

enum { BOUNDARY_MAX = 70, HEADERS_MAX = 8 * 1024 };

/*
 * The value of a parameter "; name=value" or "; name=\"value\"". Browsers write %22 for a quote and
 * never a backslash (WHATWG multipart/form-data encoding), so a backslash stands for itself unless
 * it precedes a quote: Windows paths survive.
 */
static struct str parameter(struct arena *a, struct str header, struct str name)
{
    size_t i = 0;
    while (i < header.n && header.p[i] != ';')
        i++;
    while (i < header.n) {
        i++; /* the ';' */
        size_t from = i;
        while (i < header.n && header.p[i] != '=' && header.p[i] != ';')
            i++;
        struct str key = str_trim(str_sub(header, from, i - from));
        if (i == header.n || header.p[i] == ';')
            continue;
        i++; /* the '=' */
        char *value = arena_alloc(a, header.n - i + 1);
        size_t n = 0;
        if (i < header.n && header.p[i] == '"') {
            for (i++; i < header.n && header.p[i] != '"'; i++) {
                if (header.p[i] == '\\' && i + 1 < header.n && header.p[i + 1] == '"')
                    i++;
                value[n++] = header.p[i];
            }
            while (i < header.n && header.p[i] != ';')
                i++;
        } else {
            while (i < header.n && header.p[i] != ';')
                value[n++] = header.p[i++];
            while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
                n--;
        }
        value[n] = '\0';
        if (str_eq_nocase(key, name))
            return str_n(value, n);
    }
    return STR_NONE;
}

/* Only the last component: some browsers once sent whole paths, and nobody may choose ours. */
static struct str file_base_name(struct str name)
{
    for (size_t i = name.n; i > 0; i--)
        if (name.p[i - 1] == '/' || name.p[i - 1] == '\\')
            return str_from(name, i);
    return name;
}

static enum err read_part_header(struct arena *a, struct str line, struct multipart_part *part)
{
    ptrdiff_t colon = str_find_char(line, ':');
    if (colon <= 0)
        return ERR_INVALID;
    struct str name = str_trim(str_sub(line, 0, (size_t)colon));
    struct str value = str_trim(str_from(line, (size_t)colon + 1));
    if (str_eq_nocase(name, S("Content-Disposition"))) {
        if (!str_eq_nocase(str_trim(str_sub(value, 0, 9)), S("form-data")))
            return ERR_INVALID;
        part->name = parameter(a, value, S("name"));
        part->filename = parameter(a, value, S("filename"));
        if (part->filename.p)
            part->filename = file_base_name(part->filename);
    } else if (str_eq_nocase(name, S("Content-Type"))) {
        part->type = value;
    }
    return OK;
}

/* Headers and body of one part, without the line end that belongs to the next boundary. */
static enum err read_part(struct arena *a, struct str text, struct multipart_part *part,
                          struct error *e)
{
    struct str line;
    size_t used = 0;
    for (;;) {
        struct str rest = str_from(text, used);
        ptrdiff_t end = str_find(str_sub(rest, 0, HEADERS_MAX), S("\r\n"));
        if (end < 0 || used > HEADERS_MAX)
            return error_set(e, ERR_INVALID, "multipart: the headers of a part do not end");
        line = str_sub(rest, 0, (size_t)end);
        used += (size_t)end + 2;
        if (line.n == 0)
            break;
        if (read_part_header(a, line, part))
            return error_set(e, ERR_INVALID, "multipart: a part has a malformed header");
    }
    if (!part->name.p)
        return error_set(e, ERR_INVALID, "multipart: a part has no name");
    if (!str_is_utf8(part->name) || !str_is_utf8(part->filename))
        return error_set(e, ERR_INVALID, "multipart: a name is not UTF-8");
    part->body = str_from(text, used);
    return OK;
}

static enum err read_boundary(struct arena *a, struct str type, struct str *delimiter,
                              struct error *e)
{
    struct str boundary = parameter(a, type, S("boundary"));
    if (boundary.n == 0 || boundary.n > BOUNDARY_MAX)
        return error_set(e, ERR_INVALID, "multipart: no boundary in Content-Type");
    *delimiter = str_concat(a, S("\r\n--"), boundary);
    return OK;
}

enum err multipart_read(struct arena *a, struct str type, struct str body,
                        const struct multipart_part **parts, size_t *n, struct error *e)
{
    VEC(struct multipart_part) found = VEC_INIT;
    struct str delimiter = {0};
    enum err err = read_boundary(a, type, &delimiter, e);
    *parts = NULL;
    *n = 0;
    if (err)
        return err;
    /* The first boundary may stand at the very start, without a line end before it. */
    struct str rest;
    if (str_starts(body, str_from(delimiter, 2))) {
        rest = str_from(body, delimiter.n - 2);
    } else {
        ptrdiff_t at = str_find(body, delimiter);
        if (at < 0)
            return error_set(e, ERR_INVALID, "multipart: the boundary does not occur");
        rest = str_from(body, (size_t)at + delimiter.n);
    }
    while (!str_starts(rest, S("--"))) {
        while (rest.n && (rest.p[0] == ' ' || rest.p[0] == '\t'))
            rest = str_from(rest, 1);
        if (!str_starts(rest, S("\r\n")))
            return error_set(e, ERR_INVALID, "multipart: a boundary is not followed by a new line");
        ptrdiff_t end = str_find(str_from(rest, 2), delimiter);
        if (end < 0)
            return error_set(e, ERR_INVALID, "multipart: the last boundary is missing");
        if (found.n == MULTIPART_PARTS)
            return error_set(e, ERR_TOO_LARGE, "multipart: more than %d parts", MULTIPART_PARTS);
        err = read_part(a, str_sub(rest, 2, (size_t)end), vec_push(a, &found), e);
        if (err)
            return err;
        rest = str_from(rest, 2 + (size_t)end + delimiter.n);
    }
    *parts = found.v;
    *n = found.n;
    return OK;
}

enum err request_multipart(const struct request *req, const struct multipart_part **parts,
                           size_t *n, struct error *e)
{
    if (!str_eq(request_content_type(req), S("multipart/form-data")))
        return error_set(e, ERR_UNSUPPORTED, "the body is not multipart/form-data");
    return multipart_read(req->arena, request_header(req, "Content-Type"), req->body, parts, n, e);
}
