/* SPDX-License-Identifier: MIT */
/*
 * What an epoll poller remembers of a descriptor, when a call in between has failed: that there was
 * nothing at hand of a file, that a number was another file's, and what nobody but itself knows of.
 * And that it leaves who waits alone.
 *
 * Workers: 1
 */
#include "fault_help.h"

#include <poll.h>

#include "../io/io_help.h"

#define BYTES 100

static void run_epoll(weft_fn fn)
{
    struct weft_options options = {.workers = 1, .backend = WEFT_BACKEND_EPOLL};
    run_io_with(&options, fn, NULL);
}

static uint64_t calls_on_threads(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.blocking_jobs;
}

/* ---- a file ---- */

static void *read_on(void *arg)
{
    char buf[2 * BYTES] = {0};
    (void)arg;
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(write(fd, buf, sizeof buf), sizeof buf);
    CHECK_EQUAL(lseek(fd, 0, SEEK_SET), 0);
    inject_arm(INJECT_RECEIVE, 1, EAGAIN, 1); /* it has to come from the disk */
    CHECK_EQUAL(weft_read(fd, buf, BYTES), BYTES);
    CHECK_EQUAL(inject_disarm(), 1);
    uint64_t calls = calls_on_threads();
    CHECK(calls > 0);
    CHECK_EQUAL(weft_read(fd, buf, BYTES), BYTES); /* it is at hand */
    CHECK_EQUAL(calls_on_threads(), calls);
    CHECK_EQUAL(weft_close(fd), 0);
    return NULL;
}

static void what_is_at_hand_takes_no_thread(void **state)
{
    (void)state;
    run_epoll(read_on);
}

/* ---- a number that is another file's ---- */

static void *receive_one(void *arg)
{
    char buf[8];
    CHECK_EQUAL(weft_recv(UNBOXED(arg), buf, sizeof buf, 0), 1);
    return NULL;
}

