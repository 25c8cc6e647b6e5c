/* jose_impl.h - a key as its files share it. */
#ifndef CRYPTO_JOSE_IMPL_H
#define CRYPTO_JOSE_IMPL_H

#include "crypto/jose.h"
#include <openssl/evp.h>
#include <stdatomic.h>

struct jose_key {
    atomic_uint refs;
    enum jose_alg alg;
    bool signs;
    EVP_PKEY *pkey;
    struct arena arena; /* of the texts */
    struct str kid, thumbprint;
};

#endif
