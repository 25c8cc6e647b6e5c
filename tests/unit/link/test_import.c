/*
 * Importing what people type: wrong cells, keys, drift, tombstones, other formats, hostile files.
 */
#include "import_lab.h"

#define HEAD "ID,名称,緯度,経度,想定収容人数,災害種別_洪水,指定避難所との重複\n"

static void one_row(struct lab *lab, const char *row)
{
    enum err err =
        lab_import_text(lab, "evacuation_space", arena_printf(&lab->arena, HEAD "%s\n", row));
    if (err)
        fail_msg("%s: %s", row, lab->error.text);
    assert_int_equal(lab->report.rows, 1);
}

static void assert_rejected(struct lab *lab, const char *row, const char *reason)
{
    one_row(lab, row);
    const struct import_problem *p = lab_problem(lab, reason);
    if (!p || p->warning || lab->report.rejected != 1) {
        lab_show(lab);
        fail_msg("%s was not rejected as %s", row, reason);
    }
    assert_int_equal(p->row, 2);
}

static void assert_warned(struct lab *lab, const char *row, const char *reason)
{
    one_row(lab, row);
    const struct import_problem *p = lab_problem(lab, reason);
    if (!p || !p->warning || lab->report.rejected) {
        lab_show(lab);
        fail_msg("%s gave no warning %s", row, reason);
    }
}

/* --- cells --- */

static void test_positions(void **state)
{
    struct lab *lab = *state;
    assert_rejected(lab, "A1,学校,あ,140.1,1,1,", "not_a_number");
    assert_rejected(lab, "A1,学校,0,0,1,1,", "out_of_range");
    assert_rejected(lab, "A1,学校,999,999,1,1,", "out_of_range");
    assert_rejected(lab, "A1,学校,51.5,-0.1,1,1,", "out_of_range");
    assert_rejected(lab, "A1,学校,36.1,,1,1,", "missing");
    assert_rejected(lab, "A1,学校,nan,140.1,1,1,", "not_a_number");
    assert_warned(lab, "A1,学校,,,1,1,", "no_position");
    assert_warned(lab, "A1,学校,140.1,36.1,1,1,", "swapped");
    assert_value(lab, lab_named(lab, "学校"), "location",
                 "{\"type\":\"Point\",\"coordinates\":[140.1,36.1]}");
    one_row(lab, "A1,学校, ３６．１ ,１４０．２,1,1,");
    assert_int_equal(lab->report.warnings, 0);
    assert_value(lab, lab_named(lab, "学校"), "location",
                 "{\"type\":\"Point\",\"coordinates\":[140.2,36.1]}");
}

static void test_numbers_and_marks(void **state)
{
    struct lab *lab = *state;
    one_row(lab, "A1,学校,36.1,140.1,\"１，２３４人\",○,×");
    const struct json *e = lab_named(lab, "学校");
    assert_value(lab, e, "capacity", "1234");
    assert_value(lab, e, "flood", "true");
    assert_value(lab, e, "alsoShelter", "false");
    assert_warned(lab, "A1,学校,36.1,140.1,約百人,1,", "not_a_number");
    e = lab_named(lab, "学校");
    assert_null(lab_value(lab, e, "capacity"));
    assert_value(lab, e, "capacityNote", "\"約百人\"");
    assert_null(lab_value(lab, e, "alsoShelter"));
    assert_warned(lab, "A1,学校,36.1,140.1,-5,1,", "out_of_range");
    assert_warned(lab, "A1,学校,36.1,140.1,1.5,1,", "out_of_range");
    assert_warned(lab, "A1,学校,36.1,140.1,1,△,", "conditional");
    assert_value(lab, lab_named(lab, "学校"), "flood", "\"conditional\"");
    assert_warned(lab, "A1,学校,36.1,140.1,1,たぶん,", "bad_mark");
    one_row(lab, "A1,学校,36.1,140.1,-,−,-");
    assert_int_equal(lab->report.warnings, 0);
    assert_null(lab_value(lab, lab_named(lab, "学校"), "flood"));
    one_row(lab, "A1,学校,36.1,140.1,5.0,1.0,0.0");
    assert_value(lab, lab_named(lab, "学校"), "capacity", "5");
}

