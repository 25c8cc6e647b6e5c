#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024, KEEPALIVE_S = 60, KEEPALIVE_EVERY_S = 15, SEND_TIMEOUT_MS = 60 * 1000 };

static void set_option(int fd, int level, int name, int value)
{
    /* None of them is needed for correctness; without keep-alive lost clients are noticed later. */
    (void)setsockopt(fd, level, name, &value, sizeof(value));
}

/* Accepted sockets inherit these: clients that vanished without a word, or that stopped reading,
 * are given up by the kernel. */
static void set_options(int fd, int family)
{
    set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_S);
    set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S);
    set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, SEND_TIMEOUT_MS);
}

static int bound_port(int fd)
{
    struct sockaddr_storage addr;
    socklen_t n = sizeof(addr);
    memset(&addr, 0, sizeof(addr));
    if (getsockname(fd, (struct sockaddr *)&addr, &n) != 0)
        return 0;
    in_port_t port = addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                                : ((struct sockaddr_in *)&addr)->sin_port;
    return ntohs(port);
}

enum err listen_open(const char *address, int64_t port, int *fd, int *bound, struct error *e)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char service[8];
    snprintf(service, sizeof(service), "%d", (int)port);
    int rc = getaddrinfo(address, service, &hints, &found);
    if (rc != 0)
        return error_set(e, ERR_INVALID, "http.address \"%s\": %s", address, gai_strerror(rc));
    int s = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s >= 0)
        set_options(s, found->ai_family);
    bool ok = s >= 0 && bind(s, found->ai_addr, found->ai_addrlen) == 0 && listen(s, BACKLOG) == 0;
    int saved = errno;
    freeaddrinfo(found);
    if (!ok) {
        if (s >= 0)
            close(s);
        return error_set(e, ERR_IO, "cannot listen on %s port %d: %s", address, (int)port,
                         strerror(saved));
    }
    *fd = s;
    *bound = bound_port(s);
    return OK;
}

void listen_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* fewer connections then */
    }
}

const char *listen_spool_dir(void)
{
    const char *dir = getenv("TMPDIR");
    return dir && dir[0] ? dir : "/tmp";
}
