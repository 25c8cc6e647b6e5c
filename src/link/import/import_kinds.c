/*
 * import_kinds.c - which sets there are, and what their headers mean.
 *
 * Headers are given in all spellings known: the standard's older generation (推奨データセット), its
 * newer one (自治体標準オープンデータセット), and those that cities really publish. They are
 * compared by text_key(), so that widths, brackets, blanks and '_' make no difference. Where a
 * spelling stands both here and among the common columns, the set's own meaning wins.
 */
#include "import_impl.h"

#define COLUMNS(array) array, sizeof(array) / sizeof((array)[0])

static const struct column common[] = {
    {NULL, "ID|識別子|施設ID|identification|identifier", V_ID, 0},
    {NULL, "NO|No.|№|番号|連番|通し番号|#property", V_NO, 0},
    {"municipalityCode",
     "全国地方公共団体コード|都道府県コード又は市区町村コード|市区町村コード|prefCode|code|"
     "所在地_全国地方公共団体コード",
     V_TEXT, 0},
    {"municipality", "地方公共団体名", V_TEXT, 0},
    {"name", "名称|施設名|施設名称|name|施設等名称", V_TEXT, COL_REQUIRED | COL_KEY},
    {"nameKana", "名称_カナ|名称カナ|フリガナ|ふりがな|fullNameInKana|name_kana|施設名称_カナ",
     V_TEXT, 0},
    {"nameEn", "名称_英語|名称_英字|英語表記|fullNameInRomaji|name_en", V_TEXT, 0},
    {"alternateName", "名称_通称|通称", V_TEXT, 0},
    {"streetAddress", "住所|所在地|所在地_連結表記|address|施設所在地", V_ADDRESS, 0},
    {"addressRegion", "都道府県名|所在地_都道府県|pref|prefName|都道府県", V_ADDRESS, 0},
    {"addressLocality", "市区町村名|所在地_市区町村|city|cityName|市区町村", V_ADDRESS, 0},
    {"district", "所在地_町字|町字", V_ADDRESS, 0},
    {"streetNr", "所在地_番地以下|番地以下", V_ADDRESS, 0},
    {"building", "方書|建物名等(方書)|katagaki|施設方書|address_note", V_ADDRESS, 0},
    {"townId", "町字ID", V_ADDRESS, 0},
    {"postalCode", "郵便番号", V_ADDRESS, 0},
    {NULL, "緯度|latitude|lat", V_LAT, 0},
    {NULL, "経度|longitude|lon|lng", V_LON, 0},
    {NULL, "location|位置|緯度経度|座標", V_LATLON, 0},
    {NULL, "geometry|geom|所在地_経緯度フラグ", V_SKIP, 0},
    {"elevation", "標高|elevation|高度の値", V_NUMBER, 0},
    {"telephone", "電話番号|telephoneNumber|telephone number|TEL|連絡先電話番号|施設電話番号",
     V_PHONE, 0},
    {"telephoneExtension", "内線番号|連絡先内線番号", V_TEXT, 0},
    {"faxNumber", "FAX番号|FAX", V_PHONE, 0},
    {"email", "メールアドレス|連絡先メールアドレス|email", V_TEXT, 0},
    {"contactUrl", "連絡先FormURL", V_TEXT, 0},
    {"contactNote", "連絡先備考（その他、SNSなど）|連絡先備考", V_TEXT, 0},
    {"corporateNumber", "法人番号", V_TEXT, 0},
    {"organization", "団体名|法人の名称|法人名|設置者", V_TEXT, 0},
    {"openingDays", "利用可能曜日|availableDate|available_day", V_TEXT, 0},
    {"opens", "開始時間|startTime|利用開始時間", V_TIME, 0},
    {"closes", "終了時間|endTime|利用終了時間", V_TIME, 0},
    {"openingNote", "利用可能日時特記事項|利用可能時間特記事項|availableDateNote", V_TEXT, 0},
    {"description", "説明|description", V_TEXT, 0},
    {"descriptionEn", "説明_英語", V_TEXT, 0},
    {"summary", "概要", V_TEXT, 0},
    {"summaryEn", "概要_英語", V_TEXT, 0},
    {"accessNote", "アクセス方法", V_TEXT, 0},
    {"parkingNote", "駐車場情報", V_TEXT, 0},
    {"accessibilityNote", "バリアフリー情報", V_TEXT, 0},
    {"image", "画像|image", V_TEXT, 0},
    {"imageLicense", "画像_ライセンス|imageLicense|iamgeLicense", V_TEXT, 0},
    {"url", "URL|referenceObject|ホームページ|Webサイト", V_TEXT, 0},
    {"note", "備考|note", V_TEXT, 0},
};
const struct column_list import_common = {COLUMNS(common)};

