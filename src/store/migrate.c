/*
 * migrate.c - bring each module's tables to the version that the program knows.
 *
 * Each migration runs in a transaction of its own together with its row in store_migration, so a
 * crash leaves a whole number of them. The row keeps the text that was run: a dump can rebuild the
 * tables without the program that made them.
 */
#include "engine.h"

#include "core/log.h"
#include <stdio.h>
#include <string.h>

static const struct store_migration own_migrations[] = {
    {1, "journal",
     "CREATE TABLE journal ("
     " pos {int} PRIMARY KEY," /* tenant << 40 | seq */
     " at {int} NOT NULL,"
     " topic {text} NOT NULL,"
     " key {text} NOT NULL,"
     " body {text} NOT NULL,"
     " actor {text},"
     " origin {text},"
     " origin_seq {int} NOT NULL,"
     " hash {blob} NOT NULL);"
     "CREATE TABLE journal_tenant ("
     " tenant {int} PRIMARY KEY,"
     " head_seq {int} NOT NULL," /* newest row */
     " head_hash {blob} NOT NULL,"
     " anchor_seq {int} NOT NULL," /* newest trimmed row */
     " anchor_hash {blob} NOT NULL);"
     /* One row. */
     "CREATE TABLE store_state ("
     " id {int} PRIMARY KEY,"
     " batches {int} NOT NULL,"
     " probes {int} NOT NULL);"
     "INSERT INTO store_state (id, batches, probes) VALUES (1, 0, 0);",
     NULL, NULL},
    /* Its row was the lock between processes; a program that still locks it cannot write beside one
     * that locks tenants. */
    {2, "locks are by tenant", "ALTER TABLE store_state DROP COLUMN batches;", NULL, NULL},
};
const char migrate_table[] = "CREATE TABLE IF NOT EXISTS store_migration ("
                             " id {id},"
                             " module {text} NOT NULL,"
                             " number {int} NOT NULL,"
                             " name {text} NOT NULL,"
                             " at {int} NOT NULL,"
                             " sql {text} NOT NULL,"
                             " UNIQUE (module, number))";
static const struct store_module own_module = {"store", own_migrations,
                                               sizeof(own_migrations) / sizeof(own_migrations[0])};

enum err migrate_expand(const struct store_engine *engine, const char *sql, struct buf *out,
                        struct error *e)
{
    static const char *const names[] = {"id", "int", "text", "blob", "real"};
    for (const char *p = sql; *p; p++) {
        if (*p != '{') {
            buf_char(out, *p);
            continue;
        }
        size_t length = strcspn(++p, "}");
        size_t i = 0;
        while (i < 5 && (strlen(names[i]) != length || memcmp(names[i], p, length) != 0))
            i++;
        if (i == 5)
            return error_set(e, ERR_INTERNAL, "migration: unknown placeholder {%.*s}", (int)length,
                             p);
        buf_str(out, str_c(engine->types[i]));
        p += length;
    }
    return OK;
}

static enum err create_table(struct store_conn *c, struct error *e)
{
    struct buf sql = BUF_INIT;
    enum err err = migrate_expand(c->store->engine, migrate_table, &sql, e);
    if (!err)
        err = c->store->engine->script(c, sql.p, e);
    buf_release(&sql);
    return err;
}

/* How many migrations of the module are applied; refuse what this program does not know. */
static enum err applied(struct store_conn *c, const struct store_module *m, size_t *n,
                        struct error *e)
{
    struct store_rows r;
    struct error why;
    enum err bad = OK;
    int64_t newest = 0;
    store_query(c, &r, "SELECT number, name FROM store_migration WHERE module = $1 ORDER BY number",
                SV(SV_TEXT(str_c(m->name))));
    while (store_next(&r)) {
        newest = store_int(&r, 0);
        struct str name = store_text(&r, 1);
        if (!bad && newest <= (int64_t)m->n && !str_eq(name, str_c(m->migrations[newest - 1].name)))
            bad = error_set(&why, ERR_CONFLICT,
                            "migration %d of module %s is \"%.*s\" in the store but \"%s\" in this"
                            " program",
                            (int)newest, m->name, (int)name.n, name.p,
                            m->migrations[newest - 1].name);
    }
    enum err err = store_end(&r, e);
    if (err)
        return err;
    if (bad) {
        if (e)
            *e = why;
        return bad;
    }
    if (newest > (int64_t)m->n)
        return error_set(e, ERR_CONFLICT,
                         "the store was written by a newer program: module %s is at version %d"
                         " there, this program knows %d",
                         m->name, (int)newest, (int)m->n);
    *n = (size_t)newest;
    return OK;
}

