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

static const char tables_3[] =
    /* person: sealed, bound to version; NULL when the account was erased */
    "CREATE TABLE account(id {id}, state {int} NOT NULL, ial {int} NOT NULL,"
    " created {int} NOT NULL, locale {text}, person {blob}, version {int} NOT NULL);"
    /* blind: vault_blind() of the value; the sign-in name (kind 0) is nobody else's */
    "CREATE TABLE account_index(kind {int} NOT NULL, blind {blob} NOT NULL,"
    " account {int} NOT NULL, PRIMARY KEY(kind, blind, account));"
    "CREATE INDEX account_index_account ON account_index(account);"
    "CREATE UNIQUE INDEX account_index_login ON account_index(blind) WHERE kind = 0;"
    /* until 0: no end */
    "CREATE TABLE account_role(account {int} NOT NULL, name {text} NOT NULL,"
    " organisation {text} NOT NULL, since {int} NOT NULL, until {int} NOT NULL,"
    " PRIMARY KEY(account, name, organisation));"
    /* whose the leaves of the log are, and the place of what is sealed there */
    "CREATE TABLE subject_entry(leaf {int} NOT NULL PRIMARY KEY, account {int} NOT NULL,"
    " kind {text} NOT NULL, at {int} NOT NULL, number {int} NOT NULL);"
    "CREATE INDEX subject_entry_account ON subject_entry(account, leaf);"
    "CREATE TABLE account_notice(id {id}, account {int} NOT NULL, at {int} NOT NULL,"
    " kind {text} NOT NULL, body {blob} NOT NULL, number {int} NOT NULL, seen {int} NOT NULL);"
    "CREATE INDEX account_notice_account ON account_notice(account, id);"
    /* hash: of the cookie's secret, NULL when it has ended */
    "CREATE TABLE session(id {id}, account {int} NOT NULL, hash {blob}, amr {int} NOT NULL,"
    " started {int} NOT NULL, authenticated {int} NOT NULL, used {int} NOT NULL, device {blob},"
    " number {int} NOT NULL, ended {int} NOT NULL);"
    "CREATE UNIQUE INDEX session_hash ON session(hash) WHERE hash IS NOT NULL;"
    "CREATE INDEX session_account ON session(account) WHERE ended = 0;";

static const struct store_migration migrations[] = {
    {1, "the log", tables_1, NULL, NULL},
    {2, "data keys", tables_2, NULL, NULL},
    {3, "accounts and sessions", tables_3, NULL, NULL},
};

const struct store_module trust_module = {"trust", migrations,
                                          sizeof(migrations) / sizeof(migrations[0])};
