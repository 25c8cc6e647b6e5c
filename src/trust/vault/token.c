/* The vault's key wrapped in a PKCS#11 token, see token.h. */
#include "token.h"
#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <string.h>

/* version, nonce, then the sealed key with its tag */
enum { VERSION = 1, NONCE_BYTES = 12, TAG_BYTES = 16, SLOTS_MAX = 64, LABEL_BYTES = 32 };
enum { WRAPPED_BYTES = 1 + NONCE_BYTES + SEAL_KEY_BYTES + TAG_BYTES };

static const char context[] = "Marugoto vault: key-encryption key, 1";

struct token {
    const struct token_options *options;
    void *library;
    CK_FUNCTION_LIST *p11;
    bool initialized; /* by us: to be finalized by us */
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
};

static enum err missing(struct error *e, const char *what, CK_RV rv)
{
    return error_set(e, ERR_UNAVAILABLE, "the vault's token: %s (PKCS#11 0x%lx)", what, rv);
}

bool token_is_set(const struct token_options *o)
{
    return o->module && o->module[0];
}

/* --- reaching the key --- */

static enum err load(struct token *t, struct error *e)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    t->library = dlopen(t->options->module, RTLD_NOW | RTLD_LOCAL);
    if (!t->library)
        return error_set(e, ERR_UNAVAILABLE, "the vault's token: %s", dlerror());
    void *found = dlsym(t->library, "C_GetFunctionList");
    CK_C_GetFunctionList get = NULL;
    memcpy(&get, &found, sizeof(get)); /* ISO C knows no such cast */
    if (!get || get(&t->p11) != CKR_OK)
        return error_set(e, ERR_UNAVAILABLE, "the vault's token: %s is no PKCS#11 module",
                         t->options->module);
    CK_RV rv = t->p11->C_Initialize(&args);
    t->initialized = rv == CKR_OK;
    return rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED
               ? OK
               : missing(e, "it cannot be initialized", rv);
}

/* Labels stand in fields that are filled up with blanks. */
static bool is_called(const CK_TOKEN_INFO *info, const char *name)
{
    struct str label = str_trim(str_n((const char *)info->label, LABEL_BYTES));
    return str_eq(label, str_c(name));
}

static enum err find_slot(struct token *t, CK_SLOT_ID *slot, struct error *e)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG n = SLOTS_MAX, found = 0;
    CK_TOKEN_INFO info;
    CK_RV rv = t->p11->C_GetSlotList(CK_TRUE, slots, &n);
    for (CK_ULONG i = 0; rv == CKR_OK && i < n; i++) {
        if (t->p11->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
            is_called(&info, t->options->token)) {
            *slot = slots[i];
            found++;
        }
    }
    if (rv != CKR_OK || found != 1)
        return missing(e, "there must be one token of the name in trust.vault_pkcs11_token", rv);
    return OK;
}

static enum err log_in(struct token *t, struct error *e)
{
    CK_SLOT_ID slot = 0;
    enum err err = find_slot(t, &slot, e);
    if (err)
        return err;
    CK_RV rv = t->p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, &t->session);
    if (rv != CKR_OK)
        return missing(e, "no session", rv);
    rv = t->p11->C_Login(t->session, CKU_USER, (unsigned char *)t->options->pin,
                         strlen(t->options->pin));
    return rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN ? OK : missing(e, "no login", rv);
}

static enum err find_key(struct token *t, struct error *e)
{
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof(class)},
                             {CKA_KEY_TYPE, &type, sizeof(type)},
                             {CKA_LABEL, (void *)t->options->key, strlen(t->options->key)}};
    CK_OBJECT_HANDLE found[2];
    CK_ULONG n = 0;
    CK_RV rv = t->p11->C_FindObjectsInit(t->session, wanted, 3);
    if (rv == CKR_OK) {
        rv = t->p11->C_FindObjects(t->session, found, 2, &n);
        t->p11->C_FindObjectsFinal(t->session);
    }
    if (rv != CKR_OK || n != 1)
        return missing(e, "there must be one AES key of the label in trust.vault_pkcs11_key", rv);
    t->key = found[0];
    return OK;
}

