/* SPDX-License-Identifier: MIT */
/*
 * Cancelling operations: each kind that can wait ends with -ECANCELED, promptly, and what it waited
 * on can be used at once, as if nobody had asked.
 *
 * Method: a table of kinds; each is begun by a task, cancelled at another moment each time, and
 * then done again to its end.
 */
#include "io_help.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

enum { ROUNDS = 12 };

struct scene {
    int fds[2];
    struct sockaddr_in address;
    struct sockaddr_un name;
    int held[8]; /* what fills the queue of a listener */
    int held_count;
};

/* ---- reading from what is empty ---- */

static void *do_read(void *arg)
{
    struct scene *s = arg;
    char buf[8];
    return BOXED(weft_read(s->fds[0], buf, sizeof buf));
}

static void *do_readv(void *arg)
{
    struct scene *s = arg;
    char a, b;
    struct iovec iov[2] = {{&a, 1}, {&b, 1}};
    return BOXED(weft_readv(s->fds[0], iov, 2));
}

static void *do_recv(void *arg)
{
    struct scene *s = arg;
    char buf[8];
    return BOXED(weft_recv(s->fds[0], buf, sizeof buf, 0));
}

static void *do_recvmsg(void *arg)
{
    struct scene *s = arg;
    char buf[8];
    struct iovec iov = {buf, sizeof buf};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
    return BOXED(weft_recvmsg(s->fds[0], &m, 0));
}

static void *do_wait_fd(void *arg)
{
    struct scene *s = arg;
    return BOXED(weft_wait_fd(s->fds[0], POLLIN));
}

static void *do_poll(void *arg)
{
    struct scene *s = arg;
    struct pollfd p[2] = {{.fd = s->fds[0], .events = POLLIN}, {.fd = s->fds[0]}};
    return BOXED(weft_poll(p, 2));
}

static void make_empty_pipe(struct scene *s)
{
    make_pipe(s->fds);
}

static void make_empty_pair(struct scene *s)
{
    make_pair(s->fds);
}

static void make_empty_nonblock_pair(struct scene *s)
{
    make_pair(s->fds);
    set_nonblock(s->fds[0]);
}

static void make_timer(struct scene *s)
{
    s->fds[0] = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    s->fds[1] = dup(s->fds[0]);
}

static void make_event(struct scene *s)
{
    s->fds[0] = eventfd(0, EFD_CLOEXEC);
    s->fds[1] = dup(s->fds[0]);
}

static void put_bytes(struct scene *s)
{
    CHECK_EQUAL(write(s->fds[1], "12345678", 8), 8);
}

static void let_timer_fire(struct scene *s)
{
    struct itimerspec soon = {.it_value.tv_nsec = 1};
    CHECK_EQUAL(timerfd_settime(s->fds[1], 0, &soon, NULL), 0);
}

/* ---- writing to what is full ---- */

static const char block[4096];

static void *do_write(void *arg)
{
    struct scene *s = arg;
    return BOXED(weft_write(s->fds[0], block, sizeof block));
}

static void *do_send(void *arg)
{
    struct scene *s = arg;
    return BOXED(weft_send(s->fds[0], block, sizeof block, 0));
}

static void fill(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    set_nonblock(fd);
    while (write(fd, block, sizeof block) > 0) {
    }
    CHECK_EQUAL(fcntl(fd, F_SETFL, flags), 0);
}

static void make_full_pipe(struct scene *s)
{
    int fds[2];
    make_pipe(fds);
    s->fds[0] = fds[1];
    s->fds[1] = fds[0];
    fill(s->fds[0]);
}

static void make_full_pair(struct scene *s)
{
    make_pair(s->fds);
    fill(s->fds[0]);
}

/* The peer will say no more, which some kernels and calls take for readiness. */
static void make_full_half_closed_pair(struct scene *s)
{
    make_full_pair(s);
    CHECK_EQUAL(shutdown(s->fds[1], SHUT_WR), 0);
}

static void *do_wait_for_room(void *arg)
{
    struct scene *s = arg;
    return BOXED(weft_wait_fd(s->fds[0], POLLOUT));
}

static void *do_poll_for_room(void *arg)
{
    struct scene *s = arg;
    struct pollfd p = {.fd = s->fds[0], .events = POLLOUT};
    return BOXED(weft_poll(&p, 1));
}

static void drain(struct scene *s)
{
    char buf[sizeof block];
    set_nonblock(s->fds[1]);
    while (read(s->fds[1], buf, sizeof buf) > 0) {
    }
}

/* ---- connecting ---- */

static void *do_accept(void *arg)
{
    struct scene *s = arg;
    int fd = weft_accept(s->fds[0], NULL, NULL, 0);
    if (fd >= 0) {
        CHECK_EQUAL(weft_close(fd), 0);
    }
    return BOXED(fd);
}

static void make_listening(struct scene *s)
{
    s->fds[0] = make_listener(&s->address, 4);
    s->fds[1] = weft_socket(AF_INET, SOCK_STREAM, 0);
}

