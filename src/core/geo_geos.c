/*
 * geo_geos.c - GEOS behind a table of its functions. With the C++ library that it stands on it
 * takes 2.5 MB of memory, of which most cities need nothing before the first polygon comes.
 */
#include "geo_inner.h"

#include "core/log.h"
#include <dlfcn.h>
#include <pthread.h>

#define LIBRARY "libgeos_c.so.1"

struct geo_geos geo_geos;
static bool there;

static void load(void)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    there = library != NULL;
#define X(name)                                                                                    \
    if (there)                                                                                     \
        *(void **)&geo_geos.name = dlsym(library, #name);                                          \
    there = there && geo_geos.name;
    GEO_GEOS_FUNCTIONS(X)
#undef X
    if (!there)
        log_event(LOG_ERROR, "core.library_missing", LOG_Z("library", LIBRARY));
}

GEOSContextHandle_t geo_geos_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return there ? geo_geos.GEOS_init_r() : NULL;
}