static void test_names(void **state)
{
    struct lab *lab = *state;
    assert_rejected(lab, "A1,,36.1,140.1,1,1,", "missing");
    assert_rejected(lab, "A1,　,36.1,140.1,1,1,", "missing");
    assert_rejected(lab, "A1,urn:ngsi-ld:null,36.1,140.1,1,1,", "reserved");
    assert_warned(lab, "A1,新規マップピン,36.1,140.1,1,1,", "default_label");
    assert_warned(lab, "A1,学校,36.1,140.1,1,1,,x,y", "extra_cells");
}

static void test_dates_and_times(void **state)
{
    struct lab *lab = *state;
    static const char head[] = "イベント名,開始日,終了日,開始時間,終了時間\n";
    assert_int_equal(lab_import_text(lab, NULL,
                                     arena_printf(&lab->arena,
                                                  "%s祭り,令和8年8月5日,2026/8/16,９：００,24:00\n"
                                                  "市,8月5日～,2026-02-30,昼ごろ,１７時３０分\n",
                                                  head)),
                     OK);
    assert_true(str_eq(lab->report.kind, S("event")));
    const struct json *e = lab_named(lab, "祭り");
    assert_value(lab, e, "startDate", "\"2026-08-05\"");
    assert_value(lab, e, "endDate", "\"2026-08-16\"");
    assert_value(lab, e, "startTime", "\"09:00\"");
    assert_value(lab, e, "endTime", "\"24:00\"");
    assert_int_equal(lab_problems(lab, "bad_date"), 2);
    assert_int_equal(lab_problems(lab, "bad_time"), 1);
    e = lab_named(lab, "市");
    assert_null(lab_value(lab, e, "startDate"));
    assert_value(lab, e, "startDateNote", "\"8月5日～\"");
    assert_value(lab, e, "endTime", "\"17:30\"");
}

static void test_phones_and_lists(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lab_import_text(lab, NULL,
                                     "名称,緯度,経度,電話番号,診療科目,病床数\n"
                                     "甲医院,36.1,140.1,０２９－８８３－１１１１,\"内科、外科\n"
                                     "歯科\",19床\n乙医院,36.1,140.1,代表へ,,\n"),
                     OK);
    const struct json *e = lab_named(lab, "甲医院");
    assert_value(lab, e, "telephone", "\"029-883-1111\"");
    assert_value(lab, e, "medicalSpecialty", "[\"内科\",\"外科\",\"歯科\"]");
    assert_value(lab, e, "beds", "19");
    assert_int_equal(lab_problems(lab, "bad_phone"), 1);
    assert_value(lab, lab_named(lab, "乙医院"), "telephone", "\"代表へ\"");
}

/* --- headers --- */

static void test_new_generation(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(
        lab_import_text(lab, NULL,
                        "全国地方公共団体コード,ID,地方公共団体名,名称,名称_カナ,名称_英字,"
                        "所在地_全国地方公共団体コード,町字ID,所在地_連結表記,所在地_都道府県,"
                        "所在地_市区町村,所在地_町字,所在地_番地以下,建物名等(方書),緯度,経度,"
                        "設置位置,小児対応設備の有無,備考\n"
                        "082201,0000000001,茨城県つくば市,市役所,シヤクショ,City Hall,082201,"
                        "0001001,茨城県つくば市研究学園一丁目1番地1,茨城県,つくば市,研究学園一丁目,"
                        "1番地1,本庁舎,36.08,140.07,1階,有,\n"),
        OK);
    assert_true(str_eq(lab->report.kind, S("aed")));
    assert_int_equal(lab->report.warnings, 0);
    const struct json *e = lab_named(lab, "市役所");
    assert_true(str_eq(entity_id(e), S("urn:ngsi-ld:AED:aed:0000000001")));
    assert_value(lab, e, "municipalityCode", "\"082201\"");
    assert_value(lab, e, "nameEn", "\"City Hall\"");
    assert_value(lab, e, "pediatricSupport", "true");
    assert_value(lab, e, "address",
                 "{\"townId\":\"0001001\",\"streetAddress\":\"茨城県つくば市研究学園一丁目1番地1\","
                 "\"addressRegion\":\"茨城県\",\"addressLocality\":\"つくば市\","
                 "\"district\":\"研究学園一丁目\",\"streetNr\":\"1番地1\",\"building\":\"本庁舎\","
                 "\"addressCountry\":\"JP\"}");
}

