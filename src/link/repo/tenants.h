/*
 * tenants.h - numbers of tenants that are known to be there, so that a write need not look its own
 * up. Tenants are never deleted, but for the spaces of snapshots, which are not remembered; only
 * what was committed may be learnt.
 */
#ifndef LINK_TENANTS_H
#define LINK_TENANTS_H

#include "core/str.h"
#include <stdint.h>

/* How names of spaces begin (snapshot.h); no client can write such a name. */
#define SPACE_PREFIX "snapshot:"

struct tenants;

struct tenants *tenants_new(void);
void tenants_free(struct tenants *t);
/* 0: not known. "" is the default one, number 1. Any thread; t may be NULL: nothing else is known.
 */
int64_t tenants_find(struct tenants *t, struct str name);
bool tenants_learn(struct tenants *t, struct str name, int64_t n); /* true: it is new here */
void tenants_forget(struct tenants *t); /* all, when the store may have lost a commit */

#endif
