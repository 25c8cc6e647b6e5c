/*
 * verify.h - checking a city's log from outside, as anyone can: `marugoto audit verify`.
 *
 * Everything that is published is read: the checkpoint must be signed with the known key, and the
 * leaf texts must add up to its root. What was checked is remembered in a file (size, the roots of
 * the complete subtrees, the checkpoint), so the next time only what is new is read, and a log that
 * forgot or changed something it once showed is caught.
 */
#ifndef TRUST_VERIFY_H
#define TRUST_VERIFY_H

#include "http/client.h"
#include "trust/log.h"

struct log_verify {
    struct client *client;
    struct str url;             /* of the log: what stands before "/checkpoint" */
    const struct note_key *key; /* known beforehand, not fetched from the same server */
    const char *state;          /* file; NULL: nothing is remembered */
    /* results */
    int64_t before; /* entries that were checked earlier; 0: none */
    int64_t size;   /* entries that hold now */
};

/*
 * ERR_CORRUPT with a text for people: the log is not what it claims to be. ERR_UNAUTHENTICATED: not
 * signed with the key. Others: it could not be read. Waits for the network.
 */
enum err log_verify_from(struct log_verify *v, struct error *e);

#endif
