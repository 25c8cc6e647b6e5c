/*
 * note.h - signed notes (C2SP signed-note) with Ed25519: a text and lines that say who signed it.
 *
 * A text ends with a newline and holds no other control characters. A key has a name without blanks
 * and '+'; its id is the first four bytes of SHA-256(name, newline, 0x01, public key). Public keys
 * are written NAME+ID+KEY (id in hex, 0x01 and the key in base64), secret ones
 * PRIVATE+KEY+NAME+ID+SEED; both are what Go's sumdb/note reads.
 *
 *     struct note_key k;
 *     note_key_make(a, S("city.example/log"), &k, &e);
 *     struct str note = note_sign(a, &k, S("hello\n"));
 */
#ifndef CRYPTO_NOTE_H
#define CRYPTO_NOTE_H

#include "core/error.h"
#include "crypto/hash.h"

enum { NOTE_BYTES_MAX = 1 << 20, NOTE_SIGNATURES_MAX = 100 };

struct note_key {
    struct str name;
    uint32_t id;
    unsigned char public_key[32];
    unsigned char secret_key[64]; /* seed and public key, as libsodium has it */
    bool signs;
};

/* ERR_INVALID for a name that cannot be one. The texts of keys are in the arena. */
enum err note_key_make(struct arena *a, struct str name, struct note_key *out, struct error *e);
/* Either form. ERR_INVALID when it is none, or when its id is not that of the key. */
enum err note_key_parse(struct arena *a, struct str text, struct note_key *out, struct error *e);
struct str note_key_public(struct arena *a, const struct note_key *k);
struct str note_key_secret(struct arena *a, const struct note_key *k);
void note_key_wipe(struct note_key *k);

/* Is it a text that can be signed? */
bool note_is_text(struct str text);
/* text must be one that can be signed, k one that signs. */
struct str note_sign(struct arena *a, const struct note_key *k, struct str text);
/*
 * The text of a note that at least one of the keys has signed. Signatures of others are passed
 * over; one of a key that is known and does not hold refuses the note. by[i] (may be NULL) tells
 * whether keys[i] signed. ERR_INVALID: no note; ERR_UNAUTHENTICATED: not signed by these.
 */
enum err note_open(struct arena *a, struct str note, const struct note_key *keys, size_t n,
                   struct str *text, bool *by, struct error *e);

#endif
