/* Secrets in files, see key_file.h. */
#include "key_file.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <unistd.h>

enum { KEY_FILE_BYTES = 4096 };

const char *key_file_path(struct arena *a, const char *data_dir, const char *name)
{
    return arena_printf(a, "%s/%s", data_dir, name);
}

enum err key_file_read(struct arena *a, const char *path, struct str *text, struct error *e)
{
    char bytes[KEY_FILE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %s: %s", path,
                         strerror(errno));
    ssize_t n = read(fd, bytes, sizeof(bytes));
    close(fd);
    if (n < 0)
        return error_set(e, ERR_IO, "cannot read %s: %s", path, strerror(errno));
    *text = str_dup(a, str_trim(str_n(bytes, (size_t)n)));
    explicit_bzero(bytes, sizeof(bytes));
    return OK;
}

/* The name of a new file is durable when its folder is. */
static bool sync_folder(const char *path)
{
    struct arena a = ARENA_INIT;
    int fd = open(dirname(arena_dup(&a, path, strlen(path))), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    arena_release(&a);
    return good;
}

enum err key_file_write(const char *path, struct str text, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_set(e, errno == EEXIST ? ERR_EXISTS : ERR_IO, "cannot make %s: %s", path,
                         strerror(errno));
    bool good = write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0;
    if (close(fd) || !good || !sync_folder(path))
        return error_set(e, ERR_IO, "cannot write %s: %s", path, strerror(errno));
    return OK;
}
