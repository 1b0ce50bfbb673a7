/* SPDX-License-Identifier: MIT */
/*
 * Stream: writing a file; the contract is in weft/stream.h.
 *
 * What was written before is sent first. Then the transport sends the file, if it can; if not, it
 * is read piece by piece and written, and what was read and not taken is read again another time:
 * offset or position stand behind the last byte that was taken.
 */
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/file.h>
#include <weft/io.h>

#include "stream_output.h"

/* What is read and written at a time. Half as much costs more calls, twice as much more memory. */
#define SENDFILE_PIECE ((size_t)64 * 1024)

/* Let the transport send it. Who has entered as writer. */
static ssize_t sendfile_by_transport(struct weft_stream *s, int file, off_t *offset, size_t n)
{
    s->is_sending = true;
    sync_unlock(&s->lock, 0);
    ssize_t sent = s->transport->ops->send_file(s->transport, file, offset, n);
    bool is_lost = sent == -EPIPE || sent == -ECONNRESET;
    weft__output_lock(s);
    s->is_sending = false;
    if (is_lost || s->write_error != 0) {
        weft__output_fail(s, is_lost ? (int)sent : s->write_error);
    }
    return sent < 0 && s->write_error != 0 ? s->write_error : sent;
}

/* Read a piece and write it. Returns how many bytes were taken, 0 at the end of the file. */
static ssize_t sendfile_piece(struct weft_stream *s, int file, off_t *offset, char *buf, size_t n)
{
    sync_unlock(&s->lock, 0);
    ssize_t got = offset != NULL ? weft_pread(file, buf, n, *offset) : weft_read(file, buf, n);
    weft__output_lock(s);
    if (got <= 0) {
        return got;
    }
    int err = 0;
    size_t taken = weft__writer_put(s, buf, (size_t)got, &err);
    if (offset != NULL) {
        *offset += (off_t)taken;
    } else if (taken < (size_t)got) {
        (void)lseek(file, (off_t)taken - (off_t)got, SEEK_CUR);
    }
    return taken == 0 ? err : (ssize_t)taken;
}

static ssize_t sendfile_by_copy(struct weft_stream *s, int file, off_t *offset, size_t n)
{
    char *buf = malloc(SENDFILE_PIECE);
    size_t taken = 0;
    ssize_t last = buf == NULL ? -ENOMEM : 1;
    while (last > 0 && taken < n) {
        size_t piece = n - taken < SENDFILE_PIECE ? n - taken : SENDFILE_PIECE;
        last = sendfile_piece(s, file, offset, buf, piece);
        taken += last > 0 ? (size_t)last : 0;
    }
    free(buf);
    return taken == 0 && last < 0 ? last : (ssize_t)taken;
}

ssize_t weft_stream_sendfile(weft_stream *s, int file, off_t *offset, size_t n)
{
    if (n > SSIZE_MAX / 2 || (offset != NULL && *offset < 0)) {
        return -EINVAL;
    }
    ssize_t sent = weft__writer_enter(s);
    if (sent < 0) {
        return sent;
    }
    bool is_copied = s->transport->ops->send_file == NULL;
    sent = s->write_error != 0 ? s->write_error : s->is_shut ? -EPIPE : 0;
    if (sent == 0 && !is_copied) {
        sent = weft__output_settle(s);
    }
    if (sent == 0 && n > 0) {
        sent = is_copied ? sendfile_by_copy(s, file, offset, n)
                         : sendfile_by_transport(s, file, offset, n);
    }
    weft__writer_leave(s);
    return sent;
}
