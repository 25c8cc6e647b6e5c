/*
 * hold.h - refusals that are sent late. Private to src/http.
 *
 * Who is told 429 and asks again at once costs more than the refusal is worth: fifty such clients
 * fill a core. So the answer waits for a while in which the client, that has a request on its way,
 * sends no other. A refusal that is held costs some memory and its connection; their number is
 * bounded, and what is over it is answered at once.
 */
#ifndef HTTP_HOLD_H
#define HTTP_HOLD_H

#include "http/http.h"

struct holds;

/* Answers wait wait_ms (0: none does), most of them at once. */
struct holds *holds_new(int64_t wait_ms, int64_t most);
/* The answer of req is ready and is to wait: http_resume() is called when its time has come,
 * perhaps before this returns. False: answer now. Any worker. */
bool holds_take(struct holds *h, struct request *req);
/* The time of all has come, and none is taken any more. */
void holds_end(struct holds *h);
/* After holds_end(), when no request is left. */
void holds_free(struct holds *h);

#endif
