/*
 * What describes the city: its area and people, its bus lines, who publishes what and how often.
 * The population figures are those of the real Tsukuba, each with its source; nothing else is true.
 */
#include "demo_impl.h"

#include "core/datetime.h"
#include <stdio.h>

#define CENSUS                                                                                            \
    "つくば市の実数。出典：総務省統計局「国勢調査」、e-Stat（1980～2015年は " \
    "aiseed.dev「統計メモ帳」"                                                                     \
    "による整理、CC BY 4.0）"
#define PROJECTION                                                                                                                           \
    "つくば市の推計値。出典：国立社会保障・人口問題研究所「日本の地域別将来推計人口（令和5（2023" \
    "）"                                                                                                                                    \
    "年推計）」"

/* In today's boundaries. */
static const struct {
    int year, population;
} censuses[] = {{1980, 127402}, {1985, 150074}, {1990, 168466}, {1995, 182327},
                {2000, 191814}, {2005, 200528}, {2010, 214590}, {2015, 226963}};
enum { CENSUSES = sizeof(censuses) / sizeof(censuses[0]) };

static const struct {
    int year, total, young, working, old;
} projections[] = {
    {2025, 255190, 35643, 168273, 51274}, {2030, 258539, 33937, 169075, 55527},
    {2035, 260524, 32515, 167198, 60811}, {2040, 260559, 32327, 159930, 68302},
    {2045, 258692, 31640, 153265, 73787}, {2050, 256124, 30335, 147879, 77910},
};
enum { PROJECTIONS = sizeof(projections) / sizeof(projections[0]) };

/* One for each type of entity. Those that promise no interval come last. */
static const struct {
    const char *key, *type, *office, *interval, *title, *about, *about_en;
} published[] = {
    {"shelters", "EvacuationShelter", "危機管理課", "P1Y", "指定緊急避難場所一覧",
     "災害の種類ごとに使える避難場所", "Where to go in each kind of disaster"},
    {"aed", "AED", "健康増進課", "P1Y", "AED設置箇所一覧", "AEDの場所と使える時間",
     "Where the AEDs are and when they can be reached"},
    {"clinics", "MedicalFacility", "医療年金課", "P1Y", "医療機関一覧", "診療科目と診療時間",
     "Doctors, dentists and hospitals with their hours"},
    {"wifi", "WifiPointOfInterest", "情報政策課", "P1Y", "公衆無線LAN一覧", "無料で使える無線LAN",
     "Free wireless internet"},
    {"stops", "GtfsStop", "総合交通政策課", "P6M", "バス停留所一覧", "8路線の停留所",
     "The stops of eight bus lines"},
    {"buses", "Vehicle", "総合交通政策課", "PT2M", "バスの現在位置", "走っているバス",
     "Buses on the road, now"},
    {"bikes", "BikeHireDockingStation", "総合交通政策課", "PT10M", "シェアサイクルの空き",
     "借りられる自転車と返せる場所の数", "Bicycles to hire and free docks, now"},
    {"parking", "OffStreetParking", "総合交通政策課", "PT10M", "市営駐車場の空き",
     "空いている区画の数", "Free places in the city's car parks, now"},
    {"air", "AirQualityObserved", "環境保全課", "PT10M", "大気の状況", "微小粒子状物質などの測定値",
     "Fine dust and gases, measured"},
    {"weather", "WeatherObserved", "危機管理課", "PT10M", "気象観測", "気温、湿度、風、雨",
     "Temperature, humidity, wind and rain"},
    {"rivers", "FloodMonitoring", "危機管理課", "PT10M", "河川の水位", "水位と警戒の目安",
     "River levels and when to be alert"},
    {"noise", "NoiseLevelObserved", "環境保全課", "PT2M", "騒音（実演：途絶えた情報源）",
     "途絶えた情報源がどう見えるかを示すため、わざと報告を止めてあります",
     "Silent on purpose, to show what a source that stopped reporting looks like"},
    {"routes", "GtfsRoute", "総合交通政策課", NULL, "バス路線一覧", "8路線の経路",
     "The ways of eight bus lines"},
    {"areas", "AdministrativeArea", "政策企画課", NULL, "市と地区",
     "市と6地区。区域の形は架空、人口はつくば市の実数",
     "The city and its six districts: outlines invented, population figures Tsukuba's own"},
    {"projections", "PopulationProjection", "政策企画課", NULL, "将来推計人口",
     "2050年までの推計。つくば市の実際の公表値",
     "Projections up to 2050, as really published for Tsukuba"},
};
enum { PUBLISHED = sizeof(published) / sizeof(published[0]), PROMISED = PUBLISHED - 3 };

