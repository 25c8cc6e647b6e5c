/* The lie of the land. Roughly where Tsukuba's six districts are, with outlines of our own. */
#include "demo_impl.h"

#include <math.h>

/* --- chance --- */

uint64_t demo_mix(uint64_t x) /* the finaliser of SplitMix64 */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t demo_next(struct demo_rng *r)
{
    uint64_t v = demo_mix(r->state);
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return v;
}

int64_t demo_roll(struct demo_rng *r, int64_t n)
{
    return (int64_t)(demo_next(r) % (uint64_t)n);
}

double demo_unit(struct demo_rng *r)
{
    return (double)(demo_next(r) >> 11) * 0x1p-53;
}

/* --- districts --- */

/* Neighbours share corners, so that no gap and no overlap shows on a map. */
#define NW                                                                                         \
    {                                                                                              \
        140.055, 36.235                                                                            \
    }
#define NE                                                                                         \
    {                                                                                              \
        140.125, 36.240                                                                            \
    }
#define E1                                                                                         \
    {                                                                                              \
        140.165, 36.190                                                                            \
    }
#define E2                                                                                         \
    {                                                                                              \
        140.150, 36.140                                                                            \
    }
#define MID_N                                                                                      \
    {                                                                                              \
        140.105, 36.145                                                                            \
    }
#define MID_W                                                                                      \
    {                                                                                              \
        140.060, 36.165                                                                            \
    }
#define W1                                                                                         \
    {                                                                                              \
        140.015, 36.150                                                                            \
    }
#define IN_W                                                                                       \
    {                                                                                              \
        140.055, 36.115                                                                            \
    }
#define IN_E                                                                                       \
    {                                                                                              \
        140.100, 36.110                                                                            \
    }
#define W2                                                                                         \
    {                                                                                              \
        140.005, 36.085                                                                            \
    }
#define IN_SW                                                                                      \
    {                                                                                              \
        140.050, 36.075                                                                            \
    }
#define E3                                                                                         \
    {                                                                                              \
        140.165, 36.080                                                                            \
    }
#define E4                                                                                         \
    {                                                                                              \
        140.145, 36.050                                                                            \
    }
#define IN_SE                                                                                      \
    {                                                                                              \
        140.105, 36.060                                                                            \
    }
#define S1                                                                                         \
    {                                                                                              \
        140.130, 36.010                                                                            \
    }
#define S2                                                                                         \
    {                                                                                              \
        140.075, 36.000                                                                            \
    }
#define W4                                                                                         \
    {                                                                                              \
        140.030, 36.015                                                                            \
    }
#define W3                                                                                         \
    {                                                                                              \
        140.020, 36.050                                                                            \
    }
#define S3                                                                                         \
    {                                                                                              \
        140.145, 35.975                                                                            \
    }
#define S4                                                                                         \
    {                                                                                              \
        140.125, 35.945                                                                            \
    }
#define S5                                                                                         \
    {                                                                                              \
        140.085, 35.955                                                                            \
    }

static const struct demo_point tsukuba[] = {NW, MID_W, MID_N, E2, E1, NE, NW};
static const struct demo_point oho[] = {MID_W, IN_W, IN_E, MID_N, MID_W};
static const struct demo_point toyosato[] = {W1, W2, IN_SW, IN_W, MID_W, W1};
static const struct demo_point yatabe[] = {IN_W, IN_SW, W2, W3, W4, S2, S1, E4, IN_SE, IN_E, IN_W};
static const struct demo_point sakura[] = {MID_N, IN_E, IN_SE, E4, E3, E2, MID_N};
static const struct demo_point kukizaki[] = {S2, S5, S4, S3, S1, S2};

#define RING(r)      (r), sizeof(r) / sizeof((r)[0])
#define WIKIPEDIA(t) "合併前の町村の人口。出典：フリー百科事典『ウィキペディア』「" t "」の記載"

const struct demo_district demo_districts[DEMO_DISTRICTS] = {
    {"筑波", "ツクバ", "Tsukuba", RING(tsukuba), "筑波町", "1988-01-31", WIKIPEDIA("筑波町"),
     23294},
    {"大穂", "オオホ", "Oho", RING(oho), NULL, NULL, NULL, 0},
    {"豊里", "トヨサト", "Toyosato", RING(toyosato), "豊里町", "1987-11-01",
     WIKIPEDIA("豊里町 (茨城県)"), 12643},
    {"谷田部", "ヤタベ", "Yatabe", RING(yatabe), "谷田部町", "1987-11-01", WIKIPEDIA("谷田部町"),
     39831},
    {"桜", "サクラ", "Sakura", RING(sakura), "桜村", "1987-11-01", WIKIPEDIA("桜村 (茨城県)"),
     41682},
    {"茎崎", "クキザキ", "Kukizaki", RING(kukizaki), "茎崎町", "2002-10-01", WIKIPEDIA("茎崎町"),
     25581},
};

