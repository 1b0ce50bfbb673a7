/* SPDX-License-Identifier: MIT */
/*
 * Files: reading, writing, opening, flushing.
 *
 * Method: the same is asked of weft_ and of the POSIX call, on files of a folder of the test's own.
 */
#include "file_help.h"

#include <limits.h>

static void *read_and_write(void *arg)
{
    char buf[32] = {0};
    (void)arg;
    int fd = fresh_file();
    CHECK_EQUAL(weft_read(fd, buf, sizeof buf), 0);
    CHECK_EQUAL(weft_write(fd, "hello, ", 7), 7);
    CHECK_EQUAL(weft_write(fd, "world", 5), 5);
    CHECK_EQUAL(weft_write(fd, "", 0), 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 12);
    CHECK_EQUAL(lseek(fd, 2, SEEK_SET), 2);
    CHECK_EQUAL(weft_read(fd, buf, 0), 0);
    CHECK_EQUAL(weft_read(fd, buf, 3), 3);
    CHECK_EQUAL(weft_read(fd, buf + 3, sizeof buf - 3), 7);
    CHECK_EQUAL(memcmp(buf, "llo, world", 10), 0);
    CHECK_EQUAL(weft_read(fd, buf, sizeof buf), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void reads_and_writes_at_the_position(void **state)
{
    (void)state;
    run_io(read_and_write, NULL);
}

static void *read_and_write_at(void *arg)
{
    char buf[32] = {0};
    (void)arg;
    int fd = fresh_file();
    CHECK_EQUAL(weft_write(fd, "0123456789", 10), 10);
    CHECK_EQUAL(weft_pwrite(fd, "ab", 2, 4), 2);
    CHECK_EQUAL(weft_pread(fd, buf, 4, 3), 4);
    CHECK_EQUAL(memcmp(buf, "3ab6", 4), 0);
    CHECK_EQUAL(weft_pread(fd, buf, 4, 8), 2);
    CHECK_EQUAL(weft_pread(fd, buf, 4, 10), 0);
    CHECK_EQUAL(weft_pread(fd, buf, 4, 1000), 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 10);
    CHECK_EQUAL(weft_pread(fd, buf, 4, -1), -EINVAL);
    CHECK_EQUAL(weft_pwrite(fd, buf, 4, -1), -EINVAL);
    CHECK_EQUAL(weft_pread(fd, buf, 4, INT64_MIN), -EINVAL);
    off_t far = (off_t)5 << 32; /* an offset is more than 32 bits */
    CHECK_EQUAL(weft_pwrite(fd, "far", 3, far), 3);
    CHECK_EQUAL(weft_pread(fd, buf, 8, far), 3);
    CHECK_EQUAL(memcmp(buf, "far", 3), 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_END), far + 3);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void an_offset_leaves_the_position(void **state)
{
    (void)state;
    run_io(read_and_write_at, NULL);
}

static void *vectors(void *arg)
{
    char a[4] = {0};
    char b[8] = {0};
    (void)arg;
    int fd = fresh_file();
    struct iovec out[] = {{"one", 3}, {"", 0}, {"twothree", 8}};
    struct iovec in[] = {{a, 4}, {b, 8}};
    CHECK_EQUAL(weft_writev(fd, out, 3), 11);
    CHECK_EQUAL(weft_writev(fd, out, 0), 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQUAL(weft_readv(fd, in, 0), 0);
    CHECK_EQUAL(weft_readv(fd, in, 2), 11);
    CHECK_EQUAL(memcmp(a, "onet", 4), 0);
    CHECK_EQUAL(memcmp(b, "wothree", 7), 0);
    CHECK_EQUAL(weft_readv(fd, in, 2), 0);
    CHECK_EQUAL(weft_readv(fd, in, -1), -EINVAL);
    CHECK_EQUAL(weft_writev(fd, out, -1), -EINVAL);
    CHECK_EQUAL(weft_readv(fd, in, IOV_MAX + 1), -EINVAL);
    CHECK_EQUAL(weft_writev(fd, out, INT_MAX), -EINVAL);
    CHECK_EQUAL(weft_writev(fd, NULL, 1), -EFAULT);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 11);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void vectors_are_one_transfer(void **state)
{
    (void)state;
    run_io(vectors, NULL);
}

#define LARGE_BYTES ((size_t)3 << 20)

static void *large(void *arg)
{
    size_t done = 0;
    (void)arg;
    int fd = fresh_file();
    char *buf = malloc(LARGE_BYTES);
    CHECK(buf != NULL);
    pattern_fill(buf, 0, LARGE_BYTES);
    CHECK_EQUAL(weft_write_full(fd, buf, LARGE_BYTES, &done), 0);
    CHECK_EQUAL(done, LARGE_BYTES);
    memset(buf, 0, LARGE_BYTES);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    CHECK_EQUAL(weft_read_full(fd, buf, LARGE_BYTES - 5, &done), 0);
    CHECK_EQUAL(done, LARGE_BYTES - 5);
    CHECK(pattern_fits(buf, 0, LARGE_BYTES - 5));
    CHECK_EQUAL(weft_read_full(fd, buf, 100, &done), -ENODATA);
    CHECK_EQUAL(done, 5);
    CHECK(pattern_fits(buf, LARGE_BYTES - 5, 5));
    CHECK_EQUAL(weft_read_full(fd, buf, 100, &done), -ENODATA);
    CHECK_EQUAL(done, 0);
    CHECK_EQUAL(weft_read_full(fd, buf, 0, &done), 0);
    CHECK_EQUAL(weft_read_full(fd, buf, 1, NULL), -ENODATA);
    CHECK_EQUAL(weft_write_full(fd, buf, 3, NULL), 0);
    CHECK_EQUAL(weft_fsync(fd), 0);
    free(buf);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void large_transfers_are_whole_or_counted(void **state)
{
    (void)state;
    run_io(large, NULL);
}

static void *refused_transfers(void *arg)
{
    char c = 'x';
    size_t done = 99;
    (void)arg;
    CHECK_EQUAL(weft_close(fresh_file()), 0);
    int in = weft_openat(folder_fd, "fresh", O_RDONLY, 0);
    int out = weft_openat(folder_fd, "fresh", O_WRONLY | O_APPEND, 0);
    int full = weft_openat(AT_FDCWD, "/dev/full", O_RDWR, 0);
    CHECK(in >= 0 && out >= 0 && full >= 0);
    CHECK_EQUAL(weft_write(in, &c, 1), -EBADF);
    CHECK_EQUAL(weft_read(out, &c, 1), -EBADF);
    CHECK_EQUAL(weft_read(folder_fd, &c, 1), -EISDIR);
    CHECK_EQUAL(weft_write(out, "abc", 3), 3);
    CHECK_EQUAL(weft_write(out, "def", 3), 3);
    CHECK_EQUAL(weft_read(in, (void *)8, 6), -EFAULT);
    CHECK_EQUAL(weft_write(out, (void *)8, 6), -EFAULT);
    CHECK_EQUAL(weft_pread(in, &c, 1, 5), 1);
    CHECK_EQUAL(c, 'f');
    CHECK_EQUAL(weft_write(full, &c, 1), -ENOSPC);
    CHECK_EQUAL(weft_write_full(full, &c, 1, &done), -ENOSPC);
    CHECK_EQUAL(done, 0);
    CHECK_EQUAL(weft_close(full), 0);
    CHECK_EQUAL(weft_close(out), 0);
    CHECK_EQUAL(weft_close(in), 0);
    return NULL;
}

static void refusals_are_the_kernels(void **state)
{
    (void)state;
    run_io(refused_transfers, NULL);
}

static void *opens(void *arg)
{
    struct stat st;
    char path[PATH_MAX];
    (void)arg;
    mode_t mask = umask(0);
    int fd = weft_openat(folder_fd, "made", O_RDWR | O_CREAT | O_EXCL, 0640);
    umask(mask);
    CHECK(fd >= 0);
    CHECK_EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    CHECK_EQUAL(fcntl(fd, F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDWR);
    CHECK_EQUAL(fstat(fd, &st), 0);
    CHECK_EQUAL(st.st_mode & 07777, 0640);
    CHECK_EQUAL(weft_write(fd, "abc", 3), 3);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_openat(folder_fd, "made", O_RDWR | O_CREAT | O_EXCL, 0600), -EEXIST);
    fd = weft_openat(folder_fd, "made", O_WRONLY | O_TRUNC, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(fstat(fd, &st), 0);
    CHECK_EQUAL(st.st_size, 0);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_openat(folder_fd, "none", O_RDONLY, 0), -ENOENT);
    CHECK_EQUAL(weft_openat(folder_fd, "", O_RDONLY, 0), -ENOENT);
    CHECK_EQUAL(weft_openat(folder_fd, "made/x", O_RDONLY, 0), -ENOTDIR);
    CHECK_EQUAL(weft_openat(folder_fd, "made", O_RDONLY | O_DIRECTORY, 0), -ENOTDIR);
    CHECK_EQUAL(weft_openat(folder_fd, ".", O_WRONLY, 0), -EISDIR);
    CHECK_EQUAL(weft_openat(folder_fd, NULL, O_RDONLY, 0), -EFAULT);
    CHECK_EQUAL(symlinkat("link", folder_fd, "link"), 0);
    CHECK_EQUAL(weft_openat(folder_fd, "link", O_RDONLY, 0), -ELOOP);
    memset(path, 'x', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    CHECK_EQUAL(weft_openat(folder_fd, path, O_RDONLY, 0), -ENAMETOOLONG);
    snprintf(path, sizeof path, "%s/made", folder);
    fd = weft_openat(-1, path, O_RDONLY | O_NONBLOCK, 0); /* absolute: no folder is looked at */
    CHECK(fd >= 0);
    CHECK_EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void opens_as_openat_does(void **state)
{
    (void)state;
    run_io(opens, NULL);
}

static void *flushes(void *arg)
{
    int fds[2];
    (void)arg;
    int fd = fresh_file();
    CHECK_EQUAL(weft_write(fd, "abc", 3), 3);
    CHECK_EQUAL(weft_fsync(fd), 0);
    CHECK_EQUAL(weft_fsync(folder_fd), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    make_pipe(fds);
    CHECK_EQUAL(weft_fsync(fds[1]), -EINVAL);
    close_both(fds);
    return NULL;
}

static void flushes_what_can_be_flushed(void **state)
{
    (void)state;
    run_io(flushes, NULL);
}

#define APPENDERS 8
#define APPENDS 50

static void *append(void *arg)
{
    int fd = UNBOXED(arg);
    for (int i = 0; i < APPENDS; i++) {
        CHECK_EQUAL(weft_write(fd, "0123456789abcdef", 16), 16);
    }
    return NULL;
}

static void *append_together(void *arg)
{
    weft_task *t[APPENDERS];
    char buf[16];
    (void)arg;
    int fd = weft_openat(folder_fd, "log", O_RDWR | O_CREAT | O_APPEND, 0600);
    CHECK(fd >= 0);
    for (int i = 0; i < APPENDERS; i++) {
        t[i] = spawn(append, BOXED(fd));
    }
    for (int i = 0; i < APPENDERS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    for (int i = 0; i < APPENDERS * APPENDS; i++) {
        CHECK_EQUAL(weft_pread(fd, buf, 16, (off_t)i * 16), 16);
        CHECK_EQUAL(memcmp(buf, "0123456789abcdef", 16), 0);
    }
    CHECK_EQUAL(weft_pread(fd, buf, 16, (off_t)APPENDERS * APPENDS * 16), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void several_tasks_append_to_one_file(void **state)
{
    (void)state;
    run_io(append_together, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_and_writes_at_the_position),
        cmocka_unit_test(an_offset_leaves_the_position),
        cmocka_unit_test(vectors_are_one_transfer),
        cmocka_unit_test(large_transfers_are_whole_or_counted),
        cmocka_unit_test(refusals_are_the_kernels),
        cmocka_unit_test(opens_as_openat_does),
        cmocka_unit_test(flushes_what_can_be_flushed),
        cmocka_unit_test(several_tasks_append_to_one_file),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
