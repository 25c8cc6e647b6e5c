/* key_file.h - secrets that stand in files of the data folder, for their owner only. */
#ifndef TRUST_KEY_FILE_H
#define TRUST_KEY_FILE_H

#include "core/arena.h"
#include "core/error.h"
#include "core/str.h"

const char *key_file_path(struct arena *a, const char *data_dir, const char *name);
/* The text without blanks at its ends. ERR_NOT_FOUND: no such file; ERR_IO. */
enum err key_file_read(struct arena *a, const char *path, struct str *text, struct error *e);
/* A new file of mode 0600, durable when this returns. ERR_EXISTS: it is there already; ERR_IO. */
enum err key_file_write(const char *path, struct str text, struct error *e);

#endif