/* --- pieces --- */

static void open_entity(struct json_writer *w, const char *type, const char *key)
{
    char id[120];
    snprintf(id, sizeof(id), "urn:ngsi-ld:%s:demo:%s", type, key);
    json_w_object(w);
    json_w_kstr(w, S("id"), str_c(id));
    json_w_kstr(w, S("type"), str_c(type));
}

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

static void languages(struct json_writer *w, const char *name, const char *ja, const char *en)
{
    open_attr(w, name, "LanguageProperty");
    json_w_key(w, S("languageMap"));
    json_w_object(w);
    json_w_kstr(w, S("ja"), str_c(ja));
    json_w_kstr(w, S("en"), str_c(en));
    json_w_end(w);
    json_w_end(w);
}

/* A number of people, counted on a day (YYYY-MM-DD, in Japan's time), with its source beside it. */
static void people(struct json_writer *w, const char *name, int n, const char *day,
                   const char *source)
{
    char at[DATETIME_MAX];
    struct civil c;
    open_attr(w, name, "Property");
    json_w_ki64(w, S("value"), n);
    if (day && date_parse(str_c(day), &c)) {
        datetime_format(civil_to_instant(&c, JST_OFFSET_S), at);
        json_w_kstr(w, S("observedAt"), str_c(at));
    }
    text(w, "source", source);
    json_w_end(w);
}

static void positions(struct json_writer *w, const struct demo_point *p, size_t n)
{
    json_w_array(w);
    for (size_t i = 0; i < n; i++) {
        json_w_array(w);
        json_w_double(w, p[i].lon);
        json_w_double(w, p[i].lat);
        json_w_end(w);
    }
    json_w_end(w);
}

static void shape(struct json_writer *w, bool area, const struct demo_point *p, size_t n)
{
    open_attr(w, "location", "GeoProperty");
    json_w_key(w, S("value"));
    json_w_object(w);
    json_w_kstr(w, S("type"), area ? S("Polygon") : S("LineString"));
    json_w_key(w, S("coordinates"));
    if (area)
        json_w_array(w);
    positions(w, p, n);
    if (area)
        json_w_end(w);
    json_w_end(w);
    json_w_end(w);
}

static void close_entity(struct json_writer *w, const char *dataset)
{
    text(w, "dataProvider", DEMO_PUBLISHER);
    if (dataset)
        text(w, "dataset", dataset);
    json_w_end(w);
}

/* --- the entities --- */

static void city(struct json_writer *w, size_t i)
{
    (void)i;
    /* The middle of the bus lines, where the name of the city stands on a map. */
    struct demo_point centre = demo_lines[0].points[0];
    open_entity(w, "AdministrativeArea", "city");
    text(w, "name", DEMO_CITY);
    text(w, "nameKana", "ツクバノハラシ");
    text(w, "nameEn", "Tsukubanohara City");
    languages(w, "description",
              "実演のための架空の市です。施設、名称、住所、測定値はすべて作り物で、人口だけが"
              "つくば市の実際の公表値です。",
              "An invented city for demonstration. Facilities, names, addresses and readings are "
              "made up; only the population figures are real, those of Tsukuba.");
    people(w, "population", 241656, "2020-10-01", CENSUS);
    open_attr(w, "location", "GeoProperty");
    json_w_key(w, S("value"));
    json_w_object(w);
    json_w_kstr(w, S("type"), S("Point"));
    json_w_key(w, S("coordinates"));
    json_w_array(w);
    json_w_double(w, centre.lon);
    json_w_double(w, centre.lat);
    json_w_end(w);
    json_w_end(w);
    json_w_end(w);
    close_entity(w, NULL); /* its data set is written last, see load.c */
}

