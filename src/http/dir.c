#include "dir.h"

#include "core/vec.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct walk {
    struct arena *arena;
    struct str root, suffix;
    VEC(struct dir_file) files;
    struct error *e;
};

static enum err io_error(struct error *e, const char *path)
{
    return error_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path, strerror(errno));
}

static enum err read_file(struct walk *w, const char *path, struct str *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(w->e, path);
    enum err r = OK;
    struct stat st;
    size_t have = 0;
    if (fstat(fd, &st)) {
        r = io_error(w->e, path);
        goto out;
    }
    if (st.st_size > DIR_FILE_BYTES) {
        r = error_set(w->e, ERR_TOO_LARGE, "%s: longer than %d bytes", path, DIR_FILE_BYTES);
        goto out;
    }
    char *text = arena_alloc(w->arena, (size_t)st.st_size);
    while (have < (size_t)st.st_size) {
        ssize_t n = read(fd, text + have, (size_t)st.st_size - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            r = io_error(w->e, path);
            goto out;
        }
        if (n == 0)
            break;
        have += (size_t)n;
    }
    *out = str_n(text, have);
out:
    close(fd);
    return r;
}

static enum err walk_dir(struct walk *w, const char *path, int depth);

static enum err visit(struct walk *w, const char *path, int depth)
{
    struct stat st;
    if (stat(path, &st))
        return io_error(w->e, path);
    if (S_ISDIR(st.st_mode))
        return walk_dir(w, path, depth + 1);
    struct str name = str_from(str_c(path), w->root.n + 1);
    if (!S_ISREG(st.st_mode) || !str_ends(name, w->suffix))
        return OK;
    struct dir_file file = {.name = str_sub(name, 0, name.n - w->suffix.n)};
    enum err r = read_file(w, path, &file.text);
    if (!r)
        *vec_push(w->arena, &w->files) = file;
    return r;
}

static enum err walk_dir(struct walk *w, const char *path, int depth)
{
    if (depth > DIR_DEPTH)
        return error_set(w->e, ERR_INVALID, "%s: folders nest too deep", path);
    DIR *d = opendir(path);
    if (!d)
        return io_error(w->e, path);
    enum err r = OK;
    for (struct dirent *entry = readdir(d); entry && !r; entry = readdir(d))
        if (entry->d_name[0] != '.')
            r = visit(w, arena_printf(w->arena, "%s/%s", path, entry->d_name), depth);
    closedir(d);
    return r;
}

static int by_name(const void *x, const void *y)
{
    return str_cmp(((const struct dir_file *)x)->name, ((const struct dir_file *)y)->name);
}

enum err dir_read(struct arena *a, const char *dir, const char *suffix, struct dir_file **files,
                  size_t *n, struct error *e)
{
    struct walk w = {.arena = a, .root = str_c(dir), .suffix = str_c(suffix), .e = e};
    enum err r = walk_dir(&w, dir, 0);
    if (r)
        return r;
    if (w.files.n > 0)
        qsort(w.files.v, w.files.n, sizeof(w.files.v[0]), by_name);
    *files = w.files.v;
    *n = w.files.n;
    return OK;
}
