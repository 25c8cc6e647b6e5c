/*
 * mqtt.h - publishing to MQTT brokers (MQTT 3.1.1 and 5.0; libmosquitto).
 *
 * One connection for each broker, credentials and version, on a thread of its own while it is used
 * and a minute longer; at most MQTT_BROKERS of them. A message counts as delivered when the broker
 * has confirmed it (QoS 1: PUBACK, QoS 2: PUBCOMP); with QoS 0 when it was handed to the network.
 * Nothing is tried again here: when a connection breaks, all that was on its way has failed, and
 * the next message makes a new connection with a clean session.
 *
 * Private, loopback, link-local and multicast addresses are refused unless allow_private, checked
 * on the addresses that are really connected to. mqtts verifies the broker's certificate and name.
 * Of struct client_options allow_private, connect_ms, total_ms, queue_max and ca_file are used.
 *
 *     struct mqtt *m = mqtt_new(&options, &e);
 *     mqtt_publish(m, &(struct mqtt_message){.to = &address, .version = MQTT_5, .qos = 1,
 *                                            .payload = text, .done = on_end, .ctx = me}, &e);
 */
#ifndef HTTP_MQTT_H
#define HTTP_MQTT_H

#include "http/client.h"

enum { MQTT_BROKERS = 64, MQTT_TOPIC_MAX = 65535, MQTT_PAYLOAD_MAX = 256 << 20 };

/* mqtt[s]://[user][:password]@host[:port]/topic[/subtopic]* (NGSI-LD clause 7.2); user, password
 * and topic may be percent-encoded. */
struct mqtt_address {
    bool tls;
    struct str host;           /* without the brackets of an IPv6 address */
    int64_t port;              /* default 1883, with TLS 8883 */
    struct str user, password; /* absent: none */
    struct str topic;          /* without the first '/'; absent: the URL names none */
};
/* In the arena. ERR_INVALID says what is wrong. */
enum err mqtt_address_parse(struct arena *a, struct str url, struct mqtt_address *out,
                            struct error *e);
/* Is it a topic that can be published to? No wildcards, valid UTF-8, not empty. */
bool mqtt_topic_ok(struct str topic);
/* A URL of any scheme with stars in place of a password, for people and logs. */
struct str url_without_password(struct arena *a, struct str url);

enum mqtt_version { MQTT_5, MQTT_311 };

struct mqtt_message {
    const struct mqtt_address *to;
    enum mqtt_version version;
    int qos; /* 0, 1, 2 */
    bool retain;
    struct str payload;
    int64_t timeout_ms; /* 0: total_ms */
    /*
     * On the connection's thread, exactly once; must not block, may publish more. e->code: OK
     * delivered; ERR_FORBIDDEN the broker refuses the credentials, topic or message, or the
     * address is private; ERR_TIMEOUT; ERR_UNAVAILABLE no connection, it broke, or we are stopping.
     */
    void (*done)(void *ctx, const struct error *e);
    void *ctx;
};

struct mqtt;

struct mqtt *mqtt_new(const struct client_options *o, struct error *e);
/* Everything is copied. ERR_UNAVAILABLE when too much waits, ERR_INVALID for a bad message: done()
 * is then not called. Any thread. */
enum err mqtt_publish(struct mqtt *m, const struct mqtt_message *msg, struct error *e);
/* Ends all connections; what is not delivered is told ERR_UNAVAILABLE. */
void mqtt_free(struct mqtt *m);

#endif
