#include "transfer.h"

#include "address.h"
#include "core/clock.h"
#include "origin.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_KEPT = 64 * 1024, LINK_BYTES_MAX = 16 * 1024, HEAD_BYTES_MAX = 16 * 1024 };

/* --- what curl calls --- */

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct transfer *t = ctx;
    if (purpose != CURLSOCKTYPE_IPCXN ||
        (!t->options->allow_private && address_is_private(&address->addr))) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t take_body(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    buf_add(&t->body, p, size * n);
    return t->body.over ? 0 : size * n;
}

/* Keep the headers of the last answer; 1xx ones come before it. */
static size_t take_header(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    struct str line = str_trim(str_n(p, size * n));
    t->headed = t->headed || !line.n;
    if (str_starts(line, S("HTTP/"))) {
        t->headed = false;
        buf_clear(&t->link);
        buf_clear(&t->head);
    }
    buf_add(&t->head, p, size * n);
    if (str_eq_nocase(str_sub(line, 0, 5), S("link:"))) {
        if (t->link.n > 0)
            BUF_LIT(&t->link, ", ");
        buf_str(&t->link, str_trim(str_from(line, 5)));
    }
    return size * n;
}

/* --- the handle --- */

static CURLcode set_fixed_options(struct transfer *t)
{
    const struct client_options *o = t->options;
    CURLcode bad = CURLE_OK;
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (!bad)                                                                                  \
            bad = curl_easy_setopt(t->easy, option, value);                                        \
    } while (0)
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->why);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROXY, ""); /* not what the environment says */
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)o->connect_ms);
    SET(CURLOPT_USERAGENT, o->user_agent);
    if (o->ca_file && *o->ca_file)
        SET(CURLOPT_CAINFO, o->ca_file);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, t);
#undef SET
    return bad;
}

struct transfer *transfer_new(const struct client_options *o)
{
    struct transfer *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->options = o;
    t->easy = curl_easy_init();
    if (!t->easy || set_fixed_options(t)) {
        transfer_free(t);
        return NULL;
    }
    t->link.limit = LINK_BYTES_MAX;
    t->head.limit = HEAD_BYTES_MAX;
    return t;
}

void transfer_free(struct transfer *t)
{
    if (!t)
        return;
    curl_easy_cleanup(t->easy);
    buf_release(&t->body);
    buf_release(&t->link);
    buf_release(&t->head);
    free(t);
}

static void empty(struct buf *b)
{
    if (b->cap > BUFFER_KEPT)
        buf_release(b);
    buf_clear(b);
    b->over = false;
}

static void set_time(struct transfer *t, int64_t now)
{
    int64_t ms = (t->job->deadline - now + 999) / 1000; /* not a moment too early */
    curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, ms > 0 ? (long)ms : 1L);
}

/* CURLOPT_HTTPGET also takes back what the job before had set. */
static void set_method(struct transfer *t)
{
    const struct job *j = t->job;
    const char *named = j->method;
    curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
    if (strcmp(j->method, "HEAD") == 0) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
        named = NULL;
    } else if (j->body.n > 0 || strcmp(j->method, "POST") == 0 || strcmp(j->method, "PUT") == 0 ||
               strcmp(j->method, "PATCH") == 0) {
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, j->body.p);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)j->body.n);
    }
    curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, named);
}

static void prepare(struct transfer *t, const char *url, int64_t now)
{
    empty(&t->body);
    empty(&t->link);
    empty(&t->head);
    t->refused = false;
    t->why[0] = 0;
    curl_easy_setopt(t->easy, CURLOPT_URL, url);
    set_method(t);
    set_time(t, now);
}

void transfer_start(struct transfer *t, struct job *j, int64_t now)
{
    t->job = j;
    t->body.limit = (size_t)j->response_bytes;
    curl_easy_setopt(t->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)j->response_bytes);
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, j->headers);
    prepare(t, j->url, now);
}

/* --- the end of an exchange --- */

