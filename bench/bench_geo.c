/*
 * Places: random near and within queries on 100,000 points, against PostGIS for what they find and
 * against a full scan of ours for how long they take.
 *
 *   tests/lib/pg.sh bench_geo          BENCH_QUICK=1: fewer points and queries
 *
 * PostGIS answers on the sphere (use_spheroid = false) for near, by DE-9IM for within and
 * intersects. A tenth of the points lies on a grid that many of the polygons have their corners on,
 * so that borders are touched: a point on one intersects the polygon and is not within it.
 */
#include "core/buf.h"
#include "core/log.h"
#include "link/repo.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BATCH = 1000, SCANS = 10 };

static size_t n_points = 100000, n_queries = 10000;
static double (*points)[2];

static void die(const char *what)
{
    fprintf(stderr, "bench_geo: %s\n", what);
    exit(1);
}

static uint64_t seed = 20261123;

static uint64_t roll(uint64_t n) /* SplitMix64 */
{
    uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % n;
}

/* A city of 18 km by 22 km; points on the grid have three decimals. */
static void make_points(void)
{
    points = calloc(n_points, sizeof(*points));
    if (!points)
        die("out of memory");
    for (size_t i = 0; i < n_points; i++) {
        bool grid = roll(10) == 0;
        points[i][0] = 140 + (grid ? (double)roll(201) / 1000 : (double)roll(2000001) / 1e7);
        points[i][1] = 36 + (grid ? (double)roll(201) / 1000 : (double)roll(2000001) / 1e7);
    }
}

/* --- the two databases --- */

struct load {
    struct arena arena;
    size_t first;
};

static enum err load_apply(struct store_conn *c, void *ctx, struct error *e)
{
    struct load *l = ctx;
    static const struct repo_options options = {.history = false};
    for (size_t i = l->first; i < l->first + BATCH && i < n_points; i++) {
        arena_reset(&l->arena);
        struct entity_delta delta = {0};
        struct str id = str_printf(&l->arena, "urn:ngsi-ld:BusStop:%zu", i);
        const struct json *payload = json_parse(
            &l->arena,
            str_printf(&l->arena,
                       "{\"id\":\"%" STR_F "\",\"type\":\"BusStop\",\"name\":\"stop %zu\","
                       "\"location\":{\"type\":\"Point\",\"coordinates\":[%.17g,%.17g]}}",
                       STR_A(id), i, points[i][0], points[i][1]),
            &JSON_DEFAULT, e);
        const struct json *stored =
            payload ? entity_expand(&l->arena, payload, ENTITY_WHOLE, false, ld_core(), e) : NULL;
        if (!stored || entity_apply(&l->arena, ENTITY_CREATE, NULL, stored, 0, &delta, e))
            return e->code;
        struct repo_put put = {
            .arena = &l->arena, .options = &options, .tenant = 1, .id = id, .delta = &delta};
        if (repo_put(c, &put, NULL, e))
            return e->code;
    }
    return OK;
}

static struct store *open_ours(const char *path)
{
    struct error e;
    struct store *s;
    struct load l = {.arena = ARENA_INIT};
    struct store_options o = store_options_for(path);
    o.durability = "none";
    if (store_open(&s, &o, &clock_system, &link_module, 1, &e))
        die(e.text);
    for (l.first = 0; l.first < n_points; l.first += BATCH)
        if (store_write(s, load_apply, &l, &e))
            die(e.text);
    arena_release(&l.arena);
    return s;
}

static void run_sql(PGconn *pg, const char *sql)
{
    PGresult *r = PQexec(pg, sql);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        die(PQerrorMessage(pg));
    PQclear(r);
}

static PGconn *open_theirs(void)
{
    const char *url = getenv("MARUGOTO_TEST_PG");
    PGconn *pg = url ? PQconnectdb(url) : NULL;
    if (PQstatus(pg) != CONNECTION_OK)
        die("no PostgreSQL: run it as tests/lib/pg.sh bench_geo");
    run_sql(pg, "SET client_min_messages = error");
    PGresult *r = PQexec(pg, "CREATE EXTENSION postgis");
    if (PQresultStatus(r) != PGRES_COMMAND_OK) {
        printf("SKIP bench_geo: no PostGIS on this machine\n");
        exit(0);
    }
    PQclear(r);
    run_sql(pg, "CREATE TABLE p(n int PRIMARY KEY, lon float8, lat float8)");
    PQclear(PQexec(pg, "COPY p FROM STDIN"));
    for (size_t i = 0; i < n_points; i++) {
        char line[100];
        int n = snprintf(line, sizeof(line), "%zu\t%.17g\t%.17g\n", i, points[i][0], points[i][1]);
        PQputCopyData(pg, line, n);
    }
    PQputCopyEnd(pg, NULL);
    while ((r = PQgetResult(pg)))
        PQclear(r);
    run_sql(pg, "ALTER TABLE p ADD g geometry(Point, 4326), ADD s geography(Point, 4326)");
    run_sql(pg, "UPDATE p SET g = ST_SetSRID(ST_MakePoint(lon, lat), 4326),"
                " s = ST_SetSRID(ST_MakePoint(lon, lat), 4326)::geography");
    run_sql(pg, "CREATE INDEX ON p USING gist(g)");
    run_sql(pg, "CREATE INDEX ON p USING gist(s)");
    run_sql(pg, "VACUUM ANALYZE p");
    return pg;
}

