/* SPDX-License-Identifier: MIT */
/*
 * A ring that is refused says why in one line and leaves nothing behind; one that finds too little
 * memory comes out smaller. Each case arranges its trouble in a child process.
 */
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "child_help.h"
#include "ring_help.h"

/* What the kernel is made to answer, and what the user is to read. */
struct refusal {
    int err;
    int result;
    const char *words[2];
};

/* A line for people: some, all on one line, none cut off. */
static bool is_line(const char *why, size_t why_bytes)
{
    return strlen(why) > 20 && strlen(why) < why_bytes - 1 && strchr(why, '\n') == NULL;
}

static int init_refused(const void *arg)
{
    const struct refusal *refusal = arg;
    struct ring r;
    char why[256];
    if (!refuse_syscall(__NR_io_uring_setup, refusal->err)) {
        return CHILD_SKIPPED;
    }
    int fds = open_fd_count();
    int err = weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why));
    printf("%d: %s\n", err, why);
    CHILD_CHECK(err == refusal->result);
    CHILD_CHECK(is_line(why, sizeof(why)));
    CHILD_CHECK(strstr(why, refusal->words[0]) != NULL);
    CHILD_CHECK(strstr(why, refusal->words[1]) != NULL);
    CHILD_CHECK(weft__ring_init(&r, &(struct ring_options){0}, NULL, 0) == refusal->result);
    CHILD_CHECK(open_fd_count() == fds);
    return 0;
}

static void refusal_names_cause_and_cure(void **state)
{
    (void)state;
    static const struct refusal refusals[] = {
        {EPERM, -EPERM, {"io_uring", "io_uring_"}},
        {EACCES, -EACCES, {"security module", "EACCES"}},
        {ENOSYS, -ENOSYS, {"seccomp profile", "CONFIG_IO_URING"}},
        {ENOMEM, -ENOMEM, {"memory", "ENOMEM"}},
        {EMFILE, -EMFILE, {"RLIMIT_NOFILE", "ulimit -n"}},
        {ENFILE, -ENFILE, {"ENFILE", "fs.file-max"}},
        {EINVAL, -EINVAL, {"EINVAL", "5.15"}},
        {EOPNOTSUPP, -EOPNOTSUPP, {"io_uring_setup", "95"}},
    };
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        int status = in_child(init_refused, &refusals[i]);
        if (status == CHILD_SKIPPED) {
            skip();
        }
        assert_int_equal(status, 0);
    }
}

/* In a mount namespace of its own the child sees what file says in place of the sysctl. */
static bool pretend_sysctl(const char *digit)
{
    char path[] = "/tmp/weft-test-XXXXXX";
    int fd = mkstemp(path);
    bool is_done = fd >= 0 && write(fd, digit, 1) == 1 && unshare(CLONE_NEWNS) == 0 &&
                   mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount(path, "/proc/sys/kernel/io_uring_disabled", NULL, MS_BIND, NULL) == 0;
    if (fd >= 0) {
        close(fd);
        unlink(path);
    }
    return is_done;
}

static int init_blames(const void *arg)
{
    const char *const *digit_and_words = arg;
    struct ring r;
    char why[256];
    if (!pretend_sysctl(digit_and_words[0]) || !refuse_syscall(__NR_io_uring_setup, EPERM)) {
        return CHILD_SKIPPED;
    }
    int err = weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why));
    printf("%d: %s\n", err, why);
    CHILD_CHECK(err == -EPERM);
    CHILD_CHECK(is_line(why, sizeof(why)));
    CHILD_CHECK(strstr(why, digit_and_words[1]) != NULL);
    return 0;
}

static void eperm_is_explained_by_the_sysctl(void **state)
{
    (void)state;
    static const char *const expected[][2] = {
        {"0", "seccomp profile"},
        {"1", "kernel.io_uring_group"},
        {"2", "kernel.io_uring_disabled is 2"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        int status = in_child(init_blames, expected[i]);
        if (status == CHILD_SKIPPED) {
            skip();
        }
        assert_int_equal(status, 0);
    }
}

static int init_without_descriptors(const void *arg)
{
    (void)arg;
    struct ring r;
    char why[256];
    int next = dup(0);
    CHILD_CHECK(next > 0);
    close(next);
    struct rlimit limit = {(rlim_t)next, (rlim_t)next};
    CHILD_CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHILD_CHECK(weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why)) == -EMFILE);
    CHILD_CHECK(is_line(why, sizeof(why)));
    return 0;
}

static void no_descriptor_left(void **state)
{
    (void)state;
    assert_int_equal(in_child(init_without_descriptors, NULL), 0);
}

/* Registering is for speed and good manners only. */
static int init_without_register(const void *arg)
{
    struct ring r;
    char why[256];
    (void)arg;
    if (!refuse_syscall(__NR_io_uring_register, EPERM)) {
        return CHILD_SKIPPED;
    }
    CHILD_CHECK(weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why)) == 0);
    CHILD_CHECK(!r.features.registered_fd);
    struct io_uring_sqe *sqe = ring_sqe(&r);
    io_uring_prep_nop(sqe);
    ring_publish(&r);
    CHILD_CHECK(weft__ring_wait(&r, WEFT_FOREVER) == 0);
    CHILD_CHECK(ring_pending(&r) == 1);
    ring_advance(&r, 1);
    weft__ring_fini(&r);
    return 0;
}

