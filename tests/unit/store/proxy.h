/*
 * proxy.h - a TCP proxy on loopback that can lose an answer.
 *
 * It carries bytes between clients and one server. Once armed it cuts the connection on which the
 * given bytes come from the server, without handing them on: the client cannot know what happened.
 */
#ifndef TESTS_STORE_PROXY_H
#define TESTS_STORE_PROXY_H

#include <stdbool.h>

struct proxy;

struct proxy *proxy_new(int server_port); /* to 127.0.0.1 */
int proxy_port(const struct proxy *p);
void proxy_arm(struct proxy *p, const char *bytes, int n);
void proxy_down(struct proxy *p,
                bool down);      /* cut everything and refuse, as a stopped server does */
int proxy_cuts(struct proxy *p); /* how many connections were cut */
void proxy_free(struct proxy *p);

#endif
