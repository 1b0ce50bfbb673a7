/* SPDX-License-Identifier: MIT */
/*
 * Calls on files that are stuck in the kernel, as with a server that is away, hold up no others.
 *
 * Method: the stuck ones are opens of FIFOs, made as weft_openat makes those of files: by threads
 * that all calls share. They can be ended, by their cancel. And the arithmetic, on made-up times.
 */
#include "file_help.h"

#include "relief.h"

#define STUCK 40 /* ten times as many as a ring has threads */

static void *open_stuck(void *arg)
{
    struct op_request r = {
        .code = OP_OPENAT,
        .fd = folder_fd,
        .address = "fifo",
        .flags = O_RDONLY | O_CLOEXEC,
        .on_thread = true,
    };
    atomic_add_seq_cst((shared_int *)arg, 1);
    return BOXED(weft__op_run(&r));
}

static void use_files(void)
{
    struct statx status;
    char buf[4];
    int fd = weft_openat(folder_fd, "file", O_RDWR | O_CREAT, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_write(fd, "abcd", 4), 4);
    CHECK_EQUAL(weft_fsync(fd), 0);
    CHECK_EQUAL(weft_ftruncate(fd, 3), 0);
    CHECK_EQUAL(weft_pread(fd, buf, 4, 0), 3);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_statx(folder_fd, "file", 0, STATX_SIZE, &status), 0);
    CHECK_EQUAL(weft_renameat(folder_fd, "file", folder_fd, "other"), 0);
    CHECK_EQUAL(weft_unlinkat(folder_fd, "other", 0), 0);
}

static void *use_beside_stuck(void *arg)
{
    struct weft_spawn_options pinned = {.pinned = true}; /* all on one ring */
    weft_task *t[STUCK];
    shared_int begun = 0;
    (void)arg;
    CHECK_EQUAL(mkfifoat(folder_fd, "fifo", 0600), 0);
    for (int i = 0; i < STUCK; i++) {
        t[i] = weft_spawn_with(&pinned, open_stuck, &begun);
        CHECK(t[i] != NULL);
    }
    yield_until(&begun, STUCK);
    for (int i = 0; i < 3; i++) {
        use_files();
    }
    for (int i = 0; i < STUCK; i++) {
        CHECK(!weft_done(t[i]));
        CHECK(weft_cancel(t[i]));
        CHECK_EQUAL(joined(t[i]), -ECANCELED);
    }
    use_files();
    CHECK_EQUAL(unlinkat(folder_fd, "fifo", 0), 0);
    return NULL;
}

static void stuck_calls_hold_up_no_others(void **state)
{
    struct weft_options alone = {.workers = 1};
    (void)state;
    run_io_with(&alone, use_beside_stuck, NULL);
    run_io(use_beside_stuck, NULL);
}

static void threads_come_while_nothing_ends(void **state)
{
    struct relief r = {.in_flight = 0};
    const int64_t pause = RELIEF_PAUSE_MIN_NS;
    (void)state;
    assert_false(weft__relief_look(&r, 1000));
    assert_int_equal(relief_in(&r, 1000), WEFT_FOREVER);
    relief_begun(&r);
    assert_false(weft__relief_look(&r, 1000));
    assert_int_equal(relief_in(&r, 1000), pause);
    relief_begun(&r);
    assert_false(weft__relief_look(&r, 1000 + pause - 1));
    relief_ended(&r); /* something goes on */
    assert_false(weft__relief_look(&r, 1000 + pause));
    assert_int_equal(relief_in(&r, 1000 + pause), pause);
    int64_t now = 1000 + 2 * pause;
    unsigned want = 0;
    int64_t wait = pause;
    for (unsigned step = RELIEF_STEP_MIN; want < RELIEF_MORE_MAX; step *= 2) {
        assert_false(weft__relief_look(&r, now - 1));
        assert_true(weft__relief_look(&r, now));
        want = want + step < RELIEF_MORE_MAX ? want + step : RELIEF_MORE_MAX;
        assert_int_equal(r.more, want);
        wait *= 2;
        now += wait;
    }
    assert_false(weft__relief_look(&r, now + WEFT_MINUTE));
    assert_int_equal(relief_in(&r, now), WEFT_FOREVER); /* nothing ticks for ever */
    relief_ended(&r);
    assert_true(weft__relief_look(&r, now));
    assert_int_equal(r.more, 0);
    assert_false(weft__relief_look(&r, now));
    relief_begun(&r); /* from the beginning */
    assert_false(weft__relief_look(&r, now + WEFT_MINUTE));
    assert_int_equal(relief_in(&r, now + WEFT_MINUTE), pause);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stuck_calls_hold_up_no_others),
        cmocka_unit_test(threads_come_while_nothing_ends),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
