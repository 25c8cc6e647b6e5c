/* Opening and closing; settings. */
#include "trust/trust.h"
#include "account_impl.h"
#include "trust/card.h"
#include "trust/consent.h"
#include "trust/log.h"
#include "trust/oidc.h"
#include "trust/vault.h"

static const struct config_key keys[] = {
    CONFIG_STR("trust.log_origin", struct trust_options, log_origin, "marugoto.local/log",
               "name of the log in its checkpoints, such as city.example/log; it never changes"),
    CONFIG_SECRET("trust.log_key", struct trust_options, log_key, "",
                  "secret key that signs the log; empty: log.key in the data folder, made when "
                  "the log is new. Several processes on one database need the same"),
    CONFIG_INT("trust.log_sign_ms", struct trust_options, log_sign_ms, 1000, 10, 86400000,
               "pause between looks whether the log has something new to sign, milliseconds"),
    CONFIG_SECRET("trust.vault_key", struct trust_options, vault_key, "",
                  "key that the data keys of residents are wrapped with, 32 bytes as base64url; "
                  "empty: vault.key in the data folder, made when nothing is sealed yet"),
    CONFIG_STR("trust.vault_pkcs11", struct trust_options, token.module, "",
               "PKCS#11 module (path of a shared library) of a token whose key wraps the vault's "
               "key; empty: no token"),
    CONFIG_STR("trust.vault_pkcs11_token", struct trust_options, token.token, "marugoto",
               "label of the token"),
    CONFIG_STR("trust.vault_pkcs11_key", struct trust_options, token.key, "marugoto-vault",
               "label of the AES key in the token"),
    CONFIG_SECRET("trust.vault_pkcs11_pin", struct trust_options, token.pin, "",
                  "PIN of the token's user"),
    CONFIG_INT("trust.session_idle_s", struct trust_options, session_idle_s, 1800, 60, 86400,
               "a sign-in ends when it was not used for so long, seconds"),
    CONFIG_INT("trust.session_max_s", struct trust_options, session_max_s, 43200, 60, 2592000,
               "a sign-in ends so long after it began, used or not, seconds"),
    CONFIG_INT(
        "trust.password_parallel", struct trust_options, password_parallel, 2, 1, 64,
        "passwords that are hashed at once; each takes 19 MiB and a tenth of a second of one "
        "core"),
    CONFIG_INT("trust.password_queue", struct trust_options, password_queue, 64, 1, 10000,
               "passwords that may wait for their turn; the others are told to come back"),
    CONFIG_INT("trust.attempts_per_name", struct trust_options, attempts_per_name, 5, 1, 1000,
               "wrong passwords for one sign-in name before each further one takes waiting"),
    CONFIG_INT("trust.attempts_per_address", struct trust_options, attempts_per_address, 30, 1,
               100000, "the same for one address; twice as many for its /64 (IPv6)"),
    CONFIG_INT("trust.attempts_lock_max_s", struct trust_options, attempts_lock_max_s, 3600, 1,
               86400, "longest wait after wrong passwords, seconds"),
    CONFIG_STR("trust.card_folder", struct trust_options, card.folder, "",
               "folder of the authorities of My Number Cards and their lists of revoked "
               "certificates (auth/*.pem, auth/*.crl, sign/*.pem, sign/*.crl); empty: no cards"),
    CONFIG_STR("trust.card_auth_policy", struct trust_options, card.auth_policy,
               "1.2.392.200149.8.5.1.3.30",
               "policy that a card's certificate for authentication must have"),
    CONFIG_STR("trust.card_sign_policy", struct trust_options, card.sign_policy,
               "1.2.392.200149.8.5.1.1.20",
               "policy that a card's certificate for signing must have"),
    CONFIG_STR("trust.card_auth_ocsp", struct trust_options, card.auth_ocsp, "",
               "URL of the OCSP responder for authentication certificates; empty: none"),
    CONFIG_STR("trust.card_sign_ocsp", struct trust_options, card.sign_ocsp, "",
               "URL of the OCSP responder for signing certificates; empty: none"),
    CONFIG_INT("trust.card_reload_s", struct trust_options, card.reload_s, 60, 1, 86400,
               "pause between looks whether a list of revoked certificates has changed, seconds"),
};
const struct config_table trust_config = {"trust", keys, sizeof(keys) / sizeof(keys[0])};

static void reload_card(void *card)
{
    card_reload(card);
}

enum err trust_start(struct trust *t, struct error *e)
{
    t->vault = vault_open(t, e);
    if (t->vault)
        t->log = log_open(t, e);
    if (t->log)
        t->accounts = accounts_open(t, e);
    if (t->accounts && t->oidc_options)
        t->oidc = oidc_open(t, e);
    if (t->oidc)
        t->consents = consents_open(t);
    if (t->accounts && (t->oidc || !t->oidc_options))
        t->card = card_open(&t->options.card, e);
    if (t->card) {
        pool_every(t->pool, t->options.card.reload_s * 1000, reload_card, t->card);
        return OK;
    }
    enum err err = e->code;
    trust_stop(t);
    return err;
}

void trust_stop(struct trust *t)
{
    if (t->card)
        pool_never(t->pool, reload_card, t->card);
    card_close(t->card);
    t->card = NULL;
    consents_close(t->consents);
    t->consents = NULL;
    accounts_close(t->accounts);
    oidc_close(t->oidc);
    log_close(t->log);
    vault_close(t->vault);
    t->oidc = NULL;
    t->accounts = NULL;
    t->log = NULL;
    t->vault = NULL;
}

void trust_routes(struct trust *t, struct router *r)
{
    log_routes(t->log, r);
    if (t->oidc)
        oidc_routes(t->oidc, r);
    if (t->consents)
        consents_routes(t->consents, r);
}

struct str trust_manager(const struct trust *t, const struct request *req)
{
    return t->manager ? t->manager(t->manager_ctx, req) : STR_NONE;
}
