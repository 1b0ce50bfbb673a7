/* SPDX-License-Identifier: MIT */
/*
 * Waiting for readiness: weft_poll and weft_wait_fd, what they report, what ends them.
 */
#include "io_help.h"

#include <poll.h>
#include <sys/resource.h>

#define MANY 100

struct polling {
    struct pollfd fds[MANY];
    nfds_t count;
};

static void *poll_all(void *arg)
{
    struct polling *p = arg;
    return BOXED(weft_poll(p->fds, p->count));
}

/* To watch fd for input; revents is left over from something else. */
static void polling_add(struct polling *p, int fd)
{
    p->fds[p->count++] = (struct pollfd){.fd = fd, .events = POLLIN, .revents = 0x7fff};
}

static void *poll_what_is_ready(void *arg)
{
    struct polling p = {.count = 0};
    int a[2], b[2];
    (void)arg;
    CHECK_EQUAL(weft_poll(p.fds, 0), 0);
    CHECK_EQUAL(weft_poll(NULL, 0), 0);
    make_pair(a);
    make_pipe(b);
    CHECK_EQUAL(write(b[1], "x", 1), 1);
    polling_add(&p, a[0]);
    polling_add(&p, b[0]);
    polling_add(&p, a[0]);
    polling_add(&p, -1);
    p.fds[2].events = POLLIN | POLLOUT;
    CHECK_EQUAL(weft_poll(p.fds, 4), 2);
    CHECK_EQUAL(p.fds[0].revents, 0);
    CHECK_EQUAL(p.fds[1].revents, POLLIN);
    CHECK_EQUAL(p.fds[2].revents, POLLOUT);
    CHECK_EQUAL(p.fds[3].revents, 0);
    CHECK_EQUAL(weft_close(b[1]), 0);
    CHECK_EQUAL(weft_poll(p.fds + 1, 1), 1);
    CHECK_EQUAL(p.fds[1].revents, POLLIN | POLLHUP);
    CHECK_EQUAL(weft_close(b[0]), 0);
    CHECK_EQUAL(weft_poll(p.fds, 2), 1); /* b[0] is none any more */
    CHECK_EQUAL(p.fds[1].revents, POLLNVAL);
    close_both(a);
    struct rlimit limit;
    CHECK_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct pollfd *too_many = calloc(limit.rlim_cur + 1, sizeof *too_many);
    if (too_many != NULL) {
        CHECK_EQUAL(weft_poll(too_many, limit.rlim_cur + 1), -EINVAL);
        free(too_many);
    }
    CHECK_EQUAL(weft_poll(NULL, 1), -EFAULT);
    return NULL;
}

static void reports_what_is_ready(void **state)
{
    (void)state;
    run_io(poll_what_is_ready, NULL);
}

/* One of n descriptors, number `which`, becomes ready while a task waits for all. */
static void poll_one_of(unsigned n, unsigned which)
{
    struct polling p = {.count = 0};
    int fds[MANY][2];
    for (unsigned i = 0; i < n; i++) {
        make_pipe(fds[i]);
        polling_add(&p, i % 3 == 2 && i != which ? -5 : fds[i][0]);
    }
    weft_task *t = spawn(poll_all, &p);
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_write(fds[which][1], "x", 1), 1);
    CHECK_EQUAL(joined(t), 1);
    for (unsigned i = 0; i < n; i++) {
        CHECK_EQUAL(p.fds[i].revents, i == which ? POLLIN : 0);
    }
    /* Nothing is left in flight: the others can be closed and used at once. */
    for (unsigned i = 0; i < n; i++) {
        close_both(fds[i]);
    }
}

static void *poll_several(void *arg)
{
    static const unsigned counts[] = {1, 2, 7, 8, 9, 20, MANY};
    (void)arg;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        poll_one_of(counts[i], 0);
        poll_one_of(counts[i], counts[i] / 2);
        poll_one_of(counts[i], counts[i] - 1);
    }
    return NULL;
}

static void waits_for_one_of_several(void **state)
{
    (void)state;
    run_io(poll_several, NULL);
}