static void test_header_is_found(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lab_import_text(lab, NULL,
                                     "つくば市AED一覧\n\n令和8年4月1日現在,,\n"
                                     "（名　称）,緯　度,経度,設置位置,小児対応設備の有無,謎,\n"
                                     "市役所,36.08,140.07,1階,無,x\n"),
                     OK);
    assert_true(str_eq(lab->report.kind, S("aed")));
    assert_int_equal(lab->report.created, 1);
    const struct import_problem *p = lab_problem(lab, "unknown_column");
    assert_non_null(p);
    assert_true(str_eq(p->column, S("謎")));
}

static void test_refusals(void **state)
{
    struct lab *lab = *state;
    static const struct {
        const char *kind, *text, *reason;
    } cases[] = {
        {NULL, "", "empty"},
        {NULL, " \n", "empty"},
        {NULL, "りんご,みかん\n1,2\n", "unknown_kind"},
        {"evacuation_space", "りんご,みかん\n1,2\n", "no_header"},
        {"nonsense", "名称,緯度\nx,1\n", "unknown_kind"},
        {"population", "地域名,総人口\n塩屋町,5\n", "missing_column"},
        {"geojson", "{\"type\":", "unreadable"},
        {"geojson", "{\"type\":\"FeatureCollection\",\"features\":[]}", "no_type"},
        {"table", "a,b\n1,2\n", "no_type"},
        {NULL, "PK\x03\x04 not a zip", "unreadable"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum err err = lab_import_text(lab, cases[i].kind, cases[i].text);
        if (err != ERR_INVALID || !lab_problems(lab, cases[i].reason) || !lab->report.refused.n) {
            lab_show(lab);
            fail_msg("case %zu was not refused as %s", i, cases[i].reason);
        }
    }
    lab->job.dataset = S("no blanks/here");
    assert_int_equal(lab_import_text(lab, "aed", "名称,設置位置\nx,1\n"), ERR_INVALID);
    assert_int_equal(lab_problems(lab, "bad_dataset"), 1);
    assert_int_equal(lab_query(lab, "dataset").entities.n, 0);
}

/* --- keys --- */

static void test_keys(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lab_import_text(lab, "aed",
                                     "NO,名称,住所,設置位置,緯度,経度\n"
                                     "1,市役所,甲1,1階,36.1,140.1\n"
                                     "2,市役所,甲1,2階,36.1,140.1\n"
                                     "3,市役所,乙1,1階,36.2,140.1\n"
                                     "4,市役所,乙1,1階,36.3,140.1\n"
                                     "5,市役所,乙1,1階,36.3,140.1\n"),
                     OK);
    assert_counts(lab, 4, 0, 0, 0);
    assert_int_equal(lab_problem(lab, "duplicate")->row, 6);
    /* A line put in front moves the numbers and nothing else. */
    assert_int_equal(lab_import_text(lab, "aed",
                                     "NO,名称,住所,設置位置,緯度,経度\n"
                                     "1,図書館,丙1,1階,36.1,140.1\n"
                                     "2,市役所,甲1,1階,36.1,140.1\n"
                                     "3,市役所,甲1,２階,36.1,140.1\n"
                                     "4,市役所,乙1,1階,36.2,140.1\n"
                                     "5,市役所,乙1,1階,36.3,140.1\n"),
                     OK);
    assert_counts(lab, 1, 1, 3, 0); /* ２階 is the same place, written otherwise */
}