static const struct column aed[] = {
    {"installationPosition", "設置位置|installationPosition", V_TEXT, COL_KEY},
    {"pediatricSupport",
     "小児対応設備の有無|equipmentForChildren|小児対応設備有無|小児用パッドの有無", V_BOOL,
     COL_MARKS},
};

static const struct column care_service[] = {
    {"name", "介護サービス事業所名称|名称|name", V_TEXT, COL_REQUIRED | COL_KEY},
    {"nameKana", "介護サービス事業所名称_カナ", V_TEXT, COL_MARKS},
    {"services", "実施サービス|service", V_LIST, COL_MARKS},
    {"officeNumber", "事業所番号", V_TEXT, COL_MARKS},
    {"openingNote", "利用可能曜日特記事項|availableDateNote", V_TEXT, 0},
    {"capacity", "定員|capacity", V_COUNT, 0},
};

static const struct column cultural_property[] = {
    {"category", "文化財分類", V_TEXT, COL_MARKS},
    {"propertyKind", "種類|種別", V_TEXT, 0},
    {"placeName", "場所名称", V_TEXT, 0},
    {"quantity", "員数（数）", V_NUMBER, 0},
    {"quantityUnit", "員数（単位）", V_TEXT, 0},
    {"owner", "所有者等", V_TEXT, 0},
    {"designationDate", "文化財指定日", V_DATE, COL_MARKS},
};

/* Of what both kinds of places to flee to have. */
static const struct column hazards[] = {
    {"flood", "災害種別_洪水|flood_L1|flood", V_MARK, COL_MARKS},
    {"floodMaximum", "flood_L2", V_MARK, COL_MARKS},
    {"landslide",
     "災害種別_崖崩れ、土石流及び地滑り|災害種別_崖崩れ・土石流及び地滑り|"
     "災害種別_がけ崩れ、土石流及び地滑り|sedimentDisaster",
     V_MARK, COL_MARKS},
    {"stormSurge", "災害種別_高潮|stormSurge", V_MARK, COL_MARKS},
    {"earthquake", "災害種別_地震|earthquake", V_MARK, COL_MARKS},
    {"tsunami", "災害種別_津波|tunami|tsunami", V_MARK, COL_MARKS},
    {"largeFire", "災害種別_大規模な火事|fire", V_MARK, COL_MARKS},
    {"inlandFlooding", "災害種別_内水氾濫|inundation", V_MARK, COL_MARKS},
    {"volcano", "災害種別_火山現象|volcano", V_MARK, COL_MARKS},
    {"capacity", "想定収容人数|capacity|収容人数", V_COUNT, 0},
    {"servedCommunities", "対象となる町会・自治会|residentsAssociation", V_TEXT, 0},
};
static const struct column_list hazard_list = {COLUMNS(hazards)};

static const struct column evacuation_space[] = {
    {"alsoShelter", "指定避難所との重複|指定避難所との住所同一|evacuationSpace", V_MARK, COL_MARKS},
    {"jurisdiction", "jurisdiction|所管", V_TEXT, COL_MARKS},
};

static const struct column open_shelter[] = {
    {"occupancy", "人数|避難者数|現在の避難者数", V_COUNT, COL_REQUIRED | COL_TIMED | COL_MARKS},
    {NULL, "時点|更新日時", V_OBSERVED, COL_MARKS},
    {"area", "地区", V_TEXT, 0},
};

static const struct column tsunami_building[] = {
    {"evacuationFloors", "shelter|避難階|避難場所", V_TEXT, COL_MARKS},
    {"capacity", "capacity|収容人数|想定収容人数", V_COUNT, 0},
    {"area", "district|地区", V_TEXT, COL_MARKS},
};

