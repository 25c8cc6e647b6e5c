/*
 * What no standard table holds, as NGSI-LD in the terms of the Smart Data Models: the instruments
 * and vehicles that keep reporting. Identifiers are urn:ngsi-ld:TYPE:demo:NUMBER.
 */
#include "demo_impl.h"

#include "core/datetime.h"
#include <math.h>
#include <stdio.h>

const struct demo_fleet demo_fleets[DEMO_KINDS] = {
    [DEMO_AIR] = {"AirQualityObserved", "大気測定局", 12, true, true, "demo_air_quality"},
    [DEMO_WEATHER] = {"WeatherObserved", "気象観測点", 12, true, true, "demo_weather"},
    [DEMO_RIVER] = {"FloodMonitoring", "水位計", 6, true, true, "demo_river_level"},
    [DEMO_BIKES] = {"BikeHireDockingStation", "シェアサイクルポート", 40, true, true,
                    "demo_share_cycle"},
    [DEMO_PARKING] = {"OffStreetParking", "市営駐車場", 12, true, true, "demo_parking"},
    [DEMO_BUS] = {"Vehicle", "バス", 10, false, true, "demo_bus_location"},
    [DEMO_NOISE] = {"NoiseLevelObserved", "騒音計", 4, false, false, "demo_noise_level"},
};

enum { SEED_OF_SIZES = 7000 };

static const char *const rivers[] = {"霞川", "蓮見川", "風早川"};

struct str demo_fleet_id(struct arena *a, enum demo_kind k, int i)
{
    return str_printf(a, "urn:ngsi-ld:%s:demo:%02d", demo_fleets[k].type, i + 1);
}

/* --- pieces --- */

static void open_attr(struct json_writer *w, const char *name, const char *kind)
{
    json_w_key(w, str_c(name));
    json_w_object(w);
    json_w_kstr(w, S("type"), str_c(kind));
}

static void text(struct json_writer *w, const char *name, const char *value)
{
    open_attr(w, name, "Property");
    json_w_kstr(w, S("value"), str_c(value));
    json_w_end(w);
}

static void texts(struct json_writer *w, const char *name, const char *only)
{
    open_attr(w, name, "Property");
    json_w_key(w, S("value"));
    json_w_array(w);
    json_w_str(w, str_c(only));
    json_w_end(w);
    json_w_end(w);
}

static void integer(struct json_writer *w, const char *name, int64_t value)
{
    open_attr(w, name, "Property");
    json_w_ki64(w, S("value"), value);
    json_w_end(w);
}

static void observed(struct json_writer *w, int64_t t)
{
    char at[DATETIME_MAX];
    datetime_format(t, at);
    json_w_kstr(w, S("observedAt"), str_c(at));
}

/* Decimal digits made from a whole number, so that no platform prints another last digit. */
static void decimal(struct json_writer *w, double value, int digits)
{
    char out[40];
    int64_t scale = digits == 2 ? 100 : digits == 1 ? 10 : 1;
    int64_t n = llround(value * (double)scale);
    const char *sign = n < 0 ? "-" : "";
    if (n < 0)
        n = -n;
    int len = digits ? snprintf(out, sizeof(out), "%s%lld.%0*lld", sign, (long long)(n / scale),
                                digits, (long long)(n % scale))
                     : snprintf(out, sizeof(out), "%s%lld", sign, (long long)n);
    json_w_number(w, str_n(out, (size_t)len));
}

static void reading(struct json_writer *w, const char *name, double value, int digits,
                    const char *unit, int64_t t)
{
    open_attr(w, name, "Property");
    json_w_key(w, S("value"));
    decimal(w, value, digits);
    if (unit)
        json_w_kstr(w, S("unitCode"), str_c(unit));
    observed(w, t);
    json_w_end(w);
}

static void location(struct json_writer *w, struct demo_point p, int64_t observed_at)
{
    open_attr(w, "location", "GeoProperty");
    json_w_key(w, S("value"));
    json_w_object(w);
    json_w_kstr(w, S("type"), S("Point"));
    json_w_key(w, S("coordinates"));
    json_w_array(w);
    json_w_double(w, p.lon);
    json_w_double(w, p.lat);
    json_w_end(w);
    json_w_end(w);
    if (observed_at)
        observed(w, observed_at);
    json_w_end(w);
}

static void address(struct json_writer *w, const struct demo_town *t)
{
    char street[200];
    snprintf(street, sizeof(street), "茨城県" DEMO_CITY "%s", t->name);
    open_attr(w, "address", "Property");
    json_w_key(w, S("value"));
    json_w_object(w);
    json_w_kstr(w, S("streetAddress"), str_c(street));
    json_w_end(w);
    json_w_end(w);
}

/* --- readings --- */

static void air_readings(struct json_writer *w, int i, int64_t t)
{
    struct demo_air a = demo_air((uint64_t)i, t);
    reading(w, "pm25", a.pm25, 1, "GQ", t);
    reading(w, "pm10", a.pm10, 1, "GQ", t);
    reading(w, "no2", a.no2, 1, "GQ", t);
    reading(w, "o3", a.o3, 1, "GQ", t);
}

static void weather_readings(struct json_writer *w, int i, int64_t t)
{
    struct demo_sky s = demo_sky((uint64_t)i, t);
    reading(w, "temperature", s.temperature, 1, "CEL", t);
    reading(w, "relativeHumidity", s.humidity, 2, "C62", t);
    reading(w, "atmosphericPressure", s.pressure, 1, "A97", t);
    reading(w, "windSpeed", s.wind, 1, "MTS", t);
    reading(w, "windDirection", s.wind_from, 0, "DD", t);
    reading(w, "precipitation", s.rain, 1, "MMT", t);
}

