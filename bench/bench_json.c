/*
 * JSON against cJSON: reading and writing one NGSI-LD entity of 2 KB, rounds interleaved.
 *
 * cJSON: Parse, PrintUnformatted, Delete. Ours: parse into an arena, write into a buffer that is
 * used again, reset the arena, as a request does. Both must give the same document. The median
 * round of each side counts, so that a busy machine does not decide.
 */
#include "core/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 41, REPEAT = 1000, ATTRIBUTES = 16 };

/* One measured attribute with its unit, time and source. */
static void add_attribute(struct json_writer *w, int i)
{
    static const char *const names[ATTRIBUTES] = {"temperature",
                                                  "relativeHumidity",
                                                  "atmosphericPressure",
                                                  "windSpeed",
                                                  "windDirection",
                                                  "precipitation",
                                                  "illuminance",
                                                  "pm2_5",
                                                  "co2",
                                                  "no2",
                                                  "noiseLevel",
                                                  "batteryLevel",
                                                  "occupancy",
                                                  "waterLevel",
                                                  "soilMoisture",
                                                  "salinity"};
    json_w_key(w, str_c(names[i]));
    json_w_object(w);
    json_w_kstr(w, S("type"), S("Property"));
    json_w_key(w, S("value"));
    json_w_double(w, 12.25 + i * 3.5);
    json_w_kstr(w, S("unitCode"), S("CEL"));
    json_w_kstr(w, S("observedAt"), S("2026-04-01T09:30:00.000Z"));
    json_w_end(w);
}

/* An invented weather station with a name, an address and a place. */
static void make_entity(struct buf *out)
{
    struct json_writer w = json_writer(out);
    json_w_object(&w);
    json_w_kstr(&w, S("id"), S("urn:ngsi-ld:WeatherObserved:Tsukuba:station-0042"));
    json_w_kstr(&w, S("type"), S("WeatherObserved"));
    json_w_key(&w, S("name"));
    json_w_object(&w);
    json_w_kstr(&w, S("type"), S("LanguageProperty"));
    json_w_key(&w, S("languageMap"));
    json_w_object(&w);
    json_w_kstr(&w, S("ja"), S("つくば市 気象観測所 42号"));
    json_w_kstr(&w, S("en"), S("Weather station no. 42 \"North\""));
    json_w_end(&w);
    json_w_end(&w);
    json_w_key(&w, S("location"));
    json_w_object(&w);
    json_w_kstr(&w, S("type"), S("GeoProperty"));
    json_w_key(&w, S("value"));
    json_w_object(&w);
    json_w_kstr(&w, S("type"), S("Point"));
    json_w_key(&w, S("coordinates"));
    json_w_array(&w);
    json_w_double(&w, 140.0767);
    json_w_double(&w, 36.0825);
    json_w_end(&w);
    json_w_end(&w);
    json_w_end(&w);
    json_w_key(&w, S("refDevice"));
    json_w_object(&w);
    json_w_kstr(&w, S("type"), S("Relationship"));
    json_w_kstr(&w, S("object"), S("urn:ngsi-ld:Device:Tsukuba:logger-17"));
    json_w_end(&w);
    for (int i = 0; i < ATTRIBUTES; i++)
        add_attribute(&w, i);
    json_w_kbool(&w, S("calibrated"), true);
    json_w_end(&w);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Microseconds of one reading and writing; the last text is left in out. */
static double round_ours(struct str text, struct arena *a, struct buf *out)
{
    double start = now_us();
    for (int i = 0; i < REPEAT; i++) {
        buf_clear(out);
        json_write(out, json_parse(a, text, &JSON_DEFAULT, NULL));
        arena_reset(a);
    }
    return (now_us() - start) / REPEAT;
}

static double round_cjson(struct str text, struct buf *out)
{
    double start = now_us();
    for (int i = 0; i < REPEAT; i++) {
        cJSON *tree = cJSON_ParseWithLength(text.p, text.n);
        char *printed = cJSON_PrintUnformatted(tree);
        if (i == 0) {
            buf_clear(out);
            buf_str(out, str_c(printed));
        }
        free(printed);
        cJSON_Delete(tree);
    }
    return (now_us() - start) / REPEAT;
}

static int by_value(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_value);
    return v[n / 2];
}

int main(void)
{
    struct arena a = ARENA_INIT, check = ARENA_INIT;
    struct buf entity = BUF_INIT, ours = BUF_INIT, theirs = BUF_INIT;
    double our_us[ROUNDS], their_us[ROUNDS];
    make_entity(&entity);
    struct str text = buf_view(&entity);
    for (int i = 0; i < ROUNDS; i++) {
        our_us[i] = round_ours(text, &a, &ours);
        their_us[i] = round_cjson(text, &theirs);
    }
    const struct json *x = json_parse(&check, buf_view(&ours), &JSON_DEFAULT, NULL);
    const struct json *y = json_parse(&check, buf_view(&theirs), &JSON_DEFAULT, NULL);
    bool same = x && json_equal(x, y, false) && str_eq(buf_view(&ours), text);
    double mine = median(our_us, ROUNDS), peer = median(their_us, ROUNDS);
    if (same)
        printf("json parse+write 2KB: ours %.2f us, cJSON %.2f us, ratio %.1f\n", mine, peer,
               peer / mine);
    else
        fprintf(stderr, "bench_json: the two documents differ\n");
    buf_release(&entity);
    buf_release(&ours);
    buf_release(&theirs);
    arena_release(&a);
    arena_release(&check);
    return same ? 0 : 1;
}
