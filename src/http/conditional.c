#include "conditional.h"

#include "core/clock.h"
#include "core/datetime.h"

/* HTTP dates have whole seconds. */
static int64_t whole_seconds(int64_t instant)
{
    return instant - instant % SECOND_US;
}

int conditional_status(const struct request *req, struct str etag, int64_t modified)
{
    int64_t when;
    struct str match = request_header_all(req, "If-Match");
    struct str none = request_header_all(req, "If-None-Match");
    struct str since = request_header(req, "If-Modified-Since");
    struct str unchanged = request_header(req, "If-Unmodified-Since");
    if (match.p) {
        if (!etag.n || !http_etag_listed(match, etag))
            return 412;
    } else if (unchanged.p && modified && http_date_parse(unchanged, &when) &&
               whole_seconds(modified) > when) {
        return 412;
    }
    if (none.p)
        return etag.n && http_etag_listed(none, etag) ? 304 : 200;
    if (since.p && modified && http_date_parse(since, &when) && whole_seconds(modified) <= when)
        return 304;
    return 200;
}

static bool if_range_holds(const struct request *req, struct str etag, int64_t modified)
{
    struct str header = request_header(req, "If-Range");
    int64_t when;
    if (!header.p)
        return true;
    if (str_starts(header, S("\"")))
        return str_eq(header, etag);
    return modified && http_date_parse(header, &when) && whole_seconds(modified) == when;
}

enum range_kind conditional_range(const struct request *req, struct str etag, int64_t modified,
                                  uint64_t size, uint64_t *from, uint64_t *n)
{
    struct str range = request_header(req, "Range");
    uint64_t first, last;
    if (!str_starts(range, S("bytes=")) || !if_range_holds(req, etag, modified))
        return RANGE_NONE;
    range = str_trim(str_from(range, 6));
    ptrdiff_t dash = str_find_char(range, '-');
    if (dash < 0 || str_find_char(range, ',') >= 0)
        return RANGE_NONE;
    struct str left = str_sub(range, 0, (size_t)dash), right = str_from(range, (size_t)dash + 1);
    if (left.n == 0) { /* the last so many bytes */
        if (!str_to_u64(right, &last))
            return RANGE_NONE;
        if (last == 0 || size == 0)
            return RANGE_BAD;
        *n = last < size ? last : size;
        *from = size - *n;
        return RANGE_ONE;
    }
    if (!str_to_u64(left, &first) || (right.n && !str_to_u64(right, &last)))
        return RANGE_NONE;
    if (right.n == 0 || last >= size)
        last = size ? size - 1 : 0;
    if (first >= size)
        return RANGE_BAD;
    if (first > last)
        return RANGE_NONE;
    *from = first;
    *n = last - first + 1;
    return RANGE_ONE;
}
