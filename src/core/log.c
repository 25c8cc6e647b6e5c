#include "core/log.h"

#include "core/buf.h"
#include "core/json.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_LIMIT = 16 * 1024 }; /* fields that do not fit are left out */

static atomic_int log_level = LOG_INFO;
static atomic_int log_fd = STDERR_FILENO;

void log_set_level(enum log_level level)
{
    atomic_store(&log_level, (int)level);
}

void log_set_fd(int fd)
{
    atomic_store(&log_fd, fd);
}

bool log_enabled(enum log_level level)
{
    return level < LOG_OFF && (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed);
}

static void add_time(struct buf *line)
{
    struct timespec t;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &t);
    gmtime_r(&t.tv_sec, &tm);
    buf_printf(line, "\"%04d-%02d-%02dT%02d:%02d:%02d.%06ldZ\"", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, t.tv_nsec / 1000);
}

/* What is logged may come from anywhere: bytes that are not UTF-8 become U+FFFD. */
static void add_text(struct buf *line, struct str s)
{
    if (str_is_utf8(s)) {
        json_write_str(line, s);
        return;
    }
    struct buf clean = BUF_INIT;
    for (size_t i = 0; i < s.n;) {
        char bytes[4];
        buf_add(&clean, bytes, str_utf8_put(str_utf8_next(s, &i), bytes));
    }
    json_write_str(line, buf_view(&clean));
    buf_release(&clean);
}

static void add_field(struct buf *line, const struct log_field *f)
{
    struct json_writer w;
    buf_char(line, ',');
    add_text(line, str_c(f->name));
    buf_char(line, ':');
    switch (f->kind) {
    case LOG_FIELD_STR:
        add_text(line, f->s);
        break;
    case LOG_FIELD_INT:
        buf_i64(line, f->i);
        break;
    case LOG_FIELD_DOUBLE:
        w = json_writer(line);
        json_w_double(&w, f->d);
        break;
    }
}

void log_fields(enum log_level level, const char *event, const struct log_field *f, size_t n)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (!log_enabled(level))
        return;
    int saved = errno; /* logging must not disturb its caller */
    struct buf line = BUF_INIT;
    line.limit = LINE_LIMIT;
    BUF_LIT(&line, "{\"time\":");
    add_time(&line);
    buf_printf(&line, ",\"level\":\"%s\",\"event\":", names[level]);
    add_text(&line, str_c(event));
    for (size_t i = 0; i < n; i++) {
        size_t before = line.n;
        add_field(&line, &f[i]);
        if (line.over) {
            line.n = before;
            line.over = false;
        }
    }
    line.limit = 0;
    BUF_LIT(&line, "}\n");
    ssize_t wrote;
    do {
        wrote = write(atomic_load(&log_fd), line.p, line.n);
    } while (wrote < 0 && errno == EINTR);
    buf_release(&line);
    errno = saved;
}
