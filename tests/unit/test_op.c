/* SPDX-License-Identifier: MIT */
/*
 * Operations without a kernel: what the calls of weft/io.h make of the results they get, and of
 * when they get them.
 *
 * Method: a backend that answers each operation as a script says, at once, in the next turn, or
 * when it is cancelled; it writes down what was begun. One worker. After each case no call is noted
 * on any descriptor that was used.
 */
#include "task_help.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <weft/io.h>

#include "fd_table.h"
#include "op.h"
#include "runtime_object.h"

/* ---- the backend ---- */

enum answer {
    AT_ONCE, /* from inside start */
    SOON,    /* in the next turn */
    NEVER,   /* only when it is cancelled */
    REFUSED, /* it is not begun: -ENOMEM */
};

struct step {
    enum answer answer;
    int result;
};

#define STEPS_MAX 16

struct begun {
    struct op *op; /* NULL once it has completed */
    struct op_request request;
    bool is_due;
    int result;
    int cancels;
};

static struct step script[STEPS_MAX];
static struct begun begun[STEPS_MAX];
static unsigned begun_count;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;
static bool is_woken;

static void complete(struct poller *p, struct begun *b)
{
    struct op *op = b->op;
    b->op = NULL;
    b->is_due = false;
    weft__op_complete(p, op, b->result);
}

static int fake_start(struct poller *p, struct op *op, const struct op_request *request)
{
    CHECK(begun_count < STEPS_MAX);
    struct begun *b = &begun[begun_count];
    const struct step *s = &script[begun_count++];
    *b = (struct begun){.op = op, .request = *request, .result = s->result};
    switch (s->answer) {
    case AT_ONCE:
        complete(p, b);
        break;
    case SOON:
        b->is_due = true;
        break;
    case NEVER:
        break;
    case REFUSED:
        b->op = NULL;
        return -ENOMEM;
    }
    return 0;
}

/* An operation that was to be answered soon has its answer already: no cancel changes it. */
static void fake_cancel(struct poller *p, struct op *op)
{
    (void)p;
    for (unsigned i = 0; i < begun_count; i++) {
        struct begun *b = &begun[i];
        if (b->op == op) {
            b->cancels++;
            b->is_due = true;
        }
    }
}

static void fake_cancel_fd(struct poller *p, int fd)
{
    for (unsigned i = 0; i < begun_count; i++) {
        if (begun[i].op != NULL && begun[i].op->fd == fd) {
            fake_cancel(p, begun[i].op);
        }
    }
}

static bool lacks_file_operations;

static bool fake_can(const struct poller *p, enum op_code code)
{
    (void)p;
    return !lacks_file_operations || code < OP_STATX;
}

static const struct op_backend fake_backend = {
    .start = fake_start,
    .cancel = fake_cancel,
    .cancel_fd = fake_cancel_fd,
    .can = fake_can,
};

static int fake_create(struct poller **out, const struct poller_config *config, char *why,
                       size_t why_bytes)
{
    static struct io_poller poller;
    (void)why;
    (void)why_bytes;
    poller.backend = &fake_backend;
    poller.fds = config->shared;
    *out = (struct poller *)(void *)&poller;
    return 0;
}

static bool fake_ready(struct poller *p)
{
    (void)p;
    for (unsigned i = 0; i < begun_count; i++) {
        if (begun[i].is_due) {
            return true;
        }
    }
    return false;
}

