/* SPDX-License-Identifier: MIT */
/*
 * weft_sendfile: a file to a socket; the contract is in weft/file.h.
 *
 * By reading and sending, a buffer at a time, not by sendfile(2): that waits for the disk and for
 * the peer at once, and would keep a thread for as long as a slow peer takes. What is in the page
 * cache is read on the worker, the rest and all sending is the ring's, and a cancel finds each
 * byte sent or not. It works for every kind of descriptor, and costs one more copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/io.h>

#include "op.h"

/* With half of it small socket buffers still fill at once; double is past the processor's cache. */
#define SENDFILE_BUFFER_BYTES ((size_t)128 * 1024)

/* Apart: errno is the thread's. */
static WEFT_NOINLINE off_t position(int fd, off_t to, int whence)
{
    off_t at = lseek(fd, to, whence);
    return at < 0 ? -errno : at;
}

/* Send all of a buffer. *sent: how many went. 0, or the error that cut it short. */
static int send_all(int to, const char *buf, size_t n, bool *is_socket, size_t *sent)
{
    while (*sent < n) {
        ssize_t put = *is_socket ? weft_send(to, buf + *sent, n - *sent, MSG_WAITALL)
                                 : weft_write(to, buf + *sent, n - *sent);
        if (put == -ENOTSOCK && *is_socket) {
            *is_socket = false;
        } else if (put < 0) {
            return (int)put;
        } else {
            *sent += (size_t)put;
        }
    }
    return 0;
}

/* Returns 0 at the end of the file or of n; *done counts what was sent. */
static int send_range(int to, int from, off_t offset, size_t n, size_t *done)
{
    size_t bytes = n < SENDFILE_BUFFER_BYTES ? n : SENDFILE_BUFFER_BYTES;
    char *buf = malloc(bytes);
    bool is_socket = true;
    int err = buf == NULL ? -ENOMEM : 0;
    while (err == 0 && *done < n) {
        size_t want = n - *done < bytes ? n - *done : bytes;
        ssize_t got = weft_pread(from, buf, want, offset + (off_t)*done);
        if (got <= 0) {
            err = (int)got;
            break;
        }
        size_t sent = 0;
        err = send_all(to, buf, (size_t)got, &is_socket, &sent);
        *done += sent;
    }
    free(buf);
    return err;
}

ssize_t weft_sendfile(int to, int from, off_t *offset, size_t n)
{
    size_t done = 0;
    if (weft__fiber_current() == NULL) {
        return -EPERM;
    }
    off_t at = offset != NULL ? *offset : position(from, 0, SEEK_CUR);
    if (offset != NULL && at >= 0) {
        off_t has_offsets = position(from, 0, SEEK_CUR);
        at = has_offsets < 0 ? has_offsets : at;
    } else if (offset != NULL) {
        at = -EINVAL;
    }
    if (at < 0) {
        return op_spent((int)at);
    }
    n = transfer_length(n);
    int err = send_range(to, from, at, n, &done);
    if (done > 0 && offset != NULL) {
        *offset = at + (off_t)done;
    } else if (done > 0) {
        (void)position(from, at + (off_t)done, SEEK_SET);
    }
    return done > 0 ? (ssize_t)done : err;
}
