/* log_impl.h - what the files of the log share. */
#ifndef TRUST_LOG_IMPL_H
#define TRUST_LOG_IMPL_H

#include "trust/log.h"

struct audit_log {
    struct trust *trust;
    struct arena arena; /* of the key's texts */
    struct note_key key;
    struct str origin;
};

/* Bytes of a column as a hash; false unless they are one. */
bool log_hash_of(struct str bytes, struct hash *out);
/* n hashes at a level that is kept (0, 8, 16 ...), from place first; ERR_CORRUPT when one is
 * missing. */
enum err log_hashes(struct store_conn *c, unsigned level, int64_t first, size_t n, struct hash *out,
                    struct error *e);
/* The body of a checkpoint. */
struct str log_checkpoint_text(struct arena *a, struct str origin, int64_t size,
                               const struct hash *root);

#endif