static void fake_wait(struct poller *p, int64_t for_ns)
{
    unsigned count = 0;
    for (unsigned i = 0; i < begun_count; i++) {
        if (begun[i].is_due) {
            complete(p, &begun[i]);
            count++;
        }
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += for_ns > WEFT_SECOND ? 1 : 0;
    until.tv_nsec += for_ns > WEFT_SECOND ? 0 : for_ns;
    until.tv_sec += until.tv_nsec / WEFT_SECOND;
    until.tv_nsec %= WEFT_SECOND;
    pthread_mutex_lock(&lock);
    if (count == 0 && for_ns > 0 && !is_woken) {
        pthread_cond_timedwait(&woken, &lock, &until);
    }
    is_woken = false;
    pthread_mutex_unlock(&lock);
}

static void fake_wake(struct poller *p)
{
    (void)p;
    pthread_mutex_lock(&lock);
    is_woken = true;
    pthread_cond_signal(&woken);
    pthread_mutex_unlock(&lock);
}

static void fake_nothing(struct poller *p)
{
    (void)p;
}

static void fake_counters(const struct poller *p, struct poller_counters *out)
{
    (void)p;
    *out = (struct poller_counters){0};
}

static void *fake_shared_create(void)
{
    return weft__fd_table_create();
}

static void fake_shared_destroy(void *shared)
{
    weft__fd_table_destroy(shared);
}

static const struct poller_ops fake = {
    .name = "fake",
    .shared_create = fake_shared_create,
    .shared_destroy = fake_shared_destroy,
    .create = fake_create,
    .finish = fake_nothing,
    .release = fake_nothing,
    .destroy = fake_nothing,
    .ready = fake_ready,
    .wait = fake_wait,
    .wake = fake_wake,
    .cancel = weft__op_cancel_task,
    .counters = fake_counters,
};

/* Run fn as a task with that script; arg is a descriptor that is really there. */
static void run_script(weft_fn fn, const struct step *steps, unsigned count)
{
    struct weft_options options = {.workers = 1};
    struct runtime_seams seams = {.poller = &fake};
    weft_runtime *rt;
    CHECK(count <= STEPS_MAX);
    for (unsigned i = 0; i < STEPS_MAX; i++) {
        script[i] = i < count ? steps[i] : (struct step){REFUSED, 0};
    }
    begun_count = 0;
    int fd = dup(STDERR_FILENO);
    CHECK_EQUAL(weft__runtime_create(&rt, &options, &seams), 0);
    CHECK_EQUAL(weft_runtime_run(rt, fn, (void *)(intptr_t)fd, NULL), 0);
    CHECK_EQUAL(begun_count, count);
    for (unsigned i = 0; i < count; i++) {
        CHECK(begun[i].op == NULL);
        struct fd_entry *e = fd_table_find(rt->poller_shared, begun[i].request.fd);
        CHECK_EQUAL(atomic_load_relaxed(&e->word), 0);
    }
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
    close(fd);
}

#define RUN(fn, ...) \
    do { \
        static const struct step run_steps[] = {__VA_ARGS__}; \
        run_script(fn, run_steps, sizeof run_steps / sizeof run_steps[0]); \
    } while (0)

/* ---- tasks ---- */

static int joined(weft_task *t)
{
    void *value = NULL;
    CHECK_EQUAL(weft_join(t, &value), 0);
    return (int)(intptr_t)value;
}

static int fd_of(void *arg)
{
    return (int)(intptr_t)arg;
}

static void *read_4(void *arg)
{
    char buf[4];
    return (void *)(intptr_t)weft_read(fd_of(arg), buf, sizeof buf);
}

static void check_begun(unsigned i, enum op_code code, uint32_t flags)
{
    CHECK_EQUAL(begun[i].request.code, code);
    CHECK_EQUAL(begun[i].request.flags, flags);
}

/* ---- one operation ---- */

static void *read_gets_4(void *arg)
{
    CHECK_EQUAL(fd_of(read_4(arg)), 4);
    return NULL;
}

static void *read_gets_ebadf(void *arg)
{
    CHECK_EQUAL(fd_of(read_4(arg)), -EBADF);
    return NULL;
}

static void *read_gets_enomem(void *arg)
{
    CHECK_EQUAL(fd_of(read_4(arg)), -ENOMEM);
    return NULL;
}

static void results_are_returned(void **state)
{
    (void)state;
    RUN(read_gets_4, {SOON, 4});
    RUN(read_gets_4, {AT_ONCE, 4});
    RUN(read_gets_ebadf, {SOON, -EBADF});
    RUN(read_gets_ebadf, {AT_ONCE, -EBADF});
    RUN(read_gets_enomem, {REFUSED, 0});
}

/* ---- tries ---- */

static void *try_all_kinds(void *arg)
{
    int fd = fd_of(arg);
    char c = 0;
    CHECK_EQUAL(weft_recv(fd, &c, 1, 0), 1);
    CHECK_EQUAL(weft_send(fd, &c, 1, 0), 1);
    CHECK_EQUAL(weft_recv(fd, &c, 1, MSG_DONTWAIT), -EAGAIN);
    CHECK_EQUAL(weft_send(fd, &c, 1, MSG_DONTWAIT), -EAGAIN);
    CHECK_EQUAL(weft_fsync(fd), -EAGAIN);
    check_begun(0, OP_RECV, 0);
    check_begun(1, OP_POLL, POLLIN);
    check_begun(2, OP_RECV, 0);
    check_begun(3, OP_SEND, MSG_NOSIGNAL);
    check_begun(4, OP_POLL, POLLOUT);
    check_begun(5, OP_SEND, MSG_NOSIGNAL);
    return NULL;
}

static void what_would_block_is_tried_when_ready(void **state)
{
    (void)state;
    RUN(read_gets_4, {SOON, -EAGAIN}, {SOON, POLLIN}, {SOON, 4});
    CHECK_EQUAL(begun[1].request.code, OP_POLL);
    CHECK_EQUAL(begun[1].request.flags, POLLIN);
    RUN(read_gets_4, {AT_ONCE, -EAGAIN}, {AT_ONCE, POLLIN}, {AT_ONCE, -EAGAIN}, {AT_ONCE, POLLIN},
        {AT_ONCE, 4});
    RUN(read_gets_ebadf, {SOON, -EAGAIN}, {SOON, -EBADF});
    RUN(read_gets_enomem, {SOON, -EAGAIN}, {REFUSED, 0});
    RUN(try_all_kinds, {SOON, -EAGAIN}, {SOON, POLLIN}, {SOON, 1}, {SOON, -EAGAIN}, {SOON, POLLOUT},
        {SOON, 1}, {SOON, -EAGAIN}, {SOON, -EAGAIN}, {SOON, -EAGAIN});
}

static void what_was_interrupted_is_tried_again(void **state)
{
    (void)state;
    RUN(read_gets_4, {SOON, -EINTR}, {AT_ONCE, -EINTR}, {SOON, 4});
    RUN(read_gets_4, {SOON, -EAGAIN}, {SOON, -EINTR}, {SOON, POLLIN}, {SOON, 4});
    RUN(read_gets_ebadf, {SOON, -EINTR}, {SOON, -EBADF});
}

/* ---- cancels ---- */

static void *cancel_reader(void *arg)
{
    weft_task *t = weft_spawn(read_4, arg);
    CHECK_EQUAL(weft_yield(), 0);
    CHECK_EQUAL(begun_count, 1);
    CHECK(weft_cancel(t));
    return (void *)(intptr_t)joined(t);
}

static void *cancelled_reader_gets_ecanceled(void *arg)
{
    CHECK_EQUAL(fd_of(cancel_reader(arg)), -ECANCELED);
    return NULL;
}

static void *cancelled_reader_gets_4(void *arg)
{
    CHECK_EQUAL(fd_of(cancel_reader(arg)), 4);
    return NULL;
}

static void a_cancel_returns_what_was_won(void **state)
{
    (void)state;
    RUN(cancelled_reader_gets_ecanceled, {NEVER, -ECANCELED});
    CHECK_EQUAL(begun[0].cancels, 1);
    RUN(cancelled_reader_gets_4, {NEVER, 4});
    RUN(cancelled_reader_gets_ecanceled, {NEVER, -EINTR}); /* not tried again */
    RUN(cancelled_reader_gets_ecanceled, {NEVER, -EAGAIN});
}

/* ---- weft_close ---- */

static void *close_reader(void *arg)
{
    weft_task *t = weft_spawn(read_4, arg);
    CHECK_EQUAL(weft_yield(), 0);
    int copy = dup(fd_of(arg)); /* run_script closes it as well */
    CHECK_EQUAL(weft_close(fd_of(arg)), 0);
    CHECK_EQUAL(dup2(copy, fd_of(arg)), fd_of(arg));
    close(copy);
    return (void *)(intptr_t)joined(t);
}

static void *closed_reader_gets_ecanceled(void *arg)
{
    CHECK_EQUAL(fd_of(close_reader(arg)), -ECANCELED);
    return NULL;
}

static void *closed_reader_gets_4(void *arg)
{
    CHECK_EQUAL(fd_of(close_reader(arg)), 4);
    return NULL;
}

static void a_close_comes_between_two_tries(void **state)
{
    (void)state;
    RUN(closed_reader_gets_ecanceled, {NEVER, -ECANCELED});
    CHECK_EQUAL(begun[0].cancels, 1);
    RUN(closed_reader_gets_4, {NEVER, 4});
    RUN(closed_reader_gets_ecanceled, {NEVER, -EAGAIN}); /* neither polled nor read again */
    RUN(closed_reader_gets_ecanceled, {NEVER, -EINTR});
    RUN(closed_reader_gets_ecanceled, {AT_ONCE, -EAGAIN}, {NEVER, POLLIN});
    RUN(closed_reader_gets_ecanceled, {AT_ONCE, -EAGAIN}, {NEVER, -ECANCELED});
}

/* ---- several at once ---- */

/* Descriptors of which poll(2) says nothing: the empty ends of pipes. */
static struct pollfd wide[3];
static int pipes[3][2];

static void *poll_3(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)weft_poll(wide, 3);
}