static void ring_works_without_registering(void **state)
{
    (void)state;
    int status = in_child(init_without_register, NULL);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void ring_needs_timed_waits(void **state)
{
    (void)state;
    struct ring r;
    char why[256];
    int fds = open_fd_count();
    struct ring_options options = {.disable = WEFT_RING_WITHOUT_EXT_ARG};
    assert_int_equal(weft__ring_init(&r, &options, why, sizeof(why)), -ENOSYS);
    assert_true(is_line(why, sizeof(why)));
    assert_non_null(strstr(why, "time limit"));
    assert_int_equal(open_fd_count(), fds);
}

/*
 * Become a user without privileges and without rings elsewhere, who may lock so much memory; newer
 * kernels charge such a user for rings. False: cannot.
 */
static bool limit_memory(size_t bytes)
{
    struct rlimit limit = {bytes, bytes};
    if (geteuid() == 0 && setuid(1000000 + (uid_t)getpid()) != 0) {
        return false;
    }
    return setrlimit(RLIMIT_MEMLOCK, &limit) == 0;
}

/* The largest ring for 24 KiB of memory is not the default one. */
static int init_in_little_memory(const void *arg)
{
    struct ring r;
    char why[256];
    (void)arg;
    if (!limit_memory(24 * 1024)) {
        return CHILD_SKIPPED;
    }
    int err = weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why));
    if (err != 0) {
        printf("%s\n", why); /* the user's other rings have taken it all */
        return CHILD_SKIPPED;
    }
    printf("24 KiB: %u SQEs, %u CQEs\n", r.sq_entries, r.cq_entries);
    if (r.sq_entries == WEFT_RING_ENTRIES) {
        return CHILD_SKIPPED; /* not charged */
    }
    CHILD_CHECK(r.sq_entries >= 32 && r.cq_entries == 4 * r.sq_entries);
    struct io_uring_sqe *sqe = ring_sqe(&r);
    io_uring_prep_nop(sqe);
    ring_publish(&r);
    CHILD_CHECK(weft__ring_wait(&r, WEFT_FOREVER) == 0);
    CHILD_CHECK(ring_pending(&r) == 1);
    ring_advance(&r, 1);
    /* The memory of a ring comes back late; the next one waits for it, a while. */
    for (int i = 0; i < 3; i++) {
        int64_t end = now_ns() + LONG_NS;
        weft__ring_fini(&r);
        do {
            err = weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why));
        } while (err == -ENOMEM && now_ns() < end);
        CHILD_CHECK(err == 0);
    }
    weft__ring_fini(&r);
    return 0;
}

static int init_in_no_memory(const void *arg)
{
    struct ring r;
    char why[256];
    (void)arg;
    if (!limit_memory(0)) {
        return CHILD_SKIPPED;
    }
    int fds = open_fd_count();
    int err = weft__ring_init(&r, &(struct ring_options){0}, why, sizeof(why));
    if (err == 0) {
        return CHILD_SKIPPED; /* not charged */
    }
    printf("%d: %s\n", err, why);
    CHILD_CHECK(err == -ENOMEM);
    CHILD_CHECK(is_line(why, sizeof(why)));
    CHILD_CHECK(strstr(why, "RLIMIT_MEMLOCK is 0 KiB") != NULL);
    CHILD_CHECK(open_fd_count() == fds);
    return 0;
}

static void little_memory_makes_a_small_ring(void **state)
{
    (void)state;
    int status = in_child(init_in_little_memory, NULL);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void no_memory_names_the_limit(void **state)
{
    (void)state;
    int status = in_child(init_in_no_memory, NULL);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

static void *enter_elsewhere(void *arg)
{
    (void)!weft__ring_wait(arg, WEFT_MS);
    return NULL;
}

static int misuse(const void *arg)
{
    struct ring r;
    char why[256];
    struct rlimit no_core = {0};
    struct ring_options options = {.disable = WEFT_RING_WITHOUT_REGISTERED_FD};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    CHILD_CHECK(weft__ring_init(&r, &options, why, sizeof(why)) == 0);
    if (strcmp(arg, "another thread") == 0) {
        pthread_t thread;
        if (!r.features.defer_taskrun) {
            return CHILD_SKIPPED;
        }
        CHILD_CHECK(pthread_create(&thread, NULL, enter_elsewhere, &r) == 0);
        (void)pthread_join(thread, NULL);
    } else {
        close(r.uring.ring_fd);
        (void)!weft__ring_wait(&r, WEFT_MS);
    }
    return 0;
}

static void misuse_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(in_child(misuse, "closed descriptor"), -1);
    int status = in_child(misuse, "another thread");
    assert_true(status == -1 || status == CHILD_SKIPPED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusal_names_cause_and_cure),
        cmocka_unit_test(eperm_is_explained_by_the_sysctl),
        cmocka_unit_test(no_descriptor_left),
        cmocka_unit_test(ring_works_without_registering),
        cmocka_unit_test(ring_needs_timed_waits),
        cmocka_unit_test(little_memory_makes_a_small_ring),
        cmocka_unit_test(no_memory_names_the_limit),
        cmocka_unit_test(misuse_ends_the_process),
    };
    int skipped = ring_skip_status();
    return skipped != 0 ? skipped : cmocka_run_group_tests(tests, NULL, NULL);
}