static const struct column event[] = {
    {"name", "イベント名|行事名|name", V_TEXT, COL_REQUIRED | COL_KEY | COL_MARKS},
    {"nameKana", "イベント名_カナ", V_TEXT, 0},
    {"nameEn", "イベント名_英語", V_TEXT, 0},
    {"alternateName", "イベント名_通称", V_TEXT, 0},
    {"startDate", "開始日|開催日|startDate", V_DATE, COL_KEY | COL_MARKS},
    {"endDate", "終了日|endDate", V_DATE, 0},
    {"startTime", "開始時間|startTime", V_TIME, COL_KEY},
    {"endTime", "終了時間|endTime", V_TIME, 0},
    {"scheduleNote", "開始日時特記事項", V_TEXT, 0},
    {"priceNote", "料金(基本)|料金", V_TEXT, 0},
    {"priceDetail", "料金(詳細)", V_TEXT, 0},
    {"contactName", "連絡先名称|問い合わせ先（市の担当課）|問い合わせ先", V_TEXT, 0},
    {"organizer", "主催者", V_TEXT, 0},
    {"locationName", "場所名称", V_TEXT, 0},
    {"maximumAttendeeCapacity", "定員", V_COUNT, 0},
    {"audience", "対象", V_TEXT, 0},
    {"applicationPeriod", "申込期間", V_TEXT, 0},
    {"applicationEndDate", "参加申込終了日", V_DATE, 0},
    {"applicationEndTime", "参加申込終了時間", V_TIME, 0},
    {"applicationMethod", "参加申込方法", V_TEXT, 0},
};

static const struct column fire_hydrant[] = {
    {"hydrantType", "種別", V_TEXT, COL_KEY},
    {"streetAddress", "住所|所在地_連結表記|address", V_ADDRESS, COL_KEY},
    {"building", "方書|建物名等(方書)", V_ADDRESS, COL_KEY},
    {"bore", "口径", V_TEXT, COL_MARKS},
};

static const struct column food_business[] = {
    {"name", "施設名称|名称|営業施設名称|屋号", V_TEXT, COL_REQUIRED | COL_KEY},
    {"nameKana", "施設名称_カナ", V_TEXT, 0},
    {"businessType", "営業の種類", V_TEXT, COL_MARKS | COL_KEY},
    {"businessForm", "業態", V_TEXT, 0},
    {"permitNumber", "許可番号|許可番号又は届出番号", V_TEXT, COL_MARKS | COL_KEY},
    {"firstPermitDate", "初回許可年月日", V_DATE, COL_MARKS},
    {"permitDate", "許可年月日", V_DATE, 0},
    {"permitStart", "許可開始日", V_DATE, 0},
    {"permitEnd", "許可満了日", V_DATE, 0},
    {"closureDate", "廃業年月日", V_DATE, 0},
    {"applicationType", "申請区分", V_TEXT, 0},
    {"permitConditions", "許可条件", V_TEXT, 0},
};

static const struct column hospital[] = {
    {"facilityType", "医療機関の種類|alternativeName", V_TEXT, COL_MARKS},
    {"organization", "法人の名称|establisher|開設者", V_TEXT, 0},
    {"representative", "corporateRepresentative", V_TEXT, 0},
    {"openingDate", "openingDate|開設日", V_DATE, 0},
    {"institutionCode", "医療機関コード", V_TEXT, COL_MARKS},
    {"openingDays", "診療曜日", V_TEXT, 0},
    {"opens", "診療開始時間", V_TIME, 0},
    {"closes", "診療終了時間", V_TIME, 0},
    {"openingNote", "診療日時特記事項", V_TEXT, 0},
    {"afterHours", "時間外における対応", V_TEXT, COL_MARKS},
    {"medicalSpecialty", "診療科目|medicalSubjects", V_LIST, COL_MARKS},
    {"beds", "病床数|numberOfBeds", V_COUNT, COL_MARKS},
};

