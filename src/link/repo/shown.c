/*
 * shown.c - a table in which each entity has one place, and the last one shown there stays. Places
 * share a few locks; text is copied under them.
 */
#include "shown.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCKS = 64 };

struct entry {
    int64_t eid, version;
    uint64_t seen_as;
    unsigned form;
    size_t n_text, n_types;
    char bytes[]; /* text, then types */
};

struct shown {
    struct entry **places;
    size_t n; /* a power of two */
    pthread_mutex_t locks[LOCKS];
};

static void *allocate(size_t n, size_t size)
{
    void *p = calloc(n, size);
    if (!p) {
        fprintf(stderr, "out of memory: cannot keep what was shown\n");
        abort();
    }
    return p;
}

struct shown *shown_new(int64_t entities)
{
    struct shown *s = allocate(1, sizeof(*s));
    for (s->n = entities > 0 ? 1 : 0; s->n && (int64_t)s->n < entities;)
        s->n *= 2;
    if (s->n)
        s->places = allocate(s->n, sizeof(struct entry *));
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&s->locks[i], NULL);
    return s;
}

void shown_free(struct shown *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->n; i++)
        free(s->places[i]);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&s->locks[i]);
    free(s->places);
    free(s);
}

void shown_forget(struct shown *s)
{
    for (size_t i = 0; s && i < s->n; i++) {
        pthread_mutex_t *lock = &s->locks[i % LOCKS];
        pthread_mutex_lock(lock);
        free(s->places[i]);
        s->places[i] = NULL;
        pthread_mutex_unlock(lock);
    }
}

bool shown_fits(const struct shown *s, const struct entity_view *v)
{
    return s && s->n && !v->geojson && !v->lang.n && !v->pick && !v->omit && !v->datasets &&
           (!v->ctx || v->ctx == ld_core());
}

/* What else the text depends on. */
static unsigned form_of(const struct entity_view *v)
{
    return (unsigned)v->form * 4 + v->sys_attrs * 2u + v->with_context;
}

/* Entities that follow one another have places side by side. */
static size_t place_of(const struct shown *s, int64_t eid, const struct entity_view *v)
{
    return ((size_t)eid + form_of(v) * 1021u + (size_t)v->seen_as * 16411u) & (s->n - 1);
}

bool shown_get(struct shown *s, int64_t eid, int64_t version, const struct entity_view *v,
               struct arena *a, struct str *text, struct str *types)
{
    size_t place = place_of(s, eid, v);
    pthread_mutex_t *lock = &s->locks[place % LOCKS];
    pthread_mutex_lock(lock);
    const struct entry *there = s->places[place];
    bool found = there && there->eid == eid && there->version == version &&
                 there->form == form_of(v) && there->seen_as == v->seen_as;
    if (found) {
        *text = str_dup(a, str_n(there->bytes, there->n_text));
        if (types)
            *types = str_dup(a, str_n(there->bytes + there->n_text, there->n_types));
    }
    pthread_mutex_unlock(lock);
    return found;
}

void shown_put(struct shown *s, int64_t eid, int64_t version, const struct entity_view *v,
               const struct json *stored, struct str text)
{
    int64_t expires;
    if (text.n > SHOWN_TEXT_MAX || entity_expires(stored, &expires))
        return;
    struct buf types = BUF_INIT;
    json_write(&types, entity_types(stored));
    struct entry *made = allocate(1, sizeof(*made) + text.n + types.n);
    made->eid = eid;
    made->version = version;
    made->seen_as = v->seen_as;
    made->form = form_of(v);
    made->n_text = text.n;
    made->n_types = types.n;
    memcpy(made->bytes, text.p, text.n);
    memcpy(made->bytes + text.n, types.p, types.n);
    buf_release(&types);
    size_t place = place_of(s, eid, v);
    pthread_mutex_t *lock = &s->locks[place % LOCKS];
    pthread_mutex_lock(lock);
    struct entry *old = s->places[place];
    s->places[place] = made;
    pthread_mutex_unlock(lock);
    free(old);
}
