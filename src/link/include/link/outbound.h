/*
 * outbound.h - one message to a receiver outside, over HTTP or MQTT: what the outbox of
 * subscriptions sends through, whoever wrote the text (NGSI-LD, NGSIv2).
 *
 *     outbound_send(link, &(struct outbound){.url = uri, .headers = h, .n_headers = n,
 *                                            .body = text, .done = on_answer, .ctx = me}, &e);
 */
#ifndef LINK_OUTBOUND_H
#define LINK_OUTBOUND_H

#include "http/mqtt.h"
#include "link/link.h"

struct outbound {
    struct str url;     /* http, https, mqtt, mqtts */
    const char *method; /* of HTTP; NULL: POST */
    /* Of MQTT: the members of "metadata", the body is that of "body" (NGSI-LD clause 7.2) ... */
    const struct http_header *headers;
    size_t n_headers;
    struct str body;
    int64_t timeout_ms; /* 0: the client's */
    struct outbound_mqtt {
        enum mqtt_version version;
        int qos;
        bool retain;
        bool bare; /* ... unless the message is the body alone */
    } mqtt;
    /*
     * On a thread of the network, exactly once; must not block. Over MQTT a message that was
     * delivered has status 204; one that the broker refuses has status 0 and ERR_FORBIDDEN, as has
     * a private address on both ways.
     */
    void (*done)(void *ctx, const struct client_answer *a);
    void *ctx;
};

/* Everything is copied. When it fails, done() is not called. Any thread. */
enum err outbound_send(struct link *l, const struct outbound *m, struct error *e);
/* Is it a URL that can be sent to? ERR_INVALID says what is wrong with it. */
enum err outbound_check_url(struct str url, struct error *e);
bool outbound_is_mqtt(struct str url);

#endif