static void leave(struct token *t)
{
    if (t->session) {
        t->p11->C_Logout(t->session);
        t->p11->C_CloseSession(t->session);
    }
    if (t->initialized)
        t->p11->C_Finalize(NULL);
    if (t->library)
        dlclose(t->library);
}

static enum err reach(struct token *t, const struct token_options *o, struct error *e)
{
    *t = (struct token){.options = o};
    enum err err = load(t, e);
    if (err || !t->p11)
        return ERR_UNAVAILABLE;
    err = log_in(t, e);
    return err ? err : find_key(t, e);
}

/* --- using it --- */

static CK_GCM_PARAMS gcm(unsigned char nonce[static NONCE_BYTES])
{
    return (CK_GCM_PARAMS){.iv_ptr = nonce,
                           .iv_len = NONCE_BYTES,
                           .iv_bits = NONCE_BYTES * 8,
                           .aad_ptr = (unsigned char *)context,
                           .aad_len = sizeof(context) - 1,
                           .tag_bits = TAG_BYTES * 8};
}

enum err token_wrap(struct arena *a, const struct token_options *o, const struct seal_key *k,
                    struct str *wrapped, struct error *e)
{
    struct token t;
    unsigned char out[WRAPPED_BYTES] = {VERSION};
    random_bytes(out + 1, NONCE_BYTES);
    CK_GCM_PARAMS params = gcm(out + 1);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof(params)};
    CK_ULONG n = SEAL_KEY_BYTES + TAG_BYTES;
    enum err err = reach(&t, o, e);
    if (!err) {
        CK_RV rv = t.p11->C_EncryptInit(t.session, &mechanism, t.key);
        if (rv == CKR_OK)
            rv = t.p11->C_Encrypt(t.session, (unsigned char *)k->b, SEAL_KEY_BYTES,
                                  out + 1 + NONCE_BYTES, &n);
        if (rv != CKR_OK || n != SEAL_KEY_BYTES + TAG_BYTES)
            err = missing(e, "its key does not encrypt with AES-GCM", rv);
    }
    leave(&t);
    if (!err)
        *wrapped = str_dup(a, str_n((const char *)out, sizeof(out)));
    return err;
}

enum err token_unwrap(const struct token_options *o, struct str wrapped, struct seal_key *out,
                      struct error *e)
{
    struct token t;
    unsigned char in[WRAPPED_BYTES], plain[SEAL_KEY_BYTES + TAG_BYTES];
    if (wrapped.n != WRAPPED_BYTES || wrapped.p[0] != VERSION)
        return error_set(e, ERR_CORRUPT, "the vault's wrapped key is damaged");
    memcpy(in, wrapped.p, sizeof(in));
    CK_GCM_PARAMS params = gcm(in + 1);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof(params)};
    CK_ULONG n = sizeof(plain);
    enum err err = reach(&t, o, e);
    if (!err) {
        CK_RV rv = t.p11->C_DecryptInit(t.session, &mechanism, t.key);
        if (rv != CKR_OK)
            err = missing(e, "its key does not decrypt with AES-GCM", rv);
        else if (t.p11->C_Decrypt(t.session, in + 1 + NONCE_BYTES, SEAL_KEY_BYTES + TAG_BYTES,
                                  plain, &n) != CKR_OK ||
                 n != SEAL_KEY_BYTES)
            err = error_set(e, ERR_CONFLICT, "the token's key has not wrapped the vault's key");
        else
            memcpy(out->b, plain, SEAL_KEY_BYTES);
    }
    leave(&t);
    explicit_bzero(plain, sizeof(plain));
    return err;
}
