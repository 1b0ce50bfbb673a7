/* SPDX-License-Identifier: MIT */
/*
 * Streams, sending files: offsets and counts, the order among plain writes, what is copied because
 * the stream is no socket, a peer that leaves, a cancel in the middle.
 */
#include "stream_help.h"

enum { FILE_BYTES = 3000000 };

/* A file with the pattern in it, that is gone when it is closed. */
static int make_file(void)
{
    char path[] = "/tmp/weft-test-XXXXXX";
    static char block[FILE_BYTES];
    int fd = mkostemp(path, O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQUAL(unlink(path), 0);
    pattern_fill(block, 0, sizeof block);
    CHECK_EQUAL(write(fd, block, sizeof block), sizeof block);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    return fd;
}

struct receiver {
    weft_stream *s;
    size_t n; /* to receive */
    size_t from;
    const char *head; /* comes before it; NULL: nothing */
    bool fits;
};

static void *receive_pattern(void *arg)
{
    struct receiver *r = arg;
    char *buf = malloc(r->n);
    CHECK(buf != NULL);
    if (r->head != NULL) {
        check_next(r->s, r->head);
    }
    ssize_t n = weft_stream_read_exactly(r->s, buf, r->n);
    r->fits = n == (ssize_t)r->n && pattern_fits(buf, r->from, r->n);
    free(buf);
    return BOXED(n);
}

/* Two streams that are connected: in memory, of which files are copied, or by TCP. */
static void make_streams(weft_stream *ends[2], bool in_memory)
{
    int fds[2];
    if (in_memory) {
        CHECK_EQUAL(weft_stream_pair(NULL, ends), 0);
        return;
    }
    make_connection(fds);
    int bytes = 32768; /* or the kernel would hold all of it */
    CHECK_EQUAL(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes), 0);
    CHECK_EQUAL(setsockopt(fds[1], SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
    ends[0] = opened(fds[0], NULL);
    ends[1] = opened(fds[1], NULL);
}

static void *send_parts(void *arg)
{
    weft_stream *ends[2];
    int file = make_file();
    off_t offset = 1000;
    make_streams(ends, arg != NULL);
    struct receiver r = {.s = ends[1], .n = 2000000, .from = 1000, .head = "before"};
    weft_task *t = spawn(receive_pattern, &r);
    CHECK_EQUAL(weft_stream_write(ends[0], "before", 6), 6);
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, &offset, 2000000), 2000000);
    CHECK_EQUAL(offset, 2001000);
    CHECK_EQUAL(lseek(file, 0, SEEK_CUR), 0); /* the position stays */
    CHECK_EQUAL(weft_stream_write(ends[0], "after", 5), 5);
    CHECK_EQUAL(joined(t), 2000000);
    CHECK(r.fits);
    check_next(ends[1], "after");
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, NULL, 1000), 1000);
    CHECK_EQUAL(lseek(file, 0, SEEK_CUR), 1000); /* behind the last byte */
    offset = FILE_BYTES - 10;
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, &offset, 1000), 10); /* no more is there */
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, &offset, 1000), 0);
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, NULL, 0), 0);
    r = (struct receiver){.s = ends[1], .n = 1000};
    CHECK_EQUAL(joined(spawn(receive_pattern, &r)), 1000);
    CHECK(r.fits);
    r = (struct receiver){.s = ends[1], .n = 10, .from = FILE_BYTES - 10};
    CHECK_EQUAL(joined(spawn(receive_pattern, &r)), 10);
    CHECK(r.fits);
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    CHECK_EQUAL(weft_stream_close(ends[1]), 0);
    CHECK_EQUAL(close(file), 0);
    return NULL;
}

static void item_272_sends_parts_of_a_file_in_order(void **state)
{
    (void)state;
    run_io(send_parts, NULL);
}

