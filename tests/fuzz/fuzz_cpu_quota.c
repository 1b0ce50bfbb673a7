/* SPDX-License-Identifier: MIT */
/*
 * The CPU quota, read from files that a container's host has written: any bytes in them are read
 * without harm. The input is cut at zeros: the process's groups, its mounts, a limit.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "fuzz_help.h"

#include "cpu_count.h"

static char folder[64];

static void remove_folder(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_EQUAL(system(command), 0);
}

static void make_folder(void)
{
    static const char *const below[] = {"", "/proc", "/proc/self", "/a", "/a/b"};
    char path[128];
    (void)snprintf(folder, sizeof folder, "/dev/shm/fuzz_cpu_quota.%d", (int)getpid());
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        (void)snprintf(path, sizeof path, "%s%s", folder, below[i]);
        CHECK_EQUAL(mkdir(path, 0700), 0);
    }
    (void)atexit(remove_folder);
}

/* Write the input up to the next zero. */
static void write_part(const char *name, struct fuzz_input *in)
{
    char path[128];
    const uint8_t *end = in->bytes > 0 ? memchr(in->data, 0, in->bytes) : NULL;
    size_t n = end != NULL ? (size_t)(end - in->data) : in->bytes;
    (void)snprintf(path, sizeof path, "%s%s", folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, in->data, n), n);
    CHECK_EQUAL(close(fd), 0);
    n += end != NULL;
    in->data += n;
    in->bytes -= n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct fuzz_input in = {data, bytes};
    if (folder[0] == '\0') {
        make_folder();
    }
    write_part("/proc/self/cgroup", &in);
    write_part("/proc/self/mountinfo", &in);
    write_part("/a/cpu.max", &in);
    write_part("/a/b/cpu.cfs_quota_us", &in);
    write_part("/a/b/cpu.cfs_period_us", &in);
    CHECK_EQUAL(weft__cpu_quota(folder), weft__cpu_quota(folder));
    return 0;
}
