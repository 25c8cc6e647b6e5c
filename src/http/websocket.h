/* websocket.h - the server's WebSockets and their thread. Private to src/http; see http.h. */
#ifndef HTTP_WEBSOCKET_H
#define HTTP_WEBSOCKET_H

#include "exchange.h"

struct MHD_Response;
struct websockets;

enum err websockets_new(struct websockets **out, struct server *s, struct error *e);
/* Tell every peer 1001 and let it go, at the latest after CLOSE_WAIT. */
void websockets_close_all(struct websockets *all);
bool websockets_empty(struct websockets *all);
void websockets_free(struct websockets *all); /* none may be open */

/* The 101 answer of an exchange whose ws_events are set. */
struct MHD_Response *websocket_response(struct exchange *x);

#endif
