/*
 * clock.h - the time, passed in so that tests need no sleep.
 *
 * An instant is an int64_t: microseconds since 1970-01-01T00:00:00Z, leap seconds ignored (POSIX).
 * Durations are microseconds too, unless a name ends in _ms or _s.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*now)(const struct clock *);    /* wall clock */
    int64_t (*steady)(const struct clock *); /* never goes back; origin unspecified */
};

extern const struct clock clock_system;

/* A clock that stands still until moved: struct clock_fake c = clock_fake_at(instant). */
struct clock_fake {
    struct clock base; /* pass &c.base */
    int64_t at;
};

struct clock_fake clock_fake_at(int64_t at);
void clock_fake_move(struct clock_fake *c, int64_t by);

static inline int64_t clock_now(const struct clock *c)
{
    return c->now(c);
}

static inline int64_t clock_steady(const struct clock *c)
{
    return c->steady(c);
}

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define HOUR_US   (60 * MINUTE_US)
#define DAY_US    (24 * HOUR_US)

#endif
