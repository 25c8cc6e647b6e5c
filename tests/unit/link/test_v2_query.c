/* NGSIv2: q, mq and geo-queries. */
#include "ld_test.h"
#include "v2.h"

static const struct json *room(void)
{
    return J("{'id':'urn:ngsi-ld:v2:Room1','type':['" DEFAULT "Room'],"
             "'createdAt':'2026-01-01T00:00:00Z','modifiedAt':'2026-01-02T00:00:00Z',"
             "'" DEFAULT "t':[{'type':'Property','value':21.5,'observedAt':'2026-01-01T00:00:00Z',"
             "'unitCode':'CEL','modifiedAt':'2026-01-02T00:00:00Z',"
             "'" DEFAULT "acc':[{'type':'Property','value':{'min':0.5}}]}],"
             "'" DEFAULT "name':[{'type':'Property','value':'light,green'}],"
             "'" DEFAULT "num':[{'type':'Property','value':'20'}],"
             "'" DEFAULT "list':[{'type':'Property','value':['red','blue']}],"
             "'" DEFAULT "a.b':[{'type':'Property','value':{'x.y':{'z':1},'ok':true}}],"
             "'" DEFAULT "day':[{'type':'Property','value':{'@type':'DateTime','@value':"
             "'2026-05-05T00:00:00Z'}}],"
             "'" DEFAULT "text':[{'type':'Property','value':'2026-05-05'}],"
             "'" DEFAULT "ref':[{'type':'Relationship','object':'urn:ngsi-ld:v2:House1'}]}");
}

static bool holds(const char *q, const char *mq)
{
    struct error e = {0};
    const struct query_node *node =
        v2_query_parse(&arena, q ? str_c(q) : STR_NONE, mq ? str_c(mq) : STR_NONE, &e);
    bool hit = false;
    if (!node)
        fail_msg("%s %s: %s", q ? q : "-", mq ? mq : "-", e.text);
    assert_int_equal(query_q_holds(node, room(), &hit, &e), OK);
    query_q_release(node);
    return hit;
}

static void statements(void **state)
{
    static const char *const yes[] = {"t",
                                      "!nope",
                                      "t==21.5",
                                      "t:21.5",
                                      "t==21.50",
                                      "t!=3",
                                      "t>21",
                                      "t>=21.5",
                                      "t<22",
                                      "t<=21.5",
                                      "t==20..22",
                                      "t!=1..2",
                                      "t==1,21.5",
                                      "t;name;!x",
                                      "name=='light,green'",
                                      "num=='20'",
                                      "list==red",
                                      "list==green,blue",
                                      "list!=green",
                                      "name~=^light",
                                      "name~='gr.*n'",
                                      "'a.b'.'x.y'.z==1",
                                      "'a.b'.ok==true",
                                      "'a.b'.ok",
                                      "day==2026-05-05",
                                      "day>2026-05-04",
                                      "day==2026-05-01..2026-05-06",
                                      "day<2026-05-05T09:00:01+09:00",
                                      "text==2026-05-05",
                                      "ref==House1",
                                      "ref!=House2",
                                      "name==a..z",
                                      "dateCreated<2026-01-02T00:00:00Z",
                                      "dateModified>2026-01-01",
                                      "!dateExpires",
                                      "name>alpha",
                                      "ref==urn:ngsi-ld:v2:House1"};
    static const char *const no[] = {"nope",
                                     "!t",
                                     "t==21",
                                     "t!=21.5",
                                     "t>21.5",
                                     "t==1..2",
                                     "t!=20..22",
                                     "t==a",
                                     "num==20",
                                     "name==light,green",
                                     "list==green",
                                     "list!=red",
                                     "name~=^green",
                                     "'a.b'.x",
                                     "t;nope",
                                     "nope!=1",
                                     "'a.b'.ok==false",
                                     "ref==House2",
                                     "t.x==1",
                                     "dateExpires"};
    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(*yes); i++)
        if (!holds(yes[i], NULL))
            fail_msg("does not hold: %s", yes[i]);
    for (size_t i = 0; i < sizeof(no) / sizeof(*no); i++)
        if (holds(no[i], NULL))
            fail_msg("holds: %s", no[i]);
}

static void on_metadata(void **state)
{
    (void)state;
    assert_true(holds(NULL, "t.acc"));
    assert_true(holds(NULL, "t.acc.min==0.5"));
    assert_true(holds(NULL, "t.unitCode==CEL"));
    assert_true(holds(NULL, "t.TimeInstant<2026-01-02"));
    assert_true(holds(NULL, "t.dateModified>2026-01-01"));
    assert_true(holds("t>20", "t.acc.min<1"));
    assert_false(holds("t>30", "t.acc.min<1"));
    assert_false(holds(NULL, "t.nope"));
    assert_true(holds(NULL, "!name.acc"));
}

