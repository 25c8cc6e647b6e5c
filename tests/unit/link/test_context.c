#include "ld_test.h"

#include "link/context.h"
#include "link/repo.h"
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static struct clock_fake clock_now_at;

static struct ld_contexts *registry(struct store *s, const struct ld_limits *l)
{
    struct error e = {0};
    clock_now_at = clock_fake_at(INT64_C(1767225600000000));
    struct ld_contexts *c = ld_contexts_new(s, &clock_now_at.base, l, &e);
    if (!c)
        fail_msg("%s", e.text);
    return c;
}

static const struct ld_context *get(struct ld_contexts *c, const char *value)
{
    const struct ld_context *out = NULL;
    struct str missing;
    struct error e = {0};
    if (ld_context_get(c, &arena, J(value), &out, &missing, &e))
        fail_msg("%s: %s", value, e.text);
    assert_non_null(out);
    return out;
}

static void refused(struct ld_contexts *c, const char *value, const char *why)
{
    const struct ld_context *out = NULL;
    struct str missing;
    struct error e = {0};
    enum err err = ld_context_get(c, &arena, J(value), &out, &missing, &e);
    if (err != ERR_INVALID)
        fail_msg("%s: %d %s", value, err, e.text);
    if (!strstr(e.text, why))
        fail_msg("%s: says '%s', not '%s'", value, e.text, why);
}

static void must_fetch(struct ld_contexts *c, const char *value, const char *url)
{
    const struct ld_context *out = NULL;
    struct str missing;
    struct error e = {0};
    assert_int_equal(ld_context_get(c, &arena, J(value), &out, &missing, &e), ERR_UNAVAILABLE);
    assert_text(missing, url);
}

static void add(struct ld_contexts *c, const char *url, enum ld_kind kind, const char *body)
{
    struct error e = {0};
    if (ld_context_add(c, str_c(url), kind, quoted(body), &e))
        fail_msg("%s", e.text);
}

/* A term and its IRI, both ways. */
static void pair(const struct ld_context *c, const char *term, const char *iri)
{
    assert_text(ld_expand(c, &arena, str_c(term)), iri);
    assert_text(ld_compact(c, &arena, str_c(iri)), term);
}

static void core_terms(void **state)
{
    (void)state;
    const struct ld_context *c = ld_core();
    pair(c, "location", NGSI "location");
    pair(c, "observationSpace", NGSI "observationSpace");
    pair(c, "value", NGSI "hasValue");
    pair(c, "object", NGSI "hasObject");
    pair(c, "json", NGSI "hasJSON");
    pair(c, "languageMap", NGSI "hasLanguageMap");
    pair(c, "objectsLists", NGSI "hasObjectsLists");
    pair(c, "containedBy", NGSI "isContainedBy");
    pair(c, "title", "http://purl.org/dc/terms/title");
    pair(c, "description", "http://purl.org/dc/terms/description");
    pair(c, "coordinates", "https://purl.org/geojson/vocab#coordinates");
    pair(c, "observedAt", NGSI "observedAt");
    pair(c, "id", "@id");
    pair(c, "type", "@type");
    pair(c, "name", DEFAULT "name");
    pair(c, "避難所", DEFAULT "避難所");
    pair(c, "urn:x:1", "urn:x:1");
    pair(c, "https://ex.org/a", "https://ex.org/a");
    pair(c, "ngsi-ld:unheard-of", NGSI "unheard-of");
    pair(c, "geojson:other", "https://purl.org/geojson/vocab#other");
    assert_text(ld_expand(c, &arena, S("ngsi-ld:location")), NGSI "location");
    assert_text(ld_expand(c, &arena, S("nothing:x")), "nothing:x");
    assert_text(ld_expand(c, &arena, S(":x")), ":x");
    assert_text(ld_expand(c, &arena, S("ngsi-ld://x")), "ngsi-ld://x");
    assert_text(ld_expand(c, &arena, S("id:x")), "id:x");
    assert_text(ld_term_type(c, S("observedAt")), NGSI "DateTime");
    assert_text(ld_term_type(c, S("vocab")), "@vocab");
    assert_null(ld_term_type(c, S("name")).p);
    assert_text(ld_context_url(c), LD_CORE_URL);
    assert_tree(ld_context_json(c), "'" LD_CORE_URL "'");
}

