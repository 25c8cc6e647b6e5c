/*
 * Importing any bytes as any kind (the first byte chooses): counters add up, the report is
 * well-formed JSON, what was loaded is found again unchanged by the same import.
 */
#include "link/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "fuzz_import: %s\n", what);
    abort();
}

static struct link city;
static struct clock_fake clock_now_here;
static char dir[] = "/tmp/fuzz_import_XXXXXX";

static void close_city(void)
{
    char path[64];
    static const char *const files[] = {"city.db", "city.db-wal", "city.db-shm", "city.db.lock"};
    ld_contexts_free(city.contexts);
    store_close(city.store);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
}

static void open_city(void)
{
    char url[64];
    struct error e = {0};
    check(mkdtemp(dir) != NULL, "folder");
    snprintf(url, sizeof(url), "sqlite:%s/city.db", dir);
    struct store_options o = store_options_for(url);
    o.durability = "none";
    clock_now_here = clock_fake_at(INT64_C(1790000000000000));
    check(!store_open(&city.store, &o, &clock_now_here.base, &link_module, 1, &e), "store");
    city.clock = &clock_now_here.base;
    city.contexts = ld_contexts_new(NULL, city.clock, NULL, &e);
    check(city.contexts != NULL, "contexts");
    atexit(close_city);
}

static enum err import(struct arena *a, struct str bytes, const char *kind, struct import_report *r)
{
    struct error e = {0};
    struct import_job job = {.link = &city,
                             .arena = a,
                             .bytes = bytes,
                             .name = S("fuzz"),
                             .kind = str_c(kind),
                             .type = S("Thing"),
                             .dataset = S("fuzz"),
                             .problems_max = 50};
    enum err err = import_run(&job, r, &e);
    check(!err || err == ERR_INVALID, "error of the store");
    check((err == OK) == !r->refused.p, "refused and not");
    check(r->problems.n <= 50, "too many problems");
    return err;
}

static void check_report(struct arena *a, const struct import_report *r)
{
    struct buf text = BUF_INIT, again = BUF_INIT;
    struct import_report back;
    import_report_json(&text, r);
    const struct json *v = json_parse(a, buf_view(&text), &JSON_DEFAULT, NULL);
    check(v != NULL, "report is no JSON");
    import_report_read(a, v, &back);
    import_report_json(&again, &back);
    check(str_eq(buf_view(&text), buf_view(&again)), "report reads back otherwise");
    buf_clear(&again);
    import_report_text(&again, r);
    buf_release(&text);
    buf_release(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = ARENA_INIT;
    struct import_report first, second;
    size_t n = 0, kinds = 0;
    if (!city.store)
        open_city();
    while (import_kinds()[kinds].name)
        kinds++;
    if (size)
        n = data[0] % (kinds + 1);
    struct str bytes = str_n((const char *)data + (size ? 1 : 0), size ? size - 1 : 0);
    enum err err = import(&a, bytes, n < kinds ? import_kinds()[n].name : NULL, &first);
    check_report(&a, &first);
    uint64_t loaded = first.created + first.updated + first.unchanged - first.closed;
    if (!err) {
        check(!import(&a, bytes, n < kinds ? import_kinds()[n].name : NULL, &second),
              "the second time it is refused");
        check(second.unchanged == loaded && !second.created && !second.updated,
              "the same file changes something");
    }
    arena_release(&a);
    return 0;
}