static void test_publishers_ids(void **state)
{
    struct lab *lab = *state;
    one_row(lab, "CC0001,学校,36.1,140.1,1,1,");
    one_row(lab, "CC0001,新しい名前,36.1,140.1,1,1,");
    assert_counts(lab, 0, 1, 0, 0);
    assert_int_equal(lab_import_text(lab, "evacuation_space",
                                     HEAD "CC0001,甲,36.1,140.1,1,1,\nCC0001,乙,36.1,140.1,1,1,\n"),
                     OK);
    const struct import_problem *p = lab_problem(lab, "duplicate");
    assert_int_equal(p->row, 3);
    assert_non_null(strstr(str_z(&lab->arena, p->text), "row 2"));
    one_row(lab, "../../x y,学校,36.1,140.1,1,1,"); /* no plain id: its digest */
    assert_true(ld_is_uri(entity_id(lab_named(lab, "学校"))));
}

/* --- again --- */

static void test_tombstones(void **state)
{
    struct lab *lab = *state;
    static const char two[] = HEAD "A1,甲,36.1,140.1,1,1,\nA2,乙,36.1,140.1,1,1,\n";
    lab_import_text(lab, "evacuation_space", two);
    assert_counts(lab, 2, 0, 0, 0);
    lab->job.keep_vanished = true;
    one_row(lab, "A1,甲,36.1,140.1,1,1,");
    assert_counts(lab, 0, 0, 1, 0);
    lab->job.keep_vanished = false;
    one_row(lab, "A1,甲,36.1,140.1,1,1,");
    assert_counts(lab, 0, 0, 1, 1);
    /* A row that is there and wrong is not a row that is gone. */
    lab_import_text(lab, "evacuation_space", two);
    assert_counts(lab, 1, 0, 1, 0);
    lab_import_text(lab, "evacuation_space", HEAD "A1,甲,0,0,1,1,\nA2,乙,36.1,140.1,1,1,\n");
    assert_counts(lab, 0, 0, 1, 0);
    /* A file without a good row deletes nothing. */
    lab_import_text(lab, "evacuation_space", HEAD);
    assert_counts(lab, 0, 0, 0, 0);
    assert_int_equal(lab_problems(lab, "no_rows"), 1);
    assert_int_equal(lab_query(lab, "dataset").entities.n, 2);
}

static enum err add_rating(struct lab *lab, struct str id)
{
    struct error e = {0};
    const struct json *payload =
        json_parse(&lab->arena, S("{\"rating\":{\"type\":\"Property\",\"value\":5}}"),
                   &JSON_DEFAULT, &e);
    struct op op = {.kind = OP_APPEND, .id = id};
    op.input = entity_expand(&lab->arena, payload, ENTITY_FRAGMENT, false, ld_core(), &e);
    assert_non_null(op.input);
    struct ops ops = {.arena = &lab->arena, .tenant = S(""), .ops = &op, .n = 1};
    enum err err = ops_run(&lab->link, &ops, &e);
    return err ? err : op.result;
}

/* Attributes of others stay, cells that were emptied go, and equal rows leave no trace. */
static void test_what_others_wrote(void **state)
{
    struct lab *lab = *state;
    one_row(lab, "A1,甲,36.1,140.1,10,1,有");
    struct lab_list l = lab_query(lab, "name==\"甲\"");
    assert_int_equal(add_rating(lab, entity_id(l.entities.v[0])), OK);
    one_row(lab, "A1,甲,36.1,140.1,10,1,有");
    assert_counts(lab, 0, 0, 1, 0);
    one_row(lab, "A1,甲,36.1,140.1,,1,有");
    assert_counts(lab, 0, 1, 0, 0);
    const struct json *e = lab_named(lab, "甲");
    assert_value(lab, e, "rating", "5");
    assert_null(lab_value(lab, e, "capacity"));
    assert_value(lab, e, "flood", "true");
}