static void pipes_make(void)
{
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(pipe(pipes[i]), 0);
        wide[i] = (struct pollfd){.fd = pipes[i][0], .events = POLLIN};
    }
}

static void pipes_close(void)
{
    for (int i = 0; i < 3; i++) {
        close(pipes[i][0]);
        close(pipes[i][1]);
    }
}

static void *poll_gets_enomem(void *arg)
{
    pipes_make();
    CHECK_EQUAL(fd_of(poll_3(arg)), -ENOMEM);
    pipes_close();
    return NULL;
}

/* The first to complete ends the others; it was a false alarm, so they are begun anew. */
static void *poll_gets_cancelled(void *arg)
{
    pipes_make();
    weft_task *t = weft_spawn(poll_3, arg);
    while (begun_count < 6) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    CHECK(weft_cancel(t));
    CHECK_EQUAL(joined(t), -ECANCELED);
    pipes_close();
    return NULL;
}

static void a_wait_for_several_ends_as_one(void **state)
{
    (void)state;
    RUN(poll_gets_enomem, {REFUSED, 0});
    RUN(poll_gets_enomem, {NEVER, -ECANCELED}, {SOON, POLLIN}, {REFUSED, 0});
    CHECK_EQUAL(begun[0].cancels, 1);
    RUN(poll_gets_enomem, {AT_ONCE, POLLIN}, {NEVER, -ECANCELED}, {REFUSED, 0});
    RUN(poll_gets_cancelled, {NEVER, -ECANCELED}, {SOON, POLLIN}, {NEVER, -ECANCELED},
        {NEVER, -ECANCELED}, {NEVER, -ECANCELED}, {NEVER, -ECANCELED});
    for (unsigned i = 0; i < 6; i++) {
        CHECK_EQUAL(begun[i].cancels, i == 1 ? 0 : 1);
    }
    RUN(poll_gets_cancelled, {NEVER, -ECANCELED}, {NEVER, -ECANCELED}, {AT_ONCE, POLLIN},
        {NEVER, -ECANCELED}, {NEVER, -ECANCELED}, {NEVER, -ECANCELED});
}

