#include "core/metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Upper bounds of the buckets in microseconds; the last one is +Inf. */
static const int64_t bounds[METRIC_BUCKETS - 1] = {100,     300,      1000,    3000,
                                                   10000,   30000,    100000,  300000,
                                                   1000000, 10000000, 30000000};

/* A list that only grows: objects are static. */
static _Atomic(struct metric *) registered;

static void metric_register(struct metric *m)
{
    int no = 0;
    if (atomic_load_explicit(&m->registered, memory_order_relaxed) ||
        !atomic_compare_exchange_strong(&m->registered, &no, 1))
        return;
    m->next = atomic_load(&registered);
    while (!atomic_compare_exchange_weak(&registered, &m->next, m))
        ;
}

void metric_add(struct metric *m, int64_t by)
{
    metric_register(m);
    atomic_fetch_add_explicit(&m->value, by, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t value)
{
    metric_register(m);
    atomic_store_explicit(&m->value, value, memory_order_relaxed);
}

void metric_time(struct metric *m, int64_t us)
{
    int i = 0;
    metric_register(m);
    while (i < METRIC_BUCKETS - 1 && us > bounds[i])
        i++;
    atomic_fetch_add_explicit(&m->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->value, us, memory_order_relaxed);
}

int64_t metric_value(struct metric *m)
{
    return atomic_load_explicit(&m->value, memory_order_relaxed);
}

/* --- the text format --- */

static struct str base_name(struct str name)
{
    ptrdiff_t brace = str_find_char(name, '{');
    return brace < 0 ? name : str_sub(name, 0, (size_t)brace);
}

/* The labels inside of the braces, or nothing. */
static struct str labels_of(struct str name)
{
    struct str base = base_name(name);
    return name.n > base.n + 2 ? str_sub(name, base.n + 1, name.n - base.n - 2) : S("");
}

static void write_head(struct buf *out, struct str base, const char *help, const char *type)
{
    buf_printf(out, "# HELP %" STR_F " %s\n# TYPE %" STR_F " %s\n", STR_A(base), help, STR_A(base),
               type);
}

static void write_histogram(struct buf *out, struct metric *m)
{
    struct str base = base_name(str_c(m->name)), labels = labels_of(str_c(m->name));
    const char *comma = labels.n ? "," : "";
    int64_t total = 0;
    for (int i = 0; i < METRIC_BUCKETS; i++) {
        total += atomic_load_explicit(&m->bucket[i], memory_order_relaxed);
        buf_printf(out, "%" STR_F "_bucket{%" STR_F "%sle=\"", STR_A(base), STR_A(labels), comma);
        if (i < METRIC_BUCKETS - 1)
            buf_printf(out, "%g", (double)bounds[i] / 1e6);
        else
            BUF_LIT(out, "+Inf");
        buf_printf(out, "\"} %" PRId64 "\n", total);
    }
    const char *open = labels.n ? "{" : "", *close = labels.n ? "}" : "";
    buf_printf(out, "%" STR_F "_sum%s%" STR_F "%s %.6f\n", STR_A(base), open, STR_A(labels), close,
               (double)metric_value(m) / 1e6);
    buf_printf(out, "%" STR_F "_count%s%" STR_F "%s %" PRId64 "\n", STR_A(base), open,
               STR_A(labels), close, total);
}

static void write_samples(struct buf *out, struct metric *m)
{
    if (m->kind == METRIC_IS_HISTOGRAM)
        write_histogram(out, m);
    else
        buf_printf(out, "%s %" PRId64 "\n", m->name, metric_value(m));
}

/* Does an earlier metric in the list have this base name? Its group has been written then. */
static bool seen_before(const struct metric *m, struct str base)
{
    for (const struct metric *at = atomic_load(&registered); at != m; at = at->next)
        if (str_eq(base_name(str_c(at->name)), base))
            return true;
    return false;
}

static void write_group(struct buf *out, struct metric *first)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    struct str base = base_name(str_c(first->name));
    write_head(out, base, first->help, types[first->kind]);
    for (struct metric *m = first; m; m = m->next)
        if (str_eq(base_name(str_c(m->name)), base))
            write_samples(out, m);
}

/* --- the process --- */

static int64_t resident_bytes(void)
{
    long long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%lld %lld", &pages, &resident) != 2)
        resident = 0;
    fclose(f);
    return resident * sysconf(_SC_PAGESIZE);
}

static int64_t open_files(void)
{
    int64_t n = 0;
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* ".", ".." and the directory itself */
}

static double started_at;

__attribute__((constructor)) static void note_start(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    started_at = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void write_process(struct buf *out)
{
    struct rusage usage;
    memset(&usage, 0, sizeof(usage));
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    write_head(out, S("process_resident_memory_bytes"), "resident memory", "gauge");
    buf_printf(out, "process_resident_memory_bytes %" PRId64 "\n", resident_bytes());
    write_head(out, S("process_open_fds"), "open file descriptors", "gauge");
    buf_printf(out, "process_open_fds %" PRId64 "\n", open_files());
    write_head(out, S("process_cpu_seconds_total"), "user and system time", "counter");
    buf_printf(out, "process_cpu_seconds_total %.6f\n", cpu);
    write_head(out, S("process_start_time_seconds"), "start, in seconds since 1970", "gauge");
    buf_printf(out, "process_start_time_seconds %.3f\n", started_at);
}

void metrics_write(struct buf *out)
{
    for (struct metric *m = atomic_load(&registered); m; m = m->next)
        if (!seen_before(m, base_name(str_c(m->name))))
            write_group(out, m);
    write_process(out);
}
