/*
 * slow_sync.c - a library to preload that makes each fsync and fdatasync take longer, like a disk
 * that is slower than this machine's: SLOW_SYNC_US microseconds are added to every call.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static void pause_us(void)
{
    const char *us = getenv("SLOW_SYNC_US");
    long n = us ? strtol(us, NULL, 10) : 0;
    struct timespec t = {n / 1000000, n % 1000000 * 1000};
    if (n > 0)
        nanosleep(&t, NULL);
}

static int after_pause(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))(size_t)dlsym(RTLD_NEXT, name);
    pause_us();
    return real ? real(fd) : -1;
}

int fsync(int fd)
{
    return after_pause("fsync", fd);
}

int fdatasync(int fd)
{
    return after_pause("fdatasync", fd);
}
