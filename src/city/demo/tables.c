/*
 * Facilities as a city would publish them: rows of the standard open data sets with the headers of
 * 自治体標準オープンデータセット, and a GTFS stops.txt. They go through the importer like any file.
 * No cell holds a comma or a quote, so none needs quoting.
 */
#include "demo_impl.h"

#define BOM  "\xef\xbb\xbf"
#define NOTE "架空の施設です（実演用データ）"

enum { SEED_SHELTERS = 1, SEED_CLINICS };

struct naming {
    const char *name, *kana, *roman;
};

/* ID, names, address and place: what every set begins with. */
#define HEAD "ID,地方公共団体名,名称,名称_カナ,名称_英語,所在地_連結表記,緯度,経度,電話番号,"

/* A school is one place, whichever list it stands in: place, address and telephone follow from its
 * name. */
static struct demo_rng site_of(const struct demo_town *t, const char *what)
{
    uint64_t seed = demo_mix((uint64_t)(t - demo_towns));
    for (; *what; what++)
        seed = demo_mix(seed ^ (unsigned char)*what);
    return (struct demo_rng){seed};
}

static void head(struct buf *out, const char *id, int number, const struct demo_town *t,
                 const struct naming *what)
{
    struct demo_rng r = site_of(t, what->name);
    struct demo_point p = demo_near(&r, t);
    int block = (int)demo_roll(&r, 40) + 1, lot = (int)demo_roll(&r, 20) + 1;
    buf_printf(out, "TNH-%s-%03d," DEMO_CITY ",%s%s,%s%s,%s %s,", id, number, t->name, what->name,
               t->kana, what->kana, t->roman, what->roman);
    buf_printf(out, "茨城県" DEMO_CITY "%s%d番地%d,%.6f,%.6f,029-000-%04d,", t->name, block, lot,
               p.lat, p.lon, (int)demo_roll(&r, 10000));
}

/* --- shelters --- */

static const struct naming shelter_kinds[] = {
    {"小学校", "ショウガッコウ", "Elementary School"},
    {"交流センター", "コウリュウセンター", "Community Centre"},
    {"中学校", "チュウガッコウ", "Junior High School"},
    {"運動公園", "ウンドウコウエン", "Sports Park"},
    {"体育館", "タイイクカン", "Gymnasium"},
};

static const char *mark(bool yes)
{
    return yes ? "○" : "×";
}

static void write_shelters(struct buf *out)
{
    struct demo_rng r = {SEED_SHELTERS};
    buf_str(out, S(BOM HEAD "標高,災害種別_洪水,災害種別_崖崩れ、土石流及び地滑り,災害種別_高潮,"
                            "災害種別_地震,災害種別_津波,災害種別_大規模な火事,災害種別_内水氾濫,"
                            "災害種別_火山現象,指定避難所との重複,想定収容人数,"
                            "対象となる町会・自治会,備考\r\n"));
    for (int i = 0; i < 2 * DEMO_TOWNS; i++) {
        const struct demo_town *t = &demo_towns[i / 2];
        int kind = i % 2 ? 1 + (i / 2) % 4 : 0;
        bool low = t->district == 2 || t->district == 5, hill = t->district == 0;
        int metres = hill ? 24 + (int)demo_roll(&r, 90) : 6 + (int)demo_roll(&r, 22);
        bool roof = kind != 3;
        head(out, "EV", i + 1, t, &shelter_kinds[kind]);
        buf_printf(out, "%d,%s,%s,,%s,,%s,", metres, low && metres < 14 ? "×" : "○",
                   hill ? demo_roll(&r, 3) ? "○" : "△" : "○", mark(true),
                   mark(demo_roll(&r, 4) != 0));
        buf_printf(out, "%s,,%s,%d,%s自治会," NOTE "\r\n", mark(!low || metres > 10), mark(roof),
                   (roof ? 180 : 900) + 20 * (int)demo_roll(&r, 40), t->name);
    }
}

/* --- AEDs --- */

static const struct {
    struct naming at;
    const char *position, *days, *opens, *closes, *children;
} aed_sites[] = {
    {{"小学校", "ショウガッコウ", "Elementary School"},
     "体育館入口",
     "月火水木金",
     "08:00",
     "18:00",
     "有"},
    {{"交流センター", "コウリュウセンター", "Community Centre"},
     "1階受付横",
     "月火水木金土日",
     "09:00",
     "21:00",
     "有"},
    {{"図書室", "トショシツ", "Reading Room"}, "入口正面", "火水木金土日", "09:30", "17:00", "無"},
    {{"ふれあい広場", "フレアイヒロバ", "Plaza"},
     "管理棟外壁",
     "月火水木金土日",
     "00:00",
     "23:59",
     "有"},
};

static void write_aeds(struct buf *out)
{
    buf_str(out, S(BOM HEAD "設置位置,団体名,利用可能曜日,開始時間,終了時間,小児対応設備の有無,備考"
                            "\r\n"));
    for (int i = 0; i < 4 * DEMO_TOWNS; i++) {
        int site = i % 4;
        head(out, "AED", i + 1, &demo_towns[i / 4], &aed_sites[site].at);
        buf_printf(out, "%s," DEMO_CITY ",%s,%s,%s,%s," NOTE "\r\n", aed_sites[site].position,
                   aed_sites[site].days, aed_sites[site].opens, aed_sites[site].closes,
                   aed_sites[site].children);
    }
}

/* --- clinics --- */

