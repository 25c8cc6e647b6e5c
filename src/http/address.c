#include "address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct net4 {
    uint8_t bytes[4];
    unsigned bits;
};

struct net6 {
    uint8_t bytes[16];
    unsigned bits;
};

static const struct net4 private4[] = {
    {{0}, 8},         {{10}, 8},       {{100, 64}, 10},   {{127}, 8},
    {{169, 254}, 16}, {{172, 16}, 12}, {{192, 0, 0}, 24}, {{192, 168}, 16},
    {{198, 18}, 15},  {{224}, 4},      {{240}, 4},
};

static const struct net6 private6[] = {
    {{0x00, 0x64, 0xff, 0x9b, 0x00, 0x01}, 48}, /* NAT64 for local use */
    {{0xfc}, 7},
    {{0xfe, 0x80}, 10},
    {{0xfe, 0xc0}, 10},
    {{0xff}, 8},
};

/* Prefixes that are followed by an IPv4 address; ::/96 holds :: and ::1 too. */
static const struct net6 carriers[] = {
    {{0}, 96},
    {{[10] = 0xff, [11] = 0xff}, 96},
    {{0x00, 0x64, 0xff, 0x9b}, 96},
    {{0x20, 0x02}, 16},
};

static bool within(const uint8_t *address, const uint8_t *net, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(address, net, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ net[whole]) >> (8 - rest) == 0;
}

static bool is_private4(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof(private4) / sizeof(private4[0]); i++)
        if (within(address, private4[i].bytes, private4[i].bits))
            return true;
    return false;
}

static bool is_private6(const uint8_t *address)
{
    for (size_t i = 0; i < sizeof(private6) / sizeof(private6[0]); i++)
        if (within(address, private6[i].bytes, private6[i].bits))
            return true;
    for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++)
        if (within(address, carriers[i].bytes, carriers[i].bits))
            return is_private4(address + carriers[i].bits / 8);
    return false;
}

bool address_is_private(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        return is_private4((const uint8_t *)&in.sin_addr);
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, address, sizeof(in));
        return is_private6((const uint8_t *)&in.sin6_addr);
    }
    return true;
}
