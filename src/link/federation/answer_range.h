/*
 * answer_range.h - evolutions that are not complete: the range that all participants tell of
 * (clause 6.3.10). Private to link.
 *
 * Whoever cuts an evolution short says with 206 and Content-Range how far it is complete. Put
 * together, evolutions are complete where all of them are: what lies outside is left out, and that
 * range is told to the client, who goes on from its end as with one participant.
 */
#ifndef LINK_ANSWER_RANGE_H
#define LINK_ANSWER_RANGE_H

#include "core/json.h"

struct answer_range {
    bool cut;        /* somebody's was */
    bool backward;   /* the newest come first */
    int64_t lo, hi;  /* instants, both complete */
    struct str size; /* as the first one that was cut said */
};

/* With the value of one more Content-Range header (absent: complete); false: it cannot be read. */
bool answer_range_add(struct answer_range *r, struct str header);
/* An evolution without what lies outside; time: the property that orders instances. */
struct json answer_range_keep(struct arena *a, const struct answer_range *r, struct str time,
                              const struct json *entity);
struct str answer_range_text(struct arena *a, const struct answer_range *r);

#endif
