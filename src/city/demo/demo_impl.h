/*
 * demo_impl.h - the parts of the demo city, private to the files here.
 *
 *     ground   districts, towns, bus lines, where things may stand      ground.c
 *     weather  what instruments read, as a function of time alone       weather.c
 *     tables   facilities as rows of the standard data sets             tables.c
 *     things   everything else as NGSI-LD: districts, sensors, buses    things.c
 *     load     into the store, with a day of history                    load.c
 *     live     sensors that go on reporting                             live.c
 *
 * All of it is invented but the population figures. Nothing is random: positions and names come
 * from SplitMix64 with a fixed seed, readings from the seed and the time. So two loads differ in
 * nothing but times and readings, and history, first state and live updates join without a seam.
 */
#ifndef DEMO_IMPL_H
#define DEMO_IMPL_H

#include "city/demo.h"
#include "core/clock.h"
#include "core/json.h"
#include "link/ops.h"

#define DEMO_CITY      "つくばのはら市"
#define DEMO_PUBLISHER "つくばのはら市（架空の実演用）"
#define DEMO_CITY_ID   "urn:ngsi-ld:AdministrativeArea:demo:city"
#define DEMO_LOADED    "dataset" /* attribute of the city, written last: all is there */

/* --- ground --- */

struct demo_rng {
    uint64_t state;
};
uint64_t demo_next(struct demo_rng *r);
int64_t demo_roll(struct demo_rng *r, int64_t n); /* 0 .. n-1 */
double demo_unit(struct demo_rng *r);             /* [0, 1) */
uint64_t demo_mix(uint64_t x);                    /* a well-mixed function of x */

struct demo_point {
    double lon, lat;
};

struct demo_district {
    const char *name, *kana, *roman;
    const struct demo_point *ring; /* closed */
    size_t n;
    const char *former;      /* name of the town that it was; NULL: no figure known */
    const char *former_date; /* of the figure, YYYY-MM-DD */
    const char *former_note; /* what kind of figure, and its source */
    int former_population;
};
enum { DEMO_DISTRICTS = 6, DEMO_TOWNS = 30 };
extern const struct demo_district demo_districts[DEMO_DISTRICTS];

/* Invented parts of a district (町字). */
struct demo_town {
    int district;
    const char *name, *kana, *roman;
    struct demo_point at;
};
extern const struct demo_town demo_towns[DEMO_TOWNS];

/* A place in the town's surroundings, inside its district. */
struct demo_point demo_near(struct demo_rng *r, const struct demo_town *t);
bool demo_inside(const struct demo_district *d, struct demo_point p);
const struct demo_town *demo_nearest(struct demo_point p);
double demo_metres(struct demo_point a, struct demo_point b);

struct demo_line {
    const char *number, *name, *colour;
    const struct demo_point *points;
    size_t n;
};
enum { DEMO_LINES = 8, DEMO_STOPS_PER_LINE = 25 };
extern const struct demo_line demo_lines[DEMO_LINES];
double demo_line_length(const struct demo_line *l);
/* The point so many metres from the line's start; bearing (may be NULL) in degrees from north. */
struct demo_point demo_along(const struct demo_line *l, double metres, double *bearing);

/* --- weather --- */

/* Smooth noise in [-1, 1] that changes over about period_us. */
double demo_noise(uint64_t seed, int64_t t, int64_t period_us);
struct demo_sky {
    double temperature; /* degrees Celsius */
    double humidity;    /* 0..1 */
    double pressure;    /* hPa */
    double wind;        /* m/s */
    double wind_from;   /* degrees from north */
    double rain;        /* mm per hour */
};
struct demo_sky demo_sky(uint64_t station, int64_t t);
struct demo_air {
    double pm25, pm10, no2, o3; /* micrograms per cubic metre */
};
struct demo_air demo_air(uint64_t station, int64_t t);
double demo_river(uint64_t gauge, int64_t t);                 /* level, metres */
int demo_bikes(uint64_t port, int docks, int64_t t);          /* bicycles there */
int demo_free_spots(uint64_t car_park, int spots, int64_t t); /* places free */
struct demo_bus {
    struct demo_point at;
    double bearing, speed; /* degrees, km/h */
};
struct demo_bus demo_bus(int bus, int64_t t);
const struct demo_line *demo_bus_line(int bus);

/* --- tables --- */

struct demo_table {
    const char *kind;    /* of import.h */
    const char *dataset; /* id under which it is remembered */
    const char *file;    /* name */
    void (*write)(struct buf *out);
};
extern const struct demo_table demo_tables[];
extern const size_t demo_tables_n;

/* --- things --- */

/* What keeps reporting, in the order in which live updates go round. */
enum demo_kind {
    DEMO_AIR,
    DEMO_WEATHER,
    DEMO_RIVER,
    DEMO_BIKES,
    DEMO_PARKING,
    DEMO_BUS,
    DEMO_NOISE,
    DEMO_KINDS
};
struct demo_fleet {
    const char *type;   /* of the entities */
    const char *prefix; /* of their names, numbered */
    int n;
    bool history; /* a day of it is loaded */
    bool live;    /* goes on reporting */
    const char *dataset;
};
extern const struct demo_fleet demo_fleets[DEMO_KINDS];
struct str demo_fleet_id(struct arena *a, enum demo_kind k, int i);
/* The whole entity, NGSI-LD normalized with core terms, as of t. */
void demo_thing(struct json_writer *w, enum demo_kind k, int i, int64_t t);
/* Only what instruments read at t: a fragment. */
void demo_readings(struct json_writer *w, enum demo_kind k, int i, int64_t t);

/* City (the first one), districts, projections, bus lines, data sources, descriptions of data
 * sets. Numbered from 0; false when there are no more. */
bool demo_fixture(struct json_writer *w, size_t i);
/* The city's population by the censuses before the newest one. Numbered from 0, oldest first; a
 * fragment with the attribute population; false when there are no more. */
bool demo_census(struct json_writer *w, size_t i);

/* --- load --- */

/* Written JSON in stored form: a whole entity or a fragment. NULL with *e: a bug of ours. */
const struct json *demo_stored(struct arena *a, const struct buf *text, bool whole,
                               struct error *e);
/* The link's clock in whole seconds, as instruments report. */
int64_t demo_now(const struct link *l);
/* ERR_NOT_FOUND when the store has no demo city, or one whose loading was interrupted. */
enum err demo_present(struct link *l, struct error *e);

/* --- live --- */

enum { DEMO_TURN_MS = 2000 };
/* One round of updates, as of the link's clock: a few things report. turn counts from 0. */
enum err demo_turn(struct link *l, uint64_t turn, struct error *e);

#endif