enum { TSUKUBA, OHO, TOYOSATO, YATABE, SAKURA, KUKIZAKI };

/* Names that no part of the real city has. */
const struct demo_town demo_towns[DEMO_TOWNS] = {
    {TSUKUBA, "霞ノ峰", "カスミノミネ", "Kasuminomine", {140.100, 36.222}},
    {TSUKUBA, "椿沢", "ツバキサワ", "Tsubakisawa", {140.076, 36.200}},
    {TSUKUBA, "鷹見台", "タカミダイ", "Takamidai", {140.128, 36.205}},
    {TSUKUBA, "岩清水", "イワシミズ", "Iwashimizu", {140.105, 36.178}},
    {TSUKUBA, "栃窪", "トチクボ", "Tochikubo", {140.140, 36.162}},
    {OHO, "穂波台", "ホナミダイ", "Honamidai", {140.072, 36.150}},
    {OHO, "麦野", "ムギノ", "Mugino", {140.086, 36.138}},
    {OHO, "風早", "カザハヤ", "Kazahaya", {140.066, 36.130}},
    {OHO, "桑ノ木", "クワノキ", "Kuwanoki", {140.094, 36.121}},
    {OHO, "雁金", "カリガネ", "Karigane", {140.076, 36.119}},
    {TOYOSATO, "芝原台", "シバハラダイ", "Shibaharadai", {140.032, 36.141}},
    {TOYOSATO, "稲穂ケ丘", "イナホガオカ", "Inahogaoka", {140.046, 36.126}},
    {TOYOSATO, "実里", "ミノリ", "Minori", {140.026, 36.115}},
    {TOYOSATO, "川霧", "カワギリ", "Kawagiri", {140.020, 36.095}},
    {TOYOSATO, "土筆野", "ツクシノ", "Tsukushino", {140.042, 36.096}},
    {YATABE, "星見野", "ホシミノ", "Hoshimino", {140.082, 36.086}},
    {YATABE, "青楓台", "アオカエデダイ", "Aokaededai", {140.066, 36.066}},
    {YATABE, "虹ノ橋", "ニジノハシ", "Nijinohashi", {140.090, 36.050}},
    {YATABE, "月代", "ツキシロ", "Tsukishiro", {140.046, 36.042}},
    {YATABE, "若芝", "ワカシバ", "Wakashiba", {140.072, 36.024}},
    {SAKURA, "花霞", "ハナガスミ", "Hanagasumi", {140.116, 36.086}},
    {SAKURA, "緋桜台", "ヒザクラダイ", "Hizakuradai", {140.140, 36.080}},
    {SAKURA, "学び野", "マナビノ", "Manabino", {140.114, 36.110}},
    {SAKURA, "風見", "カザミ", "Kazami", {140.138, 36.110}},
    {SAKURA, "明星", "ミョウジョウ", "Myojo", {140.128, 36.132}},
    {KUKIZAKI, "蓮見", "ハスミ", "Hasumi", {140.102, 35.992}},
    {KUKIZAKI, "水鏡", "ミズカガミ", "Mizukagami", {140.122, 35.984}},
    {KUKIZAKI, "葦原台", "アシハラダイ", "Ashiharadai", {140.094, 35.972}},
    {KUKIZAKI, "鴨沼", "カモヌマ", "Kamonuma", {140.116, 35.962}},
    {KUKIZAKI, "柳瀬戸", "ヤナセド", "Yanasedo", {140.132, 35.968}},
};

/* Crossings of a ray to the east: odd is inside. */
bool demo_inside(const struct demo_district *d, struct demo_point p)
{
    bool in = false;
    for (size_t i = 0; i + 1 < d->n; i++) {
        struct demo_point a = d->ring[i], b = d->ring[i + 1];
        if ((a.lat > p.lat) != (b.lat > p.lat) &&
            p.lon < a.lon + (b.lon - a.lon) * (p.lat - a.lat) / (b.lat - a.lat))
            in = !in;
    }
    return in;
}