/* What would read as something else is left long. */
static void compaction_is_safe(void **state)
{
    (void)state;
    const struct ld_context *c = ld_core();
    const char *iris[] = {DEFAULT "location",
                          DEFAULT "type",
                          DEFAULT "a:b",
                          DEFAULT "@x",
                          DEFAULT,
                          NGSI,
                          "",
                          "plain"};
    for (size_t i = 0; i < sizeof(iris) / sizeof(*iris); i++) {
        struct str back = ld_compact(c, &arena, str_c(iris[i]));
        if (iris[i][0] && strcmp(iris[i], "plain") != 0)
            assert_text(ld_expand(c, &arena, back), iris[i]);
    }
    struct str iri = S(DEFAULT "name"), name = ld_compact(c, &arena, iri);
    assert_ptr_equal(name.p, iri.p + sizeof(DEFAULT) - 1);
}

static void inline_terms(void **state)
{
    (void)state;
    struct ld_contexts *r = registry(NULL, NULL);
    const struct ld_context *c =
        get(r, "{'fiware':'https://uri.fiware.org/ns#','short':'fiware:x','longername':'fiware:x',"
               "'ref':{'@id':'fiware:ref','@type':'@id'},'plain':{'@type':'@vocab'},"
               "'later':'other:y','other':'https://o.org/','notprefix':{'@id':'https://n.org/'},"
               "'asprefix':{'@id':'https://p.org/q/','@prefix':true},'self':'self','gone':null,"
               "'location':'https://evil.example/location','alias':'@type','fiware:z':{},"
               "'type':'https://evil.example/type'}");
    pair(c, "short", "https://uri.fiware.org/ns#x");
    assert_text(ld_expand(c, &arena, S("longername")), "https://uri.fiware.org/ns#x");
    pair(c, "ref", "https://uri.fiware.org/ns#ref");
    pair(c, "later", "https://o.org/y");
    pair(c, "fiware:new", "https://uri.fiware.org/ns#new");
    pair(c, "asprefix:r", "https://p.org/q/r");
    pair(c, "plain", DEFAULT "plain");
    pair(c, "self", DEFAULT "self");
    pair(c, "gone", DEFAULT "gone");
    pair(c, "fiware:z", "https://uri.fiware.org/ns#z");
    assert_text(ld_compact(c, &arena, S("https://n.org/x")), "https://n.org/x");
    assert_text(ld_expand(c, &arena, S("notprefix:x")), "https://n.org/x");
    assert_text(ld_expand(c, &arena, S("alias")), "@type");
    pair(c, "location", NGSI "location");
    assert_text(ld_expand(c, &arena, S("type")), "@type");
    assert_text(ld_term_type(c, S("ref")), "@id");
    assert_text(ld_term_type(c, S("plain")), "@vocab");
    assert_ptr_equal(c,
                     get(r, "{'fiware':'https://uri.fiware.org/ns#','short':'fiware:x',"
                            "'longername':'fiware:x','ref':{'@id':'fiware:ref','@type':'@id'},"
                            "'plain':{'@type':'@vocab'},'later':'other:y','other':"
                            "'https://o.org/','notprefix':{'@id':'https://n.org/'},'asprefix':"
                            "{'@id':'https://p.org/q/','@prefix':true},'self':'self','gone':null,"
                            "'location':'https://evil.example/location','alias':'@type',"
                            "'fiware:z':{},'type':'https://evil.example/type'}"));
    ld_contexts_free(r);
}

static void vocab(void **state)
{
    (void)state;
    struct ld_contexts *r = registry(NULL, NULL);
    const struct ld_context *c = get(r, "{'@vocab':'https://v.org/','a':{'@type':'@id'}}");
    pair(c, "b", "https://v.org/b");
    pair(c, "a", "https://v.org/a");
    struct str other = ld_compact(c, &arena, S(DEFAULT "b"));
    assert_text(ld_expand(c, &arena, other), DEFAULT "b");
    c = get(r, "[{'@vocab':'https://v.org/','x':'https://x.org/x'},{'@vocab':null}]");
    pair(c, "b", DEFAULT "b");
    pair(c, "x", "https://x.org/x");
    c = get(r, "[{'x':'https://x.org/x'},null,{'y':'https://y.org/y'}]");
    pair(c, "x", DEFAULT "x");
    pair(c, "y", "https://y.org/y");
    c = get(r, "[{'x':'https://x.org/1'},{'x':'https://x.org/2'}]");
    pair(c, "x", "https://x.org/2");
    ld_contexts_free(r);
}

