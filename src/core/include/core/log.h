/*
 * log.h - structured log lines on stderr.
 *
 * One line is one JSON object: time, level, event, then the given fields. Events are dotted names
 * ("http.request", "store.slow_commit"). Fields never carry secrets or personal data: ids of
 * requests and tenants yes, bodies, names and tokens no. Thread-safe; one write(2) per line.
 *
 *     log_event(LOG_WARN, "store.slow_commit", LOG_I("ms", 900), LOG_S("engine", S("sqlite")));
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

struct log_field {
    const char *name;
    enum { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_DOUBLE } kind;
    struct str s;
    int64_t i;
    double d;
};

#define LOG_S(name, value)                                                                         \
    {                                                                                              \
        name, LOG_FIELD_STR, value, 0, 0                                                           \
    }
#define LOG_Z(name, value)                                                                         \
    {                                                                                              \
        name, LOG_FIELD_STR, str_c(value), 0, 0                                                    \
    }
#define LOG_I(name, value)                                                                         \
    {                                                                                              \
        name, LOG_FIELD_INT, {0, 0}, (int64_t)(value), 0                                           \
    }
#define LOG_D(name, value)                                                                         \
    {                                                                                              \
        name, LOG_FIELD_DOUBLE, {0, 0}, 0, (value)                                                 \
    }

void log_set_level(enum log_level level); /* default LOG_INFO */
void log_set_fd(int fd);                  /* default 2 */
bool log_enabled(enum log_level level);
void log_fields(enum log_level level, const char *event, const struct log_field *f, size_t n);

/* clang-format off */
#define log_event(level, event, ...)                                                               \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            const struct log_field log_f_[] = {__VA_ARGS__};                                       \
            log_fields((level), (event), log_f_, sizeof(log_f_) / sizeof(log_f_[0]));              \
        }                                                                                          \
    } while (0)
/* clang-format on */

#endif
