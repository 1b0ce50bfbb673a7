/* SPDX-License-Identifier: MIT */
/*
 * What a process uses, seen from outside.
 *
 * CPU: the process's CPU-time clock. It counts nanoseconds of run time over all threads, ended ones
 * too, where /proc/PID/stat counts ticks and /proc/PID/schedstat only the first thread.
 *
 * Memory: VmRSS and VmPTE of /proc/PID/status. The page tables are told apart because a hundred
 * thousand stacks have pages of those as well. What the kernel keeps for sockets is in neither.
 */
#include <dirent.h>
#include <time.h>

#include "load.h"

int64_t load_observe_cpu(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    int err = clock_getcpuclockid(pid, &clock);
    if (err != 0) {
        return -err;
    }
    if (clock_gettime(clock, &t) < 0) {
        return -errno;
    }
    return (int64_t)t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

/* The figure of a line such as "VmRSS:     1234 kB", in bytes; 0 when there is none. */
static uint64_t status_bytes(const char *line, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(line, name, n) != 0) {
        return 0;
    }
    return strtoull(line + n, NULL, 10) * 1024;
}

static void observe_memory(pid_t pid, struct load_observation *o)
{
    char path[64];
    char line[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        o->rss_bytes += status_bytes(line, "VmRSS:");
        o->page_table_bytes += status_bytes(line, "VmPTE:");
    }
    fclose(f);
}

static uint64_t count_descriptors(pid_t pid)
{
    char path[64];
    uint64_t n = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (dir == NULL) {
        return 0;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

int load_observe(pid_t pid, struct load_observation *observation)
{
    struct load_observation o = {.cpu_ns = load_observe_cpu(pid)};
    if (o.cpu_ns < 0) {
        return (int)o.cpu_ns;
    }
    observe_memory(pid, &o);
    o.descriptors = count_descriptors(pid);
    *observation = o;
    return 0;
}
