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

static const char tables_4[] =
    /* phc: the Argon2id text, sealed */
    "CREATE TABLE account_password(account {int} NOT NULL PRIMARY KEY, phc {blob} NOT NULL,"
    " number {int} NOT NULL, changed {int} NOT NULL);"
    /* step: the last one whose code was used */
    "CREATE TABLE account_otp(account {int} NOT NULL PRIMARY KEY, secret {blob} NOT NULL,"
    " number {int} NOT NULL, step {int} NOT NULL);"
    "CREATE TABLE account_recovery(account {int} NOT NULL, blind {blob} NOT NULL,"
    " PRIMARY KEY(account, blind));"
    "CREATE TABLE account_passkey(id {id}, account {int} NOT NULL, credential {blob} NOT NULL,"
    " public_key {blob} NOT NULL, handle {blob} NOT NULL, aaguid {blob} NOT NULL,"
    " transports {text} NOT NULL, sign_count {int} NOT NULL, backup_eligible {int} NOT NULL,"
    " backed_up {int} NOT NULL, name {blob} NOT NULL, number {int} NOT NULL,"
    " created {int} NOT NULL, used {int} NOT NULL);"
    "CREATE UNIQUE INDEX account_passkey_credential ON account_passkey(credential);"
    "CREATE INDEX account_passkey_account ON account_passkey(account);"
    /* challenges that were answered, until they are too old anyhow */
    "CREATE TABLE passkey_used(mark {blob} NOT NULL PRIMARY KEY, expires {int} NOT NULL);"
    /* hash: of a code or ticket that is good once */
    "CREATE TABLE account_secret(hash {blob} NOT NULL PRIMARY KEY, kind {int} NOT NULL,"
    " account {int} NOT NULL, data {text} NOT NULL, expires {int} NOT NULL,"
    " tries {int} NOT NULL);"
    "CREATE INDEX account_secret_account ON account_secret(account, kind);"
    "CREATE INDEX account_secret_expires ON account_secret(expires);"
    /* name: vault_blind() of what is counted */
    "CREATE TABLE throttle(name {blob} NOT NULL PRIMARY KEY, attempts {int} NOT NULL,"
    " last {int} NOT NULL, until {int} NOT NULL);"
    "CREATE INDEX throttle_last ON throttle(last);"
    /* proof: what staff saw, sealed under the principal's key; NULL when the person gave it */
    "CREATE TABLE delegation(id {id}, principal {int} NOT NULL, agent {int} NOT NULL,"
    " kind {int} NOT NULL, scope {int} NOT NULL, since {int} NOT NULL, until {int} NOT NULL,"
    " proof {blob}, number {int} NOT NULL);"
    "CREATE INDEX delegation_principal ON delegation(principal);"
    "CREATE INDEX delegation_agent ON delegation(agent);";

static const char tables_5[] =
    /* hash: of the challenge; bound: of the session, origin and purpose that it is for */
    "CREATE TABLE card_challenge(hash {blob} NOT NULL PRIMARY KEY, session {blob} NOT NULL,"
    " bound {blob} NOT NULL, expires {int} NOT NULL);"
    "CREATE INDEX card_challenge_session ON card_challenge(session);"
    "CREATE INDEX card_challenge_expires ON card_challenge(expires);"
    /* blind: vault_blind() of issuer, number and key */
    "CREATE TABLE card_credential(blind {blob} NOT NULL PRIMARY KEY, account {int} NOT NULL,"
    " linked {int} NOT NULL, not_after {int} NOT NULL);"
    "CREATE UNIQUE INDEX card_credential_account ON card_credential(account);";

static const char tables_6[] =
    /* the vault's key-encryption key, wrapped by the key of a token */
    "CREATE TABLE vault_root(one {int} NOT NULL PRIMARY KEY, wrapped {blob} NOT NULL);";

static const char tables_7[] =
    /* doc: NULL when the entry ended with this version */
    "CREATE TABLE catalogue(kind {int} NOT NULL, code {text} NOT NULL, version {int} NOT NULL,"
    " doc {text}, at {int} NOT NULL, actor {text} NOT NULL, leaf {int} NOT NULL,"
    " PRIMARY KEY(kind, code, version));"
    /* recipient: vault_blind() of account and recipient; terms: sealed */
    "CREATE TABLE consent(n {id}, id {text} NOT NULL UNIQUE, account {int} NOT NULL,"
    " recipient {blob} NOT NULL, terms {blob} NOT NULL, number {int} NOT NULL,"
    " made {int} NOT NULL);"
    "CREATE INDEX consent_account ON consent(account, recipient);"
    /* evidence: what was shown and how, sealed; NULL: nobody was asked */
    "CREATE TABLE consent_step(consent {int} NOT NULL, n {int} NOT NULL, state {int} NOT NULL,"
    " at {int} NOT NULL, evidence {blob}, number {int} NOT NULL, leaf {int} NOT NULL,"
    " PRIMARY KEY(consent, n));"
    /* when time ends it */
    "CREATE TABLE consent_due(consent {int} NOT NULL PRIMARY KEY, due {int} NOT NULL);"
    "CREATE INDEX consent_due_due ON consent_due(due);";

static const struct store_migration migrations[] = {
    {1, "the log", tables_1, NULL, NULL},
    {2, "data keys", tables_2, NULL, NULL},
    {3, "accounts and sessions", tables_3, NULL, NULL},
    {4, "proofs and delegations", tables_4, NULL, NULL},
    {5, "cards", tables_5, NULL, NULL},
    {6, "the vault's key in a token", tables_6, NULL, NULL},
    {7, "catalogue and consents", tables_7, NULL, NULL},
};

const struct store_module trust_module = {"trust", migrations,
                                          sizeof(migrations) / sizeof(migrations[0])};
