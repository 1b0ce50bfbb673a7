/* SPDX-License-Identifier: MIT */
/* Files at one go; the contract is in weft/file.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <weft/io.h>

#include "op.h"

/* Room to begin with where the size is not known: a file of /proc fits. */
#define FIRST_BYTES ((size_t)4096)

/* Read to the end into a block that grows. size: what is expected. */
static int read_to_end(int fd, size_t size, bool has_offsets, char **data, size_t *bytes)
{
    size_t room = size > 0 ? size + 2 : FIRST_BYTES; /* one to see the end, and the zero */
    char *block = malloc(room);
    size_t had = 0;
    ssize_t got = block == NULL ? -ENOMEM : 1;
    while (got > 0) {
        size_t want = room - 1 - had;
        got = has_offsets ? weft_pread(fd, block + had, want, (off_t)had)
                          : weft_read(fd, block + had, want);
        had += got > 0 ? (size_t)got : 0;
        if (got > 0 && had == room - 1) {
            char *larger = room > SIZE_MAX / 2 ? NULL : realloc(block, 2 * room);
            got = larger == NULL ? -ENOMEM : got;
            block = larger == NULL ? block : larger;
            room = larger == NULL ? room : 2 * room;
        }
    }
    if (got < 0) {
        free(block);
        return (int)got;
    }
    block[had] = '\0';
    *data = block;
    *bytes = had;
    return 0;
}

int weft_file_read(int dirfd, const char *path, void **data, size_t *bytes)
{
    struct statx status = {.stx_size = 0};
    char *block = NULL;
    size_t had = 0;
    int fd = weft_openat(dirfd, path, O_RDONLY, 0);
    int err = fd < 0 ? fd : 0;
    if (err == 0) {
        err = weft_statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE | STATX_SIZE,
                         &status);
    }
    if (err == 0) {
        bool is_file = S_ISREG(status.stx_mode);
        err = read_to_end(fd, is_file ? (size_t)status.stx_size : 0, is_file, &block, &had);
    }
    if (fd >= 0) {
        (void)weft_close(fd);
    }
    *data = block;
    if (bytes != NULL) {
        *bytes = had;
    }
    return err;
}

int weft_file_write(int dirfd, const char *path, const void *data, size_t n, mode_t mode)
{
    int fd = weft_openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
    if (fd < 0) {
        return fd;
    }
    int err = weft_write_full(fd, data, n, NULL);
    int close_err = weft_close(fd);
    return err < 0 ? err : close_err;
}