static enum err run_one(struct store_conn *c, const struct store_module *m,
                        const struct store_migration *g, struct error *e)
{
    const struct store_engine *engine = c->store->engine;
    const char *extra = engine == &store_engine_sqlite ? g->sqlite : g->postgres;
    struct buf sql = BUF_INIT;
    enum err err = engine->script(c, "BEGIN", e);
    if (err)
        return err;
    if ((err = migrate_expand(engine, g->sql, &sql, e)))
        goto out;
    BUF_LIT(&sql, "\n;\n");
    if (extra && (err = migrate_expand(engine, extra, &sql, e)))
        goto out;
    if ((err = engine->script(c, sql.p, e)))
        goto out;
    err = store_exec(c,
                     "INSERT INTO store_migration (module, number, name, at, sql)"
                     " VALUES ($1, $2, $3, $4, $5)",
                     SV(SV_TEXT(str_c(m->name)), SV_INT(g->number), SV_TEXT(str_c(g->name)),
                        SV_INT(clock_now(c->store->clock)), SV_TEXT(buf_view(&sql))),
                     NULL, e);
    if (!err)
        err = engine->script(c, "COMMIT", e);
out:
    if (err) {
        char why[300];
        snprintf(why, sizeof(why), "%.250s", e->text);
        engine->script(c, "ROLLBACK", NULL);
        error_set(e, err, "migration %d (%s) of module %s: %s", g->number, g->name, m->name, why);
    } else {
        log_event(LOG_INFO, "store.migrated", LOG_Z("module", m->name), LOG_I("number", g->number),
                  LOG_Z("name", g->name));
    }
    buf_release(&sql);
    return err;
}

static enum err run_module(struct store_conn *c, const struct store_module *m, struct error *e)
{
    size_t done = 0;
    for (size_t i = 0; i < m->n; i++)
        if (m->migrations[i].number != (int)i + 1)
            return error_set(e, ERR_INTERNAL, "module %s: migration %d has the number %d", m->name,
                             (int)i + 1, m->migrations[i].number);
    enum err err = applied(c, m, &done, e);
    for (size_t i = done; !err && i < m->n; i++)
        err = run_one(c, m, &m->migrations[i], e);
    return err;
}

enum err migrate(struct store *s, const struct store_module *modules, size_t n, struct error *e)
{
    struct store_conn *c = NULL;
    struct error scratch;
    if (!e)
        e = &scratch;
    enum err err = s->engine->connect(s, CONN_ADMIN, &c, e);
    if (err)
        return err;
    if ((err = s->engine->lock_schema(c, e)))
        goto out;
    if (!(err = create_table(c, e)))
        err = run_module(c, &own_module, e);
    for (size_t i = 0; !err && i < n; i++)
        err = run_module(c, &modules[i], e);
    s->engine->unlock_schema(c);
out:
    s->engine->disconnect(c);
    return err;
}

enum err migrate_verify(struct store *s, const struct store_module *modules, size_t n,
                        struct error *e)
{
    struct store_conn *c = NULL;
    enum err err = s->engine->connect(s, CONN_READER, &c, e);
    if (err)
        return err;
    for (size_t i = 0; !err && i <= n; i++) {
        const struct store_module *m = i < n ? &modules[i] : &own_module;
        size_t done = 0;
        err = applied(c, m, &done, e);
        if (!err && done < m->n)
            err = error_set(e, ERR_CONFLICT,
                            "the store is older than this program: module %s is at version %zu"
                            " there and %zu here; starting the city brings it forward",
                            m->name, done, m->n);
    }
    s->engine->disconnect(c);
    return err;
}
