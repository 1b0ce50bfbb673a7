/* SPDX-License-Identifier: MIT */
/*
 * weft_close against everything at once: operations pending on all workers, bytes arriving,
 * cancels; and the number goes to the next file at once.
 *
 * Method: several groups, each in rounds. In a round a socket gets readers of several kinds, which
 * have all begun before it is closed. Its bytes bear the mark of the group and round, so a reader
 * that has got to a later file of the same number, in this group or another, shows; and the file
 * that comes next must deliver each byte to its own reader.
 */
#include "../io/io_help.h"

#define GROUPS 4
#define READERS 8
#define BYTES 3

static size_t rounds;

struct round {
    int fds[2];
    uint64_t random;
    uint32_t mark;
    shared_int ended; /* readers */
    shared_int go;    /* the closer */
};

/* Messages the size of a mark, so that none is cut; is_closing: the other end may be gone. */
static void put_marks(int fd, uint32_t mark, int count, bool is_closing)
{
    for (int i = 0; i < count; i++) {
        ssize_t n = send(fd, &mark, sizeof mark, MSG_NOSIGNAL);
        if (n < 0 && is_closing && (errno_now() == EPIPE || errno_now() == ECONNRESET)) {
            return;
        }
        CHECK_EQUAL(n, sizeof mark);
    }
}

static void *read_mark(void *arg)
{
    struct round *r = arg;
    uint32_t got = 0;
    ssize_t n = weft_read(r->fds[0], &got, sizeof got);
    CHECK(n == sizeof got || n == -ECANCELED);
    CHECK(n < 0 || got == r->mark);
    atomic_add_seq_cst(&r->ended, 1);
    return NULL;
}

static void *receive_mark(void *arg)
{
    struct round *r = arg;
    uint32_t got = 0;
    struct iovec iov = {&got, sizeof got};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    ssize_t n = weft_recvmsg(r->fds[0], &m, 0);
    CHECK(n == sizeof got || n == -ECANCELED);
    CHECK(n < 0 || got == r->mark);
    atomic_add_seq_cst(&r->ended, 1);
    return NULL;
}

static void *wait_for_mark(void *arg)
{
    struct round *r = arg;
    int n = weft_wait_fd(r->fds[0], POLLIN);
    CHECK(n == POLLIN || n == -ECANCELED);
    atomic_add_seq_cst(&r->ended, 1);
    return NULL;
}

static void *poll_for_mark(void *arg)
{
    struct round *r = arg;
    struct pollfd p = {.fd = r->fds[0], .events = POLLIN};
    int n = weft_poll(&p, 1);
    CHECK((n == 1 && p.revents == POLLIN) || n == -ECANCELED);
    atomic_add_seq_cst(&r->ended, 1);
    return NULL;
}

static void *close_now(void *arg)
{
    struct round *r = arg;
    yield_until(&r->go, 1);
    return BOXED(weft_close(r->fds[0]));
}

static void make_messages(int fds[2])
{
    CHECK_EQUAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
}

/* The file after: all it holds is its own. */
static void use_next(uint32_t mark)
{
    int fds[2];
    make_messages(fds);
    put_marks(fds[1], ~mark, BYTES, false);
    for (int i = 0; i < BYTES; i++) {
        uint32_t got = 0;
        CHECK_EQUAL(weft_recv(fds[0], &got, sizeof got, 0), sizeof got);
        CHECK_EQUAL(got, ~mark);
    }
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
}

static void run_round(struct round *r)
{
    static const weft_fn readers[] = {read_mark, receive_mark, wait_for_mark, poll_for_mark};
    weft_task *reader[READERS];
    make_messages(r->fds);
    for (int i = 0; i < READERS; i++) {
        reader[i] = spawn(readers[test_random(&r->random) % 4], r);
    }
    while (calls_on(r->fds[0]) + (unsigned)atomic_load_seq_cst(&r->ended) < READERS) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    weft_task *closer = spawn(close_now, r);
    bool is_closing = test_random(&r->random) % 2 == 1;
    atomic_store_seq_cst(&r->go, is_closing);
    put_marks(r->fds[1], r->mark, (int)(test_random(&r->random) % (BYTES + 1)), is_closing);
    for (int i = 0; i < READERS; i += 2) {
        if (test_random(&r->random) % 2 == 0) {
            weft_cancel(reader[i]);
        }
    }
    atomic_store_seq_cst(&r->go, 1);
    CHECK_EQUAL(joined(closer), 0);
    CHECK_EQUAL(weft_close(r->fds[1]), 0);
    use_next(r->mark);
    for (int i = 0; i < READERS; i++) {
        CHECK_EQUAL(weft_join(reader[i], NULL), 0);
    }
}

static void *run_group(void *arg)
{
    uint32_t group = (uint32_t)UNBOXED(arg);
    uint64_t random = test_seed() + group;
    for (size_t i = 0; i < rounds; i++) {
        struct round r = {
            .random = test_random(&random),
            .mark = (group << 24) + (uint32_t)i,
        };
        run_round(&r);
    }
    return NULL;
}

static void *run_groups(void *arg)
{
    weft_task *t[GROUPS];
    (void)arg;
    for (int i = 0; i < GROUPS; i++) {
        t[i] = spawn(run_group, BOXED(i));
    }
    for (int i = 0; i < GROUPS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return NULL;
}

static void no_operation_meets_the_next_file(void **state)
{
    (void)state;
    run_io(run_groups, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_operation_meets_the_next_file),
    };
    (void)test_seed();
    rounds = test_scaled(300, 40);
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
