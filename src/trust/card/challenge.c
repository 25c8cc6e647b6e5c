/*
 * Challenges that are out. The store keeps the hash of each with what it is bound to; whoever reads
 * the store can answer none. A row is there until it is used or too old; the store's lock makes
 * that once, whichever process is asked.
 */
#include "trust/card.h"

static struct hash bound_to(const struct card_asked *asked)
{
    const struct str fields[] = {S("card_challenge"), asked->session, asked->origin,
                                 asked->purpose};
    return hash_blake2b_fields(fields, sizeof(fields) / sizeof(fields[0]));
}

static struct str hash_str(const struct hash *h)
{
    return str_n((const char *)h->b, sizeof(h->b));
}

enum err card_challenge_new(struct store_conn *c, struct arena *a, const struct card_asked *asked,
                            int64_t now, struct str *challenge, struct error *e)
{
    char *bytes = arena_alloc(a, CARD_CHALLENGE_BYTES);
    struct hash session = hash_sha256(asked->session), bound = bound_to(asked);
    int64_t open = 0;
    enum err err =
        store_exec(c, "DELETE FROM card_challenge WHERE expires <= $1", SV(SV_INT(now)), NULL, e);
    if (!err)
        err = store_get_int(c, &open, "SELECT COUNT(*) FROM card_challenge WHERE session = $1",
                            SV(SV_BLOB(hash_str(&session))), e);
    if (err)
        return err;
    if (open >= CARD_CHALLENGES_MAX)
        return error_set(e, ERR_TOO_MANY, "too many challenges wait for a card");
    random_bytes(bytes, CARD_CHALLENGE_BYTES);
    *challenge = str_n(bytes, CARD_CHALLENGE_BYTES);
    struct hash h = hash_sha256(*challenge);
    return store_exec(
        c, "INSERT INTO card_challenge(hash, session, bound, expires) VALUES ($1, $2, $3, $4)",
        SV(SV_BLOB(hash_str(&h)), SV_BLOB(hash_str(&session)), SV_BLOB(hash_str(&bound)),
           SV_INT(now + CARD_CHALLENGE_S * SECOND_US)),
        NULL, e);
}

enum err card_challenge_take(struct store_conn *c, const struct card_asked *asked,
                             struct str challenge, int64_t now, struct error *e)
{
    struct hash h = hash_sha256(challenge), bound = bound_to(asked);
    int64_t taken = 0;
    enum err err =
        store_exec(c, "DELETE FROM card_challenge WHERE hash = $1 AND bound = $2 AND expires > $3",
                   SV(SV_BLOB(hash_str(&h)), SV_BLOB(hash_str(&bound)), SV_INT(now)), &taken, e);
    if (err)
        return err;
    return taken == 1 ? OK
                      : error_set(e, ERR_UNAUTHENTICATED, "the challenge is not one that waits");
}
