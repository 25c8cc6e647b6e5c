/* The tables of trust. See README.md for what each row means and who writes it. */
#include "trust/trust.h"

static const char tables_1[] =
    /* leaf: the published text; sealed: content and salt, NULL when erased */
    "CREATE TABLE log_leaf(n {int} NOT NULL PRIMARY KEY, leaf {text} NOT NULL, hash {blob} NOT "
    "NULL,"
    " sealed {blob});"
    /* roots of complete subtrees of 256, 65536 ... leaves: level 8, 16 ... */
    "CREATE TABLE log_node(level {int} NOT NULL, n {int} NOT NULL, hash {blob} NOT NULL,"
    " PRIMARY KEY(level, n));"
    "CREATE TABLE log_head(size {int} NOT NULL PRIMARY KEY, root {blob} NOT NULL,"
    " note {text} NOT NULL);"
    "CREATE TABLE log_state(one {int} NOT NULL PRIMARY KEY, size {int} NOT NULL);"
    "INSERT INTO log_state(one, size) VALUES (1, 0);";

static const char tables_2[] =
    /* wrapped: the subject's data key, NULL when it was erased at that instant */
    "CREATE TABLE vault_key(subject {int} NOT NULL PRIMARY KEY, wrapped {blob},"
    " erased {int} NOT NULL);";

static const struct store_migration migrations[] = {
    {1, "the log", tables_1, NULL, NULL},
    {2, "data keys", tables_2, NULL, NULL},
};

const struct store_module trust_module = {"trust", migrations,
                                          sizeof(migrations) / sizeof(migrations[0])};
