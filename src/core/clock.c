#include "core/clock.h"

#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * SECOND_US + t.tv_nsec / 1000;
}

static int64_t system_now(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_steady(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

const struct clock clock_system = {system_now, system_steady};

static int64_t fake_now(const struct clock *c)
{
    return ((const struct clock_fake *)c)->at; /* base is the first member */
}

struct clock_fake clock_fake_at(int64_t at)
{
    return (struct clock_fake){{fake_now, fake_now}, at};
}

void clock_fake_move(struct clock_fake *c, int64_t by)
{
    c->at += by;
}