static void connect_client(struct scene *s)
{
    CHECK_EQUAL(connect(s->fds[1], any_address(&s->address), sizeof s->address), 0);
}

/* A socket each time: after an error one is good for nothing. */
static void *do_connect(void *arg)
{
    struct scene *s = arg;
    int fd = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0) {
        return BOXED(fd); /* cancelled already */
    }
    int err = weft_connect(fd, any_address(&s->name), sizeof s->name);
    CHECK_EQUAL(weft_close(fd), 0);
    return BOXED(err < 0 ? err : 1);
}

static void make_full_queue(struct scene *s)
{
    s->name = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(s->name.sun_path + 1, 40, "weft-test-cancel-%d", (int)getpid());
    for (int i = 0; i < 2; i++) {
        s->fds[i] = weft_socket(AF_UNIX, SOCK_STREAM, 0);
    }
    CHECK_EQUAL(weft_bind(s->fds[0], any_address(&s->name), sizeof s->name), 0);
    CHECK_EQUAL(weft_listen(s->fds[0], 0), 0);
    CHECK_EQUAL(connect(s->fds[1], any_address(&s->name), sizeof s->name), 0);
}

static void accept_first(struct scene *s)
{
    int fd = accept(s->fds[0], NULL, NULL);
    CHECK(fd >= 0);
    s->held[s->held_count++] = fd;
}

/* A TCP connect that gets no answer: the listener's queue is full. */
static void *do_connect_tcp(void *arg)
{
    struct scene *s = arg;
    int fd = weft_socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) {
        return BOXED(fd);
    }
    int err = weft_connect(fd, any_address(&s->address), sizeof s->address);
    CHECK_EQUAL(weft_close(fd), 0);
    return BOXED(err < 0 ? err : 1);
}

static void make_full_tcp_queue(struct scene *s)
{
    s->fds[0] = make_listener(&s->address, 0);
    s->fds[1] = dup(s->fds[0]);
    for (s->held_count = 0; s->held_count < 4; s->held_count++) {
        int fd = weft_socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)!connect(fd, any_address(&s->address), sizeof s->address);
        s->held[s->held_count] = fd;
    }
}

/* ---- the table ---- */

static const struct {
    const char *name;
    void (*make)(struct scene *s);
    weft_fn wait;
    void (*release)(struct scene *s); /* what it waits for; NULL: takes too long to come */
} kinds[] = {
    {"read of a pipe", make_empty_pipe, do_read, put_bytes},
    {"readv of a pipe", make_empty_pipe, do_readv, put_bytes},
    {"read of a socket", make_empty_pair, do_read, put_bytes},
    {"readv of a socket", make_empty_pair, do_readv, put_bytes},
    {"recv", make_empty_pair, do_recv, put_bytes},
    {"recv of a socket with O_NONBLOCK", make_empty_nonblock_pair, do_recv, put_bytes},
    {"recvmsg", make_empty_pair, do_recvmsg, put_bytes},
    {"read of a timerfd with O_NONBLOCK", make_timer, do_read, let_timer_fire},
    {"read of an eventfd", make_event, do_read, put_bytes},
    {"wait_fd", make_empty_pair, do_wait_fd, put_bytes},
    {"poll", make_empty_pair, do_poll, put_bytes},
    {"write to a pipe", make_full_pipe, do_write, drain},
    {"write to a socket", make_full_pair, do_write, drain},
    {"send", make_full_pair, do_send, drain},
    {"send, half closed", make_full_half_closed_pair, do_send, drain},
    {"write, half closed", make_full_half_closed_pair, do_write, drain},
    {"wait_fd, half closed", make_full_half_closed_pair, do_wait_for_room, drain},
    {"poll, half closed", make_full_half_closed_pair, do_poll_for_room, drain},
    {"accept", make_listening, do_accept, connect_client},
    {"connect, Unix", make_full_queue, do_connect, accept_first},
    {"connect, TCP", make_full_tcp_queue, do_connect_tcp, NULL},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static void check_kind(size_t kind, intmax_t got, intmax_t want)
{
    if (got != want) {
        print_error("%s:\n", kinds[kind].name);
        CHECK_EQUAL(got, want);
    }
}

/* Begin it and cancel it, at a moment that depends on the round. */
static void cancel_once(size_t kind, struct scene *s, int round)
{
    weft_task *t = spawn(kinds[kind].wait, s);
    for (int i = 0; i < round / 3; i++) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    if (round % 3 == 0) {
        settle();
    }
    check_kind(kind, weft_done(t), false);
    CHECK(weft_cancel(t));
    check_kind(kind, joined(t), -ECANCELED);
}

static void *cancel_kind(void *arg)
{
    size_t kind = (size_t)(uintptr_t)arg;
    struct scene s = {.held_count = 0};
    kinds[kind].make(&s);
    for (int round = 0; round < ROUNDS; round++) {
        cancel_once(kind, &s, round);
    }
    if (kinds[kind].release != NULL) {
        weft_task *t = spawn(kinds[kind].wait, &s);
        settle();
        check_kind(kind, weft_done(t), false);
        kinds[kind].release(&s);
        check_kind(kind, joined(t) > 0, true);
    }
    for (int i = 0; i < s.held_count; i++) {
        CHECK_EQUAL(close(s.held[i]), 0);
    }
    close_both(s.fds);
    return NULL;
}

static void *cancel_kinds(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        CHECK_EQUAL(weft_join(spawn(cancel_kind, BOXED(i)), NULL), 0);
    }
    return NULL;
}

