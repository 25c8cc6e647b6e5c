#include "http/server.h"

#define O struct http_options

static const struct config_key keys[] = {
    CONFIG_STR("http.address", O, address, "127.0.0.1",
               "address to listen on; \"::\" is all of IPv6 and IPv4, \"0.0.0.0\" all of IPv4"),
    CONFIG_INT("http.port", O, port, 8080, 0, 65535, "port; 0 takes any free one"),
    CONFIG_INT("http.workers", O, workers, 0, 0, 256, "threads that serve; 0 is one a core"),
    CONFIG_INT("http.connections", O, connections, 10000, 10, 1000000, "open connections in all"),
    CONFIG_INT("http.connections_per_client", O, connections_per_client, 500, 0, 1000000,
               "open connections of one address (IPv6: of one /64); 0 is no limit"),
    CONFIG_SIZE("http.header_bytes", O, header_bytes, "16k", 4096, 1048576,
                "bytes of a request's first line and headers"),
    CONFIG_SIZE("http.body_bytes", O, body_bytes, "4m", 1024, 1073741824,
                "bytes of a request's body"),
    CONFIG_SIZE("http.upload_bytes", O, upload_bytes, "256m", 1024, 68719476736,
                "bytes of a body where files are uploaded"),
    CONFIG_INT("http.header_deadline_s", O, header_deadline_s, 10, 1, 600,
               "seconds until a request's headers must be complete"),
    CONFIG_INT("http.body_min_rate", O, body_min_rate, 1024, 0, 1073741824,
               "bytes a second below which a body is given up after 5 s"),
    CONFIG_INT("http.idle_s", O, idle_s, 75, 1, 86400, "seconds that an idle connection is kept"),
    CONFIG_INT("http.request_deadline_s", O, request_deadline_s, 30, 1, 3600,
               "seconds after which a request that still waits is answered 503"),
    CONFIG_INT("http.rate_per_s", O, rate_per_s, 0, 0, 1000000,
               "requests a second of one client; 0 is no limit"),
    CONFIG_INT("http.rate_burst", O, rate_burst, 200, 1, 1000000,
               "requests at once of one client, when there is a limit"),
    CONFIG_INT(
        "http.refusal_hold_ms", O, refusal_hold_ms, 500, 0, 10000,
        "milliseconds that a refusal (429) waits before it is sent, so that who asks again at "
        "once is paced; 0 sends it at once"),
    CONFIG_INT("http.refusals_held", O, refusals_held, 1000, 0, 100000,
               "refusals that wait at once; others are sent at once"),
    CONFIG_SIZE("http.ws_queue_bytes", O, ws_queue_bytes, "1m", 1024, 1073741824,
                "bytes waiting for one WebSocket client before it is closed"),
    CONFIG_SIZE("http.gzip_min_bytes", O, gzip_min_bytes, "1400", 0, 1073741824,
                "bytes below which answers are not compressed"),
    CONFIG_INT("http.stop_grace_s", O, stop_grace_s, 10, 0, 600,
               "seconds that running requests may take at stop"),
    CONFIG_STR("http.trusted_proxies", O, trusted_proxies, "",
               "addresses whose X-Forwarded-For and X-Forwarded-Proto count, by blanks"),
    CONFIG_STR("http.cors_origins", O, cors_origins, "",
               "origins of other sites that may use everything with credentials, by blanks"),
    CONFIG_STR("http.tls_cert", O, tls_cert, "",
               "certificate chain, a PEM file; \"self\" makes one for trials; empty is plain HTTP"),
    CONFIG_STR("http.tls_key", O, tls_key, "", "private key, a PEM file"),
    CONFIG_STR("http.spool_dir", O, spool_dir, "",
               "directory for long uploads; empty is TMPDIR or /tmp"),
    CONFIG_BOOL("http.access_log", O, access_log, "true", "log each request (never its query)"),
};

const struct config_table http_config = {"http", keys, sizeof(keys) / sizeof(keys[0])};
