/* SPDX-License-Identifier: MIT */
/*
 * CPU quotas read from made-up /proc and /sys trees, affinity from the real thing.
 *
 * Each case writes the files that the system in question has into a fresh directory. The lines are
 * shortened copies of what hosts and containers show.
 */
#include "cpu_count.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

#define MOUNT_V2 "29 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_V1 "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
#define MOUNT_V1_OTHERS \
    "32 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" \
    "34 31 0:31 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n"

static char root[64];

static int root_create(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/weft-cpu-count-XXXXXX");
    return mkdtemp(root) != NULL ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st;
    (void)type;
    (void)walk;
    return remove(path);
}

static int root_remove(void **state)
{
    (void)state;
    return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Write a file below the root, with the directories on the way. */
static void put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void put_proc(const char *cgroup, const char *mountinfo)
{
    put("/proc/self/cgroup", cgroup);
    put("/proc/self/mountinfo", mountinfo);
}

static void put_v1(const char *dir, const char *quota, const char *period)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/cpu.cfs_quota_us", dir);
    put(path, quota);
    snprintf(path, sizeof(path), "%s/cpu.cfs_period_us", dir);
    put(path, period);
}

static void nothing_to_read_is_no_limit(void **state)
{
    (void)state;
    assert_int_equal(weft__cpu_quota(root), 0);
    put("/proc/self/cgroup", "0::/a\n");
    assert_int_equal(weft__cpu_quota(root), 0);
    put_proc("", "");
    assert_int_equal(weft__cpu_quota(root), 0);
    put_proc("0::/a\n", MOUNT_V2);
    assert_int_equal(weft__cpu_quota(root), 0);
    assert_int_equal(weft__cpu_quota("/nonexistent"), 0);
}

static void version_2_quota_is_rounded_up(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned limit;
    } cases[] = {
        {"max 100000\n", 0},
        {"50000 100000\n", 1},
        {"100000 100000\n", 1},
        {"150000 100000\n", 2},
        {"200000 100000\n", 2},
        {"200001 100000\n", 3},
        {"1000 1000000\n", 1},
        {"9223372036854775807 1\n", UINT_MAX},
        {"", 0},
        {"100000", 0},
        {"-1 100000\n", 0},
        {"0 100000\n", 0},
        {"100000 0\n", 0},
        {"a lot\n", 0},
    };
    put_proc("0::/a\n", MOUNT_V2);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put("/sys/fs/cgroup/a/cpu.max", cases[i].text);
        assert_int_equal(weft__cpu_quota(root), cases[i].limit);
    }
}

