/*
 * dump.c - backup of a schema into one file, and back.
 *
 * pg_dump is a client program that need not be there; what we need is less: our own tables, whose
 * definitions the migrations know. The file is a row of frames:
 *
 *     type, one byte | length, 4 bytes big-endian | payload
 *     H  "marugoto dump 1"
 *     S  a script to run, in order: the migrations as they were run
 *     T  a table: its name, a line feed, its columns as they stand in COPY
 *     D  a piece of its rows in COPY's text format
 *     E  the number of its rows, decimal
 *     Z  the end: BLAKE2b-256 chained over all frames before
 *
 * A restore reads the file twice: first to verify it, then in one transaction to load it. Tables
 * come in the order of their foreign keys.
 */
#include "postgres.h"

#include "crypto/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 65536 };
static const char title[] = "marugoto dump 1";

#define OUR_TABLES                                                                                 \
    "relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace) AND NOT EXISTS"       \
    " (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e')"

/* --- frames --- */

struct dump {
    FILE *file;
    const char *path;
    struct hash chain;
    int64_t left; /* reading: bytes of the file that were not read yet */
    struct buf payload;
};

static void extend_chain(struct dump *d, char type, struct str payload)
{
    const struct str fields[] = {str_n((const char *)d->chain.b, HASH_BYTES), str_n(&type, 1),
                                 payload};
    d->chain = hash_blake2b_fields(fields, 3);
}

static enum err put_frame(struct dump *d, char type, struct str payload, struct error *e)
{
    unsigned char head[5] = {(unsigned char)type, (unsigned char)(payload.n >> 24),
                             (unsigned char)(payload.n >> 16), (unsigned char)(payload.n >> 8),
                             (unsigned char)payload.n};
    if (payload.n > INT32_MAX)
        return error_set(e, ERR_TOO_LARGE, "%s: a row is over 2 GB", d->path);
    if (fwrite(head, 1, sizeof(head), d->file) != sizeof(head) ||
        (payload.n && fwrite(payload.p, 1, payload.n, d->file) != payload.n))
        return error_set(e, ERR_IO, "%s: %s", d->path, strerror(errno));
    extend_chain(d, type, payload);
    return OK;
}

/* The next frame into d->payload; the chain is as before the frame when its type is Z. */
static enum err get_frame(struct dump *d, char *type, struct error *e)
{
    unsigned char head[5];
    if (fread(head, 1, sizeof(head), d->file) != sizeof(head))
        return error_set(e, ERR_CORRUPT, "%s: the dump ends early", d->path);
    int64_t n = (int64_t)head[1] << 24 | head[2] << 16 | head[3] << 8 | head[4];
    d->left -= (int64_t)sizeof(head) + n;
    if (d->left < 0)
        return error_set(e, ERR_CORRUPT, "%s: the dump ends early", d->path);
    buf_clear(&d->payload);
    buf_reserve(&d->payload, (size_t)n + 1);
    if (fread(d->payload.p, 1, (size_t)n, d->file) != (size_t)n)
        return error_set(e, ERR_CORRUPT, "%s: the dump ends early", d->path);
    d->payload.n = (size_t)n;
    d->payload.p[n] = '\0';
    *type = (char)head[0];
    if (*type != 'Z')
        extend_chain(d, *type, buf_view(&d->payload));
    return OK;
}

/* --- backup --- */

/* Each value of the first column as a frame. */
static enum err put_scripts(PGconn *pg, struct dump *d, struct error *e)
{
    enum err err;
    struct buf sql = BUF_INIT;
    PGresult *r = PQexec(pg, "SELECT sql FROM store_migration ORDER BY id");
    if (PQresultStatus(r) != PGRES_TUPLES_OK) {
        err = pg_error(pg, r, e, "backup");
        goto out;
    }
    if ((err = migrate_expand(&store_engine_postgres, migrate_table, &sql, e)))
        goto out;
    err = put_frame(d, 'S', buf_view(&sql), e);
    for (int i = 0; !err && i < PQntuples(r); i++)
        err = put_frame(d, 'S', str_c(PQgetvalue(r, i, 0)), e);
out:
    PQclear(r);
    buf_release(&sql);
    return err;
}

/* Rows of a COPY that has begun, gathered into pieces. */
static enum err put_rows(PGconn *pg, struct dump *d, struct error *e)
{
    char *row = NULL;
    int n;
    enum err err = OK;
    buf_clear(&d->payload);
    while (!err && (n = PQgetCopyData(pg, &row, 0)) > 0) {
        buf_add(&d->payload, row, (size_t)n);
        PQfreemem(row);
        if (d->payload.n >= PIECE) {
            err = put_frame(d, 'D', buf_view(&d->payload), e);
            buf_clear(&d->payload);
        }
    }
    if (!err && d->payload.n)
        err = put_frame(d, 'D', buf_view(&d->payload), e);
    if (err)
        return err;
    PGresult *r = PQgetResult(pg);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        err = pg_error(pg, r, e, "backup");
    else
        err = put_frame(d, 'E', str_c(PQcmdTuples(r)), e);
    PQclear(r);
    while ((r = PQgetResult(pg)))
        PQclear(r);
    return err;
}

