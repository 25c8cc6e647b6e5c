/*
 * transfer.h - one HTTP exchange of the client: a job and the curl handle that carries it.
 *
 * A job is a copy of what the caller asked for, made on the caller's thread. A transfer is a curl
 * handle with its buffers; it belongs to the client's thread and carries one job after the other.
 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include "core/buf.h"
#include "http/client.h"
#include <curl/curl.h>

enum { REDIRECTS_MAX = 3, URL_BYTES_MAX = 8192, METHOD_MAX = 16 };

struct host;

/* In one block of memory together with all its texts. */
struct job {
    struct job *next;
    struct host *host;
    const char *origin; /* "https://example.jp:443", key of the host */
    const char *url;
    char method[METHOD_MAX];
    struct curl_slist *headers; /* nodes of our own, curl only reads them */
    struct str body;
    int64_t started, deadline; /* steady clock */
    int64_t response_bytes;    /* at most */
    int redirects;
    void (*done)(void *ctx, const struct client_answer *answer);
    void *ctx;
};

/* ERR_INVALID for a bad URL, scheme, method or header; ERR_TOO_LARGE for an endless URL. */
enum err job_new(const struct client_request *r, int64_t now, const struct client_options *o,
                 struct job **out, struct error *e);
void job_free(struct job *j);
/* Tell the caller that there is no answer, and free the job. */
void job_fail(struct job *j, int64_t now, enum err code, const char *why);

struct transfer {
    CURL *easy;
    struct transfer *prev, *next; /* in the client's list of running or idle ones */
    const struct client_options *options;
    struct job *job;
    struct buf body, link, head;
    bool refused; /* an address was private */
    bool headed;  /* the headers of the answer came to their end */
    char type[128];
    char why[CURL_ERROR_SIZE];
};

/* NULL when curl cannot give a handle. The options must outlive the transfer. */
struct transfer *transfer_new(const struct client_options *o);
void transfer_free(struct transfer *t);
/* Prepare the handle for the job, which it then owns; the caller adds it to the multi handle. */
void transfer_start(struct transfer *t, struct job *j, int64_t now);

/*
 * The exchange is over (and the handle out of the multi handle). True: a redirect was prepared, add
 * the handle again. False: the answer was told, the job is freed, the transfer may be used again.
 */
bool transfer_finish(struct transfer *t, CURLcode code, int64_t now);

#endif