static const struct column open_data_list[] = {
    {"name", "データ名称|データセット名|dataName|データセット_タイトル", V_TEXT,
     COL_REQUIRED | COL_KEY | COL_MARKS},
    {"description", "データ概要|データセット_概要", V_TEXT, 0},
    {"format", "データ形式|format|ファイル_形式", V_LIST, COL_MARKS},
    {"theme", "分類|category|データセット_分類", V_TEXT, 0},
    {"updateFrequency", "更新頻度|データセット_更新頻度", V_TEXT, 0},
    {"landingPage", "URL|データセット_URL", V_TEXT, 0},
    {"hasApi", "API対応有無|apiSupport", V_BOOL, COL_MARKS},
    {"license", "ライセンス|license|データセット_ライセンス", V_TEXT, 0},
    {"releaseDate", "登録日|データセット_公開日", V_DATE, 0},
    {"updateDate", "最終更新日|データセット_最終更新日", V_DATE, 0},
};

static const struct column population[] = {
    {"regionCode", "地域コード|regionCode", V_TEXT, 0},
    {"name", "地域名|regionName|name", V_TEXT, COL_REQUIRED | COL_KEY | COL_MARKS},
    {NULL, "調査年月日|surveyDate", V_OBSERVED, COL_REQUIRED | COL_MARKS},
    {"totalPopulation", "総人口|totalPopulation", V_COUNT, COL_REQUIRED | COL_TIMED | COL_MARKS},
    {"malePopulation", "男性|male", V_COUNT, COL_TIMED},
    {"femalePopulation", "女性|woman|female", V_COUNT, COL_TIMED},
    {"households", "世帯数|numberOfHouseholds", V_COUNT, COL_TIMED},
};

static const struct column preschool[] = {
    {NULL, "nursery_id", V_ID, COL_MARKS},
    {"facilityType", "種別|type", V_TEXT, 0},
    {"operatorType", "classification|運営形態", V_TEXT, COL_MARKS},
    {"area", "district", V_TEXT, 0},
    {NULL, "check|district_alphabet", V_SKIP, 0},
    {"changeNote", "status", V_TEXT, 0},
    {"telephone", "電話番号|tel", V_PHONE, 0},
    {"approvalDate", "認可等年月日", V_DATE, COL_MARKS},
    {"capacity", "収容定員|capacity", V_COUNT, COL_MARKS},
    {"acceptedAges", "受入年齢|childcare_age", V_TEXT, COL_MARKS},
    {"opens", "開始時間|open_weekday", V_TIME, 0},
    {"closes", "終了時間|close_weekday", V_TIME, 0},
    {"opensSaturday", "open_saturday", V_TIME, 0},
    {"closesSaturday", "close_saturday", V_TIME, 0},
    {"standardHours", "h11", V_TEXT, 0},
    {"shortHours", "h8", V_TEXT, 0},
    {"shuttleBus", "shuttle_bus", V_TEXT, 0},
    {"temporaryCare", "一時預かりの有無|is_temporary_care", V_BOOL, COL_MARKS},
};

static const struct column public_facility[] = {
    {"poiCode", "POIコード", V_TEXT, COL_MARKS},
};

static const struct column public_toilet[] = {
    {"installationPosition", "設置位置|installationPosition", V_TEXT, 0},
    {"menTotal", "男性トイレ総数|totalMensRestroom", V_COUNT, COL_MARKS},
    {"menUrinals", "男性トイレ数（小便器）|smallMensRestroom", V_COUNT, COL_MARKS},
    {"menSquat", "男性トイレ数（和式）|japaneseMensRestroom", V_COUNT, 0},
    {"menSeated", "男性トイレ数（洋式）|westernMensRestroom", V_COUNT, 0},
    {"womenTotal", "女性トイレ総数|totalWomanRestroom", V_COUNT, COL_MARKS},
    {"womenSquat", "女性トイレ数（和式）|japaneseWomanRestroom", V_COUNT, 0},
    {"womenSeated", "女性トイレ数（洋式）|westernWomanRestroom", V_COUNT, 0},
    {"unisexTotal", "男女共用トイレ総数|sharedRestroom", V_COUNT, 0},
    {"unisexSquat", "男女共用トイレ数（和式）|japaneseSharedRestroom", V_COUNT, 0},
    {"unisexSeated", "男女共用トイレ数（洋式）|westernSharedRestroom", V_COUNT, 0},
    {"multipurpose", "多機能トイレ数|バリアフリートイレ数|multifunctionalRestroom", V_COUNT, 0},
    {"wheelchairAccessible", "車椅子使用者用トイレ有無|車椅子使用者用便房有無|wheelchairRestroom",
     V_BOOL, COL_MARKS},
    {"babyEquipment", "乳幼児用設備設置トイレ有無|乳幼児用設備有無|anInfantRestroom", V_BOOL, 0},
    {"ostomate", "オストメイト設置トイレ有無|オストメイト用設備有無|ostomateRestroom", V_BOOL, 0},
};

