/* The tables of the OpenID Provider; README.md says who writes them. Hashes are SHA-256 of what is
 * shown: who reads the store cannot use anything in it. */
#include "trust/oidc.h"

static const char tables_1[] =
    /* doc: checked metadata; secret: its SHA-256 */
    "CREATE TABLE oidc_client(id {text} NOT NULL PRIMARY KEY, version {int} NOT NULL,"
    " secret {blob}, doc {text} NOT NULL, actor {text} NOT NULL, changed {int} NOT NULL,"
    " removed {int} NOT NULL);"
    "CREATE TABLE oidc_key(kid {text} NOT NULL PRIMARY KEY, made {int} NOT NULL,"
    " starts {int} NOT NULL, ends {int} NOT NULL, gone {int} NOT NULL, sealed {blob} NOT NULL);"
    /* what was used and counts no second time: assertions, proofs */
    "CREATE TABLE oidc_once(hash {blob} NOT NULL PRIMARY KEY, until {int} NOT NULL);"
    "CREATE INDEX oidc_once_until ON oidc_once(until);"
    /* what one person allowed one client in one sign-in: codes and tokens hang on it */
    "CREATE TABLE oidc_grant(n {id}, client {text} NOT NULL, account {int} NOT NULL,"
    " session {int} NOT NULL, made {int} NOT NULL, expires {int} NOT NULL, ended {int} NOT NULL,"
    " offline {int} NOT NULL, doc {text} NOT NULL);"
    "CREATE INDEX oidc_grant_session ON oidc_grant(session);"
    "CREATE INDEX oidc_grant_account ON oidc_grant(account);"
    "CREATE INDEX oidc_grant_expires ON oidc_grant(expires);"
    "CREATE TABLE oidc_code(hash {blob} NOT NULL PRIMARY KEY, grant_n {int} NOT NULL,"
    " client {text} NOT NULL, doc {text} NOT NULL, expires {int} NOT NULL, used {int} NOT NULL);"
    "CREATE INDEX oidc_code_expires ON oidc_code(expires);"
    /* kind 1 access, 2 refresh; doc: what introspection tells; ended: revoked, or used up */
    "CREATE TABLE oidc_token(hash {blob} NOT NULL PRIMARY KEY, kind {int} NOT NULL,"
    " grant_n {int} NOT NULL, account {int} NOT NULL, session {int} NOT NULL,"
    " made {int} NOT NULL, expires {int} NOT NULL, ended {int} NOT NULL, client {text} NOT NULL,"
    " audience {text} NOT NULL, doc {text} NOT NULL, jkt {text}, x5t {text});"
    "CREATE INDEX oidc_token_expires ON oidc_token(expires);"
    /* kind 1 pushed request, 2 interaction with a person */
    "CREATE TABLE oidc_request(hash {blob} NOT NULL PRIMARY KEY, kind {int} NOT NULL,"
    " client {text} NOT NULL, doc {text} NOT NULL, made {int} NOT NULL, expires {int} NOT NULL);"
    "CREATE INDEX oidc_request_expires ON oidc_request(expires);"
    "CREATE TABLE oidc_subject(sector {text} NOT NULL, sub {text} NOT NULL,"
    " account {int} NOT NULL, PRIMARY KEY(sector, sub));"
    "CREATE INDEX oidc_subject_account ON oidc_subject(account);"
    /* what somebody agreed to let a client know; scope: words by blanks */
    "CREATE TABLE oidc_consent(account {int} NOT NULL, client {text} NOT NULL,"
    " scope {text} NOT NULL, made {int} NOT NULL, PRIMARY KEY(account, client));"
    /* state 0 waiting, 1 allowed, 2 denied, 3 used up */
    "CREATE TABLE oidc_device(hash {blob} NOT NULL PRIMARY KEY, user_code {text} NOT NULL UNIQUE,"
    " client {text} NOT NULL, doc {text} NOT NULL, state {int} NOT NULL, grant_n {int} NOT NULL,"
    " polled {int} NOT NULL, pause {int} NOT NULL, expires {int} NOT NULL);"
    "CREATE INDEX oidc_device_expires ON oidc_device(expires);"
    /* logout tokens that are still to be delivered */
    "CREATE TABLE oidc_logout(n {id}, client {text} NOT NULL, url {text} NOT NULL,"
    " issuer {text} NOT NULL, sub {text} NOT NULL, sid {text} NOT NULL, due {int} NOT NULL,"
    " tries {int} NOT NULL, expires {int} NOT NULL);"
    "CREATE INDEX oidc_logout_due ON oidc_logout(due);";

static const struct store_migration migrations[] = {
    {1, "the OpenID Provider", tables_1, NULL, NULL},
};

const struct store_module oidc_module = {"oidc", migrations,
                                         sizeof(migrations) / sizeof(migrations[0])};
