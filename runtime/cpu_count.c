/* SPDX-License-Identifier: MIT */
/*
 * CPUs by affinity and quota; see cpu_count.h.
 *
 * Where the quota is
 *   /proc/self/cgroup     a line for each hierarchy, "number:controllers:path". The path begins
 *                         at the root of the process's cgroup namespace. Version 2 is number 0 with
 *                         no controllers; of version 1 it is the hierarchy with "cpu" among them.
 *   /proc/self/mountinfo  where the hierarchies are mounted, and which of their directories (the
 *                         mount's root) is to be seen there.
 *
 *   host, or a namespace     path /a/b, root /       files in <mount point>/a/b and above
 *   container, no namespace  path /docker/x, root /docker/x    files in <mount point> itself
 *   odd (the root is not above the path: mounted from outside)   the same: the best that is known
 *
 * Every directory on the way up to the mount point counts, as a parent's quota limits its children.
 * Version 1 and 2 can be there at once, with the cpu controller in one of them: both are asked.
 *
 * Whatever does not look as expected is passed over: a wrong number of workers is better than none.
 */
#include "cpu_count.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The mask grows up to this; no kernel is built for as many. */
#define MASK_CPUS_MAX (1 << 20)

/* --- affinity -------------------------------------------------------------------------------- */

/*
 * The calling thread's mask, to be freed with CPU_FREE; its size in *bytes. NULL: errno says why.
 * The kernel says EINVAL to a mask that is smaller than its own.
 */
static cpu_set_t *mask_get(size_t *bytes)
{
    for (int cpus = CPU_SETSIZE; cpus <= MASK_CPUS_MAX; cpus *= 2) {
        cpu_set_t *mask = CPU_ALLOC((size_t)cpus);
        if (mask == NULL) {
            errno = ENOMEM;
            return NULL;
        }
        *bytes = CPU_ALLOC_SIZE((size_t)cpus);
        if (sched_getaffinity(0, *bytes, mask) == 0) {
            return mask;
        }
        int err = errno;
        CPU_FREE(mask);
        errno = err;
        if (err != EINVAL) {
            return NULL;
        }
    }
    return NULL;
}

static unsigned affinity_count(void)
{
    size_t bytes;
    cpu_set_t *mask = mask_get(&bytes);
    if (mask == NULL) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        return online > 0 ? (unsigned)online : 1;
    }
    int count = CPU_COUNT_S(bytes, mask);
    CPU_FREE(mask);
    return count > 0 ? (unsigned)count : 1;
}

int weft__cpu_nth(unsigned n)
{
    size_t bytes;
    cpu_set_t *mask = mask_get(&bytes);
    if (mask == NULL) {
        return -errno;
    }
    int found = -ENOENT;
    for (size_t cpu = 0; cpu < 8 * bytes && found < 0; cpu++) {
        if (CPU_ISSET_S(cpu, bytes, mask) && n-- == 0) {
            found = (int)cpu;
        }
    }
    CPU_FREE(mask);
    return found;
}

/* --- quota ----------------------------------------------------------------------------------- */

/* Open a file below a directory; NULL when there is none, or its name is too long. */
static FILE *file_open(const char *dir, const char *name)
{
    char path[PATH_MAX];
    int length = snprintf(path, sizeof(path), "%s%s", dir, name);
    return length > 0 && (size_t)length < sizeof(path) ? fopen(path, "re") : NULL;
}

/* Read one number; false when there is none. */
static bool read_number(const char *dir, const char *name, long long *number)
{
    FILE *file = file_open(dir, name);
    if (file == NULL) {
        return false;
    }
    bool is_read = fscanf(file, "%lld", number) == 1;
    fclose(file);
    return is_read;
}

/* The smaller of two limits, of which 0 is none. */
static unsigned limit_min(unsigned a, unsigned b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

/* Quota and period in CPUs, rounded up. "max" does not get here; version 1 says -1 for no limit. */
static unsigned limit_of(long long quota_us, long long period_us)
{
    if (quota_us <= 0 || period_us <= 0) {
        return 0;
    }
    long long cpus = quota_us / period_us + (quota_us % period_us != 0);
    return cpus < UINT_MAX ? (unsigned)cpus : UINT_MAX;
}

static unsigned limit_of_dir(const char *dir, bool is_v2)
{
    long long quota_us = 0;
    long long period_us = 0;
    if (!is_v2) {
        return read_number(dir, "/cpu.cfs_quota_us", &quota_us) &&
                       read_number(dir, "/cpu.cfs_period_us", &period_us)
                   ? limit_of(quota_us, period_us)
                   : 0;
    }
    FILE *file = file_open(dir, "/cpu.max");
    if (file == NULL) {
        return 0;
    }
    bool is_limited = fscanf(file, "%lld %lld", &quota_us, &period_us) == 2;
    fclose(file);
    return is_limited ? limit_of(quota_us, period_us) : 0;
}

/* The smallest limit from <root><mount_point><relative> up to the mount point. */
static unsigned limit_of_path(const char *root, const char *mount_point, const char *relative,
                              bool is_v2)
{
    char dir[PATH_MAX];
    int stop = snprintf(dir, sizeof(dir), "%s%s", root, mount_point);
    int length = snprintf(dir, sizeof(dir), "%s%s%s", root, mount_point, relative);
    if (stop < 0 || length < stop || (size_t)length >= sizeof(dir)) {
        return 0;
    }
    unsigned limit = 0;
    for (;;) {
        limit = limit_min(limit, limit_of_dir(dir, is_v2));
        char *slash = strrchr(dir, '/');
        if (slash == NULL || slash - dir < stop) {
            return limit;
        }
        *slash = '\0';
    }
}

/* True when a list that is separated by commas has the item. */
static bool list_has(const char *list, const char *item)
{
    size_t bytes = strlen(item);
    for (const char *at = list; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, item, bytes) == 0 && (at[bytes] == ',' || at[bytes] == '\0')) {
            return true;
        }
    }
    return false;
}

