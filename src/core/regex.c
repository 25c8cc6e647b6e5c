/*
 * regex.c - PCRE2 held on a short leash.
 *
 * PCRE2 counts its match limit afresh at every start position, so that the limit alone lets a
 * long text run for minutes. The pattern is therefore compiled behind a callout that PCRE2 makes
 * at each start position, and that gives up when the search has used too much processor time.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "core/regex.h"

#include "core/clock.h"

#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    PATTERN_MAX = 4096,      /* bytes */
    SUBJECT_MAX = 64 * 1024, /* bytes */
    SHORT_SUBJECT = 4096,    /* up to here the generous match limit holds */
    STEPS_SHORT = 150000,    /* per start position */
    STEPS_LONG = 10000,
    DEPTH_MAX = 5000,
    HEAP_MAX_KIB = 8 * 1024,
    STARTS_PER_LOOK = 16 /* start positions between two looks at the clock */
};
static const int64_t cpu_max_us = 250000;

struct regex {
    pcre2_code *code;
    pcre2_match_context *short_limits; /* read only: every match copies them */
    pcre2_match_context *long_limits;
};

/* --- one search --- */

struct search {
    unsigned starts;
    int64_t began; /* thread's processor time at the first look */
};

static int64_t thread_cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

static int at_start_position(pcre2_callout_block *block, void *data)
{
    struct search *search = data;
    (void)block;
    if (++search->starts % STARTS_PER_LOOK != 0) {
        return 0;
    }
    int64_t now = thread_cpu_us();
    if (search->starts == STARTS_PER_LOOK) {
        search->began = now;
    }
    return now - search->began > cpu_max_us ? PCRE2_ERROR_CALLOUT : 0;
}

enum err regex_match(const struct regex *r, struct str s, bool *hit)
{
    struct search search = {0, 0};
    *hit = false;
    if (s.n > SUBJECT_MAX) {
        return ERR_TOO_COMPLEX;
    }
    pcre2_match_context *limits =
        pcre2_match_context_copy(s.n <= SHORT_SUBJECT ? r->short_limits : r->long_limits);
    pcre2_match_data *match = pcre2_match_data_create(1, NULL);
    if (!limits || !match) {
        abort();
    }
    pcre2_set_callout(limits, at_start_position, &search);
    int rc = pcre2_match(r->code, (PCRE2_SPTR)(s.n ? s.p : ""), s.n, 0, 0, match, limits);
    pcre2_match_data_free(match);
    pcre2_match_context_free(limits);
    *hit = rc >= 0;
    return rc >= 0 || rc == PCRE2_ERROR_NOMATCH ? OK : ERR_TOO_COMPLEX;
}

/* --- compiling --- */

static pcre2_match_context *limits_new(uint32_t steps)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    if (!limits) {
        abort();
    }
    pcre2_set_match_limit(limits, steps);
    pcre2_set_depth_limit(limits, DEPTH_MAX);
    pcre2_set_heap_limit(limits, HEAP_MAX_KIB);
    return limits;
}

static pcre2_code *compile(struct str pattern, struct error *e)
{
    const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
                             PCRE2_DOLLAR_ENDONLY | PCRE2_NO_AUTO_CAPTURE;
    int code;
    PCRE2_SIZE at;
    pcre2_code *compiled =
        pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n, options, &code, &at, NULL);
    if (!compiled) {
        char why[160];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof why);
        error_set(e, ERR_INVALID, "regular expression: %s at byte %zu", why, (size_t)at);
    }
    return compiled;
}

struct regex *regex_new(struct str pattern, struct error *e)
{
    static const struct str head = S_INIT("(?C1)(?:"), tail = S_INIT(")");
    char guarded[PATTERN_MAX + sizeof "(?C1)(?:)"];
    if (pattern.n > PATTERN_MAX) {
        error_set(e, ERR_INVALID, "regular expression: %zu bytes, at most %d are allowed",
                  pattern.n, PATTERN_MAX);
        return NULL;
    }
    /* alone first: "a)(b" must not become valid inside the group */
    pcre2_code *code = compile(str_n(pattern.n ? pattern.p : "", pattern.n), e);
    if (!code) {
        return NULL;
    }
    pcre2_code_free(code);
    memcpy(guarded, head.p, head.n);
    memcpy(guarded + head.n, pattern.n ? pattern.p : "", pattern.n);
    memcpy(guarded + head.n + pattern.n, tail.p, tail.n);
    code = compile(str_n(guarded, head.n + pattern.n + tail.n), e);
    if (!code) {
        return NULL;
    }
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* without it PCRE2 interprets: slower, the same */
    struct regex *r = calloc(1, sizeof *r);
    if (!r) {
        abort();
    }
    r->code = code;
    r->short_limits = limits_new(STEPS_SHORT);
    r->long_limits = limits_new(STEPS_LONG);
    return r;
}

void regex_free(struct regex *r)
{
    if (!r) {
        return;
    }
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->short_limits);
    pcre2_match_context_free(r->long_limits);
    free(r);
}

/* --- looking at a pattern --- */

/* One of the quantifiers, that may take back what stands before it. */
static bool quantifies(char c)
{
    return c == '*' || c == '?' || c == '{' || c == '+';
}

size_t regex_beginning(struct str pattern, char *out, size_t max)
{
    size_t n = 0;
    if (!pattern.n || pattern.p[0] != '^' || memchr(pattern.p, '|', pattern.n)) {
        return 0;
    }
    for (size_t i = 1; i < pattern.n && n < max; i++) {
        char c = pattern.p[i];
        if (c == '\\') {
            c = ++i < pattern.n ? pattern.p[i] : '\0';
            if (c <= ' ' || c >= 0x7f || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                (c >= 'a' && c <= 'z')) {
                break;
            }
        } else if (c <= ' ' || c >= 0x7f || strchr("^$.[]()*?{}+#", c)) {
            break;
        }
        if (i + 1 < pattern.n && quantifies(pattern.p[i + 1])) {
            break;
        }
        out[n++] = c;
    }
    return n;
}
