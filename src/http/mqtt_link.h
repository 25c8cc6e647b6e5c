/*
 * mqtt_link.h - one connection to an MQTT broker and the messages that are on their way on it. For
 * one thread. Private to src/http.
 */
#ifndef HTTP_MQTT_LINK_H
#define HTTP_MQTT_LINK_H

#include "http/mqtt.h"

struct mqtt_job {
    struct mqtt_job *next;
    char *topic, *payload; /* owned, with the struct: mqtt_job_free() */
    int n;
    int qos;
    bool retain;
    int64_t deadline; /* steady */
    void (*done)(void *ctx, const struct error *e);
    void *ctx;
    /* the link's */
    int mid;
    bool finished;
    int reason; /* MQTT reason code of a finished one */
};

struct mqtt_target {
    const char *host, *user, *password; /* user, password: NULL none */
    int port;
    bool tls, allow_private;
    enum mqtt_version version;
    const char *ca_file; /* "": the system's */
    int64_t connect_ms;
};

struct mqtt_link;

/* Resolve, check the address, connect, wait until the broker lets us in. NULL: see e. */
struct mqtt_link *mqtt_link_open(const struct mqtt_target *t, struct error *e);
/* Takes the job over until it is finished or the link is closed. */
enum err mqtt_link_send(struct mqtt_link *l, struct mqtt_job *job, struct error *e);
/* Wait for the network or for wake_fd, at most ms, and do what is due. An error: close it. */
enum err mqtt_link_step(struct mqtt_link *l, int wake_fd, int64_t ms, struct error *e);
/* Jobs that the broker has answered, as a list, in the order of sending. */
struct mqtt_job *mqtt_link_finished(struct mqtt_link *l);
bool mqtt_link_idle(const struct mqtt_link *l);
/* The earliest deadline of what is on its way; INT64_MAX: nothing is. */
int64_t mqtt_link_deadline(const struct mqtt_link *l);
/* Ends the connection; what was on its way as a list. */
struct mqtt_job *mqtt_link_close(struct mqtt_link *l);
/* The error of a finished job; OK when it was delivered. */
void mqtt_job_error(const struct mqtt_job *job, struct error *e);

#endif
