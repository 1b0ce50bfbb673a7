/* SPDX-License-Identifier: MIT */
/*
 * Writing at the file position until there is no room: io_uring answered with what fitted, and left
 * the position where it was. The rest was then written over what was there, and weft_write_full
 * said that all had gone.
 */
#include "../io/file_help.h"

#include <sys/resource.h>

enum { ROOM = 4096 };

static void put_block(int fd, const char *block, size_t n, bool is_vector)
{
    struct iovec iov[2] = {{(void *)(uintptr_t)block, n / 2},
                           {(void *)(uintptr_t)(block + n / 2), n - n / 2}};
    ssize_t put = is_vector ? weft_writev(fd, iov, 2) : weft_write(fd, block, n);
    CHECK_EQUAL(put, 1096); /* from 3000 to the limit */
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), ROOM);
    put = is_vector ? weft_writev(fd, iov, 2) : weft_write(fd, block, n);
    CHECK_EQUAL(put, -EFBIG);
}

static void *fill(void *arg)
{
    char block[2000];
    char got[ROOM];
    size_t done = 0;
    (void)arg;
    pattern_fill(block, 0, sizeof block);
    for (int round = 0; round < 4; round++) {
        bool is_appending = round >= 2;
        int flags = O_RDWR | O_CREAT | O_TRUNC | (is_appending ? O_APPEND : 0);
        int fd = weft_openat(folder_fd, "fresh", flags, 0600);
        CHECK(fd >= 0);
        CHECK_EQUAL(weft_ftruncate(fd, is_appending ? 3000 : 0), 0);
        CHECK_EQUAL(lseek(fd, is_appending ? 0 : 3000, SEEK_SET), is_appending ? 0 : 3000);
        put_block(fd, block, sizeof block, round % 2 == 1);
        CHECK_EQUAL(weft_pread(fd, got, sizeof got, 0), ROOM);
        CHECK(pattern_fits(got + 3000, 0, 1096));
        CHECK_EQUAL(lseek(fd, 3000, SEEK_SET), 3000);
        CHECK_EQUAL(weft_ftruncate(fd, 3000), 0);
        CHECK_EQUAL(weft_write_full(fd, block, sizeof block, &done), -EFBIG);
        CHECK_EQUAL(done, 1096);
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return NULL;
}

static void what_did_not_fit_is_an_error(void **state)
{
    struct rlimit low;
    (void)state;
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    CHECK_EQUAL(getrlimit(RLIMIT_FSIZE, &low), 0);
    low.rlim_cur = ROOM;
    CHECK_EQUAL(setrlimit(RLIMIT_FSIZE, &low), 0);
    run_io(fill, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_did_not_fit_is_an_error)};
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