static void district(struct json_writer *w, size_t i)
{
    const struct demo_district *d = &demo_districts[i];
    char name[60], key[40];
    snprintf(name, sizeof(name), "%s地区", d->name);
    snprintf(key, sizeof(key), "%s", d->roman);
    key[0] |= 0x20;
    open_entity(w, "AdministrativeArea", key);
    text(w, "name", name);
    snprintf(name, sizeof(name), "%sチク", d->kana);
    text(w, "nameKana", name);
    snprintf(name, sizeof(name), "%s District", d->roman);
    text(w, "nameEn", name);
    if (d->former) {
        text(w, "formerName", d->former);
        people(w, "populationAtMerger", d->former_population, d->former_date, d->former_note);
    }
    open_attr(w, "partOf", "Relationship");
    json_w_kstr(w, S("object"), S(DEMO_CITY_ID));
    json_w_end(w);
    shape(w, true, d->ring, d->n);
    close_entity(w, "demo_areas");
}

static void projection(struct json_writer *w, size_t i)
{
    char year[20], name[60];
    snprintf(year, sizeof(year), "%d", projections[i].year);
    snprintf(name, sizeof(name), "%d年の推計人口", projections[i].year);
    open_entity(w, "PopulationProjection", year);
    text(w, "name", name);
    open_attr(w, "year", "Property");
    json_w_ki64(w, S("value"), projections[i].year);
    json_w_end(w);
    people(w, "totalPopulation", projections[i].total, NULL, PROJECTION);
    people(w, "population0to14", projections[i].young, NULL, PROJECTION);
    people(w, "population15to64", projections[i].working, NULL, PROJECTION);
    people(w, "population65andOver", projections[i].old, NULL, PROJECTION);
    close_entity(w, "demo_population_projection");
}

static void route(struct json_writer *w, size_t i)
{
    const struct demo_line *l = &demo_lines[i];
    char name[80];
    snprintf(name, sizeof(name), "%s号線 %s", l->number, l->name);
    open_entity(w, "GtfsRoute", l->number);
    text(w, "name", name);
    text(w, "shortName", l->number);
    text(w, "routeType", "3"); /* GTFS: bus */
    text(w, "routeColor", l->colour);
    shape(w, false, l->points, l->n);
    close_entity(w, "demo_gtfs_routes");
}

static void source(struct json_writer *w, size_t i)
{
    char name[200];
    snprintf(name, sizeof(name), "%s「%s」", published[i].office, published[i].title);
    open_entity(w, "DataSource", published[i].key);
    text(w, "name", name);
    text(w, "updateInterval", published[i].interval);
    open_attr(w, "covers", "Property");
    json_w_key(w, S("value"));
    json_w_object(w);
    json_w_kstr(w, S("type"), str_c(published[i].type));
    json_w_end(w);
    json_w_end(w);
    close_entity(w, NULL);
}

static void descriptor(struct json_writer *w, size_t i)
{
    open_entity(w, "Dataset", published[i].key);
    text(w, "title", published[i].title);
    text(w, "entityType", published[i].type);
    languages(w, "description", published[i].about, published[i].about_en);
    text(w, "publisher", DEMO_PUBLISHER);
    text(w, "license", "CC0 1.0");
    close_entity(w, NULL);
}

static const struct {
    size_t n;
    void (*write)(struct json_writer *w, size_t i);
} groups[] = {
    {1, city},           {DEMO_DISTRICTS, district}, {PROJECTIONS, projection},
    {DEMO_LINES, route}, {PROMISED, source},         {PUBLISHED, descriptor},
};

bool demo_fixture(struct json_writer *w, size_t i)
{
    for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
        if (i < groups[g].n) {
            groups[g].write(w, i);
            return true;
        }
        i -= groups[g].n;
    }
    return false;
}

bool demo_census(struct json_writer *w, size_t i)
{
    char day[20];
    if (i >= CENSUSES)
        return false;
    snprintf(day, sizeof(day), "%d-10-01", censuses[i].year);
    json_w_object(w);
    people(w, "population", censuses[i].population, day, CENSUS);
    json_w_end(w);
    return true;
}
