/*
 * dir.h - the files of a folder, read at once: templates and catalogues at the start.
 */
#ifndef HTTP_DIR_H
#define HTTP_DIR_H

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"

enum { DIR_FILE_BYTES = 4 * 1024 * 1024, DIR_DEPTH = 8 };

struct dir_file {
    struct str name; /* below the folder, without the suffix: "part/header" */
    struct str text;
};

/* All files whose name ends in suffix, subfolders too, hidden ones not; sorted by name. ERR_IO,
 * ERR_NOT_FOUND or ERR_TOO_LARGE with the path. */
enum err dir_read(struct arena *a, const char *dir, const char *suffix, struct dir_file **files,
                  size_t *n, struct error *e);

#endif