static void *poll_until_the_end(void *arg)
{
    struct polling p = {.count = 0};
    int fds[2];
    (void)arg;
    make_pipe(fds);
    polling_add(&p, fds[0]);
    p.fds[0].events = 0;
    weft_task *t = spawn(poll_all, &p);
    settle();
    CHECK_EQUAL(weft_write(fds[1], "x", 1), 1); /* not asked for */
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(joined(t), 1);
    CHECK_EQUAL(p.fds[0].revents, POLLHUP);
    CHECK_EQUAL(weft_close(fds[0]), 0);

    make_pipe(fds);
    p.fds[0].fd = fds[1];
    t = spawn(poll_all, &p);
    settle();
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(joined(t), 1);
    CHECK_EQUAL(p.fds[0].revents, POLLERR);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return NULL;
}

static void reports_the_end_unasked(void **state)
{
    (void)state;
    run_io(poll_until_the_end, NULL);
}

/* A cancel ends the wait for n descriptors, none of them ready; -1: of none at all. */
static void poll_and_cancel(int n)
{
    struct polling p = {.count = 0};
    int fds[MANY][2];
    for (int i = 0; i < n; i++) {
        make_pipe(fds[i]);
        polling_add(&p, fds[i][0]);
    }
    if (n <= 0) {
        polling_add(&p, -1);
        polling_add(&p, -7);
    }
    for (int round = 0; round < 4; round++) {
        weft_task *t = spawn(poll_all, &p);
        if (round > 1) {
            settle();
        } else if (round > 0) {
            CHECK_EQUAL(weft_yield(), 0);
        }
        CHECK(weft_cancel(t));
        CHECK_EQUAL(joined(t), -ECANCELED);
    }
    for (int i = 0; i < n; i++) {
        close_both(fds[i]);
    }
}

static void *cancel_polls(void *arg)
{
    (void)arg;
    poll_and_cancel(-1);
    poll_and_cancel(1);
    poll_and_cancel(8);
    poll_and_cancel(MANY);
    return NULL;
}

static void a_cancel_ends_the_wait(void **state)
{
    (void)state;
    run_io(cancel_polls, NULL);
}

static void *poll_and_close(void *arg)
{
    struct polling p = {.count = 0};
    int a[2], b[2];
    (void)arg;
    for (int i = 0; i < 10; i++) {
        p.count = 0;
        make_pipe(a);
        make_pipe(b);
        polling_add(&p, a[0]);
        polling_add(&p, b[0]);
        weft_task *t = spawn(poll_all, &p);
        if (i % 2 == 0) {
            yield_until_calls(a[0], 1);
        }
        CHECK_EQUAL(weft_close(a[0]), 0);
        int got = joined(t);
        if (got != -ECANCELED) { /* it had not begun */
            CHECK(i % 2 != 0);
            CHECK(got == -EBADF || (got == 1 && p.fds[0].revents == POLLNVAL));
        }
        CHECK_EQUAL(weft_close(a[1]), 0);
        close_both(b);
    }
    return NULL;
}

static void weft_close_of_one_ends_the_wait(void **state)
{
    (void)state;
    run_io(poll_and_close, NULL);
}

/* Two wait for the same; when one takes the byte before the other looks, that one waits on. */
static void *poll_together(void *arg)
{
    struct polling p[2] = {{.count = 0}, {.count = 0}};
    weft_task *t[2];
    int fds[2];
    char c;
    (void)arg;
    make_pipe(fds);
    for (int i = 0; i < 2; i++) {
        polling_add(&p[i], fds[0]);
        t[i] = spawn(poll_all, &p[i]);
    }
    settle();
    CHECK_EQUAL(weft_write(fds[1], "x", 1), 1);
    CHECK_EQUAL(joined(t[0]), 1);
    CHECK_EQUAL(joined(t[1]), 1);
    CHECK_EQUAL(weft_read(fds[0], &c, 1), 1);
    t[0] = spawn(poll_all, &p[0]);
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(write(fds[1], "x", 1), 1);
        CHECK_EQUAL(read(fds[0], &c, 1), 1);
        if (weft_done(t[0])) {
            break; /* it was quick enough to see one */
        }
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK_EQUAL(weft_write(fds[1], "x", 1), 1);
    CHECK_EQUAL(joined(t[0]), 1);
    close_both(fds);
    return NULL;
}