static void core_alone(void **state)
{
    (void)state;
    struct ld_contexts *r = registry(NULL, NULL);
    const struct ld_context *out;
    struct str missing;
    assert_int_equal(ld_context_get(r, &arena, NULL, &out, &missing, NULL), OK);
    assert_ptr_equal(out, ld_core());
    assert_ptr_equal(get(r, "'" LD_CORE_URL "'"), ld_core());
    assert_ptr_equal(get(r, "['https://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context.jsonld',"
                            "'http://uri.etsi.org/ngsi-ld/v1/ngsi-ld-core-context-v1.3.jsonld']"),
                     ld_core());
    assert_ptr_equal(get(r, "[]"), ld_core());
    ld_contexts_free(r);
}

static void bad_contexts(void **state)
{
    (void)state;
    struct ld_contexts *r = registry(NULL, NULL);
    refused(r, "5", "neither a URL nor an object");
    refused(r, "[[{}],{}]", "a list in a list");
    refused(r, "'not a url'", "there is no context");
    refused(r, "'file:///etc/passwd'", "there is no context");
    refused(r, "{'a':5}", "is not text");
    refused(r, "{'a':{'@id':5}}", "@id of 'a'");
    refused(r, "{'a':'b:x','b':'a:y'}", "defined by itself");
    refused(r, "{'a':'b','b':'c','c':'a'}", "defined by itself");
    refused(r, "{'a':'b c'}", "has no IRI");
    refused(r, "{'@vocab':5}", "@vocab");
    refused(r, "{'@vocab':'b c:'}", "@vocab");
    refused(r, "{'':'https://x.org/'}", "without a name");
    struct buf b = BUF_INIT;
    BUF_LIT(&b, "{'t0':'https://x.org/'");
    for (int i = 1; i < 100; i++)
        buf_printf(&b, ",'t%d':'t%d:x'", 100 - i, 99 - i);
    BUF_LIT(&b, "}");
    refused(r, b.p, "too deeply");
    buf_clear(&b);
    BUF_LIT(&b, "{'t':'https://x.org/'");
    for (int i = 1; i < 5000; i++)
        buf_printf(&b, ",'t%d':'https://example.org/%d'", i, i);
    BUF_LIT(&b, "}");
    refused(r, b.p, "host it instead");
    ld_contexts_free(r);
    struct ld_limits few = {.max_terms = 3, .max_depth = 8, .max_bytes = 1000, .max_cached = 10};
    r = registry(NULL, &few);
    get(r, "{'a':'u:a','b':'u:b','c':'u:c'}");
    refused(r, "{'a':'u:a','b':'u:b','c':'u:c','d':'u:d'}", "more than 3 terms");
    struct error e = {0};
    buf_clear(&b);
    for (int i = 0; i < 1001; i++)
        buf_char(&b, ' ');
    assert_int_equal(ld_context_add(r, S("http://x/"), LD_CACHED, buf_view(&b), &e), ERR_TOO_LARGE);
    assert_int_equal(ld_context_add(r, S("http://x/"), LD_CACHED, S("{}"), &e), ERR_INVALID);
    assert_int_equal(ld_context_add(r, S("http://x/"), LD_CACHED, S("{"), &e), ERR_INVALID);
    assert_int_equal(ld_context_add(r, S(LD_CORE_URL), LD_CACHED, S("{\"@context\":{}}"), &e),
                     ERR_INVALID);
    assert_int_equal(ld_context_delete(r, S(LD_CORE_URL), &e), ERR_INVALID);
    assert_int_equal(ld_context_delete(r, S("http://x/"), &e), ERR_NOT_FOUND);
    buf_release(&b);
    ld_contexts_free(r);
}

static void remote(void **state)
{
    (void)state;
    struct ld_contexts *r = registry(NULL, NULL);
    must_fetch(r, "'https://a.org/c'", "https://a.org/c");
    add(r, "https://a.org/c", LD_CACHED,
        "{'@context':['https://b.org/c',{'a':'https://a.org/a'},'" LD_CORE_URL "']}");
    must_fetch(r, "['https://a.org/c','" LD_CORE_URL "']", "https://b.org/c");
    add(r, "https://b.org/c", LD_CACHED,
        "{'@context':{'a':'https://b.org/a','b':'https://b.org/b','location':'https://b.org/l'}}");
    const struct ld_context *c = get(r, "['https://a.org/c','" LD_CORE_URL "']");
    pair(c, "a", "https://a.org/a");
    pair(c, "b", "https://b.org/b");
    pair(c, "location", NGSI "location");
    assert_ptr_equal(c, get(r, "'https://a.org/c'"));
    assert_text(ld_context_url(c), "https://a.org/c");
    assert_tree(ld_context_json(c), "'https://a.org/c'"); /* it brings the core context along */

    /* a new document is seen at once; what was given out stays readable for a while */
    add(r, "https://b.org/c", LD_CACHED, "{'@context':{'b':'https://b.org/new'}}");
    const struct ld_context *fresh = get(r, "'https://a.org/c'");
    ld_context_hold(fresh);
    pair(fresh, "b", "https://b.org/new");
    pair(c, "b", "https://b.org/b");
    struct error e = {0};
    assert_int_equal(ld_context_delete(r, S("https://b.org/c"), &e), OK);
    must_fetch(r, "'https://a.org/c'", "https://b.org/c");
    clock_fake_move(&clock_now_at, LD_RETIRED_US + SECOND_US);
    get(r, "{'x':'https://x.org/'}"); /* frees what is too old */
    pair(fresh, "b", "https://b.org/new");
    ld_context_let_go(fresh);
    ld_contexts_free(r);
}