/* Ten centimetres are enough, and shorter numbers read better. */
static double rounded(double degrees)
{
    return floor(degrees * 1e6 + 0.5) / 1e6;
}

struct demo_point demo_near(struct demo_rng *r, const struct demo_town *t)
{
    for (int tries = 0; tries < 20; tries++) {
        double angle = demo_unit(r) * 2 * M_PI, far = 0.0095 * sqrt(demo_unit(r));
        struct demo_point p = {rounded(t->at.lon + far * cos(angle) * 1.2),
                               rounded(t->at.lat + far * sin(angle))};
        if (demo_inside(&demo_districts[t->district], p))
            return p;
    }
    return t->at;
}

double demo_metres(struct demo_point a, struct demo_point b)
{
    double x = (b.lon - a.lon) * cos((a.lat + b.lat) / 2 * M_PI / 180), y = b.lat - a.lat;
    return sqrt(x * x + y * y) * 111195;
}

const struct demo_town *demo_nearest(struct demo_point p)
{
    const struct demo_town *best = &demo_towns[0];
    for (size_t i = 1; i < DEMO_TOWNS; i++)
        if (demo_metres(p, demo_towns[i].at) < demo_metres(p, best->at))
            best = &demo_towns[i];
    return best;
}

/* --- bus lines --- */

#define CENTRE                                                                                     \
    {                                                                                              \
        140.1105, 36.0835                                                                          \
    }

static const struct demo_point north[] = {
    CENTRE, {140.105, 36.115}, {140.100, 36.150}, {140.112, 36.185}, {140.100, 36.222}};
static const struct demo_point harvest[] = {
    CENTRE, {140.085, 36.095}, {140.048, 36.100}, {140.026, 36.112}, {140.030, 36.140}};
static const struct demo_point wheat[] = {CENTRE,
                                          {140.094, 36.112},
                                          {140.076, 36.130},
                                          {140.074, 36.156}};
static const struct demo_point south_west[] = {
    CENTRE, {140.095, 36.065}, {140.075, 36.040}, {140.055, 36.030}, {140.040, 36.021}};
static const struct demo_point lakes[] = {
    CENTRE, {140.115, 36.045}, {140.108, 36.010}, {140.112, 35.982}, {140.105, 35.957}};
static const struct demo_point east[] = {CENTRE,
                                         {140.130, 36.090},
                                         {140.145, 36.102},
                                         {140.143, 36.134}};
static const struct demo_point ring_line[] = {CENTRE,
                                              {140.130, 36.076},
                                              {140.122, 36.060},
                                              {140.096, 36.058},
                                              {140.084, 36.080},
                                              {140.100, 36.096},
                                              CENTRE};
static const struct demo_point west[] = {CENTRE,
                                         {140.090, 36.075},
                                         {140.060, 36.068},
                                         {140.030, 36.058}};

const struct demo_line demo_lines[DEMO_LINES] = {
    {"1", "峰めぐり線", "1B6CA8", RING(north)},     {"2", "実り線", "B8720A", RING(harvest)},
    {"3", "麦の穂線", "7A6A00", RING(wheat)},       {"4", "青楓線", "2E7D32", RING(south_west)},
    {"5", "水辺線", "00798C", RING(lakes)},         {"6", "緋桜線", "C2185B", RING(east)},
    {"7", "中央循環線", "5E35B1", RING(ring_line)}, {"8", "夕映え線", "D84315", RING(west)},
};

double demo_line_length(const struct demo_line *l)
{
    double sum = 0;
    for (size_t i = 0; i + 1 < l->n; i++)
        sum += demo_metres(l->points[i], l->points[i + 1]);
    return sum;
}

struct demo_point demo_along(const struct demo_line *l, double metres, double *bearing)
{
    size_t i = 0;
    double leg = demo_metres(l->points[0], l->points[1]);
    while (metres > leg && i + 2 < l->n) {
        metres -= leg;
        i++;
        leg = demo_metres(l->points[i], l->points[i + 1]);
    }
    struct demo_point a = l->points[i], b = l->points[i + 1];
    double part = fmin(fmax(metres / leg, 0), 1);
    if (bearing) {
        double x = (b.lon - a.lon) * cos(a.lat * M_PI / 180), y = b.lat - a.lat;
        *bearing = fmod(atan2(x, y) * 180 / M_PI + 360, 360);
    }
    return (struct demo_point){rounded(a.lon + (b.lon - a.lon) * part),
                               rounded(a.lat + (b.lat - a.lat) * part)};
}