static void test_address_is_replaced(void **state)
{
    struct lab *lab = *state;
    lab_import_text(lab, "aed", "ID,名称,住所,方書,設置位置\nx,甲,一丁目,二階,入口\n");
    lab_import_text(lab, "aed", "ID,名称,住所,方書,設置位置\nx,甲,三丁目,,入口\n");
    assert_counts(lab, 0, 1, 0, 0);
    assert_value(lab, lab_named(lab, "甲"), "address",
                 "{\"streetAddress\":\"三丁目\",\"addressCountry\":\"JP\"}");
}

static void test_drift(void **state)
{
    struct lab *lab = *state;
    lab_import_text(lab, "aed", "ID,名称,設置位置,電話番号,謎\nx,甲,入口,029-883-1111,1\n");
    assert_int_equal(lab->report.drift.n, 0);
    lab_import_text(lab, "aed", "ID,名称,設置位置,備考,謎\nx,甲,入口,あり,い\n");
    assert_int_equal(lab_drift(lab, "column_gone"), 1);
    assert_int_equal(lab_drift(lab, "column_new"), 1);
    assert_int_equal(lab_drift(lab, "column_changed"), 1);
    const struct json *e = lab_named(lab, "甲");
    assert_null(lab_value(lab, e, "telephone"));
    assert_value(lab, e, "note", "\"あり\"");
    struct lab_list sets = lab_query(lab, "identifier==\"aed\"");
    assert_int_equal(sets.entities.n, 1);
    assert_value(lab, sets.entities.v[0], "rowCount", "1");
    assert_value(lab, sets.entities.v[0], "entityType", "\"AED\"");
}

/* --- other formats --- */

static void test_any_table(void **state)
{
    struct lab *lab = *state;
    lab->job.type = S("Bench");
    lab->job.dataset = S("benches");
    assert_int_equal(lab_import_text(lab, "table",
                                     "コード,座席数,seat material,type,緯度,経度\n"
                                     "B-1,３,wood,long,36.1,140.1\n"),
                     OK);
    assert_counts(lab, 1, 0, 0, 0);
    struct lab_list l = lab_query(lab, "dataset==\"benches\"");
    const struct json *e = l.entities.v[0];
    assert_true(str_eq(entity_id(e), S("urn:ngsi-ld:Bench:benches:B-1")));
    assert_value(lab, e, "座席数", "\"３\"");
    assert_value(lab, e, "seatMaterial", "\"wood\"");
    assert_value(lab, e, "typeValue", "\"long\"");
    assert_non_null(lab_value(lab, e, "location"));
}

static void test_stops(void **state)
{
    struct lab *lab = *state;
    assert_int_equal(lab_import_text(lab, NULL,
                                     "stop_id,stop_name,stop_lat,stop_lon,parent_station\n"
                                     "つくば駅,つくば駅,36.08,140.11,\n"
                                     "1_B,のりば１,36.08,140.11, つくば駅 \n"),
                     OK);
    const struct json *stop = lab_named(lab, "のりば１");
    assert_true(str_eq(entity_id(stop), S("urn:ngsi-ld:GtfsStop:gtfs_stops:1_B")));
    struct str iri = ld_expand(ld_core(), &lab->arena, S("hasParentStation"));
    const struct json *parent = instance_value(instance_default(entity_attr(stop, iri)));
    assert_true(str_eq(json_text(parent), entity_id(lab_named(lab, "つくば駅"))));
}

