/* proxy.c - see proxy.h. One thread, poll(2), blocking writes: the peers read promptly. */
#include "proxy.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PAIRS = 30 };

struct proxy {
    int listener, wake, port, server_port;
    pthread_t thread;
    _Atomic bool armed, down, stop;
    _Atomic int cuts;
    char bytes[32];
    size_t n;
    struct {
        int client, server;
    } pair[PAIRS];
};

static void cut(struct proxy *p, int i)
{
    close(p->pair[i].client);
    close(p->pair[i].server);
    p->pair[i].client = p->pair[i].server = -1;
}

static void add_pair(struct proxy *p)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)p->server_port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    bool down = atomic_load(&p->down);
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int i = 0;
    while (i < PAIRS && p->pair[i].client >= 0)
        i++;
    if (client < 0 || down || i == PAIRS ||
        connect(server, (struct sockaddr *)&at, sizeof(at)) != 0) {
        close(client);
        close(server);
        return;
    }
    p->pair[i].client = client;
    p->pair[i].server = server;
}

static void carry(struct proxy *p, int i, bool from_server)
{
    char buffer[16384];
    int from = from_server ? p->pair[i].server : p->pair[i].client;
    int to = from_server ? p->pair[i].client : p->pair[i].server;
    ssize_t n = read(from, buffer, sizeof(buffer));
    if (n > 0 && from_server && atomic_load(&p->armed) &&
        memmem(buffer, (size_t)n, p->bytes, p->n)) {
        atomic_store(&p->armed, false);
        atomic_fetch_add(&p->cuts, 1);
        n = 0;
    }
    if (n <= 0 || send(to, buffer, (size_t)n, MSG_NOSIGNAL) != n)
        cut(p, i);
}

static void *run(void *arg)
{
    struct proxy *p = arg;
    for (;;) {
        struct pollfd fds[2 + 2 * PAIRS] = {{p->wake, POLLIN, 0}, {p->listener, POLLIN, 0}};
        for (int i = 0; i < PAIRS; i++) {
            fds[2 + 2 * i] = (struct pollfd){p->pair[i].client, POLLIN, 0};
            fds[3 + 2 * i] = (struct pollfd){p->pair[i].server, POLLIN, 0};
        }
        poll(fds, 2 + 2 * PAIRS, -1);
        eventfd_t ignored;
        if (fds[0].revents)
            eventfd_read(p->wake, &ignored);
        if (atomic_load(&p->stop))
            return NULL;
        if (atomic_load(&p->down)) {
            for (int i = 0; i < PAIRS; i++)
                if (p->pair[i].client >= 0)
                    cut(p, i);
            if (fds[1].revents)
                add_pair(p);
            continue;
        }
        for (int i = 0; i < PAIRS; i++) {
            if (fds[3 + 2 * i].revents)
                carry(p, i, true);
            else if (fds[2 + 2 * i].revents)
                carry(p, i, false);
        }
        if (fds[1].revents)
            add_pair(p);
    }
}

struct proxy *proxy_new(int server_port)
{
    struct proxy *p = calloc(1, sizeof(*p));
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t n = sizeof(at);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < PAIRS; i++)
        p->pair[i].client = p->pair[i].server = -1;
    p->server_port = server_port;
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p->wake = eventfd(0, EFD_CLOEXEC);
    if (bind(p->listener, (struct sockaddr *)&at, sizeof(at)) || listen(p->listener, 30) ||
        getsockname(p->listener, (struct sockaddr *)&at, &n) ||
        pthread_create(&p->thread, NULL, run, p))
        abort();
    p->port = ntohs(at.sin_port);
    return p;
}

int proxy_port(const struct proxy *p)
{
    return p->port;
}

void proxy_arm(struct proxy *p, const char *bytes, int n)
{
    p->n = (size_t)n;
    memcpy(p->bytes, bytes, p->n);
    atomic_store(&p->armed, true);
}

void proxy_down(struct proxy *p, bool down)
{
    atomic_store(&p->down, down);
    eventfd_write(p->wake, 1);
}

int proxy_cuts(struct proxy *p)
{
    return atomic_load(&p->cuts);
}

void proxy_free(struct proxy *p)
{
    atomic_store(&p->stop, true);
    eventfd_write(p->wake, 1);
    pthread_join(p->thread, NULL);
    for (int i = 0; i < PAIRS; i++)
        if (p->pair[i].client >= 0)
            cut(p, i);
    close(p->listener);
    close(p->wake);
    free(p);
}
