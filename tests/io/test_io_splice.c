/* SPDX-License-Identifier: MIT */
/*
 * splice, tee, sendfile: between pipes, files and sockets; bytes conserved, offsets and positions
 * where they belong; waiting, cancelling, closing.
 */
#include "file_help.h"

#define KIB ((size_t)1024)

static void *between_pipes(void *arg)
{
    int a[2];
    int b[2];
    char buf[8] = {0};
    (void)arg;
    make_pipe(a);
    make_pipe(b);
    CHECK_EQUAL(write(a[1], "hello", 5), 5);
    CHECK_EQUAL(weft_tee(a[0], b[1], 3, 0), 3);
    CHECK_EQUAL(read(b[0], buf, sizeof buf), 3);
    CHECK_EQUAL(memcmp(buf, "hel", 3), 0);
    CHECK_EQUAL(weft_splice(a[0], NULL, b[1], NULL, 4, 0), 4);
    CHECK_EQUAL(weft_splice(a[0], NULL, b[1], NULL, 4, 0), 1);
    CHECK_EQUAL(read(b[0], buf, sizeof buf), 5);
    CHECK_EQUAL(memcmp(buf, "hello", 5), 0);
    CHECK_EQUAL(weft_splice(a[0], NULL, b[1], NULL, 4, SPLICE_F_NONBLOCK), -EAGAIN);
    CHECK_EQUAL(weft_tee(a[0], b[1], 4, SPLICE_F_NONBLOCK), -EAGAIN);
    CHECK_EQUAL(weft_splice(a[0], NULL, b[1], NULL, 0, 0), 0);
    CHECK_EQUAL(close(a[1]), 0);
    CHECK_EQUAL(weft_splice(a[0], NULL, b[1], NULL, 4, 0), 0);
    CHECK_EQUAL(weft_tee(a[0], b[1], 4, 0), 0);
    CHECK_EQUAL(close(a[0]), 0);
    close_both(b);
    return NULL;
}

static void bytes_move_between_pipes(void **state)
{
    (void)state;
    run_io(between_pipes, NULL);
}

static void *with_file(void *arg)
{
    int p[2];
    char buf[16] = {0};
    off_t from = 2;
    off_t to = 100;
    (void)arg;
    make_pipe(p);
    int fd = fresh_file();
    CHECK_EQUAL(weft_write(fd, "0123456789", 10), 10);
    CHECK_EQUAL(weft_splice(fd, &from, p[1], NULL, 5, 0), 5);
    CHECK_EQUAL(from, 7);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 10);
    CHECK_EQUAL(weft_splice(p[0], NULL, fd, &to, 3, 0), 3);
    CHECK_EQUAL(to, 103);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 10);
    CHECK_EQUAL(weft_splice(p[0], NULL, fd, NULL, 16, 0), 2);
    CHECK_EQUAL(lseek(fd, 0, SEEK_CUR), 12);
    CHECK_EQUAL(weft_pread(fd, buf, 12, 0), 12);
    CHECK_EQUAL(memcmp(buf, "012345678956", 12), 0);
    CHECK_EQUAL(weft_pread(fd, buf, 12, 100), 3);
    CHECK_EQUAL(memcmp(buf, "234", 3), 0);
    CHECK_EQUAL(lseek(fd, 101, SEEK_SET), 101);
    CHECK_EQUAL(weft_splice(fd, NULL, p[1], NULL, 16, 0), 2);
    CHECK_EQUAL(weft_splice(fd, NULL, p[1], NULL, 16, 0), 0);
    from = -1;
    CHECK_EQUAL(weft_splice(fd, &from, p[1], NULL, 5, 0), -EINVAL);
    CHECK_EQUAL(weft_splice(fd, NULL, fd, NULL, 5, 0), -EINVAL);
    CHECK_EQUAL(weft_splice(p[0], &to, fd, NULL, 5, 0), -ESPIPE);
    CHECK_EQUAL(weft_splice(-1, NULL, p[1], NULL, 5, 0), -EBADF);
    CHECK_EQUAL(weft_tee(fd, p[1], 5, 0), -EINVAL);
    close_both(p);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void bytes_move_from_and_to_files(void **state)
{
    (void)state;
    run_io(with_file, NULL);
}

/* Much through pipes and a socket, from a file and into one, by four tasks that wait in turn. */
struct hop {
    int from;
    int to;
};