static const struct column public_wireless_lan[] = {
    {"organization", "設置者|団体名", V_TEXT, 0},
    {"ssid", "SSID", V_TEXT, COL_KEY | COL_MARKS},
    {"areaServed", "提供エリア", V_TEXT, COL_KEY | COL_MARKS},
};

static const struct column tourism[] = {
    {"poiCode", "POIコード", V_TEXT, 0},
    {"priceNote", "料金（基本）", V_TEXT, COL_MARKS},
    {"priceDetail", "料金（詳細）", V_TEXT, COL_MARKS},
    {"contactName", "連絡先名称", V_TEXT, COL_MARKS},
};

static const struct column polling_place[] = {
    {"votingDistrict", "votingDistrict|投票区", V_TEXT, COL_REQUIRED | COL_KEY | COL_MARKS},
    {"constituency", "smallConstituencies|小選挙区", V_TEXT, COL_MARKS},
};

static const struct column garbage_separation[] = {
    {"name", "ゴミの品目|品目|name|ごみの品目", V_TEXT, COL_REQUIRED | COL_KEY},
    {"wasteClass", "分別区分|classification", V_TEXT, COL_MARKS},
    {"caution", "注意点", V_TEXT, COL_MARKS},
    {"feeType", "料金種別", V_TEXT, 0},
    {"fee", "料金", V_TEXT, 0},
    {"feeNote", "料金備考", V_TEXT, 0},
};

static const struct column garbage_days[] = {
    {"name", "name|地区", V_TEXT, COL_REQUIRED | COL_KEY},
    {"burnable", "burnableGarbage|燃えるごみ", V_TEXT, COL_MARKS},
    {"crushable", "crushableGarbage|破砕ごみ", V_TEXT, COL_MARKS},
    {"cansGlassPlastic", "cansGlassPlastic|缶・びん・ペットボトル", V_TEXT, COL_MARKS},
    {"paperAndCloth", "paperAndCloth|紙・布", V_TEXT, COL_MARKS},
    {"plasticContainers", "plasticContainers|プラスチック容器包装", V_TEXT, COL_MARKS},
};

static const struct column gtfs[] = {
    {NULL, "stop_id", V_ID, COL_REQUIRED | COL_MARKS},
    {"code", "stop_code", V_TEXT, 0},
    {"name", "stop_name", V_TEXT, COL_REQUIRED | COL_MARKS},
    {"description", "stop_desc", V_TEXT, 0},
    {NULL, "stop_lat", V_LAT, COL_MARKS},
    {NULL, "stop_lon", V_LON, COL_MARKS},
    {"zoneCode", "zone_id", V_TEXT, 0},
    {"page", "stop_url", V_TEXT, 0},
    {"locationType", "location_type", V_COUNT, 0},
    {"hasParentStation", "parent_station", V_PARENT, 0},
    {"timezone", "stop_timezone", V_TEXT, 0},
    {"wheelChairAccessible", "wheelchair_boarding", V_TEXT, 0},
    {"platformCode", "platform_code", V_TEXT, 0},
};

