/*
 * Dates: whatever the bytes, what is read is a date that exists, and what is written of it reads
 * back as the same. One input goes through every reader of datetime.h.
 */
#include "core/arena.h"
#include "core/datetime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Broken promises must stop the fuzzer in any build. */
static void check(bool ok, const char *what)
{
    if (ok) {
        return;
    }
    fprintf(stderr, "fuzz_jdate: %s\n", what);
    abort();
}

static void check_jdate(struct arena *a, struct str s)
{
    struct civil c, again;
    bool timed;
    if (!jdate_parse(s, &c, &timed)) {
        return;
    }
    check(civil_valid(&c) && c.micro == 0, "a date that does not exist");
    check(timed || (c.hour == 0 && c.minute == 0 && c.second == 0), "a time out of nowhere");
    if (c.year < 1000 || c.year > 2117) {
        return; /* years that are written with other than four or two digits */
    }
    check(jdate_parse(wareki_format(a, &c), &again, &timed) && !timed, "wareki does not read back");
    check(again.year == c.year && again.month == c.month && again.day == c.day, "another day");
}

static void check_instants(struct arena *a, struct str s)
{
    char text[DATETIME_MAX];
    int64_t t, again;
    struct duration d;
    struct civil c = {.year = 2000, .month = 1, .day = 1};
    if (datetime_parse(s, &t)) {
        size_t n = datetime_format(t, text);
        struct civil utc = civil_of(t, 0);
        check(n < DATETIME_MAX && n == strlen(text), "length of a date-time");
        check(!civil_valid(&utc) || (datetime_parse(str_n(text, n), &again) && again == t),
              "a date-time does not read back");
        check(datetime_text_jst(a, t).n > 0, "no text in Japan's time");
    }
    if (http_date_parse(s, &t)) {
        size_t n = http_date_format(t, text);
        check(http_date_parse(str_n(text, n), &again) && again == t, "an HTTP date differs");
    }
    if (duration_parse(s, &d)) {
        check(d.months >= 0 && d.us >= 0, "a negative duration");
        check(duration_add(0, &d) >= 0, "a duration goes back");
        check(duration_add(INT64_MAX, &d) >= INT64_MAX - 31 * INT64_C(86400000000),
              "adding wraps around");
    }
    check(!date_parse(s, &c) || civil_valid(&c), "an impossible date");
    check(!time_parse(s, &c) || civil_valid(&c), "an impossible time");
}

static void check_serial(const uint8_t *data, size_t size)
{
    double serial;
    struct civil c;
    if (size == sizeof serial) {
        memcpy(&serial, data, sizeof serial);
        check(!excel_serial_to_civil(serial, &c) || (civil_valid(&c) && c.year >= 1900),
              "an impossible serial date");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct str s = str_n((const char *)data, size);
    check_jdate(&a, s);
    check_instants(&a, s);
    check_serial(data, size);
    arena_release(&a);
    return 0;
}