static void several_tasks_wait_for_one_descriptor(void **state)
{
    (void)state;
    run_io(poll_together, NULL);
}

static uint64_t operations(void)
{
    struct weft_metrics m;
    CHECK_EQUAL(weft_metrics(weft_runtime_current(), &m), 0);
    return m.sqes;
}

/* A regular file has nothing urgent, ever; how: who ends it. */
static void poll_what_never_is(int how)
{
    struct polling p = {.count = 0};
    int pair[2];
    make_pair(pair);
    int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(file >= 0);
    polling_add(&p, file);
    p.fds[0].events = POLLPRI;
    polling_add(&p, pair[0]);
    polling_add(&p, file);
    p.fds[2].events = 0;
    p.count = how == 0 ? 1 : 3;
    uint64_t before = operations();
    weft_task *t = spawn(poll_all, &p);
    while (operations() == before || calls_on(file) != 0) {
        CHECK_EQUAL(weft_yield(), 0); /* it has begun, and left it */
    }
    before = operations();
    settle();
    CHECK(operations() - before < 20); /* it does not go round */
    CHECK(!weft_done(t));
    if (how == 2) {
        CHECK_EQUAL(weft_send(pair[1], "x", 1, 0), 1);
        CHECK_EQUAL(joined(t), 1);
        CHECK_EQUAL(p.fds[1].revents, POLLIN);
    } else {
        CHECK_EQUAL(how == 0 ? weft_close(file) : 0, 0); /* nothing is there to be ended */
        CHECK(weft_cancel(t));
        CHECK_EQUAL(joined(t), -ECANCELED);
    }
    CHECK_EQUAL(how == 0 ? 0 : weft_close(file), 0);
    close_both(pair);
}

static void *poll_what_is_never_ready(void *arg)
{
    for (int how = 0; how < 3; how++) {
        poll_what_never_is(how);
    }
    return arg;
}

static void what_is_never_ready_is_passed_over(void **state)
{
    (void)state;
    run_io(poll_what_is_never_ready, NULL);
}

static void *wait_for_one(void *arg)
{
    int fds[2];
    char c;
    (void)arg;
    make_pair(fds);
    CHECK_EQUAL(weft_wait_fd(fds[0], POLLOUT), POLLOUT);
    CHECK_EQUAL(weft_wait_fd(fds[0], POLLIN | POLLOUT), POLLOUT);
    weft_task *t = spawn(wait_readable, BOXED(fds[0]));
    settle();
    CHECK(!weft_done(t));
    CHECK_EQUAL(weft_send(fds[1], "x", 1, 0), 1);
    CHECK_EQUAL(joined(t), POLLIN);
    CHECK_EQUAL(weft_wait_fd(fds[0], POLLIN | POLLOUT), POLLIN | POLLOUT);
    CHECK_EQUAL(weft_recv(fds[0], &c, 1, 0), 1);
    t = spawn(wait_readable, BOXED(fds[0]));
    settle();
    CHECK_EQUAL(weft_close(fds[1]), 0);
    CHECK_EQUAL(joined(t), POLLIN | POLLHUP);
    CHECK_EQUAL(weft_wait_fd(fds[0], 0), POLLHUP);
    CHECK_EQUAL(weft_wait_fd(fds[0], POLLRDHUP | POLLIN), POLLRDHUP | POLLHUP | POLLIN);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    int file = weft_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0);
    CHECK_EQUAL(weft_wait_fd(file, POLLIN), POLLIN); /* a file always is */
    CHECK_EQUAL(weft_close(file), 0);
    return NULL;
}

static void wait_fd_returns_the_events(void **state)
{
    (void)state;
    run_io(wait_for_one, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reports_what_is_ready),
        cmocka_unit_test(waits_for_one_of_several),
        cmocka_unit_test(reports_the_end_unasked),
        cmocka_unit_test(a_cancel_ends_the_wait),
        cmocka_unit_test(weft_close_of_one_ends_the_wait),
        cmocka_unit_test(several_tasks_wait_for_one_descriptor),
        cmocka_unit_test(wait_fd_returns_the_events),
        cmocka_unit_test(what_is_never_ready_is_passed_over),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
