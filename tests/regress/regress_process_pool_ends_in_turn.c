/* SPDX-License-Identifier: MIT */
/*
 * The close of a process pool told its workers to end one after the other, and gave each a second:
 * with many that took long to exit it took as many seconds. They are told all at once now.
 *
 * Here each worker waits, when it exits, until all have come as far. Had one to wait for another's
 * end it would be killed first.
 */
#include "../io/process_help.h"

#include <sys/ioctl.h>

#define WORKERS 3

/* What a worker is told: pipes of the pool's process. */
struct ends {
    char come[64]; /* a byte from each that has come to its end */
    char over[64]; /* and from each that was not killed */
};

static struct ends ends;

static void meet(void)
{
    int count = 0;
    int come = open(ends.come, O_RDWR | O_CLOEXEC);
    int over = open(ends.over, O_RDWR | O_CLOEXEC);
    CHECK_EQUAL(write(come, "c", 1), 1);
    while (count < WORKERS) {
        CHECK_EQUAL(ioctl(come, FIONREAD, &count), 0);
        sched_yield();
    }
    CHECK_EQUAL(write(over, "o", 1), 1);
}

static int note_ends(const void *in, size_t n, struct weft_process_reply *reply)
{
    (void)reply;
    CHECK_EQUAL(n, sizeof ends);
    memcpy(&ends, in, n);
    return atexit(meet) == 0 ? 0 : -ENOMEM;
}

/* A job that is not over before all workers have one. */
static int wait_for_others(const void *in, size_t n, struct weft_process_reply *reply)
{
    int count = 0;
    (void)n;
    (void)reply;
    int fd = open(in, O_RDWR | O_CLOEXEC);
    CHECK_EQUAL(write(fd, "b", 1), 1);
    while (count < WORKERS) {
        CHECK_EQUAL(ioctl(fd, FIONREAD, &count), 0);
        sched_yield();
    }
    close(fd);
    return 0;
}

static void name_pipe(char *name, size_t bytes, int pipe[2])
{
    make_pipe(pipe);
    snprintf(name, bytes, "/proc/%d/fd/%d", (int)getpid(), pipe[1]);
}

/* Returns how many workers came to their ends. */
static void *close_pool(void *arg)
{
    int begun[2], come[2], over[2], count = 0;
    char path[64];
    weft_process_pool *pool = NULL;
    weft_future *f[WORKERS];
    (void)arg;
    name_pipe(path, sizeof path, begun);
    name_pipe(ends.come, sizeof ends.come, come);
    name_pipe(ends.over, sizeof ends.over, over);
    struct weft_process_pool_options o = {
        .workers = WORKERS,
        .initializer = "note_ends",
        .initializer_in = &ends,
        .initializer_bytes = sizeof ends,
    };
    CHECK_EQUAL(weft_process_pool_create(&o, &pool), 0);
    for (int i = 0; i < WORKERS; i++) {
        f[i] = weft_submit_process(pool, "wait_for_others", path, strlen(path) + 1);
    }
    for (int i = 0; i < WORKERS; i++) {
        CHECK_EQUAL(weft_join(f[i], NULL), 0);
    }
    CHECK_EQUAL(weft_process_pool_close(pool), 0);
    CHECK_EQUAL(ioctl(over[0], FIONREAD, &count), 0);
    close_both(begun);
    close_both(come);
    close_both(over);
    return BOXED(count);
}

static void workers_end_at_the_same_time(void **state)
{
    void *count = NULL;
    (void)state;
    /* A machine that is busy may not get them there within the second. */
    for (int i = 0; i < 5 && UNBOXED(count) < WORKERS; i++) {
        assert_int_equal(weft_run(close_pool, NULL, &count), 0);
    }
    assert_int_equal(UNBOXED(count), WORKERS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_end_at_the_same_time),
    };
    CHECK_EQUAL(weft_process_register("note_ends", note_ends), 0);
    CHECK_EQUAL(weft_process_register("wait_for_others", wait_for_others), 0);
    weft_process_main(argc, argv);
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
