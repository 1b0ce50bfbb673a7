/* SPDX-License-Identifier: MIT */
/* Reading and writing; the contract is in weft/io.h and weft/file.h. */
#include <errno.h>
#include <limits.h>

#include <weft/io.h>

#include "op.h"
#include "read_cached.h"

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

/* A write at the file position that has come to its end. */
static ssize_t written(int fd, ssize_t put, size_t n)
{
    if (WEFT_UNLIKELY(put > 0 && (size_t)put < n)) {
        weft__short_write(fd, (size_t)put);
    }
    return put;
}

ssize_t weft_write(int fd, const void *buf, size_t n)
{
    return written(fd, transfer(OP_WRITE, fd, buf, n, OP_HERE), transfer_length(n));
}

ssize_t weft_pread(int fd, void *buf, size_t n, off_t offset)
{
    struct iovec iov = {.iov_base = buf, .iov_len = n};
    ssize_t got = weft__read_cached(fd, &iov, 1, offset);
    if (got == READ_NOT_CACHED) {
        got = transfer(OP_READ, fd, buf, n, (uint64_t)offset);
    }
    return got;
}

ssize_t weft_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return offset < 0 ? -EINVAL : transfer(OP_WRITE, fd, buf, n, (uint64_t)offset);
}

static ssize_t transfer_vector(enum op_code code, int fd, const struct iovec *iov, int count,
                               uint64_t offset)
{
    if (count < 0 || count > IOV_MAX) {
        return -EINVAL;
    }
    struct op_request r = {
        .code = code,
        .fd = fd,
        .address = iov,
        .length = (uint32_t)count,
        .offset = offset,
    };
    return weft__op_run(&r);
}

ssize_t weft_readv(int fd, const struct iovec *iov, int count)
{
    return transfer_vector(OP_READV, fd, iov, count, OP_HERE);
}

ssize_t weft_writev(int fd, const struct iovec *iov, int count)
{
    ssize_t put = transfer_vector(OP_WRITEV, fd, iov, count, OP_HERE);
    size_t n = 0;
    for (int i = 0; put > 0 && n <= (size_t)put && i < count; i++) {
        n += iov[i].iov_len;
    }
    return written(fd, put, n < OP_TRANSFER_MAX ? n : OP_TRANSFER_MAX);
}

ssize_t weft_preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
    ssize_t got = weft__read_cached(fd, iov, count, offset);
    if (got == READ_NOT_CACHED) {
        got = transfer_vector(OP_READV, fd, iov, count, (uint64_t)offset);
    }
    return got;
}

ssize_t weft_pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
    return offset < 0 ? -EINVAL : transfer_vector(OP_WRITEV, fd, iov, count, (uint64_t)offset);
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

int weft_fdatasync(int fd)
{
    struct op_request r = {.code = OP_FSYNC, .fd = fd, .flags = OP_DATA_ONLY};
    return weft__op_run(&r);
}

int weft_fallocate(int fd, int mode, off_t offset, off_t n)
{
    struct op_request r = {
        .code = OP_FALLOCATE,
        .fd = fd,
        .address = (const void *)(uintptr_t)n,
        .length = (uint32_t)mode,
        .offset = (uint64_t)offset,
    };
    return weft__op_run_or_call(&r);
}

int weft_ftruncate(int fd, off_t n)
{
    struct op_request r = {.code = OP_FTRUNCATE, .fd = fd, .offset = (uint64_t)n};
    return weft__op_run_or_call(&r);
}
