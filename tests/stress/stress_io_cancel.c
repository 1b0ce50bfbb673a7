/* SPDX-License-Identifier: MIT */
/*
 * Cancels that race with arrival: nothing that came is lost, nothing comes twice.
 *
 * Method: readers, acceptors and receivers of descriptors that are cancelled over and over by
 * others, at random moments, and go on each time. What was put in at one end is counted and
 * compared at the other; a byte that a cancelled read has swallowed, a connection or descriptor
 * that nobody got, is missing there, or keeps the test from ending.
 */
#include "../io/io_help.h"

static size_t bytes_total;
static size_t connections_total;

/* ---- a task that is pestered ---- */

/* One whose waits are cancelled from outside until it says that it has done. */
struct victim {
    weft_task *task;
    shared_int is_done;
    uint64_t seed;
    uint64_t cuts; /* calls that ended with -ECANCELED */
};

/* After a call: whether it was cut short; then waits work again. */
static bool was_cut(struct victim *v, ssize_t result)
{
    if (result != -ECANCELED) {
        return false;
    }
    v->cuts++;
    CHECK(weft_cancelling() > 0);
    while (weft_cancelling() > 0) {
        weft_uncancel();
    }
    return true;
}

/* Requests that came when nothing waited: the next call must not find them. */
static void forget_cancels(void)
{
    while (weft_cancelling() > 0) {
        weft_uncancel();
    }
}

static void *pester(void *arg)
{
    struct victim *v = arg;
    uint64_t random = v->seed + 1;
    while (atomic_load_seq_cst(&v->is_done) == 0) {
        weft_cancel(v->task);
        for (uint64_t i = test_random(&random) % 8; i > 0; i--) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        if (test_random(&random) % 64 == 0) {
            settle();
        }
    }
    return NULL;
}

/* Run fn(v) as a task, pestered by another; v is the start of what fn gets. */
static void pester_run(weft_fn fn, struct victim *v)
{
    atomic_store_seq_cst(&v->is_done, 0);
    v->task = spawn(fn, v);
    CHECK_EQUAL(weft_join(spawn(pester, v), NULL), 0);
    CHECK_EQUAL(weft_join(v->task, NULL), 0);
}

/* ---- bytes ---- */

struct stream {
    struct victim victim; /* first: the reader's */
    int fds[2];
    size_t read;
    size_t written;
    bool by_message;
};

static void *read_stream(void *arg)
{
    struct stream *s = arg;
    uint64_t random = s->victim.seed;
    char buf[512];
    while (s->read < bytes_total) {
        size_t n = 1 + test_random(&random) % sizeof buf;
        struct iovec iov = {buf, n};
        struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
        ssize_t got = s->by_message ? weft_recvmsg(s->fds[0], &m, 0) : weft_read(s->fds[0], buf, n);
        if (was_cut(&s->victim, got)) {
            continue;
        }
        CHECK(got > 0);
        CHECK(pattern_fits(buf, s->read, (size_t)got));
        s->read += (size_t)got;
    }
    atomic_store_seq_cst(&s->victim.is_done, 1);
    forget_cancels();
    return NULL;
}