static void *hop_all(void *arg)
{
    const struct hop *h = arg;
    size_t moved = 0;
    ssize_t n;
    while ((n = weft_splice(h->from, NULL, h->to, NULL, 100 * KIB, 0)) > 0) {
        moved += (size_t)n;
    }
    CHECK_EQUAL(n, 0);
    CHECK_EQUAL(weft_close(h->to), 0);
    return BOXED(moved);
}

#define CHAIN_BYTES ((size_t)3 * 1024 * 1024 + 17)

static void *chain(void *arg)
{
    int a[2];
    int b[2];
    int s[2];
    (void)arg;
    char *want = malloc(CHAIN_BYTES);
    char *got = malloc(CHAIN_BYTES);
    CHECK(want != NULL && got != NULL);
    pattern_fill(want, 0, CHAIN_BYTES);
    int source = fresh_file();
    CHECK_EQUAL(weft_write_full(source, want, CHAIN_BYTES, NULL), 0);
    CHECK_EQUAL(lseek(source, 0, SEEK_SET), 0);
    make_pipe(a);
    make_pair(s);
    make_pipe(b);
    int sink = weft_openat(folder_fd, "sink", O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(sink >= 0);
    int sink_too = dup(sink);
    struct hop hops[4] = {{source, a[1]}, {a[0], s[0]}, {s[1], b[1]}, {b[0], sink}};
    weft_task *t[4];
    for (int i = 0; i < 4; i++) {
        t[i] = spawn(hop_all, &hops[i]);
    }
    for (int i = 0; i < 4; i++) {
        CHECK_EQUAL(joined(t[i]), CHAIN_BYTES);
    }
    CHECK_EQUAL(weft_pread(sink_too, got, CHAIN_BYTES, 0), CHAIN_BYTES);
    CHECK_EQUAL(memcmp(want, got, CHAIN_BYTES), 0);
    int rest[5] = {source, a[0], s[1], b[0], sink_too};
    for (int i = 0; i < 5; i++) {
        CHECK_EQUAL(weft_close(rest[i]), 0);
    }
    free(want);
    free(got);
    return NULL;
}

static void much_goes_through_pipes_and_sockets(void **state)
{
    (void)state;
    run_io(chain, NULL);
}

/* ---- waiting ---- */

static void *splice_one(void *arg)
{
    const struct hop *h = arg;
    return BOXED(weft_splice(h->from, NULL, h->to, NULL, 1, 0));
}

static void *tee_one(void *arg)
{
    const struct hop *h = arg;
    return BOXED(weft_tee(h->from, h->to, 1, 0));
}

static void *waits(void *fn)
{
    int a[2];
    int b[2];
    char c;
    weft_fn move = fn == NULL ? splice_one : tee_one;
    make_pipe(a);
    make_pipe(b);
    struct hop h = {a[0], b[1]};
    /* It waits, and goes on. */
    weft_task *t = spawn(move, &h);
    yield_until_calls(a[0], 1);
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(write(a[1], "x", 1), 1);
    CHECK_EQUAL(joined(t), 1);
    CHECK_EQUAL(read(b[0], &c, 1), 1);
    if (move == tee_one) {
        CHECK_EQUAL(read(a[0], &c, 1), 1);
    }
    /* It waits, and is cancelled; or out of time. */
    t = spawn(move, &h);
    yield_until_calls(a[0], 1);
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    WEFT_TIMEOUT(WEFT_MS) {
        CHECK_EQUAL(UNBOXED(move(&h)), -ETIMEDOUT);
    }
    /* One end is closed meanwhile, then the other. */
    int in = dup(a[0]);
    struct hop h2 = {in, b[1]};
    t = spawn(move, &h2);
    yield_until_calls(in, 1);
    CHECK_EQUAL(weft_close(in), 0);
    CHECK_EQUAL(joined(t), -ECANCELED);
    int out = dup(b[1]);
    struct hop h3 = {a[0], out};
    t = spawn(move, &h3);
    yield_until_calls(out, 1);
    CHECK_EQUAL(weft_close(out), 0);
    CHECK_EQUAL(joined(t), -ECANCELED);
    /* Nobody can read what would come. */
    t = spawn(move, &h);
    yield_until_calls(a[0], 1);
    settle();
    CHECK_EQUAL(close(b[0]), 0);
    CHECK_EQUAL(joined(t), -EPIPE);
    CHECK_EQUAL(write(a[1], "x", 1), 1);
    CHECK_EQUAL(UNBOXED(move(&h)), -EPIPE);
    close_both(a);
    CHECK_EQUAL(close(b[1]), 0);
    return NULL;
}

static void a_splice_waits_until_something_ends_it(void **state)
{
    (void)state;
    run_io(waits, NULL);
}

static void a_tee_waits_until_something_ends_it(void **state)
{
    (void)state;
    run_io(waits, waits);
}

/* A pipe into a file, and into what cannot be watched: the pipe is waited for. */
static void *waits_beside_file(void *path)
{
    int p[2];
    make_pipe(p);
    int fd = path == NULL ? fresh_file() : weft_openat(AT_FDCWD, path, O_WRONLY, 0);
    CHECK(fd >= 0);
    struct hop h = {p[0], fd};
    weft_task *t = spawn(splice_one, &h);
    yield_until_calls(p[0], 1);
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(write(p[1], "x", 1), 1);
    CHECK_EQUAL(joined(t), 1);
    t = spawn(splice_one, &h);
    yield_until_calls(p[0], 1);
    settle();
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    t = spawn(splice_one, &h);
    yield_until_calls(p[0], 1);
    settle();
    CHECK_EQUAL(weft_close(fd), 0);
    CHECK_EQUAL(write(p[1], "x", 1), 1);
    int result = joined(t);
    CHECK(result == -EBADF || result == -ECANCELED);
    CHECK_EQUAL(calls_on(p[0]), 0);
    CHECK_EQUAL(calls_on(fd), 0);
    close_both(p);
    return NULL;
}

static void a_pipe_is_waited_for_beside_a_file(void **state)
{
    (void)state;
    run_io(waits_beside_file, NULL);
    run_io(waits_beside_file, "/dev/null");
}

/* More sockets without room than the kernel has threads by itself hold up nobody. */
#define FULL 12

static void *splice_much(void *arg)
{
    const struct hop *h = arg;
    return BOXED(weft_splice(h->from, NULL, h->to, NULL, 64 * KIB, 0));
}

static void *full_sockets(void *arg)
{
    static char block[64 * 1024];
    int p[FULL + 1][2];
    int s[FULL + 1][2];
    struct hop h[FULL + 1];
    weft_task *t[FULL + 1];
    const int small = 4096;
    (void)arg;
    for (int i = 0; i <= FULL; i++) {
        make_pipe(p[i]);
        make_pair(s[i]);
        if (i < FULL) {
            CHECK_EQUAL(setsockopt(s[i][0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
        }
        CHECK_EQUAL(write(p[i][1], block, sizeof block), sizeof block);
        h[i] = (struct hop){p[i][0], s[i][0]};
        t[i] = i < FULL ? spawn(splice_much, &h[i]) : NULL;
    }
    settle();
    t[FULL] = spawn(splice_much, &h[FULL]);
    CHECK(joined(t[FULL]) > 0);
    for (int i = 0; i <= FULL; i++) {
        size_t had = 0;
        if (i < FULL) {
            weft_cancel(t[i]);
            int put = joined(t[i]);
            CHECK(put > 0 || put == -ECANCELED);
            CHECK_EQUAL(close(s[i][0]), 0);
            ssize_t n;
            while ((n = read(s[i][1], block, sizeof block)) > 0) {
                had += (size_t)n;
            }
            CHECK_EQUAL(had, put > 0 ? put : 0);
            CHECK_EQUAL(close(s[i][1]), 0);
        } else {
            close_both(s[i]);
        }
        close_both(p[i]);
    }
    return NULL;
}

static void sockets_without_room_hold_up_nobody(void **state)
{
    (void)state;
    run_io(full_sockets, NULL);
}

static void outside_a_task_nothing_moves(void **state)
{
    int p[2];
    (void)state;
    make_pipe(p);
    CHECK_EQUAL(weft_splice(p[0], NULL, p[1], NULL, 1, 0), -EPERM);
    CHECK_EQUAL(weft_tee(p[0], p[1], 1, 0), -EPERM);
    CHECK_EQUAL(weft_sendfile(p[1], p[0], NULL, 1), -EPERM);
    close_both(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_move_between_pipes),
        cmocka_unit_test(bytes_move_from_and_to_files),
        cmocka_unit_test(much_goes_through_pipes_and_sockets),
        cmocka_unit_test(a_splice_waits_until_something_ends_it),
        cmocka_unit_test(a_tee_waits_until_something_ends_it),
        cmocka_unit_test(a_pipe_is_waited_for_beside_a_file),
        cmocka_unit_test(sockets_without_room_hold_up_nobody),
        cmocka_unit_test(outside_a_task_nothing_moves),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