/* Ended by an empty one; import_kind_table has the same order. */
static const struct import_kind names[] = {
    {"aed", "AED設置箇所一覧", "AED"},
    {"care_service", "介護サービス事業所一覧", "CareService"},
    {"cultural_property", "文化財一覧", "CulturalProperty"},
    {"evacuation_space", "指定緊急避難場所一覧", "EvacuationShelter"},
    {"event", "イベント一覧", "Event"},
    {"fire_hydrant", "消防水利施設一覧", "FireHydrant"},
    {"food_business", "食品等営業許可・届出一覧", "FoodBusinessPermit"},
    {"hospital", "医療機関一覧", "MedicalFacility"},
    {"open_data_list", "オープンデータ一覧", "Dataset"},
    {"population", "地域・年齢別人口", "PopulationStatistics"},
    {"preschool", "子育て施設一覧", "Preschool"},
    {"public_facility", "公共施設一覧", "PublicFacility"},
    {"public_toilet", "公衆トイレ一覧", "PublicToilet"},
    {"public_wireless_lan", "公衆無線LANアクセスポイント一覧", "WifiPointOfInterest"},
    {"tourism", "観光施設一覧", "PointOfInterest"},
    {"open_shelter", "開設中の避難所一覧", "EvacuationShelter"},
    {"tsunami_evacuation_building", "津波避難ビル一覧", "EvacuationShelter"},
    {"polling_place", "投票所一覧", "PollingPlace"},
    {"garbage_separation", "ごみ分別一覧", "WasteSeparation"},
    {"garbage_collection", "ごみ収集日一覧", "WasteCollectionArea"},
    {"gtfs_stops", "GTFS 停留所・標柱", "GtfsStop"},
    {"table", "表（列名がそのまま属性になる）", NULL},
    {"geojson", "GeoJSON", NULL},
    {"ngsi-ld", "NGSI-LD JSON", NULL},
    {NULL, NULL, NULL},
};

const struct kind import_kind_table[] = {
    {&names[0], FORMAT_TABLE, COLUMNS(aed)},
    {&names[1], FORMAT_TABLE, COLUMNS(care_service)},
    {&names[2], FORMAT_TABLE, COLUMNS(cultural_property)},
    {&names[3], FORMAT_TABLE, COLUMNS(evacuation_space), .shared = &hazard_list,
     .category = "designatedEmergencySite"},
    {&names[4], FORMAT_TABLE, COLUMNS(event)},
    {&names[5], FORMAT_TABLE, COLUMNS(fire_hydrant)},
    {&names[6], FORMAT_TABLE, COLUMNS(food_business)},
    {&names[7], FORMAT_TABLE, COLUMNS(hospital)},
    {&names[8], FORMAT_TABLE, COLUMNS(open_data_list)},
    {&names[9], FORMAT_TABLE, COLUMNS(population)},
    {&names[10], FORMAT_TABLE, COLUMNS(preschool)},
    {&names[11], FORMAT_TABLE, COLUMNS(public_facility)},
    {&names[12], FORMAT_TABLE, COLUMNS(public_toilet)},
    {&names[13], FORMAT_TABLE, COLUMNS(public_wireless_lan)},
    {&names[14], FORMAT_TABLE, COLUMNS(tourism)},
    {&names[15], FORMAT_TABLE, COLUMNS(open_shelter), .shared = &hazard_list, .closes = true,
     .category = "openShelter"},
    {&names[16], FORMAT_TABLE, COLUMNS(tsunami_building), .category = "tsunamiEvacuationBuilding"},
    {&names[17], FORMAT_TABLE, COLUMNS(polling_place)},
    {&names[18], FORMAT_TABLE, COLUMNS(garbage_separation)},
    {&names[19], FORMAT_TABLE, COLUMNS(garbage_days)},
    {&names[20], FORMAT_TABLE, COLUMNS(gtfs)},
    {&names[21], FORMAT_TABLE, NULL, 0, .any_column = true},
    {&names[22], FORMAT_GEOJSON},
    {&names[23], FORMAT_NGSILD},
};
const size_t import_kind_count = sizeof(import_kind_table) / sizeof(import_kind_table[0]);

const struct import_kind *import_kinds(void)
{
    return names;
}

const struct kind *import_kind_find(struct str name)
{
    for (size_t i = 0; i < import_kind_count; i++)
        if (str_eq(name, str_c(import_kind_table[i].public->name)))
            return &import_kind_table[i];
    return NULL;
}
