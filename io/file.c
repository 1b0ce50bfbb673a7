/* SPDX-License-Identifier: MIT */
/* Reading and writing; the contract is in weft/io.h. */
#include <errno.h>
#include <limits.h>

#include <weft/io.h>

#include "op.h"

/* What Linux moves in one call at the most; lengths above it are cut to it, as read(2) does. */
#define TRANSFER_MAX ((size_t)0x7ffff000)

static uint32_t transfer_length(size_t n)
{
    return (uint32_t)(n < TRANSFER_MAX ? n : TRANSFER_MAX);
}

static ssize_t transfer(enum op_code code, int fd, const void *buf, size_t n, uint64_t offset)
{
    struct op_request r = {
        .code = code,
        .fd = fd,
        .address = buf,
        .length = transfer_length(n),
        .offset = offset,
    };
    return weft__op_run(&r);
}

ssize_t weft_read(int fd, void *buf, size_t n)
{
    return transfer(OP_READ, fd, buf, n, OP_HERE);
}

ssize_t weft_write(int fd, const void *buf, size_t n)
{
    return transfer(OP_WRITE, fd, buf, n, OP_HERE);
}

ssize_t weft_pread(int fd, void *buf, size_t n, off_t offset)
{
    return offset < 0 ? -EINVAL : transfer(OP_READ, fd, buf, n, (uint64_t)offset);
}

ssize_t weft_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return offset < 0 ? -EINVAL : transfer(OP_WRITE, fd, buf, n, (uint64_t)offset);
}

static ssize_t transfer_vector(enum op_code code, int fd, const struct iovec *iov, int count)
{
    if (count < 0 || count > IOV_MAX) {
        return -EINVAL;
    }
    struct op_request r = {
        .code = code,
        .fd = fd,
        .address = iov,
        .length = (uint32_t)count,
        .offset = OP_HERE,
    };
    return weft__op_run(&r);
}

ssize_t weft_readv(int fd, const struct iovec *iov, int count)
{
    return transfer_vector(OP_READV, fd, iov, count);
}

ssize_t weft_writev(int fd, const struct iovec *iov, int count)
{
    return transfer_vector(OP_WRITEV, fd, iov, count);
}

int weft_read_full(int fd, void *buf, size_t n, size_t *done)
{
    size_t had = 0;
    int err = 0;
    while (had < n && err == 0) {
        ssize_t got = weft_read(fd, (char *)buf + had, n - had);
        if (got > 0) {
            had += (size_t)got;
        } else {
            err = got == 0 ? -ENODATA : (int)got;
        }
    }
    if (done != NULL) {
        *done = had;
    }
    return err;
}

int weft_write_full(int fd, const void *buf, size_t n, size_t *done)
{
    size_t gone = 0;
    int err = 0;
    while (gone < n && err == 0) {
        ssize_t put = weft_write(fd, (const char *)buf + gone, n - gone);
        if (put >= 0) {
            gone += (size_t)put;
        } else {
            err = (int)put;
        }
    }
    if (done != NULL) {
        *done = gone;
    }
    return err;
}

int weft_fsync(int fd)
{
    struct op_request r = {.code = OP_FSYNC, .fd = fd};
    return weft__op_run(&r);
}