/* --- one question, asked of both --- */

struct question {
    const char *georel, *geometry, *coordinates; /* NGSI-LD's words */
    const char *sql, *wkt, *metres;              /* PostGIS's */
};

struct ids {
    VEC(int64_t) list;
    struct arena arena;
};

static const char *number(struct arena *a, double x)
{
    return arena_printf(a, "%.17g", x);
}

static void ask_near(struct arena *a, struct question *q)
{
    size_t at = roll(n_points);
    bool stop = roll(3) == 0; /* from a stop, else from anywhere */
    const char *lon = number(a, stop ? points[at][0] : 140 + (double)roll(2000001) / 1e7);
    const char *lat = number(a, stop ? points[at][1] : 36 + (double)roll(2000001) / 1e7);
    q->metres = number(a, 20 + (double)roll(60000) / 100);
    q->georel = arena_printf(a, "near;maxDistance==%s", q->metres);
    q->geometry = "Point";
    q->coordinates = arena_printf(a, "[%s,%s]", lon, lat);
    q->wkt = arena_printf(a, "SRID=4326;POINT(%s %s)", lon, lat);
    q->sql = "SELECT n FROM p WHERE ST_DWithin(s, $1::geography, $2, false) ORDER BY n";
}

/* Corners of a polygon, on the grid or anywhere: a box, or a star of eight corners (not convex). */
static size_t corners(double xy[9][2])
{
    uint64_t i = roll(190), j = roll(190), n = 1 + roll(10), m = 1 + roll(10);
    double off = roll(2) ? (double)roll(10000) / 1e7 : 0; /* 0: on the grid, to the last bit */
    double x = 140 + (double)i / 1000 + off, x2 = 140 + (double)(i + n) / 1000 + off;
    double y = 36 + (double)j / 1000 + off, y2 = 36 + (double)(j + m) / 1000 + off;
    if (roll(2)) {
        const double box[5][2] = {{x, y}, {x2, y}, {x2, y2}, {x, y2}, {x, y}};
        memcpy(xy, box, sizeof(box));
        return 5;
    }
    double cx = (x + x2) / 2, cy = (y + y2) / 2, in = 0.15 + (double)roll(30) / 100;
    double dx = (x2 - x) * in, dy = (y2 - y) * in;
    const double star[9][2] = {{x, y},        {cx, cy - dy}, {x2, y},       {cx + dx, cy}, {x2, y2},
                               {cx, cy + dy}, {x, y2},       {cx - dx, cy}, {x, y}};
    memcpy(xy, star, sizeof(star));
    return 9;
}

static void ask_polygon(struct arena *a, struct question *q, bool within)
{
    double xy[9][2];
    size_t n = corners(xy);
    struct buf json = BUF_INIT, wkt = BUF_INIT;
    BUF_LIT(&json, "[[");
    BUF_LIT(&wkt, "SRID=4326;POLYGON((");
    for (size_t i = 0; i < n; i++) {
        buf_printf(&json, "%s[%.17g,%.17g]", i ? "," : "", xy[i][0], xy[i][1]);
        buf_printf(&wkt, "%s%.17g %.17g", i ? "," : "", xy[i][0], xy[i][1]);
    }
    BUF_LIT(&json, "]]");
    BUF_LIT(&wkt, "))");
    q->georel = within ? "within" : "intersects";
    q->geometry = "Polygon";
    q->coordinates = buf_dup(&json, a).p;
    q->wkt = buf_dup(&wkt, a).p;
    q->metres = NULL;
    q->sql = within ? "SELECT n FROM p WHERE ST_Within(g, $1::geometry) ORDER BY n"
                    : "SELECT n FROM p WHERE ST_Intersects(g, $1::geometry) ORDER BY n";
    buf_release(&json);
    buf_release(&wkt);
}

static bool collect(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct ids *out = ctx;
    (void)stored;
    int64_t n;
    if (!str_to_i64(str_from(row->id, sizeof("urn:ngsi-ld:BusStop:") - 1), &n))
        die("an id that is none of ours");
    *vec_push(&out->arena, &out->list) = n;
    return true;
}

struct scan {
    const struct entity_query *query;
    struct ids *out;
};

static bool collect_held(void *ctx, const struct entity_row *row, const struct json *stored)
{
    struct scan *s = ctx;
    bool hit;
    if (query_holds(s->query, stored, &hit, NULL))
        die("query_holds");
    return !hit || collect(s->out, row, stored);
}

