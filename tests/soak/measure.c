/* SPDX-License-Identifier: MIT */
/* What the process has: resident memory, threads, descriptors, children. */
#include <dirent.h>
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

#include "soak.h"

enum { LATE_MS = 5000, LOOK_MS = 20 };

/* jemalloc's, where that is the allocator. */
extern int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes)
    __attribute__((weak));

/* Memory that is free, but kept for later, tells nothing. */
static void give_back(void)
{
    if (mallctl != NULL) {
        (void)mallctl("arena.4096.purge", NULL, NULL, NULL, 0); /* 4096: all arenas */
    } else {
        (void)malloc_trim(0);
    }
}

static long count_entries(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        return -1;
    }
    long n = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
    }
    closedir(d);
    return n;
}

static long read_rss(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[128];
    long kib = -1;
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0) {
            kib = strtol(line + 6, NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

/* Whether there is a child, one that has ended and was not waited for included. */
static long count_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD ? 0 : 1;
}

struct soak_state soak_measure(void)
{
    give_back();
    return (struct soak_state){
        .rss_kib = read_rss(),
        .threads = count_entries("/proc/self/task"),
        .descriptors = count_entries("/proc/self/fd") - 1, /* the folder's own */
        .children = count_children(),
    };
}

struct soak_state soak_measure_settled(const struct soak_state *least)
{
    struct timespec look = {.tv_nsec = LOOK_MS * 1000000L};
    struct soak_state s = soak_measure();
    for (int ms = 0; ms < LATE_MS && (s.threads > least->threads || s.children > least->children ||
                                      s.descriptors > least->descriptors);
         ms += LOOK_MS) {
        nanosleep(&look, NULL);
        s = soak_measure();
    }
    return s;
}