static void smallest_limit_on_the_way_up_counts(void **state)
{
    (void)state;
    put_proc("0::/user.slice/a/b\n", MOUNT_V2);
    put("/sys/fs/cgroup/user.slice/a/b/cpu.max", "800000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 8);
    put("/sys/fs/cgroup/user.slice/cpu.max", "300000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 3);
    put("/sys/fs/cgroup/user.slice/a/cpu.max", "max 100000\n");
    assert_int_equal(weft__cpu_quota(root), 3);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 2);
    /* Not on the way. */
    put("/sys/fs/cgroup/user.slice/a/b/c/cpu.max", "100000 100000\n");
    put("/sys/fs/cgroup/user.slice/other/cpu.max", "100000 100000\n");
    put("/sys/fs/cpu.max", "100000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 2);
    /* A group that is gone, or hidden: its parents count. */
    put_proc("0::/user.slice/a/gone (deleted)\n", MOUNT_V2);
    assert_int_equal(weft__cpu_quota(root), 2);
}

static void version_1_quota(void **state)
{
    (void)state;
    put_proc("12:cpuset:/\n5:cpu,cpuacct:/a/b\n1:name=systemd:/a\n", MOUNT_V1_OTHERS MOUNT_V1);
    put_v1("/sys/fs/cgroup/cpu,cpuacct/a/b", "-1\n", "100000\n");
    assert_int_equal(weft__cpu_quota(root), 0);
    put_v1("/sys/fs/cgroup/cpu,cpuacct/a", "250000\n", "100000\n");
    assert_int_equal(weft__cpu_quota(root), 3);
    put_v1("/sys/fs/cgroup/cpu,cpuacct/a/b", "25000\n", "50000\n");
    assert_int_equal(weft__cpu_quota(root), 1);
    /* Other hierarchies do not matter, though their names are alike. */
    put_v1("/sys/fs/cgroup/cpu,cpuacct/a/b", "-1\n", "100000\n");
    put_v1("/sys/fs/cgroup/cpuset", "10000\n", "100000\n");
    put_v1("/sys/fs/cgroup/cpuacct", "10000\n", "100000\n");
    assert_int_equal(weft__cpu_quota(root), 3);
    put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "0\n");
    assert_int_equal(weft__cpu_quota(root), 0);
}

static void hybrid_asks_both_versions(void **state)
{
    (void)state;
    put_proc("5:cpu,cpuacct:/a\n0::/b\n",
             MOUNT_V1 "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put_v1("/sys/fs/cgroup/cpu,cpuacct/a", "400000\n", "100000\n");
    assert_int_equal(weft__cpu_quota(root), 4);
    put("/sys/fs/cgroup/unified/b/cpu.max", "200000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 2);
    put("/sys/fs/cgroup/unified/b/cpu.max", "600000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 4);
}

static void container_with_a_namespace(void **state)
{
    (void)state;
    put_proc("0::/\n", "715 710 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 2);
    /* The mount was made outside of the namespace. */
    put_proc("0::/\n", "715 710 0:26 /../.. /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
    assert_int_equal(weft__cpu_quota(root), 2);
    /* The process was moved out of it. */
    put_proc("0::/../other\n", "715 710 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw\n");
    assert_int_equal(weft__cpu_quota(root), 2);
}

static void container_without_a_namespace(void **state)
{
    (void)state;
    put_proc("4:cpu,cpuacct:/docker/0a1b/sub\n",
             "715 710 0:26 /docker/0a1b /sys/fs/cgroup/cpu,cpuacct ro master:11 - cgroup cgroup "
             "rw,cpu,cpuacct\n");
    put_v1("/sys/fs/cgroup/cpu,cpuacct", "300000\n", "100000\n");
    assert_int_equal(weft__cpu_quota(root), 3);
    put_v1("/sys/fs/cgroup/cpu,cpuacct/sub", "200000\n", "100000\n");
    assert_int_equal(weft__cpu_quota(root), 2);
    put_v1("/sys/fs/cgroup/cpu,cpuacct/docker/0a1b", "100000\n", "100000\n");
    assert_int_equal(weft__cpu_quota(root), 2);
}

/* A mount that shows the process's group decides against one that shows another's. */
static void foreign_mounts_count_only_when_alone(void **state)
{
    (void)state;
    static const char foreign[] = "40 31 0:26 /docker/0a /mnt/foreign rw - cgroup2 cgroup2 rw\n";
    put_proc("0::/docker/0a1b\n", foreign);
    put("/mnt/foreign/cpu.max", "100000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 1);
    put_proc("0::/docker/0a1b\n",
             "40 31 0:26 /docker/0a /mnt/foreign rw - cgroup2 cgroup2 rw\n" MOUNT_V2);
    put("/sys/fs/cgroup/docker/0a1b/cpu.max", "700000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 7);
}

static void odd_lines_are_passed_over(void **state)
{
    (void)state;
    put_proc("\n:\n::\nnonsense\n7:cpu\n0:\n0::relative\n0::/a:b c\n:cpu,:/\n",
             "\n-\n - \n - cgroup2\nx - cgroup2 a b\n1 2 - cgroup2 a b\n1 2 3 4 - cgroup2\n"
             "24 1 8:1 /\\040 /odd\\04 rw - cgroup cgroup\n"
             "25 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
             "29 22 0:26 / /my\\040groups rw shared:4 master:1 propagate_from:2 - cgroup2 none rw");
    put("/my groups/a:b c/cpu.max", "500000 100000");
    assert_int_equal(weft__cpu_quota(root), 5);
}

static void hierarchy_may_be_mounted_on_the_root(void **state)
{
    (void)state;
    put_proc("0::/a\n", "29 22 0:26 / / rw - cgroup2 cgroup2 rw\n");
    put("/a/cpu.max", "300000 100000\n");
    put("/cpu.max", "200000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 2);
}

static void names_that_are_too_long_do_not_matter(void **state)
{
    (void)state;
    static char cgroup[3 * PATH_MAX];
    memset(cgroup, 'x', sizeof(cgroup) - 2);
    memcpy(cgroup, "0::/", 4);
    cgroup[sizeof(cgroup) - 2] = '\n';
    put_proc(cgroup, MOUNT_V2);
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    assert_int_equal(weft__cpu_quota(root), 0);
}

static void affinity_limits_and_is_counted_through(void **state)
{
    (void)state;
    cpu_set_t before;
    if (sched_getaffinity(0, sizeof(before), &before) != 0) {
        skip(); /* more CPUs than the plain mask holds */
    }
    unsigned count = (unsigned)CPU_COUNT(&before);
    assert_true(weft__cpu_count() >= 1 && weft__cpu_count() <= count);
    int last = -1;
    for (unsigned n = 0; n < count; n++) {
        int cpu = weft__cpu_nth(n);
        assert_true(cpu > last && CPU_ISSET((size_t)cpu, &before));
        last = cpu;
    }
    assert_int_equal(weft__cpu_nth(count), -ENOENT);
    assert_int_equal(weft__cpu_nth(UINT_MAX), -ENOENT);

    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)last, &one);
    assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
    assert_int_equal(weft__cpu_count(), 1);
    assert_int_equal(weft__cpu_nth(0), last);
    assert_int_equal(weft__cpu_nth(1), -ENOENT);
    assert_int_equal(sched_setaffinity(0, sizeof(before), &before), 0);
}

#define TREE_TEST(f) cmocka_unit_test_setup_teardown(f, root_create, root_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TREE_TEST(nothing_to_read_is_no_limit),
        TREE_TEST(version_2_quota_is_rounded_up),
        TREE_TEST(smallest_limit_on_the_way_up_counts),
        TREE_TEST(version_1_quota),
        TREE_TEST(hybrid_asks_both_versions),
        TREE_TEST(container_with_a_namespace),
        TREE_TEST(container_without_a_namespace),
        TREE_TEST(foreign_mounts_count_only_when_alone),
        TREE_TEST(odd_lines_are_passed_over),
        TREE_TEST(hierarchy_may_be_mounted_on_the_root),
        TREE_TEST(names_that_are_too_long_do_not_matter),
        cmocka_unit_test(affinity_limits_and_is_counted_through),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