static void hostile_documents(void **state)
{
    (void)state;
    struct ld_contexts *r = registry(NULL, NULL);
    add(r, "http://a/", LD_CACHED, "{'@context':['http://b/']}");
    add(r, "http://b/", LD_CACHED, "{'@context':{'@import':'http://a/'}}");
    refused(r, "'http://a/'", "imports itself");
    for (int i = 0; i < 12; i++) {
        struct str url = str_printf(&arena, "http://n/%d", i);
        struct str body = str_printf(&arena, "{'@context':'http://n/%d'}", i + 1);
        add(r, url.p, LD_CACHED, body.p);
    }
    refused(r, "'http://n/0'", "nested too deeply");
    /* each names the next many times over */
    for (int i = 0; i < 6; i++) {
        struct str url = str_printf(&arena, "http://m/%d", i), next = S("http://m/6");
        next = str_printf(&arena, "http://m/%d", i + 1);
        struct str body = str_printf(&arena, "{'@context':['%s','%s','%s','%s']}", next.p, next.p,
                                     next.p, next.p);
        add(r, url.p, LD_CACHED, body.p);
    }
    add(r, "http://m/6", LD_CACHED, "{'@context':{}}");
    refused(r, "'http://m/0'", "too many documents");
    add(r, "http://s/", LD_CACHED, "{'@context':'http://t/','x':1}");
    must_fetch(r, "'http://s/'", "http://t/");
    ld_contexts_free(r);
}

static bool count(void *ctx, const struct ld_entry *e)
{
    assert_true(e->url.n && e->body.n);
    ++*(int *)ctx;
    return true;
}

static int entries(struct ld_contexts *r)
{
    int n = 0;
    ld_context_each(r, count, &n);
    return n;
}

static void implicit_contexts(void **state)
{
    (void)state;
    struct ld_limits l = {.max_terms = 100, .max_depth = 8, .max_bytes = 1000, .max_cached = 2};
    struct ld_contexts *r = registry(NULL, &l);
    const struct ld_context *c = get(r, "[{'x':'https://x.org/x'},'" LD_CORE_URL "']");
    struct str url = ld_context_url(c);
    assert_true(str_starts(url, S(LD_LOCAL_PATH)));
    assert_tree(ld_context_json(c), "[{'x':'https://x.org/x'},'" LD_CORE_URL "']");
    struct ld_entry e;
    assert_true(ld_context_find(r, &arena, url, &e));
    assert_int_equal(e.kind, LD_IMPLICIT);
    assert_text(e.body, "{'@context':{'x':'https://x.org/x'}}");
    assert_true(e.uses > 0);

    /* the Link of an answer can be sent back, under whatever name the host goes by */
    struct str link = str_printf(&arena, "'https://city.example:8443%" STR_F "'", STR_A(url));
    pair(get(r, link.p), "x", "https://x.org/x");
    link = str_printf(&arena, "'%" STR_F "'", STR_A(url));
    pair(get(r, link.p), "x", "https://x.org/x");
    assert_int_equal(entries(r), 1);

    /* only so many are kept; the least recently used goes first */
    clock_fake_move(&clock_now_at, SECOND_US);
    get(r, "{'y':'https://x.org/y'}");
    clock_fake_move(&clock_now_at, SECOND_US);
    const struct ld_context *z = get(r, "{'z':'https://x.org/z'}");
    assert_int_equal(entries(r), 2);
    assert_false(ld_context_find(r, &arena, url, &e));
    pair(c, "x", "https://x.org/x");
    assert_ptr_equal(get(r, "{'z':'https://x.org/z'}"), z);
    refused(r, "'" LD_LOCAL_PATH "unknown'", "there is no context");
    ld_contexts_free(r);
}

