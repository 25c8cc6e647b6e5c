/*
 * log.h - the log that residents can check: who read what, when, why, on what basis.
 *
 * Entries only ever follow one another. Each is a leaf of a Merkle tree (RFC 9162 section 2.1);
 * heads of the tree are signed as checkpoints (C2SP tlog-checkpoint, signed-note) and the tree is
 * published as tiles (C2SP tlog-tiles), so that anyone can check with tools that are not ours that
 * nothing was taken out, changed or put in between.
 *
 * What is published of an entry is its leaf text: what kind, when, and a commitment, SHA-256 over a
 * random salt of 32 bytes and the content. The content (who, about whom) and the salt stand beside
 * it, sealed by whoever appends; erasing them leaves the tree as it is.
 *
 * An entry is appended in the change that it reports, before anything is released, so it is durable
 * when that is. A head is signed after its leaves are durable, never before, and for one size only
 * once.
 *
 *     struct log_entry entry = {.kind = S("access"), .at = now, .content = json, .sealed = blob};
 *     err = log_append(conn, &entry, &index, e);           inside apply() of a change
 */
#ifndef TRUST_LOG_H
#define TRUST_LOG_H

#include "crypto/merkle.h"
#include "crypto/note.h"
#include "trust/trust.h"

enum {
    LOG_TILE_HEIGHT = 8,
    LOG_TILE_WIDTH = 1 << LOG_TILE_HEIGHT,
    LOG_SALT_BYTES = 32,
    LOG_KIND_BYTES_MAX = 64,
    LOG_LEAF_BYTES_MAX = 65535 /* what an entry bundle can hold */
};

struct log_salt {
    unsigned char b[LOG_SALT_BYTES];
};
struct log_salt log_salt_new(void);
/* SHA-256 over the salt and the content. */
struct hash log_commitment(const struct log_salt *salt, struct str content);

struct log_entry {
    struct str kind;        /* letters, digits and '-', at most LOG_KIND_BYTES_MAX */
    int64_t at;             /* instant */
    struct hash commitment; /* log_commitment() */
    struct str sealed;      /* content and salt as the caller sealed them; absent: erased already */
};

/* Inside a change: *index is its place, counted from 0. ERR_INVALID for a bad kind. */
enum err log_append(struct store_conn *c, const struct log_entry *entry, int64_t *index,
                    struct error *e);
/* Inside a change: forget the sealed content; the tree stays. ERR_NOT_FOUND. */
enum err log_erase(struct store_conn *c, int64_t index, struct error *e);

/* --- reading; all on a reader's snapshot or in a change --- */

struct log_leaf {
    struct str text;   /* what was hashed and is published, in the arena */
    struct str sealed; /* absent when erased */
};
enum err log_read(struct store_conn *c, struct arena *a, int64_t index, struct log_leaf *out,
                  struct error *e);
enum err log_size(struct store_conn *c, int64_t *size, struct error *e);
/* The complete subtrees, for proofs; valid while c is. */
struct merkle_nodes log_nodes(struct store_conn *c);

/* The newest head that was signed. ERR_NOT_FOUND when there is none yet. */
struct log_head {
    int64_t size;
    struct hash root;
    struct str note; /* in the arena */
};
enum err log_head(struct store_conn *c, struct arena *a, struct log_head *out, struct error *e);

/* --- the log of a running city --- */

/* Reads the key, or makes one for a log that is new; a log that has lost its key goes on, unsigned.
 * Signs what is new every log_sign_ms on the pool. */
struct audit_log *log_open(struct trust *t, struct error *e);
void log_close(struct audit_log *l);
void log_routes(struct audit_log *l, struct router *r);
/* The key that is there: of the setting, else of the file. ERR_NOT_FOUND: there is no file. */
enum err log_key_find(struct arena *a, const struct trust_options *o, const char *data_dir,
                      struct note_key *out, struct error *e);
/* The log's public key as verifiers take it; absent while it is missing. */
struct str log_public_key(struct arena *a, const struct audit_log *l);
/* Sign a head over all that is there, if something is new. Waits: not on an HTTP worker.
 * ERR_UNAVAILABLE while the key is missing. */
enum err log_sign(struct audit_log *l, struct error *e);

/* --- checking --- */

/* The checkpoint's body "ORIGIN\nSIZE\nROOT\n", extension lines allowed. ERR_INVALID. */
enum err log_checkpoint_parse(struct arena *a, struct str text, struct str *origin, int64_t *size,
                              struct hash *root, struct error *e);

/*
 * Check the whole log of a store: every leaf hashes to what is kept, every node to what is under
 * it, every signed head to the leaves that it covers, with a signature of the key (NULL: signatures
 * are not looked at). Each finding goes to report(); the number of them is returned.
 */
size_t log_check(struct store_conn *c, const struct note_key *key,
                 void (*report)(void *ctx, const char *what), void *ctx);

#endif