static void *use_number_again(void *arg)
{
    int old[2];
    int fds[2];
    (void)arg;
    make_pair(old);
    weft_task *t = spawn(receive_one, BOXED(old[0]));
    settle();
    CHECK_EQUAL(write(old[1], "x", 1), 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(close(old[0]), 0); /* which the runtime does not see */
    CHECK_EQUAL(close(old[1]), 0);
    make_pair(fds);
    CHECK_EQUAL(fds[0], old[0]);
    CHECK_EQUAL(write(fds[1], "x", 1), 1);
    inject_arm(INJECT_CONTROL, 2, ENOSPC, 1); /* it is not there, and cannot be registered now */
    CHECK_EQUAL(joined(spawn(receive_one, BOXED(fds[0]))), 0);
    CHECK_EQUAL(inject_disarm(), 1);
    close_both(fds);
    return NULL;
}

static void a_number_is_registered_again_later(void **state)
{
    (void)state;
    run_epoll(use_number_again);
}

/* ---- for who helps ---- */

static void note_nothing(struct op *op, int result, bool is_over)
{
    (void)op;
    (void)result;
    (void)is_over;
}

static void *begin_a_poll(void *arg)
{
    int fds[2];
    struct op op;
    struct worker *w = weft__worker_current();
    struct fd_table *t = fds_of(weft_runtime_current());
    (void)arg;
    make_pair(fds);
    struct op_request poll = {.code = OP_POLL, .fd = fds[0], .flags = POLLIN};
    CHECK(!w->poller_ops->behind(w->poller));
    CHECK_EQUAL(fd_table_enter(t, fds[0]), 0);
    CHECK_EQUAL(weft__op_begin(&op, &poll, note_nothing), 0);
    CHECK(w->poller_ops->behind(w->poller)); /* the kernel knows of nothing */
    settle();
    CHECK(!w->poller_ops->behind(w->poller));
    weft__op_end(w->poller, &op);
    CHECK(w->poller_ops->behind(w->poller));
    settle();
    CHECK(op.is_done);
    fd_table_leave(t, fds[0]);
    close_both(fds);
    return NULL;
}

static void what_the_kernel_knows_nothing_of_is_told(void **state)
{
    (void)state;
    run_epoll(begin_a_poll);
}

/* Another worker's thread. Returns how many it has delivered. */
static void *harvest(void *arg)
{
    struct worker *w = arg;
    while (!w->poller_ops->claim(w->poller)) {
        sched_yield();
    }
    unsigned count = w->poller_ops->harvest(w->poller);
    w->poller_ops->unclaim(w->poller);
    return BOXED(count);
}

static void *harvest_what_repeats(void *arg)
{
    int fds[2];
    struct op op;
    void *count = NULL;
    struct worker *w = weft__worker_current();
    struct fd_table *t = fds_of(weft_runtime_current());
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
    struct op_request poll = {.code = OP_POLL, .fd = fds[0], .flags = POLLIN, .repeats = true};
    CHECK_EQUAL(fd_table_enter(t, fds[0]), 0);
    CHECK_EQUAL(weft__op_begin(&op, &poll, note_nothing), 0);
    CHECK_EQUAL(pthread_join(start_thread(harvest, w), &count), 0);
    CHECK(UNBOXED(count) > 0); /* what it was told is in the helper's queue, to be run */
    CHECK(!op.is_done);
    weft__op_end(w->poller, &op);
    settle();
    CHECK(op.is_done);
    fd_table_leave(t, fds[0]);
    close_both(fds);
    return NULL;
}

static void what_repeats_is_something_that_came(void **state)
{
    (void)state;
    run_epoll(harvest_what_repeats);
}

/* ---- for who waits long ---- */

static void *send_much(void *arg)
{
    static char much[4 << 20];
    CHECK_EQUAL(weft_send(UNBOXED(arg), much, sizeof much, MSG_WAITALL), sizeof much);
    return NULL;
}

static uint64_t enters(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.ring_enters;
}

/* The socket is registered for both ways, and there is room to send all the time. */
static void *receive_late(void *arg)
{
    int fds[2];
    char buf[65536];
    size_t n = 0;
    (void)arg;
    make_pair(fds);
    weft_task *t = spawn(send_much, BOXED(fds[0]));
    while (n < (size_t)4 << 20) {
        ssize_t got = weft_recv(fds[1], buf, sizeof buf, 0);
        CHECK(got > 0);
        n += (size_t)got;
    }
    CHECK_EQUAL(weft_join(t, NULL), 0);
    t = spawn(receive_one, BOXED(fds[0]));
    settle();
    uint64_t before = enters();
    CHECK_EQUAL(weft_sleep(300 * WEFT_MS), 0);
    CHECK(enters() - before < 12); /* the timer, and one look whether it is the same file */
    CHECK_EQUAL(write(fds[1], "x", 1), 1);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    close_both(fds);
    return NULL;
}

static void a_long_wait_takes_no_calls(void **state)
{
    (void)state;
    run_epoll(receive_late);
}

/* ---- on a kernel that has one call less ---- */

static void *wait_by_other_call(void *arg)
{
    char c;
    int fds[2];
    (void)arg;
    make_pipe(fds);
    inject_arm(INJECT_ENTER, 1, ENOSYS, 1);
    int64_t before = weft_now();
    CHECK_EQUAL(weft_sleep(3 * WEFT_MS), 0);
    CHECK(weft_now() - before >= 3 * WEFT_MS);
    CHECK_EQUAL(inject_disarm(), 1);
    inject_arm(INJECT_ENTER, 2, ENOSYS, 1); /* it is not asked for again */
    weft_task *t = spawn(read_byte, BOXED(fds[0]));
    settle();
    CHECK_EQUAL(weft_sleep(WEFT_MS / 10), 0); /* a limit below what the other can tell */
    CHECK_EQUAL(write(fds[1], "x", 1), 1);
    CHECK_EQUAL(joined(t), 1);
    (void)inject_disarm();
    WEFT_TIMEOUT(WEFT_MS) {
        CHECK_EQUAL(weft_read(fds[0], &c, 1), -ETIMEDOUT);
    }
    close_both(fds);
    return NULL;
}

static void waits_do_without_epoll_pwait2(void **state)
{
    (void)state;
    run_epoll(wait_by_other_call);
}

/* ---- a start that is refused ---- */

static void a_poller_that_cannot_be_made_is_told_of(void **state)
{
    static const struct {
        enum inject_kind kind;
        int error;
    } faults[] = {{INJECT_DESCRIPTOR, EMFILE}, {INJECT_CONTROL, ENOMEM}, {INJECT_MEMORY, ENOMEM}};
    struct weft_options options = {.workers = 1, .backend = WEFT_BACKEND_EPOLL};
    (void)state;
    run_epoll(read_on); /* what stays for the life of the process */
    int fds = fd_count();
    for (size_t i = 0; i < COUNT(faults); i++) {
        unsigned failed = 1;
        for (unsigned n = 1; failed != 0; n++) {
            weft_runtime *rt = NULL;
            inject_arm(faults[i].kind, n, faults[i].error, 1);
            int err = weft_runtime_create(&rt, &options);
            failed = inject_disarm();
            CHECK(err == 0 || (failed == 1 && err == -faults[i].error && rt == NULL));
            if (err == 0) {
                finish_runtime(rt);
            }
            CHECK_EQUAL(fd_count(), fds);
        }
    }
}

/* ---- an operation that had begun ---- */

static void *receive_in_parts(void *arg)
{
    char buf[3];
    int fds[2];
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_send(fds[1], "ab", 2, 0), 2);
    inject_arm(INJECT_CONTROL, 2, ENOSPC, 1); /* after the look whether it is a stream */
    CHECK_EQUAL(weft_recv(fds[0], buf, sizeof buf, MSG_WAITALL), 2);
    CHECK_EQUAL(inject_disarm(), 1);
    close_both(fds);
    return NULL;
}