static const struct {
    struct naming at;
    const char *type, *subjects;
} clinic_kinds[] = {
    {{"内科クリニック", "ナイカクリニック", "Internal Medicine Clinic"},
     "診療所",
     "内科、消化器内科"},
    {{"歯科医院", "シカイイン", "Dental Clinic"}, "歯科診療所", "歯科、小児歯科"},
    {{"こどもクリニック", "コドモクリニック", "Children's Clinic"},
     "診療所",
     "小児科、アレルギー科"},
    {{"整形外科", "セイケイゲカ", "Orthopaedic Clinic"},
     "診療所",
     "整形外科、リハビリテーション科"},
    {{"眼科", "ガンカ", "Eye Clinic"}, "診療所", "眼科"},
    {{"皮ふ科", "ヒフカ", "Skin Clinic"}, "診療所", "皮膚科"},
    {{"耳鼻咽喉科", "ジビインコウカ", "Ear Nose and Throat Clinic"}, "診療所", "耳鼻咽喉科"},
    {{"総合病院", "ソウゴウビョウイン", "General Hospital"},
     "病院",
     "内科、外科、整形外科、小児科、産婦人科、救急科"},
};
enum { CLINICS = 80, HOSPITAL = 7 };

static void write_clinics(struct buf *out)
{
    struct demo_rng r = {SEED_CLINICS};
    buf_str(out, S(BOM HEAD "医療機関の種類,診療曜日,診療開始時間,診療終了時間,診療日時特記事項,"
                            "時間外における対応,診療科目,病床数,備考\r\n"));
    for (int i = 0; i < CLINICS; i++) {
        int town = i % DEMO_TOWNS, round = i / DEMO_TOWNS;
        bool hospital = round == 0 && town % 5 == 0; /* one in each district */
        int kind = hospital ? HOSPITAL : (town * 3 + round) % HOSPITAL;
        head(out, "MED", i + 1, &demo_towns[town], &clinic_kinds[kind].at);
        buf_printf(out, "%s,%s,09:00,%s,%s,%s,%s,", clinic_kinds[kind].type,
                   demo_roll(&r, 2) ? "月火水金土" : "月火木金土", hospital ? "17:00" : "18:30",
                   hospital ? "" : "土曜日は12:30まで", hospital ? "救急受付は24時間" : "",
                   clinic_kinds[kind].subjects);
        if (hospital)
            buf_i64(out, 120 + 20 * demo_roll(&r, 12));
        buf_str(out, S("," NOTE "\r\n"));
    }
}

/* --- public wireless LAN --- */

static void write_wifi(struct buf *out)
{
    static const struct naming centre = {"交流センター", "コウリュウセンター", "Community Centre"};
    static const struct naming desk = {"窓口センター", "マドグチセンター", "Service Counter"};
    buf_str(out, S(BOM HEAD "設置者,SSID,提供エリア,備考\r\n"));
    for (int i = 0; i < DEMO_TOWNS + DEMO_DISTRICTS; i++) {
        bool counter = i >= DEMO_TOWNS;
        const struct demo_town *t = &demo_towns[counter ? (i - DEMO_TOWNS) * 5 : i];
        head(out, "WIFI", i + 1, t, counter ? &desk : &centre);
        buf_printf(out, DEMO_CITY ",Tsukubanohara-Free,%s," NOTE "\r\n",
                   counter ? "待合スペース" : "1階ロビー・学習室");
    }
}

/* --- bus stops --- */

static const char *const stop_names[] = {
    "",       "入口",   "一丁目", "二丁目",   "三丁目", "公園前", "小学校前", "交流センター前",
    "団地",   "橋",     "坂上",   "坂下",     "東",     "西",     "南",       "北",
    "神社前", "郵便局", "中央",   "図書室前", "車庫前", "池前",   "新道",     "並木道",
    "丘",     "辻",     "学園前", "市場前",   "広場前", "四丁目"};

static void write_stops(struct buf *out)
{
    size_t used[DEMO_TOWNS] = {0};
    buf_str(out, S("stop_id,stop_code,stop_name,stop_desc,stop_lat,stop_lon,zone_id,location_type,"
                   "wheelchair_boarding\r\n"));
    for (int l = 0; l < DEMO_LINES; l++) {
        const struct demo_line *line = &demo_lines[l];
        double step = demo_line_length(line) / DEMO_STOPS_PER_LINE;
        for (int i = 0; i < DEMO_STOPS_PER_LINE; i++) {
            struct demo_point p = demo_along(line, step * (i + 0.5), NULL);
            const struct demo_town *t = demo_nearest(p);
            size_t name = used[t - demo_towns]++ % (sizeof(stop_names) / sizeof(stop_names[0]));
            int number = l * DEMO_STOPS_PER_LINE + i + 1;
            buf_printf(out, "TNH-STOP-%03d,%s%02d,%s%s,%s号線「%s」の停留所（架空）,", number,
                       line->number, i + 1, t->name, stop_names[name], line->number, line->name);
            buf_printf(out, "%.6f,%.6f,%s,0,%d\r\n", p.lat, p.lon, line->number, i % 3 ? 1 : 2);
        }
    }
}

const struct demo_table demo_tables[] = {
    {"evacuation_space", "demo_evacuation_space", "evacuation_space.csv", write_shelters},
    {"aed", "demo_aed", "aed.csv", write_aeds},
    {"hospital", "demo_hospital", "hospital.csv", write_clinics},
    {"public_wireless_lan", "demo_public_wireless_lan", "public_wireless_lan.csv", write_wifi},
    {"gtfs_stops", "demo_gtfs_stops", "stops.txt", write_stops},
};
const size_t demo_tables_n = sizeof(demo_tables) / sizeof(demo_tables[0]);