static void test_geojson(void **state)
{
    struct lab *lab = *state;
    static const char text[] =
        "{\"type\":\"FeatureCollection\",\"features\":["
        "{\"type\":\"Feature\",\"properties\":{\"名称\":\"池\",\"深さ\":2,\"x\":null},\"geometry\":"
        "{\"type\":\"Polygon\",\"coordinates\":[[[140,36],[140.1,36],[140.1,36.1],[140,36]]]}},"
        "{\"type\":\"Feature\",\"id\":7,\"properties\":{\"name\":\"井戸\"},\"geometry\":"
        "{\"type\":\"Point\",\"coordinates\":[36.1,140.1]}},"
        "{\"type\":\"Feature\",\"id\":8,\"properties\":{},\"geometry\":"
        "{\"type\":\"Point\",\"coordinates\":[0,0]}},"
        "{\"type\":\"Feature\",\"id\":9,\"properties\":{},\"geometry\":{\"type\":\"Blob\"}},"
        "{\"type\":\"Feature\",\"id\":7,\"properties\":{},\"geometry\":null},"
        "5]}";
    lab->job.type = S("Water");
    assert_int_equal(lab_import_text(lab, NULL, text), OK);
    assert_true(str_eq(lab->report.kind, S("geojson")));
    assert_counts(lab, 2, 0, 0, 0);
    assert_int_equal(lab->report.rejected, 4);
    assert_int_equal(lab_problems(lab, "swapped"), 1);
    assert_int_equal(lab_problems(lab, "out_of_range"), 1);
    assert_int_equal(lab_problems(lab, "invalid"), 1);
    assert_int_equal(lab_problems(lab, "duplicate"), 1);
    const struct json *well = lab_named(lab, "井戸");
    assert_true(str_eq(entity_id(well), S("urn:ngsi-ld:Water:geojson:7")));
    assert_value(lab, well, "location", "{\"type\":\"Point\",\"coordinates\":[140.1,36.1]}");
    assert_value(lab, lab_named(lab, "池"), "深さ", "2");
    assert_int_equal(lab_import_text(lab, NULL, text), OK);
    assert_counts(lab, 0, 0, 2, 0);
}

/* Nothing is written of a file whose end is missing; one bad feature spoils no other. */
static void test_json_is_read_whole_first(void **state)
{
#define WELL(id, more)                                                                             \
    "{\"type\":\"Feature\",\"id\":\"" id "\",\"properties\":{" more "},\"geometry\":null}"
    struct lab *lab = *state;
    lab->job.type = S("Water");
    assert_int_equal(lab_import_text(lab, NULL, "[" WELL("a", "") "," WELL("b", "")), ERR_INVALID);
    assert_int_equal(lab_problems(lab, "unreadable"), 1);
    assert_int_equal(lab_query(lab, "name").entities.n, 0);
    assert_int_equal(lab_import_text(lab, NULL,
                                     "{\"type\":\"FeatureCollection\",\"features\":[" WELL(
                                         "a", "") "],\"features\":[]}"),
                     ERR_INVALID);
    assert_int_equal(lab_import_text(lab, NULL,
                                     "[" WELL("a", "\"x\":1,\"x\":2") "," WELL("b", "") "]"),
                     OK);
    assert_counts(lab, 1, 0, 0, 0);
    assert_int_equal(lab->report.rows, 2);
    assert_int_equal(lab->report.rejected, 1);
    assert_int_equal(lab_problems(lab, "unreadable"), 1);
    /* the features may stand before the type */
    assert_int_equal(lab_import_text(lab, NULL,
                                     "{\"features\":[" WELL("b",
                                                            "") "],"
                                                                "\"type\":\"FeatureCollection\"}"),
                     OK);
    assert_counts(lab, 0, 0, 1, 0);
#undef WELL
}