/* Places in car parks and bicycles at ports: how many are there, how many fit. */
static int docks(int i)
{
    return 10 + (int)(demo_mix(SEED_OF_SIZES + (uint64_t)i) % 8) * 2;
}

static int spots(int i)
{
    return 40 + (int)(demo_mix(SEED_OF_SIZES + 100 + (uint64_t)i) % 20) * 15;
}

void demo_readings(struct json_writer *w, enum demo_kind k, int i, int64_t t)
{
    switch (k) {
    case DEMO_AIR:
        air_readings(w, i, t);
        break;
    case DEMO_WEATHER:
        weather_readings(w, i, t);
        break;
    case DEMO_RIVER:
        reading(w, "currentLevel", demo_river((uint64_t)i, t), 2, "MTR", t);
        break;
    case DEMO_BIKES: {
        int there = demo_bikes((uint64_t)i, docks(i), t);
        reading(w, "availableBikeNumber", there, 0, NULL, t);
        reading(w, "freeSlotNumber", docks(i) - there, 0, NULL, t);
        break;
    }
    case DEMO_PARKING:
        reading(w, "availableSpotNumber", demo_free_spots((uint64_t)i, spots(i), t), 0, NULL, t);
        break;
    case DEMO_BUS: {
        struct demo_bus b = demo_bus(i, t);
        location(w, b.at, t);
        reading(w, "speed", b.speed, 0, "KMH", t);
        reading(w, "bearing", b.bearing, 0, "DD", t);
        break;
    }
    case DEMO_NOISE:
        reading(w, "LAeq", 52 + 9 * demo_noise(9000 + (uint64_t)i, t, HOUR_US), 1, "2N", t);
        break;
    case DEMO_KINDS:
        break;
    }
}

/* --- whole entities --- */

/* What stays as it is, kind by kind. */
static void traits(struct json_writer *w, enum demo_kind k, int i)
{
    switch (k) {
    case DEMO_RIVER:
        text(w, "waterBody", rivers[i % 3]);
        open_attr(w, "alertLevel", "Property");
        json_w_key(w, S("value"));
        decimal(w, 2.2 + 0.2 * (i % 3), 1);
        json_w_kstr(w, S("unitCode"), S("MTR"));
        json_w_end(w);
        open_attr(w, "dangerLevel", "Property");
        json_w_key(w, S("value"));
        decimal(w, 3.0 + 0.2 * (i % 3), 1);
        json_w_kstr(w, S("unitCode"), S("MTR"));
        json_w_end(w);
        break;
    case DEMO_BIKES:
        texts(w, "status", "working");
        integer(w, "totalSlotNumber", docks(i));
        break;
    case DEMO_PARKING:
        texts(w, "category", "public");
        texts(w, "status", "open");
        integer(w, "totalSpotNumber", spots(i));
        break;
    case DEMO_BUS: {
        char route[64];
        snprintf(route, sizeof(route), "urn:ngsi-ld:GtfsRoute:demo:%s", demo_bus_line(i)->number);
        text(w, "vehicleType", "bus");
        open_attr(w, "operatesOnRoute", "Relationship");
        json_w_kstr(w, S("object"), str_c(route));
        json_w_end(w);
        break;
    }
    case DEMO_NOISE:
        text(w, "description",
             "途絶えた情報源がどう見えるかを示すため、わざと報告を止めてあります");
        break;
    default:
        break;
    }
}

/* Fleets are spread over the towns, each kind starting elsewhere. */
static const struct demo_town *town_of(enum demo_kind k, int i)
{
    int step = demo_fleets[k].n > DEMO_TOWNS ? 1 : DEMO_TOWNS / demo_fleets[k].n;
    return &demo_towns[(i * step + (int)k) % DEMO_TOWNS];
}

static void name(struct json_writer *w, enum demo_kind k, int i, const struct demo_town *t)
{
    char out[200];
    if (k == DEMO_BUS)
        snprintf(out, sizeof(out), "%s号線 %sの%s %d号車", demo_bus_line(i)->number,
                 demo_bus_line(i)->name, demo_fleets[k].prefix, i + 1);
    else if (k == DEMO_RIVER)
        snprintf(out, sizeof(out), "%s %s%s", rivers[i % 3], t->name, demo_fleets[k].prefix);
    else
        snprintf(out, sizeof(out), "%s%s%s", t->name, demo_fleets[k].prefix,
                 i >= DEMO_TOWNS ? "（第2）" : "");
    text(w, "name", out);
}

void demo_thing(struct json_writer *w, enum demo_kind k, int i, int64_t t)
{
    struct demo_rng r = {demo_mix((uint64_t)k * 1000 + (uint64_t)i)};
    const struct demo_town *town = town_of(k, i);
    char id[80];
    snprintf(id, sizeof(id), "urn:ngsi-ld:%s:demo:%02d", demo_fleets[k].type, i + 1);
    json_w_object(w);
    json_w_kstr(w, S("id"), str_c(id));
    json_w_kstr(w, S("type"), str_c(demo_fleets[k].type));
    name(w, k, i, town);
    traits(w, k, i);
    demo_readings(w, k, i, t);
    if (k != DEMO_BUS) {
        location(w, demo_near(&r, town), 0);
        address(w, town);
    }
    text(w, "dataProvider", DEMO_PUBLISHER);
    text(w, "dataset", demo_fleets[k].dataset);
    json_w_end(w);
}