static enum err put_table(PGconn *pg, struct dump *d, const char *name, const char *columns,
                          struct error *e)
{
    struct buf b = BUF_INIT;
    buf_printf(&b, "%s\n%s", name, columns);
    enum err err = put_frame(d, 'T', buf_view(&b), e);
    buf_clear(&b);
    buf_printf(&b, "COPY %s (%s) TO STDOUT", name, columns);
    if (!err) {
        PGresult *r = PQexec(pg, b.p);
        err =
            PQresultStatus(r) == PGRES_COPY_OUT ? put_rows(pg, d, e) : pg_error(pg, r, e, "backup");
        PQclear(r);
    }
    buf_release(&b);
    return err;
}

static enum err put_tables(PGconn *pg, struct dump *d, struct error *e)
{
    PGresult *r =
        PQexec(pg,
               "WITH RECURSIVE d (oid, depth) AS ("
               " SELECT oid, 0 FROM pg_class WHERE " OUR_TABLES
               " UNION SELECT conrelid, depth + 1 FROM d JOIN pg_constraint ON confrelid = d.oid"
               " WHERE contype = 'f' AND conrelid <> confrelid AND depth < 50)"
               " SELECT quote_ident(relname), (SELECT string_agg(quote_ident(attname), ', '"
               "  ORDER BY attnum) FROM pg_attribute WHERE attrelid = pg_class.oid AND attnum > 0"
               "  AND NOT attisdropped AND attgenerated = '')"
               " FROM pg_class JOIN (SELECT oid, max(depth) AS depth FROM d GROUP BY oid) m"
               " USING (oid) ORDER BY depth, relname");
    enum err err = OK;
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        err = pg_error(pg, r, e, "backup");
    for (int i = 0; !err && i < PQntuples(r); i++)
        err = put_table(pg, d, PQgetvalue(r, i, 0), PQgetvalue(r, i, 1), e);
    PQclear(r);
    return err;
}

