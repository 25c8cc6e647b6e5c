/*
 * v2_notify.h - subscriptions of NGSIv2: what they tell and in which words. v2_outbox.c joins it to
 * the outbox (subscription_impl.h), v2_subscription.c to HTTP.
 *
 * The stored document is what the client sent, as far as it is known here:
 *
 *     {"description"?, "subject": {"entities", "condition"?}, "notification": {...}, "expires"?,
 *      "status": "active" | "inactive" | "oneshot", "throttling"?}
 */
#ifndef LINK_V2_NOTIFY_H
#define LINK_V2_NOTIFY_H

#include "subscription_impl.h"
#include "v2.h"

#define V2_HIDDEN "*****" /* what is shown in place of a password */

/* --- model: v2_subscription_model.c --- */

/* The known members of a body; NULL with ERR_INVALID. patch: only what is there. */
const struct json *v2_sub_take(struct arena *a, const struct json *body, bool patch,
                               struct error *e);
/* The document with the members of a patch: notification member by member, all else whole. */
const struct json *v2_sub_patched(struct arena *a, const struct json *doc,
                                  const struct json *patch);
/* Everything that a document must be. */
enum err v2_sub_check(struct arena *a, const struct json *doc, struct error *e);
/* The object that says where to: http, httpCustom, mqtt or mqttCustom; *name is which. */
const struct json *v2_sub_endpoint(const struct json *doc, struct str *name);
/* The URL of a topic at an endpoint of MQTT, with its user and password. */
struct str v2_mqtt_url(struct arena *a, const struct json *endpoint, struct str topic);
/* As its owner reads it. */
struct v2_sub_shown {
    struct str id;
    const struct json *doc;
    struct sub_counters n;
    struct str status, error;
};
void v2_sub_show(struct json_writer *w, struct arena *a, const struct v2_sub_shown *s);

/* --- templates: v2_template.c --- */

struct v2_macros {
    const struct json *stored;
    struct str service; /* tenant; empty: the default one */
    struct str path;
    bool over; /* something became longer than V2_EXPANDED_MAX: the result is of no use */
};
enum { V2_EXPANDED_MAX = 4 << 20 };

/* The text with each ${name} replaced; absent: what a name that stands for nothing becomes. */
struct str v2_expand(struct arena *a, struct str text, struct v2_macros *m, struct str absent);
/* Texts of a tree; one that is nothing but a macro becomes the value itself, or null. */
struct json v2_expand_json(struct arena *a, const struct json *v, struct v2_macros *m);
/* %22 and the like decoded; what is no such code stays. */
struct str v2_percent_decode(struct arena *a, struct str text);
/* What cannot stand in a URL encoded; in a query's name or value & = + # too. */
struct str v2_url_clean(struct arena *a, struct str text, bool in_query);

/* --- what is told: v2_notice.c --- */

enum v2_format {
    V2_FORMAT_NORMALIZED,
    V2_FORMAT_KEY_VALUES,
    V2_FORMAT_VALUES,
    V2_FORMAT_SIMPLE_NORMALIZED,
    V2_FORMAT_SIMPLE_KEY_VALUES,
    V2_FORMAT_LEGACY, /* of NGSIv1 */
    V2_FORMATS
};
extern const struct str v2_formats[V2_FORMATS];

struct v2_notice {
    enum v2_format format;
    struct v2_view view;
    const struct json *custom; /* httpCustom or mqttCustom; NULL: http or mqtt */
    bool mqtt;
    struct str sub_id, service; /* of a custom one, which shares its text with nobody */
};

/* Compiled from a document that was checked; in the arena. */
struct v2_notice *v2_notice_new(struct arena *a, const struct json *doc, struct str sub_id,
                                struct str service);
/* Subscriptions with the same key share a text. */
struct str v2_notice_key(struct arena *a, const struct json *doc, struct str sub_id,
                         struct str service);
struct sub_payload *v2_notice_render(const struct v2_notice *n, struct arena *a,
                                     const struct entity_event *ev);
/* Bodies and headers for payloads of the notice. */
void v2_notice_request(const struct v2_notice *n, struct arena *a, struct str sub_id,
                       struct str service, struct str notification_id,
                       struct sub_payload *const *list, size_t count, struct outbound *out);

#endif