/* With indexes, or by looking at every entity. */
static void ask_ours(struct store *s, const struct question *q, bool scan, struct ids *out)
{
    struct arena a = ARENA_INIT;
    struct error e;
    struct geo_query geo;
    struct repo_result result;
    if (query_parse_geo(&a, str_c(q->georel), str_c(q->geometry), str_c(q->coordinates), STR_NONE,
                        ld_core(), &geo, &e))
        die(e.text);
    struct entity_query query = {.geo = &geo}, all = {0};
    struct repo_query rq = {.query = scan ? &all : &query,
                            .tenant = 1,
                            .limit = UINT64_MAX,
                            .clock = &clock_system};
    struct scan each = {&query, out};
    struct store_conn *c = store_read(s, &e);
    if (!c ||
        repo_query(c, &rq, scan ? collect_held : collect, scan ? (void *)&each : out, &result, &e))
        die(e.text);
    store_read_done(c);
    geo_query_release(&geo);
    arena_release(&a);
}

static void ask_theirs(PGconn *pg, const struct question *q, struct ids *out)
{
    const char *values[] = {q->wkt, q->metres};
    PGresult *r = PQexecParams(pg, q->sql, q->metres ? 2 : 1, NULL, values, NULL, NULL, 0);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        die(PQerrorMessage(pg));
    for (int i = 0; i < PQntuples(r); i++) {
        int64_t n;
        if (!str_to_i64(str_c(PQgetvalue(r, i, 0)), &n))
            die("a number that is none");
        *vec_push(&out->arena, &out->list) = n;
    }
    PQclear(r);
}

/* --- comparing --- */

static bool same(const struct ids *x, const struct ids *y)
{
    return x->list.n == y->list.n &&
           (!x->list.n || memcmp(x->list.v, y->list.v, x->list.n * sizeof(x->list.v[0])) == 0);
}

static void ids_clear(struct ids *x)
{
    arena_reset(&x->arena);
    memset(&x->list, 0, sizeof(x->list));
}

struct totals {
    size_t differ, found;
    int64_t ours, theirs, indexed, scanned; /* us; the last two of the same questions */
};

static void ask(struct store *s, PGconn *pg, size_t i, struct totals *t)
{
    static struct ids ours, theirs, scanned;
    struct arena a = ARENA_INIT;
    struct question q;
    if (i % 2 == 0)
        ask_near(&a, &q);
    else
        ask_polygon(&a, &q, i % 4 == 1);
    ids_clear(&ours);
    ids_clear(&theirs);
    int64_t t0 = clock_steady(&clock_system);
    ask_ours(s, &q, false, &ours);
    int64_t t1 = clock_steady(&clock_system);
    ask_theirs(pg, &q, &theirs);
    int64_t t2 = clock_steady(&clock_system);
    t->ours += t1 - t0;
    t->theirs += t2 - t1;
    t->found += ours.list.n;
    if (i < SCANS) {
        ids_clear(&scanned);
        ask_ours(s, &q, true, &scanned);
        t->indexed += t1 - t0;
        t->scanned += clock_steady(&clock_system) - t2;
        if (!same(&ours, &scanned))
            die("the full scan finds something else");
    }
    if (!same(&ours, &theirs) && t->differ++ < 5)
        fprintf(stderr, "%s %s: ours %zu, PostGIS %zu\n", q.georel, q.coordinates, ours.list.n,
                theirs.list.n);
    arena_release(&a);
}

int main(void)
{
    char dir[] = "/tmp/marugoto-bench-XXXXXX", path[80];
    struct totals t = {0};
    log_set_level(LOG_WARN);
    const char *quick = getenv("BENCH_QUICK");
    if (quick && strcmp(quick, "1") == 0) {
        n_points = 10000;
        n_queries = 1000;
    }
    if (!mkdtemp(dir))
        die("no folder in /tmp");
    snprintf(path, sizeof(path), "sqlite:%s/city.db", dir);
    make_points();
    PGconn *pg = open_theirs();
    struct store *s = open_ours(path);
    for (size_t i = 0; i < n_queries; i++)
        ask(s, pg, i, &t);
    double ratio = (double)t.scanned / (double)t.indexed;
    double n = (double)n_queries;
    printf("%s %zu near, within and intersects queries on %zu points, different from PostGIS: %zu"
           " (goal <= 0) %.1f found each\n",
           t.differ ? "MISSED" : "met   ", n_queries, n_points, t.differ, (double)t.found / n);
    printf("%s full scan : index: %.0f (goal >= 10) %.1f ms : %.3f ms\n",
           ratio >= 10 ? "met   " : "MISSED", ratio, (double)t.scanned / SCANS / 1000,
           (double)t.indexed / SCANS / 1000);
    printf("       all queries: ours %.3f ms each, PostGIS %.3f ms each (over its socket)\n",
           (double)t.ours / n / 1000, (double)t.theirs / n / 1000);
    store_close(s);
    PQfinish(pg);
    static const char *const files[] = {"city.db", "city.db-wal", "city.db-shm", "city.db.lock"};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
        unlink(path);
    }
    rmdir(dir);
    free(points);
    return 0;
}
