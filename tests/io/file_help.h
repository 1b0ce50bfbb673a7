/* SPDX-License-Identifier: MIT */
/*
 * For tests of files: a folder of the test's own, which goes with everything in it.
 *
 *     return cmocka_run_group_tests(tests, folder_make, folder_remove);
 */
#ifndef WEFT_FILE_HELP_H
#define WEFT_FILE_HELP_H

#include "io_help.h"

#include <ftw.h>
#include <sys/stat.h>

static char folder[64];
static int folder_fd;

static inline int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline int folder_make(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/weft-test-io-file-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
    CHECK(folder_fd >= 0);
    return 0;
}

static inline int folder_remove(void **state)
{
    (void)state;
    close(folder_fd);
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* In a task: an empty file, open for both. */
static inline int fresh_file(void)
{
    int fd = weft_openat(folder_fd, "fresh", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(fd >= 0);
    return fd;
}

/* The size of a file of the folder, or -errno. */
static inline int64_t size_of(const char *name)
{
    struct stat status;
    int err = fstatat(folder_fd, name, &status, AT_SYMLINK_NOFOLLOW);
    return err < 0 ? -errno_now() : status.st_size;
}

#endif
