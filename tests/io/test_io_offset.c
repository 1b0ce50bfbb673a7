/* SPDX-License-Identifier: MIT */
/*
 * Files at offsets: several buffers, what is cached and what is not, far offsets, O_DIRECT,
 * O_APPEND; room in files, and where there is none.
 */
#include "file_help.h"

#include <limits.h>
#include <sys/resource.h>

#define KIB ((size_t)1024)

static void *vectors(void *arg)
{
    char a[5] = {0};
    char b[8] = {0};
    struct iovec iov[2] = {{.iov_base = a, .iov_len = 4}, {.iov_base = b, .iov_len = 8}};
    (void)arg;
    int fd = fresh_file();
    CHECK_EQUAL(weft_pwritev(fd, (struct iovec[]){{"0123", 4}, {"456789", 6}}, 2, 100), 10);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    CHECK_EQUAL(weft_preadv(fd, iov, 2, 98), 12);
    CHECK_EQUAL(memcmp(a, "\0\0" "01", 4), 0);
    CHECK_EQUAL(memcmp(b, "23456789", 8), 0);
    CHECK_EQUAL(weft_preadv(fd, iov, 2, 105), 5); /* to the end of the file */
    CHECK_EQUAL(memcmp(a, "5678", 4), 0);
    CHECK_EQUAL(b[0], '9');
    CHECK_EQUAL(weft_preadv(fd, iov, 2, 110), 0);
    CHECK_EQUAL(weft_preadv(fd, iov, 0, 0), 0);
    CHECK_EQUAL(weft_preadv(fd, iov, -1, 0), -EINVAL);
    CHECK_EQUAL(weft_preadv(fd, iov, IOV_MAX + 1, 0), -EINVAL);
    CHECK_EQUAL(weft_preadv(fd, NULL, 1, 0), -EFAULT);
    CHECK_EQUAL(weft_preadv(fd, iov, 2, -1), -EINVAL);
    CHECK_EQUAL(weft_pwritev(fd, iov, 2, -1), -EINVAL);
    CHECK_EQUAL(weft_preadv(-1, iov, 2, 0), -EBADF);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void vectors_at_an_offset(void **state)
{
    (void)state;
    run_io(vectors, NULL);
}

/* 64 KiB that are the same as what is read in any pieces, cached, partly cached and not. */
static void *caching(void *arg)
{
    static char want[64 * 1024];
    static char got[64 * 1024];
    uint64_t random = test_seed();
    (void)arg;
    pattern_fill(want, 0, sizeof want);
    int fd = fresh_file();
    CHECK_EQUAL(weft_pwrite(fd, want, sizeof want, 0), sizeof want);
    CHECK_EQUAL(weft_fdatasync(fd), 0);
    for (size_t round = 0; test_goes_on(round, 200); round++) {
        size_t from = test_random(&random) % sizeof want;
        size_t n = test_random(&random) % (sizeof want - from) + 1;
        if (test_random(&random) % 2 == 0) { /* drop some of it, or all */
            off_t at = (off_t)(test_random(&random) % 8 * 8 * KIB);
            CHECK_EQUAL(posix_fadvise(fd, at, 0, POSIX_FADV_DONTNEED), 0);
        }
        memset(got, 0, n);
        struct iovec iov[3] = {{got, n / 3}, {got + n / 3, 0}, {got + n / 3, n - n / 3}};
        ssize_t read = round % 2 == 0 ? weft_pread(fd, got, n, (off_t)from)
                                      : weft_preadv(fd, iov, 3, (off_t)from);
        CHECK(read > 0 && (size_t)read <= n);
        CHECK(round % 2 != 0 || (size_t)read == n);
        CHECK(pattern_fits(got, from, (size_t)read));
    }
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void what_is_read_is_the_same_cached_or_not(void **state)
{
    (void)state;
    run_io(caching, NULL);
}

/* The worker remembers that a descriptor is not O_DIRECT; the next file of that number may be. */
static void *direct(void *arg)
{
    char *buf = aligned_alloc(4096, 8192);
    (void)arg;
    CHECK(buf != NULL);
    int fd = fresh_file();
    pattern_fill(buf, 0, 8192);
    CHECK_EQUAL(weft_pwrite(fd, buf, 8192, 0), 8192);
    CHECK_EQUAL(weft_pread(fd, buf, 8192, 0), 8192);
    CHECK_EQUAL(weft_close(fd), 0);
    fd = weft_openat(folder_fd, "fresh", O_RDWR | O_DIRECT, 0);
    if (fd == -EINVAL) {
        printf("no O_DIRECT in /tmp: not tested\n");
        free(buf);
        return NULL;
    }
    CHECK(fd >= 0);
    memset(buf, 0, 8192);
    CHECK_EQUAL(weft_pread(fd, buf, 8192, 0), 8192);
    CHECK(pattern_fits(buf, 0, 8192));
    CHECK_EQUAL(weft_pread(fd, buf, 4096, 4096), 4096);
    CHECK(pattern_fits(buf, 4096, 4096));
    CHECK_EQUAL(weft_pwrite(fd, buf, 4096, 0), 4096);
    CHECK_EQUAL(weft_pread(fd, buf, 4096, 8192), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    free(buf);
    return NULL;
}

static void past_the_page_cache(void **state)
{
    (void)state;
    run_io(direct, NULL);
}

static void *far(void *arg)
{
    const off_t at = ((off_t)5 << 30) + 3;
    char buf[8] = {0};
    struct statx status;
    (void)arg;
    int fd = fresh_file();
    CHECK_EQUAL(weft_ftruncate(fd, at), 0);
    CHECK_EQUAL(weft_pwrite(fd, "far", 3, at), 3);
    CHECK_EQUAL(weft_pread(fd, buf, sizeof buf, at - 2), 5);
    CHECK_EQUAL(memcmp(buf, "\0\0far", 5), 0);
    CHECK_EQUAL(weft_statx(fd, "", AT_EMPTY_PATH, STATX_SIZE, &status), 0);
    CHECK_EQUAL(status.stx_size, at + 3);
    CHECK_EQUAL(lseek(fd, at, SEEK_SET), at);
    CHECK_EQUAL(weft_read(fd, buf, 1), 1);
    CHECK_EQUAL(weft_write(fd, "AR", 2), 2);
    CHECK_EQUAL(weft_pread(fd, buf, sizeof buf, at), 3);
    CHECK_EQUAL(memcmp(buf, "fAR", 3), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void offsets_beyond_four_gigabytes(void **state)
{
    (void)state;
    run_io(far, NULL);
}

/* O_APPEND wins over an offset, as with pwrite(2) on Linux. */
static void *appends(void *arg)
{
    char buf[16] = {0};
    (void)arg;
    int fd = weft_openat(folder_fd, "end", O_RDWR | O_CREAT | O_APPEND, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_write(fd, "abc", 3), 3);
    CHECK_EQUAL(weft_pwrite(fd, "def", 3, 0), 3);
    CHECK_EQUAL(weft_pwritev(fd, (struct iovec[]){{"ghi", 3}}, 1, 1), 3);
    CHECK_EQUAL(weft_pread(fd, buf, sizeof buf, 0), 9);
    CHECK_EQUAL(memcmp(buf, "abcdefghi", 9), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void what_is_appended_stands_at_the_end(void **state)
{
    (void)state;
    run_io(appends, NULL);
}

static void *room(void *arg)
{
    char c = 1;
    struct stat status;
    (void)arg;
    int fd = fresh_file();
    int err = weft_fallocate(fd, 0, 0, 1 << 20);
    CHECK(err == 0 || err == -EOPNOTSUPP);
    if (err == 0) {
        CHECK_EQUAL(fstat(fd, &status), 0);
        CHECK_EQUAL(status.st_size, 1 << 20);
        CHECK_EQUAL(weft_fallocate(fd, FALLOC_FL_KEEP_SIZE, 1 << 20, 1 << 20), 0);
        CHECK_EQUAL(size_of("fresh"), 1 << 20);
        CHECK_EQUAL(weft_pwrite(fd, "x", 1, 4096), 1);
        CHECK_EQUAL(weft_fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096), 0);
        CHECK_EQUAL(weft_pread(fd, &c, 1, 4096), 1);
        CHECK_EQUAL(c, 0);
    }
    CHECK_EQUAL(weft_fallocate(fd, 0, -1, 1), -EINVAL);
    CHECK_EQUAL(weft_fallocate(fd, 0, 0, 0), -EINVAL);
    CHECK_EQUAL(weft_ftruncate(fd, 10), 0);
    CHECK_EQUAL(size_of("fresh"), 10);
    CHECK_EQUAL(weft_ftruncate(fd, 0), 0);
    CHECK_EQUAL(size_of("fresh"), 0);
    CHECK_EQUAL(weft_ftruncate(fd, -1), -EINVAL);
    CHECK_EQUAL(weft_ftruncate(-1, 0), -EBADF);
    CHECK_EQUAL(weft_close(fd), 0);
    fd = weft_openat(folder_fd, "fresh", O_RDONLY, 0);
    CHECK_EQUAL(weft_ftruncate(fd, 5), -EINVAL); /* not open for writing */
    CHECK_EQUAL(weft_fallocate(fd, 0, 0, 5), -EBADF);
    CHECK_EQUAL(weft_pwrite(fd, "x", 1, 0), -EBADF);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void room_is_made_and_taken_away(void **state)
{
    (void)state;
    run_io(room, NULL);
}

/* A limit of the process stands for a disk that is full: what fits is written, then an error. */
static void *limited(void *arg)
{
    char block[1024] = {0};
    size_t done = 77;
    (void)arg;
    int fd = fresh_file();
    CHECK_EQUAL(weft_pwrite(fd, block, sizeof block, 3500), 596); /* to the limit, at 4096 */
    CHECK_EQUAL(weft_pwrite(fd, block, sizeof block, 4096), -EFBIG);
    CHECK_EQUAL(weft_write_full(fd, block, 0, &done), 0);
    CHECK_EQUAL(lseek(fd, 3584, SEEK_SET), 3584);
    CHECK_EQUAL(weft_write_full(fd, block, sizeof block, &done), -EFBIG);
    CHECK_EQUAL(done, 512);
    CHECK_EQUAL(weft_ftruncate(fd, 5000), -EFBIG);
    CHECK_EQUAL(weft_fallocate(fd, 0, 0, 5000), -EFBIG);
    CHECK_EQUAL(size_of("fresh"), 4096);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void a_full_file_is_an_error(void **state)
{
    struct rlimit old;
    (void)state;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK_EQUAL(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit low = {.rlim_cur = 4096, .rlim_max = old.rlim_max};
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &low), 0);
    run_io(limited, NULL);
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &old), 0);
}

static void *no_space(void *arg)
{
    char byte = 0;
    (void)arg;
    int fd = weft_openat(AT_FDCWD, "/dev/full", O_RDWR, 0);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_write(fd, &byte, 1), -ENOSPC);
    CHECK_EQUAL(weft_pwrite(fd, &byte, 1, 0), -ENOSPC);
    CHECK_EQUAL(weft_pread(fd, &byte, 1, 0), 1);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void no_space_is_an_error(void **state)
{
    (void)state;
    run_io(no_space, NULL);
}

/* Files that the kernel makes up: their size is not known, reads are short. */
static void *made_up(void *arg)
{
    static const char *const paths[] = {"/proc/self/status", "/proc/sys/kernel/pid_max",
                                        "/proc/self/maps"};
    (void)arg;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char first[64];
        char again[64];
        int fd = weft_openat(AT_FDCWD, paths[i], O_RDONLY, 0);
        CHECK(fd >= 0);
        ssize_t n = weft_pread(fd, first, sizeof first, 0);
        CHECK(n > 0);
        CHECK_EQUAL(weft_read(fd, again, sizeof again), n);
        CHECK_EQUAL(memcmp(first, again, (size_t)n > 5 ? 5 : (size_t)n), 0);
        CHECK_EQUAL(weft_pread(fd, first, sizeof first, 1 << 30), 0);
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return NULL;
}

static void files_that_the_kernel_makes_up(void **state)
{
    (void)state;
    run_io(made_up, NULL);
}

/* A cached read looks for a request as any other, and lets others run. */
static void *tell(void *told)
{
    atomic_add_seq_cst((shared_int *)told, 1);
    return NULL;
}

static void *reads_alone(void *arg)
{
    shared_int told = 0;
    char c;
    (void)arg;
    int fd = fresh_file();
    CHECK_EQUAL(weft_pwrite(fd, "x", 1, 0), 1);
    weft_task *t = spawn(tell, &told);
    while (atomic_load_seq_cst(&told) == 0) {
        CHECK_EQUAL(weft_pread(fd, &c, 1, 0), 1);
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    cancel_myself();
    CHECK_EQUAL(weft_pread(fd, &c, 1, 0), -ECANCELED);
    uncancel_myself();
    WEFT_TIMEOUT(0) {
        CHECK_EQUAL(weft_pread(fd, &c, 1, 0), -ETIMEDOUT);
    }
    CHECK_EQUAL(weft_pread(fd, &c, 1, 0), 1);
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(weft_pread(fd, &c, 1, 0), -EBADF);
    return NULL;
}

static void a_cached_read_is_a_call_as_any_other(void **state)
{
    char c;
    struct iovec iov = {.iov_base = &c, .iov_len = 1};
    (void)state;
    run_io(reads_alone, NULL);
    run_case_alone(reads_alone, NULL);
    CHECK_EQUAL(weft_pread(folder_fd, &c, 1, 0), -EPERM);
    CHECK_EQUAL(weft_preadv(folder_fd, &iov, 1, 0), -EPERM);
    CHECK_EQUAL(weft_pwritev(folder_fd, &iov, 1, 0), -EPERM);
    CHECK_EQUAL(weft_ftruncate(folder_fd, 0), -EPERM);
    CHECK_EQUAL(weft_fallocate(folder_fd, 0, 0, 1), -EPERM);
    CHECK_EQUAL(weft_fdatasync(folder_fd), -EPERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_at_an_offset),
        cmocka_unit_test(what_is_read_is_the_same_cached_or_not),
        cmocka_unit_test(past_the_page_cache),
        cmocka_unit_test(offsets_beyond_four_gigabytes),
        cmocka_unit_test(what_is_appended_stands_at_the_end),
        cmocka_unit_test(room_is_made_and_taken_away),
        cmocka_unit_test(a_full_file_is_an_error),
        cmocka_unit_test(no_space_is_an_error),
        cmocka_unit_test(files_that_the_kernel_makes_up),
        cmocka_unit_test(a_cached_read_is_a_call_as_any_other),
    };
    (void)test_seed();
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