/* ---- operations that the backend lacks ---- */

static void *names_and_sizes(void *arg)
{
    char folder[] = "/tmp/weft-test-op-XXXXXX";
    char text[4] = {0};
    struct statx status;
    (void)arg;
    CHECK(mkdtemp(folder) != NULL);
    int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK_EQUAL(weft_mkdirat(dir, "sub", 0700), 0);
    CHECK_EQUAL(weft_mkdirat(dir, "sub", 0700), -EEXIST);
    int fd = openat(dir, "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    CHECK_EQUAL(weft_ftruncate(fd, 7), 0);
    CHECK_EQUAL(weft_ftruncate(fd, -1), -EINVAL);
    CHECK_EQUAL(weft_statx(dir, "a", 0, STATX_SIZE, &status), 0);
    CHECK_EQUAL(status.stx_size, 7);
    int err = weft_fallocate(fd, 0, 0, 9);
    CHECK(err == 0 || err == -EOPNOTSUPP);
    CHECK_EQUAL(weft_renameat(dir, "a", dir, "b"), 0);
    CHECK_EQUAL(weft_linkat(dir, "b", dir, "sub/c", 0), 0);
    CHECK_EQUAL(weft_symlinkat("sub", dir, "d"), 0);
    CHECK_EQUAL(readlinkat(dir, "d", text, sizeof text), 3);
    CHECK_EQUAL(weft_unlinkat(dir, "d", 0), 0);
    CHECK_EQUAL(weft_unlinkat(dir, "sub/c", 0), 0);
    CHECK_EQUAL(weft_unlinkat(dir, "sub", AT_REMOVEDIR), 0);
    CHECK(weft_cancel(weft_self()));
    CHECK_EQUAL(weft_unlinkat(dir, "b", 0), -ECANCELED);
    CHECK_EQUAL(weft_uncancel(), 0);
    CHECK_EQUAL(weft_unlinkat(dir, "b", 0), 0);
    CHECK_EQUAL(weft_unlinkat(dir, "b", 0), -ENOENT);
    CHECK_EQUAL(close(fd), 0);
    CHECK_EQUAL(weft_ftruncate(fd, 0), -EBADF);
    CHECK_EQUAL(close(dir), 0);
    CHECK_EQUAL(rmdir(folder), 0);
    return NULL;
}

static void what_the_backend_lacks_is_a_system_call(void **state)
{
    (void)state;
    lacks_file_operations = true;
    run_script(names_and_sizes, NULL, 0);
    lacks_file_operations = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_returned),
        cmocka_unit_test(what_would_block_is_tried_when_ready),
        cmocka_unit_test(what_was_interrupted_is_tried_again),
        cmocka_unit_test(a_cancel_returns_what_was_won),
        cmocka_unit_test(a_close_comes_between_two_tries),
        cmocka_unit_test(a_wait_for_several_ends_as_one),
        cmocka_unit_test(what_the_backend_lacks_is_a_system_call),
    };
    help_limit_time();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
