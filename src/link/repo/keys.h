/*
 * keys.h - integer keys of index tables: 63-bit hashes of a tenant and a name.
 *
 * A collision adds a candidate to an index scan and is harmless, because candidates are always
 * evaluated exactly. Kinds keep the uses apart: 't' type, 'a' attribute, 'n' number, 'd' date-time
 * or dataset, 'b' boolean, 's' text, 'g' geometry.
 */
#ifndef LINK_KEYS_H
#define LINK_KEYS_H

#include "core/str.h"

/* FNV-1a over the parts with a final avalanche; stable on disk: never change it. */
static inline int64_t key_of(int64_t tenant, char kind, struct str name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ ((uint64_t)tenant << 8) ^ (unsigned char)kind;
    for (size_t i = 0; i < name.n; i++)
        h = (h ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    return (int64_t)(h & INT64_MAX);
}

#endif