static void wrong_statements(void **state)
{
    static const char *const wrong[] = {
        "",        ";",   "t;",   "t==", "t=5",      "t~5",   "!",
        ".",       "t.",  "t..x", "==5", "t>true",   "t==1,", "t==,1",
        "t==1..a", "t~=", "t~=(", "t!5", "t==a\xff", "''==1", "t==true..false"};
    struct error e;
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
        e = (struct error){0};
        if (v2_query_parse(&arena, str_c(wrong[i]), STR_NONE, &e))
            fail_msg("accepted: %s", wrong[i]);
        assert_int_equal(e.code, ERR_INVALID);
    }
    assert_null(v2_query_parse(&arena, STR_NONE, S("t"), &e));
    struct buf many = BUF_INIT;
    for (int i = 0; i < 300; i++)
        buf_printf(&many, "a%d;", i);
    buf_printf(&many, "b");
    assert_null(v2_query_parse(&arena, buf_view(&many), STR_NONE, &e));
    assert_int_equal(e.code, ERR_TOO_COMPLEX);
    buf_release(&many);
}

/* --- places --- */

static enum err near_result(const char *georel, const char *geometry, const char *coords,
                            const char *entity, bool *hit)
{
    struct v2_geo g;
    struct error e = {0};
    enum err err = v2_geo_parse(&arena, str_c(georel), str_c(geometry), str_c(coords), &g, &e);
    if (err)
        return err;
    err = v2_geo_holds(&g, &arena, J(entity), hit, &e);
    v2_geo_release(&g);
    return err;
}

static bool at(const char *georel, const char *geometry, const char *coords, const char *entity)
{
    bool hit = false;
    assert_int_equal(near_result(georel, geometry, coords, entity, &hit), OK);
    return hit;
}

#define POINT(name, lon, lat)                                                                      \
    "'" name "':[{'type':'GeoProperty','value':{'type':'Point','coordinates':[" lon "," lat "]}"

static void places(void **state)
{
    static const char here[] = "{" POINT("x", "140", "36") "}]}";
    (void)state;
    assert_true(at("near;maxDistance:1000", "point", "36,140", here));
    assert_true(at("near;maxDistance:120000;minDistance:1000", "point", "37,140", here));
    assert_false(at("near;maxDistance:1000", "point", "36,140", "{'x':[]}"));
    assert_false(at("near;minDistance:1000", "point", "36,140", here));
    assert_true(at("coveredBy", "box", "35,139;37,141", here));
    assert_true(at("coveredBy", "box", "36,139;37,141", here)); /* the border counts */
    assert_false(at("coveredBy", "box", "36.1,139;37,141", here));
    assert_true(at("coveredBy", "polygon", "35,139;35,141;37,141;35,139", here));
    assert_true(at("intersects", "line", "36,139;36,141", here));
    assert_true(at("equals", "point", "36,140", here));
    assert_true(at("disjoint", "point", "1,1", here));
    assert_false(at("disjoint", "point", "36,140", here));
}

static void several_places(void **state)
{
    static const char flag[] = ",'" DEFAULT "defaultLocation':[{'type':'Property','value':true}]";
    bool hit;
    (void)state;
    assert_int_equal(
        near_result("equals", "point", "2,1",
                    "{'id':'urn:x:1'," POINT("x", "1", "2") "}]," POINT("y", "3", "4") "}]}", &hit),
        ERR_CONFLICT);
    assert_true(at(
        "equals", "point", "4,3",
        str_printf(&arena, "{" POINT("x", "1", "2") "}]," POINT("y", "3", "4") "%s}]}", flag).p));
    assert_true(at("equals", "point", "4,3",
                   "{" POINT("x", "1", "2") "}]," POINT(NGSI "location", "3", "4") "}]}"));
    struct str two =
        str_printf(&arena,
                   "{'id':'urn:x:1'," POINT("x", "1", "2") "%s}]," POINT("y", "3", "4") "%s}]}",
                   flag, flag);
    assert_int_equal(near_result("equals", "point", "4,3", two.p, &hit), ERR_CONFLICT);
}

static void wrong_places(void **state)
{
    static const struct {
        const char *georel, *geometry, *coords;
        enum err code;
    } wrong[] = {{"near", "point", "1,2", ERR_INVALID},
                 {"near;maxDistance==5", "point", "1,2", ERR_INVALID},
                 {"near;maxDistance:-5", "point", "1,2", ERR_INVALID},
                 {"near;maxDistance:5", "line", "1,2;3,4", ERR_UNPROCESSABLE},
                 {"within", "point", "1,2", ERR_INVALID},
                 {"coveredBy", "circle", "1,2", ERR_INVALID},
                 {"coveredBy", "box", "1,2", ERR_INVALID},
                 {"coveredBy", "polygon", "1,2;2,2;3,3;4,4", ERR_INVALID},
                 {"equals", "point", "1", ERR_INVALID},
                 {"equals", "point", "", ERR_INVALID},
                 {"equals", "point", "100,1", ERR_INVALID},
                 {"", "point", "1,1", ERR_INVALID},
                 {"coveredBy;x", "point", "1,1", ERR_INVALID},
                 {"near;maxDistance:1;maxDistance:2;minDistance:1", "point", "1,1", ERR_INVALID}};
    (void)state;
    bool hit;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        if (near_result(wrong[i].georel, wrong[i].geometry, wrong[i].coords, "{}", &hit) !=
            wrong[i].code)
            fail_msg("case %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(statements), TEST(on_metadata),    TEST(wrong_statements),
        TEST(places),     TEST(several_places), TEST(wrong_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
