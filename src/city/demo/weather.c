/*
 * What instruments read. Every value is a function of the time and of who measures: nothing is
 * kept between two readings, so a day of history, the first state and the live updates agree, and
 * a restart continues where the clock is.
 */
#include "demo_impl.h"

#include "core/datetime.h"
#include <math.h>

enum { SEED_SKY = 1000, SEED_AIR = 2000, SEED_RIVER = 3000, SEED_BIKES = 4000, SEED_CARS = 5000 };

static double lattice(uint64_t seed, int64_t at)
{
    uint64_t mixed = demo_mix(demo_mix(seed) ^ (uint64_t)at);
    return (double)(mixed >> 11) * 0x1p-53 * 2 - 1;
}

double demo_noise(uint64_t seed, int64_t t, int64_t period_us)
{
    int64_t at = t / period_us;
    double part = (double)(t % period_us) / (double)period_us;
    part = part * part * (3 - 2 * part); /* level at both ends: no corners in the curve */
    return lattice(seed, at) * (1 - part) + lattice(seed, at + 1) * part;
}

static double hour_of_day(int64_t t)
{
    return (double)((t + JST_OFFSET_S * SECOND_US) % DAY_US) / (double)HOUR_US;
}

static bool is_weekend(int64_t t)
{
    struct civil c = civil_of(t, JST_OFFSET_S);
    int day = civil_weekday(c.year, c.month, c.day);
    return day == 0 || day == 6;
}

/* A hill around an hour of the day, 1 at its top. */
static double peak(double hour, double top, double width)
{
    double off = fabs(hour - top);
    if (off > 12)
        off = 24 - off;
    return exp(-off * off / (2 * width * width));
}

static double wave(double x, double top, double period)
{
    return cos(2 * M_PI * (x - top) / period);
}

/* Over the whole city at once; it rains above RAIN_FROM. */
#define RAIN_FROM 0.55

static double cloud_at(int64_t t)
{
    return demo_noise(SEED_SKY, t, 9 * HOUR_US) + 0.3 * demo_noise(SEED_SKY + 1, t, HOUR_US);
}

/* Showers differ by a little from station to station. */
static double rain_at(uint64_t station, int64_t t)
{
    double shower = fmax(0, cloud_at(t) - RAIN_FROM) * 14;
    return shower * (1 + 0.3 * demo_noise(SEED_SKY + 100 + station, t, HOUR_US));
}

struct demo_sky demo_sky(uint64_t station, int64_t t)
{
    uint64_t seed = SEED_SKY + 10 * (station + 10);
    double day = fmod((double)t / (double)DAY_US, 365.2425); /* 1970 began on 1 January */
    double hour = hour_of_day(t);
    struct demo_sky s = {.rain = rain_at(station, t)};
    double cover = fmin(fmax(cloud_at(t) + 1 - RAIN_FROM, 0), 1); /* 1: it rains */
    double swing = 4.2 - 2.7 * cover; /* under clouds days and nights are alike */
    s.temperature = 14.2 + 11.3 * wave(day, 209, 365.2425) + swing * wave(hour, 14, 24) +
                    2.5 * demo_noise(SEED_SKY + 2, t, 30 * HOUR_US) +
                    0.4 * demo_noise(seed + 1, t, 2 * HOUR_US) + 0.15 * ((double)(station % 7) - 3);
    s.humidity = 0.68 - 0.16 * wave(hour, 14, 24) + 0.08 * wave(day, 209, 365.2425) +
                 0.06 * demo_noise(seed + 2, t, 3 * HOUR_US) + 0.2 * cover;
    s.humidity = fmin(fmax(s.humidity, 0.15), 0.99);
    s.pressure = 1013 + 9 * demo_noise(SEED_SKY + 3, t, 40 * HOUR_US) - fmin(s.rain, 10) * 0.4 +
                 0.2 * demo_noise(seed + 3, t, HOUR_US);
    s.wind = fmax(0, 2.2 + 0.9 * wave(hour, 15, 24) + 1.6 * demo_noise(seed + 4, t, HOUR_US) +
                         0.6 * demo_noise(seed + 5, t, 10 * MINUTE_US));
    s.wind_from = fmod(360 + 180 + 150 * demo_noise(SEED_SKY + 4, t, 7 * HOUR_US) +
                           20 * demo_noise(seed + 6, t, 30 * MINUTE_US),
                       360);
    return s;
}