static void *write_stream(void *arg)
{
    struct stream *s = arg;
    uint64_t random = s->victim.seed + 2;
    char buf[512];
    while (s->written < bytes_total) {
        size_t n = 1 + test_random(&random) % sizeof buf;
        n = n < bytes_total - s->written ? n : bytes_total - s->written;
        pattern_fill(buf, s->written, n);
        CHECK_EQUAL(weft_write_full(s->fds[1], buf, n, NULL), 0);
        s->written += n;
        if (test_random(&random) % 4 == 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    return NULL;
}

static void *run_stream(void *arg)
{
    struct stream *s = arg;
    weft_task *writer = spawn(write_stream, s);
    pester_run(read_stream, &s->victim);
    CHECK_EQUAL(weft_join(writer, NULL), 0);
    CHECK_EQUAL(s->read, bytes_total);
    close_both(s->fds);
    return NULL;
}

#define STREAMS 3

static void *run_streams(void *arg)
{
    struct stream s[STREAMS];
    weft_task *t[STREAMS];
    uint64_t cuts = 0;
    (void)arg;
    for (unsigned i = 0; i < STREAMS; i++) {
        s[i] = (struct stream){.by_message = i == 2, .victim.seed = test_seed() + 100 * i};
        if (i == 0) {
            make_pipe(s[i].fds);
        } else {
            make_pair(s[i].fds);
        }
        t[i] = spawn(run_stream, &s[i]);
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        cuts += s[i].victim.cuts;
    }
    CHECK(cuts > 0);
    print_message("%llu reads were cut short\n", (unsigned long long)cuts);
    return NULL;
}

static void no_byte_is_lost(void **state)
{
    (void)state;
    run_io(run_streams, NULL);
}

/* ---- writers are pestered: what they count is what arrives ---- */

struct sending {
    struct victim victim; /* first */
    int fds[2];
    size_t sent;
};

static void *send_stream(void *arg)
{
    struct sending *s = arg;
    static char buf[20000];
    while (s->sent < bytes_total) {
        size_t n = sizeof buf < bytes_total - s->sent ? sizeof buf : bytes_total - s->sent;
        size_t done = 0;
        pattern_fill(buf, s->sent, n);
        int err = weft_write_full(s->fds[1], buf, n, &done);
        CHECK(err == 0 || was_cut(&s->victim, err));
        CHECK(err < 0 || done == n);
        s->sent += done;
    }
    atomic_store_seq_cst(&s->victim.is_done, 1);
    forget_cancels();
    CHECK_EQUAL(weft_close(s->fds[1]), 0);
    return NULL;
}

static void *take_stream(void *arg)
{
    struct sending *s = arg;
    char buf[3000];
    size_t taken = 0;
    ssize_t n;
    while ((n = weft_read(s->fds[0], buf, sizeof buf)) > 0) {
        CHECK(pattern_fits(buf, taken, (size_t)n));
        taken += (size_t)n;
    }
    CHECK_EQUAL(n, 0);
    CHECK_EQUAL(taken, bytes_total);
    return NULL;
}

static void *run_sending(void *arg)
{
    struct sending s = {.victim.seed = test_seed() + 7};
    if (UNBOXED(arg) != 0) {
        make_pipe(s.fds);
    } else {
        make_pair(s.fds);
    }
    weft_task *taker = spawn(take_stream, &s);
    pester_run(send_stream, &s.victim);
    CHECK_EQUAL(weft_join(taker, NULL), 0);
    CHECK_EQUAL(s.sent, bytes_total);
    print_message("%llu writes were cut short\n", (unsigned long long)s.victim.cuts);
    CHECK_EQUAL(weft_close(s.fds[0]), 0);
    return NULL;
}

static void what_a_cancelled_writer_counts_has_arrived(void **state)
{
    (void)state;
    run_io(run_sending, BOXED(0));
    run_io(run_sending, BOXED(1));
}

/* ---- connections ---- */

#define ACCEPTORS 3

struct accepting {
    struct victim victim; /* first */
    int listener;
    shared_int *accepted;
};

static void *accept_while_there_are(void *arg)
{
    struct accepting *a = arg;
    while (atomic_load_seq_cst(a->accepted) < (int)connections_total) {
        int fd = weft_accept(a->listener, NULL, NULL, 0);
        if (was_cut(&a->victim, fd)) {
            continue;
        }
        CHECK(fd >= 0);
        forget_cancels();
        CHECK_EQUAL(send(fd, "h", 1, 0), 1);
        CHECK_EQUAL(weft_close(fd), 0);
        atomic_add_seq_cst(a->accepted, 1);
    }
    atomic_store_seq_cst(&a->victim.is_done, 1);
    forget_cancels();
    return NULL;
}

static void *run_acceptor(void *arg)
{
    struct accepting *a = arg;
    pester_run(accept_while_there_are, &a->victim);
    return NULL;
}

/* Each client is greeted by exactly one acceptor, and let go. */
static void *connect_all(void *arg)
{
    for (size_t i = 0; i < connections_total; i++) {
        char buf[4];
        size_t done = 0;
        int fd = connected_to(arg);
        CHECK_EQUAL(weft_read_full(fd, buf, 2, &done), -ENODATA);
        CHECK_EQUAL(done, 1);
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return NULL;
}

static void *run_accepting(void *arg)
{
    struct sockaddr_in address;
    struct accepting a[ACCEPTORS];
    weft_task *t[ACCEPTORS];
    shared_int accepted = 0;
    uint64_t cuts = 0;
    (void)arg;
    int listener = make_listener(&address, 64);
    for (unsigned i = 0; i < ACCEPTORS; i++) {
        a[i] = (struct accepting){
            .victim.seed = test_seed() + i,
            .listener = listener,
            .accepted = &accepted,
        };
        t[i] = spawn(run_acceptor, &a[i]);
    }
    CHECK_EQUAL(weft_join(spawn(connect_all, &address), NULL), 0);
    for (unsigned i = 0; i < ACCEPTORS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
        cuts += a[i].victim.cuts;
    }
    CHECK_EQUAL(atomic_load_seq_cst(&accepted), connections_total);
    set_nonblock(listener);
    CHECK_EQUAL(accept(listener, NULL, NULL), -1); /* none is left */
    print_message("%llu accepts were cut short\n", (unsigned long long)cuts);
    CHECK_EQUAL(weft_close(listener), 0);
    return NULL;
}

static void no_connection_is_lost(void **state)
{
    (void)state;
    run_io(run_accepting, NULL);
}

/* ---- descriptors ---- */

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

struct passing {
    struct victim victim; /* first: the receiver's */
    int fds[2];
    size_t received;
};

/* Each message is a byte and a descriptor, which is a duplicate of the socket it comes by. */
static void *receive_descriptors(void *arg)
{
    struct passing *p = arg;
    while (p->received < connections_total) {
        char c;
        union control control = {0};
        struct iovec iov = {&c, 1};
        struct msghdr m = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof control,
        };
        ssize_t got = weft_recvmsg(p->fds[0], &m, MSG_CMSG_CLOEXEC);
        if (was_cut(&p->victim, got)) {
            continue;
        }
        int fd = -1;
        CHECK_EQUAL(got, 1);
        CHECK(CMSG_FIRSTHDR(&m) != NULL);
        memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof fd);
        CHECK_EQUAL(weft_close(fd), 0);
        p->received++;
    }
    atomic_store_seq_cst(&p->victim.is_done, 1);
    forget_cancels();
    return NULL;
}

static void *send_descriptors(void *arg)
{
    struct passing *p = arg;
    for (size_t i = 0; i < connections_total; i++) {
        union control control = {0};
        struct iovec iov = {"x", 1};
        struct msghdr m = {
            .msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_control = &control,
            .msg_controllen = sizeof control,
        };
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(c), &p->fds[1], sizeof(int));
        CHECK_EQUAL(weft_sendmsg(p->fds[1], &m, 0), 1);
        if (i % 3 == 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
    }
    return NULL;
}

static void *run_passing(void *arg)
{
    struct passing p = {.victim.seed = test_seed() + 9};
    (void)arg;
    make_pair(p.fds);
    weft_task *sender = spawn(send_descriptors, &p);
    pester_run(receive_descriptors, &p.victim);
    CHECK_EQUAL(weft_join(sender, NULL), 0);
    print_message("%llu receives were cut short\n", (unsigned long long)p.victim.cuts);
    close_both(p.fds);
    return NULL;
}

static void no_descriptor_is_lost(void **state)
{
    (void)state;
    run_io(run_passing, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_byte_is_lost),
        cmocka_unit_test(what_a_cancelled_writer_counts_has_arrived),
        cmocka_unit_test(no_connection_is_lost),
        cmocka_unit_test(no_descriptor_is_lost),
    };
    (void)test_seed();
    bytes_total = test_scaled(1u << 20, 1u << 17);
    connections_total = test_scaled(2000, 200);
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