static void *refuse(void *arg)
{
    weft_stream *ends[2];
    int file = make_file();
    off_t offset = -1;
    make_streams(ends, arg != NULL);
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, &offset, 10), -EINVAL);
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, NULL, (size_t)-1), -EINVAL);
    CHECK_EQUAL(weft_stream_sendfile(ends[0], -1, NULL, 10), -EBADF);
    CHECK_EQUAL(weft_stream_write(ends[0], "ok\n", 3), 3); /* which the connection survives */
    check_next(ends[1], "ok\n");
    CHECK_EQUAL(weft_stream_shutdown_write(ends[0]), 0);
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, NULL, 10), -EPIPE);
    weft_stream_abort(ends[0]);
    CHECK_EQUAL(weft_stream_sendfile(ends[0], file, NULL, 10), -ECONNABORTED);
    CHECK_EQUAL(lseek(file, 0, SEEK_CUR), 0);
    CHECK_EQUAL(weft_stream_close(ends[0]), -ECONNABORTED);
    CHECK_EQUAL(weft_stream_close(ends[1]), 0);
    CHECK_EQUAL(close(file), 0);
    return NULL;
}

static void item_273_274_copies_where_it_must(void **state)
{
    (void)state;
    run_io(send_parts, BOXED(1));
    run_io(refuse, NULL);
    run_io(refuse, BOXED(1));
}

struct sending {
    weft_stream *s;
    int file;
    off_t offset;
    ssize_t first; /* what the first call returned */
};

/* Send the file until an error. */
static void *send_file(void *arg)
{
    struct sending *f = arg;
    f->first = weft_stream_sendfile(f->s, f->file, &f->offset, FILE_BYTES);
    ssize_t n = f->first;
    while (n > 0 && f->offset < FILE_BYTES) {
        n = weft_stream_sendfile(f->s, f->file, &f->offset, FILE_BYTES);
    }
    return BOXED(n);
}

static void *lose_peer(void *arg)
{
    weft_stream *ends[2];
    char buf[1000];
    make_streams(ends, arg != NULL);
    struct sending f = {.s = ends[0], .file = make_file()};
    weft_task *t = spawn(send_file, &f);
    CHECK_EQUAL(weft_stream_read_exactly(ends[1], buf, sizeof buf), sizeof buf);
    weft_stream_abort(ends[1]); /* the peer leaves in the middle */
    int err = joined(t);
    CHECK(err == -EPIPE || err == -ECONNRESET);
    CHECK(f.offset >= (off_t)sizeof buf && f.offset < FILE_BYTES);
    CHECK(f.first < 0 || f.first <= f.offset);
    CHECK(weft_stream_write(ends[0], "x", 1) < 0 || weft_stream_drain(ends[0]) < 0);
    CHECK(weft_stream_close(ends[0]) < 0);
    CHECK_EQUAL(weft_stream_close(ends[1]), -ECONNABORTED);
    CHECK_EQUAL(close(f.file), 0);
    return NULL;
}

static void item_275_a_peer_that_leaves_ends_it(void **state)
{
    (void)state;
    run_io(lose_peer, NULL);
    run_io(lose_peer, BOXED(1));
}

static void *send_once(void *arg)
{
    struct sending *f = arg;
    f->first = weft_stream_sendfile(f->s, f->file, &f->offset, FILE_BYTES);
    return NULL;
}

static void *cancel_midway(void *arg)
{
    weft_stream *ends[2];
    make_streams(ends, arg != NULL);
    struct sending f = {.s = ends[0], .file = make_file()};
    weft_task *t = spawn(send_once, &f);
    settle();
    CHECK_EQUAL(weft_cancel_and_join(t, NULL), 0); /* nobody reads: it was waiting, or not begun */
    CHECK(f.first == -ECANCELED || (f.first > 0 && f.first == f.offset));
    struct receiver r = {.s = ends[1], .n = (size_t)f.offset + 4};
    t = spawn(receive_pattern, &r);
    CHECK_EQUAL(weft_stream_write(ends[0], "next", 4), 4); /* right behind what was taken */
    CHECK_EQUAL(joined(t), r.n);
    CHECK_EQUAL(weft_stream_close(ends[0]), 0);
    CHECK_EQUAL(weft_stream_close(ends[1]), 0);
    CHECK_EQUAL(close(f.file), 0);
    return NULL;
}

static void item_276_a_cancel_leaves_the_rest(void **state)
{
    (void)state;
    run_io(cancel_midway, NULL);
    run_io(cancel_midway, BOXED(1));
}

int main(void)
{
    help_limit_time();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(item_272_sends_parts_of_a_file_in_order),
        cmocka_unit_test(item_273_274_copies_where_it_must),
        cmocka_unit_test(item_275_a_peer_that_leaves_ends_it),
        cmocka_unit_test(item_276_a_cancel_leaves_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