static void test_ngsi_ld(void **state)
{
    struct lab *lab = *state;
    static const char text[] =
        "[{\"id\":\"urn:x:1\",\"type\":\"Sensor\",\"name\":\"甲\",\"level\":{\"type\":\"Property\","
        "\"value\":3,\"unitCode\":\"MTR\"},"
        "\"@context\":{\"Sensor\":\"https://example.org/Sensor\"}},"
        "{\"id\":\"urn:x:2\",\"type\":\"Sensor\",\"level\":{\"value\":3,\"value2\":null}},"
        "{\"id\":\"no uri\",\"type\":\"Sensor\"},{\"id\":\"urn:x:1\",\"type\":\"Sensor\"},"
        "{\"id\":\"urn:x:3\",\"type\":\"T\",\"@context\":\"https://example.org/far.jsonld\"}]";
    assert_int_equal(lab_import_text(lab, "ngsi-ld", text), OK);
    assert_true(lab->report.created >= 1);
    assert_int_equal(lab_problems(lab, "context"), 1);
    assert_int_equal(lab_problems(lab, "duplicate"), 1);
    const struct json *e = lab_named(lab, "甲");
    assert_true(entity_has_type(e, S("https://example.org/Sensor")));
    uint64_t created = lab->report.created;
    assert_int_equal(lab_import_text(lab, "ngsi-ld", text), OK);
    assert_counts(lab, 0, 0, created, 0);
    /* Without the name of a data set nothing is deleted; with one it is. */
    lab->job.dataset = S("sensors");
    assert_int_equal(lab_import_text(lab, "ngsi-ld",
                                     "[{\"id\":\"urn:y:1\",\"type\":\"S\",\"name\":\"乙\"},"
                                     "{\"id\":\"urn:y:2\",\"type\":\"S\",\"name\":\"丙\"}]"),
                     OK);
    assert_int_equal(lab_import_text(lab, "ngsi-ld",
                                     "{\"id\":\"urn:y:1\",\"type\":\"S\",\"name\":\"乙\"}"),
                     OK);
    assert_counts(lab, 0, 0, 1, 1);
}

/* --- limits --- */

static void test_problems_are_limited(void **state)
{
    struct lab *lab = *state;
    struct buf b = BUF_INIT;
    buf_str(&b, S(HEAD));
    for (int i = 0; i < 50; i++)
        buf_printf(&b, "A%d,甲,0,0,1,1,\n", i);
    lab->job.problems_max = 10;
    assert_int_equal(lab_import_bytes(lab, "evacuation_space", "x.csv", buf_dup(&b, &lab->arena)),
                     OK);
    buf_release(&b);
    assert_int_equal(lab->report.rejected, 50);
    assert_int_equal(lab->report.problems.n, 10);
}

struct progress {
    uint64_t done, total, calls;
    uint64_t stop_after;
};

static void note_progress(void *ctx, uint64_t done, uint64_t total)
{
    struct progress *p = ctx;
    assert_true(done >= p->done);
    p->done = done;
    p->total = total;
    p->calls++;
}

static bool is_cancelled(void *ctx)
{
    struct progress *p = ctx;
    return p->stop_after && p->calls >= p->stop_after;
}

static void test_progress(void **state)
{
    struct lab *lab = *state;
    struct progress p = {0};
    struct buf b = BUF_INIT;
    buf_str(&b, S(HEAD));
    for (int i = 0; i < 950; i++)
        buf_printf(&b, "A%d,甲%d,36.1,140.1,1,1,\n", i, i);
    struct str bytes = buf_dup(&b, &lab->arena);
    buf_release(&b);
    lab->job.progress = note_progress;
    lab->job.cancelled = is_cancelled;
    lab->job.ctx = &p;
    p.stop_after = 2;
    assert_int_equal(lab_import_bytes(lab, "evacuation_space", "x.csv", bytes), ERR_UNAVAILABLE);
    assert_int_equal(lab->report.created, 400);
    p = (struct progress){0};
    assert_int_equal(lab_import_bytes(lab, "evacuation_space", "x.csv", bytes), OK);
    assert_counts(lab, 550, 0, 400, 0);
    assert_int_equal(p.done, 950);
    assert_int_equal(p.total, 950);
}

static enum err import_within(struct lab *lab)
{
    struct arena a = ARENA_INIT;
    struct import_report report;
    struct error e = {0};
    struct import_job job = lab->job;
    job.arena = &a;
    job.progress = NULL;
    enum err err = import_run(&job, &report, &e);
    assert_true(!err || report.refused.n);
    arena_release(&a);
    return err;
}