struct demo_air demo_air(uint64_t station, int64_t t)
{
    uint64_t seed = SEED_AIR + 10 * station;
    double hour = hour_of_day(t);
    double traffic = (peak(hour, 8, 1.3) + peak(hour, 18, 1.6)) * (is_weekend(t) ? 0.4 : 1);
    double haze = 9 + 6 * demo_noise(SEED_AIR + 5000, t, 20 * HOUR_US);
    double washed = 1 / (1 + rain_at(0, t) / 4);
    struct demo_air a;
    a.pm25 = fmax(1, (haze + 4 * traffic + 1.5 * demo_noise(seed, t, HOUR_US)) * washed);
    a.pm10 = a.pm25 * 1.6 + 3 + demo_noise(seed + 1, t, HOUR_US);
    a.no2 = fmax(1, 9 + 16 * traffic + 4 * demo_noise(seed + 2, t, HOUR_US));
    a.o3 =
        fmax(4, 48 + 26 * peak(hour, 14, 3.5) - 0.6 * a.no2 + 5 * demo_noise(seed + 3, t, HOUR_US));
    return a;
}

/* Half of a shower has run off after two hours. */
double demo_river(uint64_t gauge, int64_t t)
{
    double level = 0.55 + 0.22 * (double)(gauge % 3);
    double left = 0.09;
    for (int quarter = 0; quarter < 48; quarter++) {
        level += left * rain_at(gauge, t - quarter * 15 * MINUTE_US) / 8;
        left *= 0.917;
    }
    return fmax(0.1, level + 0.03 * demo_noise(SEED_RIVER + gauge, t, 4 * HOUR_US) +
                         0.006 * demo_noise(SEED_RIVER + 50 + gauge, t, 6 * MINUTE_US));
}

/* In the morning bicycles move from homes (odd ports) to the centre (even ones) and back. */
int demo_bikes(uint64_t port, int docks, int64_t t)
{
    double hour = hour_of_day(t);
    double at_work = peak(hour, 13, 3.6) * (is_weekend(t) ? 0.4 : 1);
    double full = port % 2 ? 0.72 - 0.5 * at_work : 0.28 + 0.5 * at_work;
    full += 0.16 * demo_noise(SEED_BIKES + 2 * port, t, 2 * HOUR_US) +
            0.10 * demo_noise(SEED_BIKES + 2 * port + 1, t, 8 * MINUTE_US);
    return (int)lround(fmin(fmax(full, 0), 1) * docks);
}

int demo_free_spots(uint64_t car_park, int spots, int64_t t)
{
    double busy = 0.12 + 0.62 * peak(hour_of_day(t), car_park % 2 ? 13 : 17, 3.4);
    busy += 0.10 * demo_noise(SEED_CARS + 2 * car_park, t, 3 * HOUR_US) +
            0.02 * demo_noise(SEED_CARS + 2 * car_park + 1, t, 5 * MINUTE_US);
    return (int)lround(fmin(fmax(1 - busy, 0), 1) * spots);
}

/* --- buses --- */

const struct demo_line *demo_bus_line(int bus)
{
    return &demo_lines[bus % DEMO_LINES];
}

/* To and fro along the line at an even pace; on the ring line round and round. */
struct demo_bus demo_bus(int bus, int64_t t)
{
    const struct demo_line *l = demo_bus_line(bus);
    double length = demo_line_length(l), speed = 22 + bus % 3;
    double driven = speed / 3.6 * (double)(t % (1000 * DAY_US)) / (double)SECOND_US;
    bool ring = l->points[0].lon == l->points[l->n - 1].lon;
    int before = bus / DEMO_LINES; /* on the same line: two keep apart */
    double start = length * before + 400.0 * bus;
    double at = fmod(driven + start, ring ? length : 2 * length);
    struct demo_bus b = {.speed = speed};
    bool back = at > length;
    b.at = demo_along(l, back ? 2 * length - at : at, &b.bearing);
    if (back)
        b.bearing = fmod(b.bearing + 180, 360);
    return b;
}