struct str client_answer_header(const struct client_answer *a, const char *name)
{
    struct str rest = a->head, line, wanted = str_c(name);
    while (str_split(&rest, '\n', &line))
        if (line.n > wanted.n && line.p[wanted.n] == ':' &&
            str_eq_nocase(str_sub(line, 0, wanted.n), wanted))
            return str_trim(str_from(line, wanted.n + 1));
    return STR_NONE;
}

static void tell(struct transfer *t, struct client_answer *answer, int64_t now)
{
    answer->us = now - t->job->started;
    t->job->done(t->job->ctx, answer);
    job_free(t->job);
    t->job = NULL;
}

static void tell_failure(struct transfer *t, enum err code, const char *why, int64_t now)
{
    struct client_answer answer = {0};
    error_set(&answer.error, code, "%s %s: %s", t->job->method, t->job->origin, why);
    tell(t, &answer, now);
}

static void failed(struct transfer *t, CURLcode code, int64_t now)
{
    const char *why = t->why[0] ? t->why : curl_easy_strerror(code);
    enum err e = ERR_UNAVAILABLE;
    if (code == CURLE_COULDNT_CONNECT && t->refused) {
        e = ERR_FORBIDDEN;
        why = "the address is private";
    } else if (code == CURLE_FILESIZE_EXCEEDED || (code == CURLE_WRITE_ERROR && t->body.over)) {
        e = ERR_TOO_LARGE;
        why = "the answer is too long";
    } else if (code == CURLE_OPERATION_TIMEDOUT) {
        e = ERR_TIMEOUT;
    } else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_UNSUPPORTED_PROTOCOL) {
        e = ERR_INVALID;
    }
    tell_failure(t, e, why, now);
}

static struct str media_type(struct transfer *t)
{
    const char *sent = NULL;
    curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &sent);
    struct str type = str_c(sent), field;
    if (!str_split(&type, ';', &field))
        return STR_NONE;
    field = str_sub(str_trim(field), 0, sizeof(t->type));
    for (size_t i = 0; i < field.n; i++)
        t->type[i] = field.p[i] >= 'A' && field.p[i] <= 'Z' ? (char)(field.p[i] + 32) : field.p[i];
    return str_n(t->type, field.n);
}

static bool is_followed(const struct job *j, long status)
{
    if (status == 303 || status == 307 || status == 308)
        return true;
    return (status == 301 || status == 302) &&
           (strcmp(j->method, "GET") == 0 || strcmp(j->method, "HEAD") == 0);
}

/* Was the answer a redirect that is followed (*again) or refused? False: it is the answer itself.
 */
static bool redirected(struct transfer *t, long status, int64_t now, bool *again)
{
    struct job *j = t->job;
    const char *from = NULL, *to = NULL;
    *again = false;
    curl_easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &to);
    curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &from);
    if (!to || !is_followed(j, status))
        return false;
    if (j->redirects == REDIRECTS_MAX) {
        tell_failure(t, ERR_INVALID, "too many redirects", now);
        return true;
    }
    if (!origin_allows(from, to)) {
        tell_failure(t, ERR_FORBIDDEN, "redirect to another host", now);
        return true;
    }
    j->redirects++;
    if (status == 303 && strcmp(j->method, "HEAD") != 0) {
        memcpy(j->method, "GET", sizeof("GET"));
        j->body = S("");
    }
    char *url = strdup(to); /* curl's own text goes with the URL that it came from */
    prepare(t, url ? url : to, now);
    free(url);
    *again = true;
    return true;
}

bool transfer_finish(struct transfer *t, CURLcode code, int64_t now)
{
    long status = 0;
    bool again;
    if (!code && !t->headed) /* curl takes what was cut off within its headers for an answer */
        code = CURLE_GOT_NOTHING;
    if (code) {
        failed(t, code, now);
        return false;
    }
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (redirected(t, status, now, &again))
        return again;
    struct client_answer answer = {.status = (int)status, .type = media_type(t)};
    answer.body = buf_view(&t->body);
    answer.link = buf_view(&t->link);
    answer.head = buf_view(&t->head);
    tell(t, &answer, now);
    return false;
}