/* Undo the escapes of mountinfo (\040 is a space), in place. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        bool is_escape = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
                         from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
        if (is_escape) {
            *to = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

struct mount {
    char *root;  /* the directory of the hierarchy that is mounted */
    char *point; /* where */
    bool is_v2;
};

/*
 * Take a line of mountinfo apart, in place:
 *     id parent major:minor root point options [optional...] - type source superoptions
 * False when it is not a hierarchy that can have a CPU quota.
 */
static bool mount_parse(char *line, struct mount *mount)
{
    line[strcspn(line, "\n")] = '\0';
    char *tail = strstr(line, " - ");
    if (tail == NULL) {
        return false;
    }
    *tail = '\0';
    tail += 3;
    char *type = strsep(&tail, " ");
    (void)strsep(&tail, " ");
    mount->is_v2 = strcmp(type, "cgroup2") == 0;
    if (!mount->is_v2 && (strcmp(type, "cgroup") != 0 || tail == NULL || !list_has(tail, "cpu"))) {
        return false;
    }
    for (int i = 0; i < 3; i++) {
        (void)strsep(&line, " ");
    }
    mount->root = strsep(&line, " ");
    mount->point = strsep(&line, " ");
    if (mount->root == NULL || mount->point == NULL) {
        return false;
    }
    unescape(mount->root);
    unescape(mount->point);
    if (strcmp(mount->point, "/") == 0) {
        mount->point[0] = '\0';
    }
    return true;
}

/* The rest of path below dir; NULL when it is not there. A result begins with / or is empty. */
static const char *path_below(const char *path, const char *dir)
{
    size_t bytes = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    if (strncmp(path, dir, bytes) != 0 || (path[bytes] != '/' && path[bytes] != '\0')) {
        return NULL;
    }
    return strcmp(path + bytes, "/") == 0 ? "" : path + bytes;
}

/*
 * The smallest limit by the mounts of one version. Those that show the process's group decide; when
 * none does, what is mounted elsewhere is taken for an ancestor's.
 */
static unsigned limit_of_mounts(const char *root, const char *path, bool is_v2)
{
    FILE *file = file_open(root, "/proc/self/mountinfo");
    if (file == NULL) {
        return 0;
    }
    char *line = NULL;
    size_t line_bytes = 0;
    bool is_seen = false;
    unsigned limit = 0;
    unsigned limit_elsewhere = 0;
    while (getline(&line, &line_bytes, file) > 0) {
        struct mount mount;
        if (!mount_parse(line, &mount) || mount.is_v2 != is_v2) {
            continue;
        }
        const char *relative = path_below(path, mount.root);
        if (relative != NULL) {
            is_seen = true;
            limit = limit_min(limit, limit_of_path(root, mount.point, relative, is_v2));
        } else {
            limit_elsewhere =
                limit_min(limit_elsewhere, limit_of_path(root, mount.point, "", is_v2));
        }
    }
    free(line);
    fclose(file);
    return is_seen ? limit : limit_elsewhere;
}

/* Take a line "number:controllers:path" apart, in place; NULL when it is of no interest. */
static const char *group_parse(char *line, bool *is_v2)
{
    line[strcspn(line, "\n")] = '\0';
    const char *number = strsep(&line, ":");
    const char *controllers = strsep(&line, ":");
    if (line == NULL || line[0] != '/') {
        return NULL;
    }
    *is_v2 = strcmp(number, "0") == 0 && controllers[0] == '\0';
    if (!*is_v2 && !list_has(controllers, "cpu")) {
        return NULL;
    }
    /* Above the root of the namespace: no name for where that is. */
    return strncmp(line, "/..", 3) == 0 ? "/" : line;
}

unsigned weft__cpu_quota(const char *root)
{
    FILE *file = file_open(root, "/proc/self/cgroup");
    if (file == NULL) {
        return 0;
    }
    char *line = NULL;
    size_t line_bytes = 0;
    unsigned limit = 0;
    while (getline(&line, &line_bytes, file) > 0) {
        bool is_v2;
        const char *path = group_parse(line, &is_v2);
        if (path != NULL) {
            limit = limit_min(limit, limit_of_mounts(root, path, is_v2));
        }
    }
    free(line);
    fclose(file);
    return limit;
}

unsigned weft__cpu_count(void)
{
    unsigned affinity = affinity_count();
    unsigned quota = weft__cpu_quota("");
    return quota != 0 && quota < affinity ? quota : affinity;
}
