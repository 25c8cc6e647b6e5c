/*
 * address.h - which network addresses a city's server must not be talked into calling.
 */
#ifndef HTTP_ADDRESS_H
#define HTTP_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * True for everything that is not a public unicast address (IANA special-purpose registries):
 * this network, private, shared, loopback, link-local, benchmarking, multicast, reserved; IPv6
 * forms that carry an IPv4 address (mapped, compatible, NAT64, 6to4) are judged by that one. True
 * for other families too.
 */
bool address_is_private(const struct sockaddr *address);

#endif
