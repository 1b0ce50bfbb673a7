/* SPDX-License-Identifier: MIT */
/*
 * Opening a FIFO: weft_openat did not wait for the other end. io_uring tries an open with
 * O_NONBLOCK on the worker first, so a reader got its descriptor, and read the end of input, before
 * there was a writer; a writer without a reader got -ENXIO. And an open that waits in a thread of
 * the kernel and is cancelled ended with -512, the kernel's own code for "call again".
 */
#include "../io/io_help.h"

#include <sys/stat.h>

static char fifo_path[] = "/tmp/weft-test-io-fifo-XXXXXX";

static int fifo_make(void **state)
{
    (void)state;
    int fd = mkstemp(fifo_path); /* a name of our own */
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQUAL(unlink(fifo_path), 0);
    CHECK_EQUAL(mkfifo(fifo_path, 0600), 0);
    return 0;
}

static int fifo_remove(void **state)
{
    (void)state;
    return unlink(fifo_path);
}

static void *open_fifo(void *flags)
{
    return BOXED(weft_openat(AT_FDCWD, fifo_path, UNBOXED(flags), 0));
}

static void *meet_at_fifo(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        weft_task *first = spawn(open_fifo, BOXED(i == 0 ? O_RDONLY : O_WRONLY));
        settle();
        CHECK(!weft_done(first));
        weft_task *second = spawn(open_fifo, BOXED(i == 0 ? O_WRONLY : O_RDONLY));
        int a = joined(first);
        int b = joined(second);
        CHECK(a >= 0 && b >= 0);
        char c = 0;
        CHECK_EQUAL(weft_write(i == 0 ? b : a, "x", 1), 1);
        CHECK_EQUAL(weft_read(i == 0 ? a : b, &c, 1), 1);
        CHECK_EQUAL(c, 'x');
        CHECK_EQUAL(fcntl(a, F_GETFL) & O_NONBLOCK, 0);
        CHECK_EQUAL(weft_close(a), 0);
        CHECK_EQUAL(weft_close(b), 0);
    }
    CHECK_EQUAL(weft_openat(AT_FDCWD, fifo_path, O_WRONLY | O_NONBLOCK, 0), -ENXIO);
    int fd = weft_openat(AT_FDCWD, fifo_path, O_RDONLY | O_NONBLOCK, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void to_open_a_fifo_waits_for_the_other_end(void **state)
{
    (void)state;
    run_io(meet_at_fifo, NULL);
}

static void *leave_fifo(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        weft_task *t = spawn(open_fifo, BOXED(i == 0 ? O_RDONLY : O_WRONLY));
        settle();
        CHECK(weft_cancel(t));
        CHECK_EQUAL(joined(t), -ECANCELED);
    }
    return NULL;
}

static void an_open_that_waits_can_be_cancelled(void **state)
{
    (void)state;
    run_io(leave_fifo, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_open_a_fifo_waits_for_the_other_end),
        cmocka_unit_test(an_open_that_waits_can_be_cancelled),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, fifo_make, fifo_remove);
}
