/* send.h - from a filled struct response to bytes on the wire. Private to src/http. */
#ifndef HTTP_SEND_H
#define HTTP_SEND_H

#include "exchange.h"

/* Queue the answer of x with libmicrohttpd; false: close the connection. Worker only. */
bool exchange_send(struct exchange *x, struct http_worker *w);

#endif
