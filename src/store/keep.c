/* keep.c - backup, restore and check, as far as they are the same for all engines; whole files. */
#include "engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

enum err file_sync(int fd, const char *path, struct error *e)
{
    if (fsync(fd) != 0)
        return error_set(e, ERR_IO, "%s: %s", path, strerror(errno));
    return OK;
}

static enum err sync_folder_of(const char *path, struct error *e)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof(folder))
        return error_set(e, ERR_INVALID, "path is too long");
    if (slash) {
        memcpy(folder, path, n);
        folder[n] = '\0';
    }
    const char *name = !slash ? "." : n ? folder : "/";
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, ERR_IO, "%s: %s", name, strerror(errno));
    enum err err = file_sync(fd, name, e);
    close(fd);
    return err;
}

enum err file_rename_durably(const char *from, const char *to, struct error *e)
{
    if (rename(from, to) != 0)
        return error_set(e, ERR_IO, "%s: %s", to, strerror(errno));
    return sync_folder_of(to, e);
}

enum err store_backup(struct store *s, const char *path, struct error *e)
{
    if (file_exists(path))
        return error_set(e, ERR_EXISTS, "%s exists already", path);
    return s->engine->backup(s, path, e);
}

enum err store_restore(const char *backup, const struct store_options *o, bool force,
                       struct error *e)
{
    const struct store_engine *engine = engine_of(o->url, e);
    if (!engine)
        return ERR_INVALID;
    if (!file_exists(backup))
        return error_set(e, ERR_NOT_FOUND, "%s: %s", backup, strerror(errno));
    return engine->restore(backup, o, force, e);
}

size_t store_check(struct store *s, void (*report)(void *ctx, const char *what), void *ctx)
{
    struct error e;
    struct store_conn *c = store_read(s, &e);
    if (!c) {
        report(ctx, e.text);
        return 1;
    }
    size_t findings = s->engine->check(c, report, ctx);
    findings += journal_check(c, report, ctx);
    store_read_done(c);
    return findings;
}