static enum err put_all(PGconn *pg, struct dump *d, struct error *e)
{
    enum err err;
    if ((err = pg_run(pg, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", e)) ||
        (err = put_frame(d, 'H', str_c(title), e)) || (err = put_scripts(pg, d, e)) ||
        (err = put_tables(pg, d, e)))
        return err;
    struct hash chain = d->chain;
    if ((err = put_frame(d, 'Z', str_n((const char *)chain.b, HASH_BYTES), e)))
        return err;
    if (fflush(d->file) != 0)
        return error_set(e, ERR_IO, "%s: %s", d->path, strerror(errno));
    return file_sync(fileno(d->file), d->path, e);
}

enum err pg_backup(struct store *s, const char *path, struct error *e)
{
    PGconn *pg = NULL;
    struct buf part = BUF_INIT;
    buf_printf(&part, "%s.part", path);
    struct dump d = {.path = part.p};
    enum err err = pg_connect(s, CONN_ADMIN, &pg, e);
    if (err)
        goto out;
    int fd = open(part.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    d.file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    if (!d.file) {
        err = error_set(e, ERR_IO, "%s: %s", part.p, strerror(errno));
        if (fd >= 0)
            close(fd);
        goto out;
    }
    err = put_all(pg, &d, e);
    if (fclose(d.file) != 0 && !err)
        err = error_set(e, ERR_IO, "%s: %s", part.p, strerror(errno));
    if (!err)
        err = file_rename_durably(part.p, path, e);
    if (err)
        unlink(part.p);
out:
    PQfinish(pg);
    buf_release(&d.payload);
    buf_release(&part);
    return err;
}

/* --- restore --- */

static enum err rewind_dump(struct dump *d, struct error *e)
{
    struct stat st;
    char type = 0;
    d->chain = (struct hash){{0}};
    if (fseek(d->file, 0, SEEK_SET) != 0 || fstat(fileno(d->file), &st) != 0)
        return error_set(e, ERR_IO, "%s: %s", d->path, strerror(errno));
    d->left = st.st_size;
    enum err err = get_frame(d, &type, e);
    if (err || type != 'H' || !str_eq(buf_view(&d->payload), str_c(title)))
        return error_set(e, ERR_CORRUPT, "%s is not a dump of this program", d->path);
    return OK;
}

static enum err verify(struct dump *d, struct error *e)
{
    char type = 0;
    enum err err = rewind_dump(d, e);
    while (!err && type != 'Z')
        err = get_frame(d, &type, e);
    if (err)
        return err;
    if (d->left != 0 || !str_eq(buf_view(&d->payload), str_n((const char *)d->chain.b, HASH_BYTES)))
        return error_set(e, ERR_CORRUPT, "%s: the dump was damaged", d->path);
    return rewind_dump(d, e);
}

static enum err make_room(PGconn *pg, bool force, struct error *e)
{
    PGresult *r = PQexec(pg, "SELECT quote_ident(relname) FROM pg_class WHERE " OUR_TABLES);
    enum err err = OK;
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        err = pg_error(pg, r, e, "restore");
    else if (PQntuples(r) && !force)
        err = error_set(e, ERR_EXISTS, "the database has %d tables already", PQntuples(r));
    struct buf sql = BUF_INIT;
    for (int i = 0; !err && i < PQntuples(r); i++) {
        buf_clear(&sql);
        buf_printf(&sql, "DROP TABLE IF EXISTS %s CASCADE", PQgetvalue(r, i, 0));
        err = pg_run(pg, sql.p, e);
    }
    PQclear(r);
    buf_release(&sql);
    return err;
}

static enum err start_table(PGconn *pg, const struct dump *d, struct error *e)
{
    struct str rest = buf_view(&d->payload), name = STR_NONE;
    struct buf sql = BUF_INIT;
    str_split(&rest, '\n', &name);
    /* Migrations may have put rows in; what refers to them comes later. */
    buf_printf(&sql, "TRUNCATE %.*s CASCADE", (int)name.n, name.p);
    enum err err = pg_run(pg, sql.p, e);
    if (!err) {
        buf_clear(&sql);
        buf_printf(&sql, "COPY %.*s (%.*s) FROM STDIN", (int)name.n, name.p, (int)rest.n, rest.p);
        PGresult *r = PQexec(pg, sql.p);
        if (PQresultStatus(r) != PGRES_COPY_IN)
            err = pg_error(pg, r, e, "restore");
        PQclear(r);
    }
    buf_release(&sql);
    return err;
}

static enum err end_table(PGconn *pg, const struct dump *d, struct error *e)
{
    if (PQputCopyEnd(pg, NULL) != 1)
        return pg_error(pg, NULL, e, "restore");
    PGresult *r = PQgetResult(pg);
    enum err err = OK;
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        err = pg_error(pg, r, e, "restore");
    else if (!str_eq(str_c(PQcmdTuples(r)), buf_view(&d->payload)))
        err = error_set(e, ERR_CORRUPT, "%s: %s rows instead of %s", d->path, PQcmdTuples(r),
                        d->payload.p);
    PQclear(r);
    while ((r = PQgetResult(pg)))
        PQclear(r);
    return err;
}

static enum err load(PGconn *pg, struct dump *d, struct error *e)
{
    enum err err = OK;
    char type = 0;
    while (!err && !(err = get_frame(d, &type, e)) && type != 'Z') {
        switch (type) {
        case 'S':
            err = pg_run(pg, d->payload.p, e);
            break;
        case 'T':
            err = start_table(pg, d, e);
            break;
        case 'D':
            if (PQputCopyData(pg, d->payload.p, (int)d->payload.n) != 1)
                err = pg_error(pg, NULL, e, "restore");
            break;
        case 'E':
            err = end_table(pg, d, e);
            break;
        default:
            err = error_set(e, ERR_CORRUPT, "%s: unknown frame", d->path);
        }
    }
    return err;
}

/* Keys that the engine assigns go on after the largest one that was loaded. */
static const char next_ids[] =
    "DO $$ DECLARE r record; BEGIN"
    " FOR r IN SELECT relname, attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid"
    "  WHERE attidentity <> '' AND relkind = 'r'"
    "  AND relnamespace = CAST(current_schema() AS regnamespace)"
    " LOOP EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, %L),"
    "  (SELECT COALESCE(max(%I), 0) + 1 FROM %I), false)',"
    "  quote_ident(r.relname), r.attname, r.attname, r.relname);"
    " END LOOP; END $$";

enum err pg_restore(const char *backup, const struct store_options *o, bool force, struct error *e)
{
    struct store *s = store_alloc(o, &clock_system, &store_engine_postgres);
    struct dump d = {.path = backup, .file = fopen(backup, "rbe")};
    PGconn *pg = NULL;
    enum err err;
    if (!d.file) {
        err = error_set(e, ERR_IO, "%s: %s", backup, strerror(errno));
        goto out;
    }
    if ((err = verify(&d, e)) || (err = pg_connect(s, CONN_ADMIN, &pg, e)))
        goto out;
    if ((err = pg_run(pg, "BEGIN", e)) || (err = make_room(pg, force, e)) ||
        (err = load(pg, &d, e)) || (err = pg_run(pg, next_ids, e)))
        goto out;
    err = pg_run(pg, "COMMIT", e);
out:
    PQfinish(pg); /* rolls back what was not committed */
    if (d.file)
        fclose(d.file);
    buf_release(&d.payload);
    store_free(s);
    return err;
}