static void each_kind_ends_and_can_be_done_again(void **state)
{
    (void)state;
    run_io(cancel_kinds, NULL);
}

static void *cancel_kinds_together(void *arg)
{
    weft_task *t[KINDS];
    (void)arg;
    for (size_t i = 0; i < KINDS; i++) {
        t[i] = spawn(cancel_kind, BOXED(i));
    }
    for (size_t i = 0; i < KINDS; i++) {
        CHECK_EQUAL(weft_join(t[i], NULL), 0);
    }
    return NULL;
}

static void all_kinds_at_once_as_well(void **state)
{
    (void)state;
    run_io(cancel_kinds_together, NULL);
}

/* ---- a task that goes on after a cancel ---- */

struct stubborn {
    int fd;
    int cancels;
    shared_int seen;
};

/* Read one byte, however often it is asked to stop. */
static void *read_stubbornly(void *arg)
{
    struct stubborn *s = arg;
    char c;
    for (;;) {
        ssize_t n = weft_read(s->fd, &c, 1);
        if (n != -ECANCELED) {
            return BOXED(n == 1 ? c : n);
        }
        CHECK(weft_cancelling() > 0);
        CHECK_EQUAL(weft_read(s->fd, &c, 1), -ECANCELED); /* it stays so */
        while (weft_cancelling() > 0) {
            weft_uncancel();
            atomic_add_seq_cst(&s->seen, 1);
        }
    }
}

static void *cancel_the_stubborn(void *arg)
{
    struct stubborn s = {.cancels = 200};
    int fds[2];
    (void)arg;
    make_pair(fds);
    s.fd = fds[0];
    weft_task *t = spawn(read_stubbornly, &s);
    for (int i = 0; i < s.cancels; i++) {
        CHECK(weft_cancel(t));
        yield_until(&s.seen, i + 1);
    }
    CHECK_EQUAL(weft_send(fds[1], "z", 1, 0), 1);
    CHECK_EQUAL(joined(t), 'z');
    CHECK_EQUAL(atomic_load_seq_cst(&s.seen), s.cancels);
    close_both(fds);
    return NULL;
}

static void a_task_that_acknowledges_can_wait_again(void **state)
{
    (void)state;
    run_io(cancel_the_stubborn, NULL);
}

static void *cancel_from_thread(void *arg)
{
    weft_task *t = arg;
    CHECK(weft_cancel(t));
    return NULL;
}

/* What was won before the cancel is returned; only the next wait fails. */
static void *read_then_wait(void *arg)
{
    struct reading *r = arg;
    CHECK_EQUAL(weft_read(r->fd, r->buf, sizeof r->buf), 4);
    CHECK_EQUAL(weft_read(r->fd, r->buf, sizeof r->buf), -ECANCELED);
    return NULL;
}

static void *cancel_after_data(void *arg)
{
    struct reading r;
    int fds[2];
    (void)arg;
    make_pair(fds);
    r.fd = fds[0];
    for (int i = 0; i < 20; i++) {
        weft_task *t = spawn(read_then_wait, &r);
        CHECK_EQUAL(weft_send(fds[1], "1234", 4, 0), 4);
        int bytes = 1;
        while (bytes > 0) { /* until it has them */
            CHECK_EQUAL(weft_yield(), 0);
            CHECK_EQUAL(ioctl(fds[0], FIONREAD, &bytes), 0);
        }
        pthread_t thread = start_thread(cancel_from_thread, t);
        CHECK_EQUAL(weft_join(t, NULL), 0);
        CHECK_EQUAL(pthread_join(thread, NULL), 0);
        CHECK_EQUAL(memcmp(r.buf, "1234", 4), 0);
    }
    close_both(fds);
    return NULL;
}

static void what_had_come_is_returned(void **state)
{
    (void)state;
    run_io(cancel_after_data, NULL);
}

/* ---- the runtime is closed while operations are pending ---- */

static void *leave_readers(void *arg)
{
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(weft_go(read_byte, arg), 0);
    }
    settle();
    return NULL;
}

static void closing_the_runtime_ends_them(void **state)
{
    int fds[2];
    (void)state;
    make_pair(fds);
    int before = fd_count();
    CHECK_EQUAL(weft_run(leave_readers, BOXED(fds[0]), NULL), 0);
    CHECK_EQUAL(fd_count(), before);
    close_both(fds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_ends_and_can_be_done_again),
        cmocka_unit_test(all_kinds_at_once_as_well),
        cmocka_unit_test(a_task_that_acknowledges_can_wait_again),
        cmocka_unit_test(what_had_come_is_returned),
        cmocka_unit_test(closing_the_runtime_ends_them),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
