/*
 * token.h - a key that never leaves its token (PKCS#11: a hardware security module, a smart card,
 * SoftHSM) wraps the vault's key-encryption key. It is asked once, when the vault opens; the token
 * is left again at once.
 *
 * The token's key is AES of 128 to 256 bits with a label, for encrypting and decrypting; the
 * mechanism is AES-GCM (CKM_AES_GCM) with a context of ours, so a wrapped key is good for nothing
 * else. The module is any that speaks PKCS#11 2.40, p11-kit-proxy.so included.
 */
#ifndef TRUST_TOKEN_H
#define TRUST_TOKEN_H

#include "crypto/seal.h"
#include "trust/trust.h"

/* A setting names a module; else there is no token. */
bool token_is_set(const struct token_options *o);
/*
 * ERR_UNAVAILABLE: the module, the token or its key is not there, or the PIN is wrong (which the
 * token counts: it is tried once). The text tells which, without the PIN.
 */
enum err token_wrap(struct arena *a, const struct token_options *o, const struct seal_key *k,
                    struct str *wrapped, struct error *e);
/* ERR_CONFLICT: this key has not wrapped it. */
enum err token_unwrap(const struct token_options *o, struct str wrapped, struct seal_key *out,
                      struct error *e);

#endif