static void bytes_are_not_lost_with_the_wait(void **state)
{
    (void)state;
    run_epoll(receive_in_parts);
}

/* The other end of an address that answers nobody: the queue of a listener is full. */
static int fill_listener(struct sockaddr_in *address, int fds[2])
{
    socklen_t bytes = sizeof *address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK_EQUAL(bind(listener, (struct sockaddr *)address, bytes), 0);
    CHECK_EQUAL(getsockname(listener, (struct sockaddr *)address, &bytes), 0);
    CHECK_EQUAL(listen(listener, 0), 0);
    for (int i = 0; i < 2; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)address, bytes);
    }
    return listener;
}

static void *connect_in_vain(void *arg)
{
    struct sockaddr_in address;
    int others[2];
    (void)arg;
    int listener = fill_listener(&address, others);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int flags = fcntl(fd, F_GETFL);
    inject_arm(INJECT_CONTROL, 3, ENOSPC, 1); /* after its flags were read and set */
    CHECK_EQUAL(weft_connect(fd, (struct sockaddr *)&address, sizeof address), -ENOMEM);
    CHECK_EQUAL(inject_disarm(), 1);
    CHECK_EQUAL(fcntl(fd, F_GETFL), flags);
    CHECK_EQUAL(weft_close(fd), 0);
    close_both(others);
    CHECK_EQUAL(close(listener), 0);
    return NULL;
}

static void a_socket_is_blocking_again(void **state)
{
    (void)state;
    run_epoll(connect_in_vain);
}

/* ---- both ways of a transport ---- */

struct both_ways {
    shared_int received;
    shared_int is_lost;
};

static char much_to_send[4 << 20];

/* Its output has to wait before its input has been looked at for the first time. */
static int write_at_once(weft_transport *t, void *arg)
{
    (void)arg;
    return weft_transport_write(t, much_to_send, sizeof much_to_send);
}

static int count_received(weft_transport *t, const void *data, size_t n, void *arg)
{
    struct both_ways *b = arg;
    (void)t;
    (void)data;
    (void)atomic_add_seq_cst(&b->received, (int)n);
    return 0;
}

static void note_lost(weft_transport *t, int error, void *arg)
{
    struct both_ways *b = arg;
    (void)t;
    (void)error;
    atomic_store_seq_cst(&b->is_lost, 1);
}

static const struct weft_protocol both_ways_protocol = {
    .connection_made = write_at_once,
    .data_received = count_received,
    .connection_lost = note_lost,
};

/* It was: a wait for input was not asked for any more, when the output's had been looked at. */
static void *receive_beside_output(void *arg)
{
    struct both_ways b = {.received = 0};
    int fds[2];
    char buf[65536];
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_transport_open(fds[0], &both_ways_protocol, &b, NULL), 0);
    for (int i = 0; i < 6; i++) {
        for (int n = 0; n < 300000;) { /* there is room: the output waits anew, and is trusted */
            ssize_t got = weft_recv(fds[1], buf, sizeof buf, 0);
            CHECK(got > 0);
            n += (int)got;
        }
        CHECK_EQUAL(weft_sleep(25 * WEFT_MS), 0); /* looked at meanwhile */
        CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
        yield_until(&b.received, i + 1);
    }
    CHECK_EQUAL(weft_close(fds[1]), 0);
    yield_until(&b.is_lost, 1);
    return NULL;
}

static void input_is_told_of_while_output_waits(void **state)
{
    (void)state;
    run_epoll(receive_beside_output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_at_hand_takes_no_thread),
        cmocka_unit_test(a_number_is_registered_again_later),
        cmocka_unit_test(what_the_kernel_knows_nothing_of_is_told),
        cmocka_unit_test(what_repeats_is_something_that_came),
        cmocka_unit_test(a_long_wait_takes_no_calls),
        cmocka_unit_test(input_is_told_of_while_output_waits),
        cmocka_unit_test(bytes_are_not_lost_with_the_wait),
        cmocka_unit_test(a_socket_is_blocking_again),
        cmocka_unit_test(waits_do_without_epoll_pwait2),
        cmocka_unit_test(a_poller_that_cannot_be_made_is_told_of),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
