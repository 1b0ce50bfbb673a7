/* SPDX-License-Identifier: MIT */
/*
 * weft_sendfile: offset, count and position; order with plain sends; a peer that leaves, a cancel,
 * a file that ends; what it can be sent from and to.
 */
#include "file_help.h"

#define KIB ((size_t)1024)

/* A peer that reads all until the end of input. */
struct peer {
    int fd;
    size_t got;
    char *bytes;
    size_t room;
};

static void *peer_read(void *arg)
{
    struct peer *p = arg;
    ssize_t n;
    while ((n = weft_read(p->fd, p->bytes + p->got, p->room - p->got)) > 0) {
        p->got += (size_t)n;
    }
    CHECK_EQUAL(n, 0);
    return NULL;
}

static int file_of(size_t n)
{
    char *bytes = malloc(n);
    CHECK(bytes != NULL);
    pattern_fill(bytes, 0, n);
    int fd = fresh_file();
    CHECK_EQUAL(weft_write_full(fd, bytes, n, NULL), 0);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    free(bytes);
    return fd;
}

/* Offset and count, position, order with sends around it. */
static void *offset_and_count(void *arg)
{
    int s[2];
    (void)arg;
    make_pair(s);
    int fd = file_of(400 * KIB);
    struct peer p = {.fd = s[1], .bytes = malloc(400 * KIB), .room = 400 * KIB};
    weft_task *t = spawn(peer_read, &p);
    off_t offset = 1000;
    CHECK_EQUAL(weft_send(s[0], "pre", 3, 0), 3);
    CHECK_EQUAL(weft_sendfile(s[0], fd, &offset, 300 * KIB), 300 * KIB);
    CHECK_EQUAL(offset, 1000 + 300 * KIB);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    CHECK_EQUAL(weft_send(s[0], "mid", 3, 0), 3);
    CHECK_EQUAL(lseek(fd, 10, SEEK_SET), 10);
    CHECK_EQUAL(weft_sendfile(s[0], fd, NULL, 20), 20);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 30);
    CHECK_EQUAL(weft_send(s[0], "post", 4, 0), 4);
    CHECK_EQUAL(weft_close(s[0]), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    size_t at = 3 + 300 * KIB;
    CHECK_EQUAL(p.got, at + 3 + 20 + 4);
    CHECK_EQUAL(memcmp(p.bytes, "pre", 3), 0);
    CHECK(pattern_fits(p.bytes + 3, 1000, 300 * KIB));
    CHECK_EQUAL(memcmp(p.bytes + at, "mid", 3), 0);
    CHECK(pattern_fits(p.bytes + at + 3, 10, 20));
    CHECK_EQUAL(memcmp(p.bytes + at + 23, "post", 4), 0);
    free(p.bytes);
    CHECK_EQUAL(weft_close(s[1]), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void offset_count_and_position_are_kept(void **state)
{
    (void)state;
    run_io(offset_and_count, NULL);
}

static void *odd_ends(void *arg)
{
    int s[2];
    int p[2];
    char buf[32];
    off_t offset = 90;
    (void)arg;
    make_pair(s);
    make_pipe(p);
    int fd = file_of(100);
    CHECK_EQUAL(weft_sendfile(s[0], fd, &offset, 1000), 10); /* the file ends */
    CHECK_EQUAL(offset, 100);
    CHECK_EQUAL(weft_sendfile(s[0], fd, &offset, 1000), 0);
    CHECK_EQUAL(weft_sendfile(s[0], fd, NULL, 0), 0);
    offset = -1;
    CHECK_EQUAL(weft_sendfile(s[0], fd, &offset, 10), -EINVAL);
    CHECK_EQUAL(offset, -1);
    offset = 0;
    CHECK_EQUAL(weft_sendfile(s[0], p[0], NULL, 10), -ESPIPE); /* no offsets */
    CHECK_EQUAL(weft_sendfile(s[0], p[0], &offset, 10), -ESPIPE);
    CHECK_EQUAL(weft_sendfile(s[0], -1, &offset, 10), -EBADF);
    CHECK_EQUAL(weft_sendfile(-1, fd, &offset, 10), -EBADF);
    CHECK_EQUAL(weft_sendfile(s[0], folder_fd, &offset, 10), -EISDIR);
    CHECK_EQUAL(offset, 0);
    CHECK_EQUAL(recv(s[1], buf, sizeof buf, MSG_DONTWAIT), 10);
    /* To what is no socket, and from what the kernel's own call refuses. */
    CHECK_EQUAL(weft_sendfile(p[1], fd, &offset, 10), 10);
    CHECK_EQUAL(read(p[0], buf, sizeof buf), 10);
    CHECK(pattern_fits(buf, 0, 10));
    int other = weft_openat(folder_fd, "other", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK_EQUAL(weft_sendfile(other, fd, NULL, SIZE_MAX), 100);
    CHECK_EQUAL(lseek(other, 0, SEEK_CUR), 100);
    CHECK_EQUAL(weft_close(other), 0);
    other = weft_openat(AT_FDCWD, "/proc/self/maps", O_RDONLY, 0);
    offset = 0;
    CHECK(weft_sendfile(p[1], other, &offset, 20) > 0);
    CHECK_EQUAL(weft_close(other), 0);
    CHECK_EQUAL(weft_close(fd), 0);
    close_both(p);
    close_both(s);
    return NULL;
}

static void every_file_to_every_descriptor(void **state)
{
    (void)state;
    run_io(odd_ends, NULL);
}

/* What was sent, and where offset and position stand, agree with what the peer has got. */
struct sending {
    int to;
    int from;
    off_t offset;
    bool by_position;
};

static void *send_much(void *arg)
{
    struct sending *s = arg;
    return BOXED(weft_sendfile(s->to, s->from, s->by_position ? NULL : &s->offset, 4096 * KIB));
}

/* It reads no more. Of that alone epoll tells nobody whose socket is full; a ring does. */
static void peer_leaves(int s[2])
{
    if (weft_runtime_backend(weft_runtime_current(), NULL) == WEFT_BACKEND_EPOLL) {
        CHECK_EQUAL(weft_close(s[1]), 0);
        s[1] = -1;
    } else {
        CHECK_EQUAL(shutdown(s[1], SHUT_RD), 0);
    }
}

/* how: 0: cancelled; 1: out of time; 2: the peer leaves. */
static void cut_short(int how, bool by_position)
{
    static char bytes[8 * 1024 * 1024];
    int s[2];
    make_pair(s);
    int fd = file_of(4096 * KIB);
    struct sending sending = {.to = s[0], .from = fd, .by_position = by_position};
    ssize_t sent = 0;
    if (how == 1) {
        WEFT_TIMEOUT(5 * WEFT_MS) {
            sent = UNBOXED(send_much(&sending));
        }
    } else {
        weft_task *t = spawn(send_much, &sending);
        yield_until_calls(s[0], 1);
        settle();
        CHECK(!weft_done(t));
        if (how == 0) {
            CHECK(weft_cancel(t));
        } else {
            peer_leaves(s);
        }
        sent = joined(t);
    }
    CHECK(sent > 0 && sent < (ssize_t)(4096 * KIB));
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), by_position ? sent : 0);
    CHECK_EQUAL(sending.offset, by_position ? 0 : sent);
    if (how == 2) {
        CHECK_EQUAL(weft_sendfile(s[0], fd, NULL, 1), -EPIPE);
    } else {
        size_t got = 0;
        ssize_t n;
        CHECK_EQUAL(weft_close(s[0]), 0);
        while ((n = read(s[1], bytes + got, sizeof bytes - got)) > 0) {
            got += (size_t)n;
        }
        CHECK_EQUAL(got, sent);
        CHECK(pattern_fits(bytes, 0, got));
        s[0] = -1;
    }
    if (s[0] >= 0) {
        CHECK_EQUAL(weft_close(s[0]), 0);
    }
    if (s[1] >= 0) {
        CHECK_EQUAL(weft_close(s[1]), 0);
    }
    CHECK_EQUAL(weft_close(fd), 0);
}

static void *cut_each(void *arg)
{
    for (int how = 0; how < 3; how++) {
        cut_short(how, false);
        cut_short(how, true);
    }
    return arg;
}

static void what_was_sent_is_told(void **state)
{
    (void)state;
    run_io(cut_each, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offset_count_and_position_are_kept),
        cmocka_unit_test(every_file_to_every_descriptor),
        cmocka_unit_test(what_was_sent_is_told),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