struct nested {
    struct lab *lab;
    enum err same, other;
    bool done;
};

static void start_another(void *ctx, uint64_t done, uint64_t total)
{
    struct nested *n = ctx;
    (void)done, (void)total;
    if (n->done)
        return;
    n->done = true;
    n->same = import_within(n->lab);
    n->lab->job.dataset = S("other");
    n->other = import_within(n->lab);
}

/* While a data set is imported another import of it is refused, one of another set is not. */
static void test_one_at_a_time(void **state)
{
    struct lab *lab = *state;
    struct nested n = {.lab = lab};
    lab->link.imports = imports_new(&lab->link);
    lab->job.progress = start_another;
    lab->job.ctx = &n;
    one_row(lab, "A1,甲,36.1,140.1,1,1,");
    assert_int_equal(n.same, ERR_CONFLICT);
    assert_int_equal(n.other, OK);
    lab->job.progress = NULL;
    lab->job.dataset = STR_NONE;
    one_row(lab, "A1,甲,36.1,140.1,1,1,");
    assert_counts(lab, 0, 0, 1, 0);
    imports_free(lab->link.imports);
    lab->link.imports = NULL;
}

static void test_tenant(void **state)
{
    struct lab *lab = *state;
    lab->job.tenant = S("kenkyu");
    one_row(lab, "A1,甲,36.1,140.1,1,1,");
    assert_counts(lab, 1, 0, 0, 0);
    one_row(lab, "A1,甲,36.1,140.1,1,1,");
    assert_counts(lab, 0, 0, 1, 0);
    assert_int_equal(lab_query(lab, "dataset").entities.n, 0); /* of the default tenant */
}

static void test_report_json(void **state)
{
    struct lab *lab = *state;
    struct buf b = BUF_INIT;
    struct error e = {0};
    assert_rejected(lab, "A1,学校,\"あ\nい\",140.1,1,1,", "not_a_number");
    import_report_json(&b, &lab->report);
    const struct json *v = json_parse(&lab->arena, buf_dup(&b, &lab->arena), &JSON_DEFAULT, &e);
    assert_non_null(v);
    const struct json *p = json_at(json_get(v, S("problems")), 0);
    assert_true(str_eq(json_text(json_get(p, S("column"))), S("緯度")));
    assert_true(str_eq(json_text(json_get(p, S("read"))), S("あ\nい")));
    int64_t rejected;
    assert_true(json_i64(json_get(v, S("rejected")), &rejected));
    assert_int_equal(rejected, 1);
    buf_clear(&b);
    import_report_text(&b, &lab->report);
    assert_non_null(strstr(b.p, "REJECTED row 2, column \"緯度\", not_a_number"));
    assert_non_null(strstr(b.p, "(read: \"あ い\")"));
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LAB_TEST(test_positions),
        LAB_TEST(test_numbers_and_marks),
        LAB_TEST(test_names),
        LAB_TEST(test_dates_and_times),
        LAB_TEST(test_phones_and_lists),
        LAB_TEST(test_new_generation),
        LAB_TEST(test_header_is_found),
        LAB_TEST(test_refusals),
        LAB_TEST(test_keys),
        LAB_TEST(test_publishers_ids),
        LAB_TEST(test_tombstones),
        LAB_TEST(test_what_others_wrote),
        LAB_TEST(test_address_is_replaced),
        LAB_TEST(test_drift),
        LAB_TEST(test_any_table),
        LAB_TEST(test_stops),
        LAB_TEST(test_geojson),
        LAB_TEST(test_json_is_read_whole_first),
        LAB_TEST(test_ngsi_ld),
        LAB_TEST(test_problems_are_limited),
        LAB_TEST(test_progress),
        LAB_TEST(test_one_at_a_time),
        LAB_TEST(test_tenant),
        LAB_TEST(test_report_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
