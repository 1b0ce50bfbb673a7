/* SPDX-License-Identifier: MIT */
/*
 * Opening a FIFO: weft_openat did not wait for the other end. io_uring tries an open with
 * O_NONBLOCK on the worker first, so a reader got its descriptor, and read the end of input, before
 * there was a writer; a writer without a reader got -ENXIO. And an open that waits in a thread of
 * the kernel and is cancelled ended with -512, the kernel's own code for "call again". Then all
 * opens went to threads of the kernel, of which a ring has few: as many FIFOs that waited held up
 * every other open of that worker, those of their other ends included.
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

/* One who has something to say and goes: it must not be missed, whoever comes first. */
static void *say_and_go(void *flags)
{
    int fd = weft_openat(AT_FDCWD, fifo_path, O_WRONLY | UNBOXED(flags), 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_write(fd, "x", 1), 1);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void *come_and_go(void *flags)
{
    int fd = weft_openat(AT_FDCWD, fifo_path, O_WRONLY | UNBOXED(flags), 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void *listen_to_end(void *flags)
{
    char buf[4];
    int fd = weft_openat(AT_FDCWD, fifo_path, O_RDONLY | UNBOXED(flags), 0600);
    CHECK(fd >= 0);
    ssize_t n = weft_read(fd, buf, sizeof buf);
    CHECK(n == 0 || n == 1);
    if (n == 1) {
        CHECK_EQUAL(weft_read(fd, buf, sizeof buf), 0);
    }
    CHECK_EQUAL(weft_close(fd), 0);
    return BOXED(n);
}

static void *hurry(void *arg)
{
    uint64_t random = test_seed();
    (void)arg;
    for (int i = 0; i < 60; i++) {
        int flags = i % 3 == 0 ? O_CREAT | O_TRUNC : 0;
        weft_fn writer = i % 4 == 0 ? come_and_go : say_and_go;
        weft_task *first = spawn(i % 2 == 0 ? writer : listen_to_end, BOXED(flags));
        for (uint64_t k = test_random(&random) % 5; k > 0; k--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        if (i % 7 == 0) {
            settle();
        }
        weft_task *second = spawn(i % 2 == 0 ? listen_to_end : writer, BOXED(flags));
        int a = joined(first);
        int b = joined(second);
        CHECK_EQUAL(a + b, writer == say_and_go);
    }
    return NULL;
}

static void a_writer_in_a_hurry_is_heard(void **state)
{
    (void)state;
    run_io(hurry, NULL);
}

/* A silent writer is there for a reader who came before it: nobody has written or gone. */
static void *silent_writer(void *arg)
{
    (void)arg;
    weft_task *t = spawn(open_fifo, BOXED(O_RDONLY));
    settle();
    CHECK(!weft_done(t));
    int writer = -1;
    while (writer < 0) { /* until the reader waits there */
        CHECK_EQUAL(weft_yield(), 0);
        writer = open(fifo_path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    }
    int reader = joined(t);
    CHECK(reader >= 0);
    CHECK_EQUAL(close(writer), 0);
    CHECK_EQUAL(weft_close(reader), 0);
    return NULL;
}

static void a_writer_that_is_silent_is_enough(void **state)
{
    (void)state;
    run_io(silent_writer, NULL);
}

/* The reader waits at a FIFO, not at its name. */
static void *renamed(void *arg)
{
    char there[64];
    char other[64];
    (void)arg;
    int held = open(fifo_path, O_PATH | O_CLOEXEC);
    CHECK(held >= 0);
    snprintf(there, sizeof there, "/proc/self/fd/%d", held);
    snprintf(other, sizeof other, "%s-renamed", fifo_path);
    for (int i = 0; i < 20; i++) {
        weft_task *t = spawn(open_fifo, BOXED(O_RDONLY));
        int writer = -1;
        while (writer < 0) {
            CHECK_EQUAL(weft_yield(), 0);
            CHECK_EQUAL(rename(fifo_path, other), 0);
            writer = open(there, O_WRONLY | O_CLOEXEC | O_NONBLOCK); /* -1: there is no reader */
            CHECK_EQUAL(rename(other, fifo_path), 0);
            if (writer < 0 && weft_done(t)) {
                CHECK_EQUAL(joined(t), -ENOENT); /* it came while the name was away */
                t = spawn(open_fifo, BOXED(O_RDONLY));
            }
        }
        int reader = joined(t);
        CHECK(reader >= 0);
        CHECK_EQUAL(close(writer), 0);
        CHECK_EQUAL(weft_close(reader), 0);
    }
    CHECK_EQUAL(close(held), 0);
    return NULL;
}

static void the_name_may_change_meanwhile(void **state)
{
    (void)state;
    run_io(renamed, NULL);
}

/* More than the kernel has threads for at a time. */
#define FIFOS 12

static char folder[] = "/tmp/weft-test-io-fifos-XXXXXX";

static void name_in_folder(char path[64], int number)
{
    snprintf(path, 64, "%s/%d", folder, number);
}

/* Number: twice the FIFO's, and one more for its writing end. */
static void *open_one(void *arg)
{
    char path[64];
    int number = UNBOXED(arg);
    int flags = number / 2 % 2 == 0 ? 0 : O_CREAT | O_TRUNC; /* the kernel's own way to a thread */
    name_in_folder(path, number / 2);
    return BOXED(weft_openat(AT_FDCWD, path, flags | (number % 2 == 0 ? O_RDONLY : O_WRONLY), 0));
}

static void *open_and_remove(void *arg)
{
    static const int flags[] = {O_CREAT, O_CREAT | O_EXCL, 0, O_TRUNC, O_DIRECTORY};
    char path[64];
    (void)arg;
    name_in_folder(path, FIFOS);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        bool is_folder = flags[i] == O_DIRECTORY;
        int access = is_folder ? O_RDONLY : O_RDWR;
        int fd = weft_openat(AT_FDCWD, is_folder ? folder : path, flags[i] | access, 0600);
        CHECK(fd >= 0);
        CHECK_EQUAL(weft_fsync(fd), 0);
        CHECK_EQUAL(weft_close(fd), 0);
        if (flags[i] == O_CREAT) {
            CHECK_EQUAL(unlink(path), 0);
        }
    }
    CHECK_EQUAL(unlink(path), 0);
    return NULL;
}

static void *open_many(void *arg)
{
    weft_task *t[FIFOS];
    char path[64];
    int first = UNBOXED(arg); /* 0: readers come first; 1: writers; 2: and both by turns */
    CHECK(mkdtemp(folder) != NULL);
    for (int i = 0; i < FIFOS; i++) {
        name_in_folder(path, i);
        CHECK_EQUAL(mkfifo(path, 0600), 0);
        t[i] = spawn(open_one, BOXED(2 * i + (first == 2 ? i / 2 % 2 : first)));
    }
    settle();
    CHECK_EQUAL(weft_join(spawn(open_and_remove, NULL), NULL), 0);
    /* The last meet, while the others wait on; those are told to go. */
    for (int i = FIFOS - 1; i >= 0; i--) {
        CHECK(!weft_done(t[i]));
        if (i >= FIFOS / 2) {
            int end = first == 2 ? i / 2 % 2 : first;
            int fds[2] = {joined(spawn(open_one, BOXED(2 * i + 1 - end))), joined(t[i])};
            CHECK(fds[0] >= 0 && fds[1] >= 0);
            close_both(fds);
        } else {
            CHECK(weft_cancel(t[i]));
            CHECK_EQUAL(joined(t[i]), -ECANCELED);
        }
        name_in_folder(path, i);
        CHECK_EQUAL(unlink(path), 0);
    }
    CHECK_EQUAL(rmdir(folder), 0);
    memset(folder + sizeof folder - 7, 'X', 6);
    return NULL;
}

static void many_that_wait_hold_up_nobody(void **state)
{
    struct weft_options alone = {.workers = 1};
    (void)state;
    for (int first = 0; first < 3; first++) {
        run_io_with(&alone, open_many, BOXED(first));
        run_io(open_many, BOXED(first));
    }
}

static void *open_and_close(void *path)
{
    int fd = weft_openat(AT_FDCWD, path, O_WRONLY | O_TRUNC, 0);
    return BOXED(fd < 0 ? fd : weft_close(fd));
}

/* To open is to wait for the one who has leased the file, not to be refused. */
static void *open_leased(void *arg)
{
    char path[] = "/tmp/weft-test-io-lease-XXXXXX";
    (void)arg;
    int holder = mkstemp(path);
    CHECK(holder >= 0);
    CHECK_EQUAL(write(holder, "12", 2), 2);
    CHECK_EQUAL(lseek(holder, 0, SEEK_SET), 0);
    if (fcntl(holder, F_SETLEASE, F_WRLCK) < 0) {
        printf("no leases in /tmp: not tested\n");
    } else {
        int fd = weft_openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK, 0);
        CHECK_EQUAL(fd, -EAGAIN);
        fcntl(holder, F_SETLEASE, F_UNLCK);
        CHECK_EQUAL(fcntl(holder, F_SETLEASE, F_WRLCK), 0);
        weft_task *t = spawn(open_and_close, path);
        settle();
        CHECK(!weft_done(t));
        CHECK_EQUAL(lseek(holder, 0, SEEK_END), 2); /* not cut yet */
        CHECK_EQUAL(fcntl(holder, F_SETLEASE, F_UNLCK), 0);
        CHECK_EQUAL(joined(t), 0);
        CHECK_EQUAL(lseek(holder, 0, SEEK_END), 0);
    }
    CHECK_EQUAL(close(holder), 0);
    CHECK_EQUAL(unlink(path), 0);
    return NULL;
}

static void to_open_a_leased_file_waits(void **state)
{
    (void)state;
    signal(SIGIO, SIG_IGN); /* how the holder is asked */
    run_io(open_leased, NULL);
}

/* O_NONBLOCK, with which it is tried, does not stay; what was asked for does. */
static void *status_flags(void *arg)
{
    (void)arg;
    int fd = weft_openat(AT_FDCWD, "/dev/null", O_RDWR | O_APPEND, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_APPEND | O_NONBLOCK), O_RDWR | O_APPEND);
    CHECK_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(weft_close(fd), 0);
    fd = weft_openat(AT_FDCWD, "/dev/null", O_RDWR | O_NONBLOCK, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void the_flags_are_those_asked_for(void **state)
{
    (void)state;
    run_io(status_flags, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_open_a_fifo_waits_for_the_other_end),
        cmocka_unit_test(an_open_that_waits_can_be_cancelled),
        cmocka_unit_test(a_writer_in_a_hurry_is_heard),
        cmocka_unit_test(a_writer_that_is_silent_is_enough),
        cmocka_unit_test(the_name_may_change_meanwhile),
        cmocka_unit_test(many_that_wait_hold_up_nobody),
        cmocka_unit_test(to_open_a_leased_file_waits),
        cmocka_unit_test(the_flags_are_those_asked_for),
    };
    (void)test_seed();
    help_limit_time();
    return cmocka_run_group_tests(tests, fifo_make, fifo_remove);
}