static void survives_a_restart(void **state)
{
    (void)state;
    char path[] = "/tmp/marugoto-context-XXXXXX";
    assert_non_null(mkdtemp(path));
    struct str url = str_printf(&arena, "sqlite:%s/link.db", path);
    struct store_options o = store_options_for(url.p);
    struct store *s;
    struct error e = {0};
    const struct store_module *module = &link_module;
    if (store_open(&s, &o, &clock_system, module, 1, &e))
        fail_msg("%s", e.text);
    struct ld_contexts *r = registry(s, NULL);
    add(r, "https://a.org/1", LD_CACHED, "{'@context':{'a':'https://a.org/a'}}");
    clock_fake_move(&clock_now_at, SECOND_US);
    add(r, LD_LOCAL_PATH "h", LD_HOSTED, "{'@context':'https://a.org/1'}");
    clock_fake_move(&clock_now_at, SECOND_US);
    add(r, "https://a.org/2", LD_CACHED, "{'@context':{}}");
    add(r, "https://a.org/1", LD_CACHED, "{'@context':{'a':'https://a.org/b'}}");
    assert_int_equal(ld_context_delete(r, S("https://a.org/2"), &e), OK);
    ld_contexts_free(r);
    store_close(s);
    assert_int_equal(store_open(&s, &o, &clock_system, module, 1, &e), OK);
    r = registry(s, NULL);
    assert_int_equal(entries(r), 2);
    pair(get(r, "'" LD_LOCAL_PATH "h'"), "a", "https://a.org/b");
    struct ld_entry entry;
    assert_true(ld_context_find(r, &arena, S(LD_LOCAL_PATH "h"), &entry));
    assert_int_equal(entry.kind, LD_HOSTED);
    ld_contexts_free(r);
    store_close(s);
    const char *files[] = {"link.db", "link.db-wal", "link.db-shm", "link.db.lock"};
    for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
        unlink(str_printf(&arena, "%s/%s", path, files[i]).p);
    assert_int_equal(rmdir(path), 0);
}

/* Readers of a context whose document is replaced all the time see one version or another, whole.
 */
static void *reader(void *arg)
{
    struct ld_contexts *r = arg;
    struct arena a = ARENA_INIT;
    uintptr_t wrong = 0;
    for (int i = 0; i < 300; i++) {
        const struct ld_context *c = NULL;
        struct str missing;
        struct error e;
        struct json url = json_v_str(S("https://a.org/c"));
        enum err err = ld_context_get(r, &a, &url, &c, &missing, &e);
        if (err) {
            wrong++;
            break;
        }
        struct str x = ld_expand(c, &a, S("x")), y = ld_expand(c, &a, S("y"));
        wrong += x.n != y.n || x.p[x.n - 1] != y.p[y.n - 1];
        struct json_member m = json_m(S("t"), json_v_str(i % 2 ? S("u:a") : S("u:b")));
        struct json inline_value = json_v_object(&m, 1);
        wrong += ld_context_get(r, &a, &inline_value, &c, &missing, &e) != OK;
        arena_reset(&a);
    }
    arena_release(&a);
    return (void *)wrong;
}

static void many_threads(void **state)
{
    (void)state;
    struct ld_limits l = {.max_terms = 100, .max_depth = 8, .max_bytes = 1000, .max_cached = 2};
    struct ld_contexts *r = registry(NULL, &l);
    pthread_t threads[3];
    add(r, "https://a.org/c", LD_CACHED, "{'@context':{'x':'u:x0','y':'u:y0'}}");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader, r), 0);
    for (int i = 0; i < 200; i++) {
        struct str body =
            str_printf(&arena, "{'@context':{'x':'u:x%d','y':'u:y%d'}}", i % 10, i % 10);
        add(r, "https://a.org/c", LD_CACHED, body.p);
    }
    for (size_t i = 0; i < 3; i++) {
        void *wrong;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    ld_contexts_free(r);
}

static void uris(void **state)
{
    (void)state;
    const char *good[] = {"urn:x:1", "https://a.org/b?c=d#e", "a+b-c.d:x", "urn:市:1",
                          "h://[::1]/"};
    const char *bad[] = {"", "x", ":x", "1a:x", "urn:", "urn:a b", "urn:a<b", "urn:a\tb", "市:x"};
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
        assert_true(ld_is_uri(str_c(good[i])));
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(ld_is_uri(str_c(bad[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(core_terms),
        TEST(compaction_is_safe),
        TEST(inline_terms),
        TEST(vocab),
        TEST(core_alone),
        TEST(bad_contexts),
        TEST(remote),
        TEST(hostile_documents),
        TEST(uris),
        TEST(implicit_contexts),
        TEST(survives_a_restart),
        TEST(many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
