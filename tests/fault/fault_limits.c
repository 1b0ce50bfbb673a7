/* SPDX-License-Identifier: MIT */
/*
 * The limits of the system itself, not pretended ones: locked memory, descriptors and threads at
 * the edge, a completion queue that overflows, and signals all the time. What cannot be arranged
 * here is skipped. (Not the address space: jemalloc itself crashes where that ends.)
 *
 * Workers: 2
 */
#include "fault_help.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "../io/child_help.h"

static void *nothing(void *arg)
{
    return arg;
}

/* With ever more of something, from nothing on, until it is enough; then it still is. */
struct edge {
    int resource;
    rlim_t from;
    rlim_t step;
    unsigned steps;
    int errors[2];
    unsigned workers; /* 0: as WEFT_WORKERS says */
    bool is_apart;    /* as a user who has no other processes */
};

/* A runtime, or a clear reason why there is none. */
static bool can_run(const struct edge *e, bool is_enough)
{
    struct weft_options options = {.workers = e->workers};
    int err = weft_run_with(&options, nothing, NULL, NULL);
    bool is_clear = !is_enough && (err == e->errors[0] || err == e->errors[1]);
    CHILD_EQUAL(err, is_clear ? err : 0);
    return err == 0;
}

/* Threads that were joined are listed, and counted for the user, a moment longer. */
static void await_threads(void)
{
    int alone = 3; /* . and .. */
    while (thread_count() > alone) {
        usleep(1000); /* the child has an alarm */
    }
}

/* Returns how often it was refused. */
static unsigned climb_from(const struct edge *e)
{
    struct rlimit limit;
    unsigned refused = 0;
    for (unsigned i = 0; i < e->steps; i++) {
        CHILD_CHECK(getrlimit((__rlimit_resource_t)e->resource, &limit) == 0);
        limit.rlim_cur = e->from + i * e->step;
        if (limit.rlim_cur > limit.rlim_max ||
            setrlimit((__rlimit_resource_t)e->resource, &limit) != 0) {
            _exit(CHILD_SKIPPED);
        }
        if (can_run(e, false)) {
            break;
        }
        refused++;
    }
    CHILD_CHECK(refused < e->steps);
    printf("refused %u times\n", refused);
    return refused;
}

static int climb(const void *arg)
{
    const struct edge *e = arg;
    if (e->is_apart && (geteuid() != 0 || setuid(1000000 + (uid_t)getpid()) != 0)) {
        return CHILD_SKIPPED;
    }
    (void)climb_from(e);
    await_threads();
    return can_run(e, true) ? 0 : 1;
}

static void check_edge(int (*fn)(const void *arg), const void *arg)
{
#ifdef TEST_SANITIZED
    skip(); /* the tools need descriptors, threads and memory of their own */
#endif
    int status = in_child(fn, arg);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

/* What was open before, and how many workers there are to be. */
struct inherited {
    int count;
    int far; /* a descriptor above the limit; 0: none */
    unsigned workers;
};

/* The trials of one worker need 4, at a time when the others have none yet. */
static unsigned descriptors_needed(unsigned workers)
{
    return 2 * workers > 4 ? 2 * workers : 4;
}

static int climb_descriptors(const void *arg)
{
    const struct inherited *h = arg;
    struct edge e = {.resource = RLIMIT_NOFILE, .step = 1, .steps = 60, .errors = {-EMFILE},
                     .workers = h->workers};
    if (h->far > 0) {
        CHILD_EQUAL(dup2(STDERR_FILENO, h->far), h->far);
    }
    CHILD_EQUAL(close_range(STDERR_FILENO + 1, (unsigned)h->far - 1, 0), 0);
    int next = STDERR_FILENO + 1;
    for (; next < STDERR_FILENO + 1 + h->count; next++) {
        CHILD_EQUAL(dup(STDERR_FILENO), next);
    }
    e.from = (rlim_t)next;
    unsigned refused = climb_from(&e);
    CHILD_EQUAL(refused, refused <= descriptors_needed(h->workers) ? refused : 0);
    for (int i = 0; i < 5; i++) {
        (void)can_run(&e, true);
    }
    return 0;
}

static void descriptors_are_enough_or_it_is_told(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 4; workers++) {
        for (int count = 0; count <= 4; count += 2) {
            struct inherited h = {.count = count, .far = count == 2 ? 40 : 0, .workers = workers};
            check_edge(climb_descriptors, &h);
        }
    }
}

static void locked_memory_is_enough_or_it_is_told(void **state)
{
    (void)state;
    check_edge(climb, &(struct edge){.resource = RLIMIT_MEMLOCK, .from = 0, .step = 16 * 1024,
                                     .steps = 64, .errors = {-ENOMEM}, .is_apart = true});
}

static void threads_are_enough_or_it_is_told(void **state)
{
    (void)state;
    check_edge(climb, &(struct edge){.resource = RLIMIT_NPROC, .from = 1, .step = 1, .steps = 200,
                                     .errors = {-EAGAIN, -ENOMEM}, .is_apart = true});
}

/* The last thread that may be is there; a child would be one more. */
static void *start_one_too_many(void *arg)
{
    struct rlimit before;
    weft_process *p = NULL;
    int status = 0;
    CHILD_CHECK(weft_run_blocking(nothing, NULL, NULL) == 0); /* the thread that makes children */
    int fds = fd_count();
    CHILD_CHECK(getrlimit(RLIMIT_NPROC, &before) == 0);
    struct rlimit few = {1, before.rlim_max};
    CHILD_CHECK(setrlimit(RLIMIT_NPROC, &few) == 0);
    int err = weft_process_shell("exit 3", NULL, &p);
    CHILD_CHECK(err == -EAGAIN && p == NULL && fd_count() == fds);
    CHILD_CHECK(setrlimit(RLIMIT_NPROC, &before) == 0);
    CHILD_CHECK(weft_process_shell("exit 3", NULL, &p) == 0);
    CHILD_CHECK(weft_process_wait(p, &status) == 0 && status == 3);
    weft_process_put(p);
    return arg;
}

static int start_as_nobody(const void *unused)
{
    (void)unused;
    if (getuid() == 0 && setuid(65534) != 0) {
        return CHILD_SKIPPED;
    }
    return weft_run(start_one_too_many, NULL, NULL) == 0 ? 0 : CHILD_SKIPPED;
}

static void a_child_too_many_is_told(void **state)
{
    (void)state;
#ifdef TEST_SANITIZED
    skip(); /* as above */
#endif
    int status = in_child(start_as_nobody, NULL);
    if (status == CHILD_SKIPPED) {
        skip();
    }
    assert_int_equal(status, 0);
}

/* --- more completions than the queue has room for --------------------------------------------- */

enum { WAITERS = 600 };

static void *wait_for_bell(void *arg)
{
    return BOXED(weft_wait_fd(UNBOXED(arg), POLLIN));
}

/* All at once, while the worker is away and nobody reaps: several times the queue's length. */
static void *overflow_queue(void *arg)
{
    static weft_task *tasks[WAITERS * 8];
    size_t n = test_scaled(COUNT(tasks), WAITERS);
    int fds[2];
    make_pipe(fds);
    for (size_t i = 0; i < n; i++) {
        tasks[i] = spawn(wait_for_bell, BOXED(fds[0]));
    }
    while (calls_on(fds[0]) < n) {
        CHECK_EQUAL(weft_yield(), 0);
    }
    settle();
    CHECK_EQUAL(write(fds[1], "x", 1), 1);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQUAL(joined(tasks[i]), POLLIN);
    }
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return arg;
}

static void no_completion_is_lost_when_the_queue_overflows(void **state)
{
    (void)state;
    struct weft_options options = {.workers = 1};
    run_io_with(&options, overflow_queue, NULL);
}

/* --- signals all the time --------------------------------------------------------------------- */

static shared_int interruptions;

static void count_interruption(int signo)
{
    (void)signo;
    atomic_add_seq_cst(&interruptions, 1);
}

static void *echo_all(void *arg)
{
    char buf[100];
    int fd = UNBOXED(arg);
    ssize_t n;
    while ((n = weft_recv(fd, buf, sizeof buf, 0)) > 0) {
        CHECK_EQUAL(weft_send(fd, buf, (size_t)n, 0), n);
    }
    CHECK_EQUAL(n, 0);
    return NULL;
}

/* Calls that wait and are interrupted go on: nothing is told of it, nothing is lost. */
static void *talk_under_signals(void *arg)
{
    char buf[100];
    int fds[2];
    make_pair(fds);
    weft_task *t = spawn(echo_all, BOXED(fds[1]));
    for (int round = 0; round < 300 || atomic_load_seq_cst(&interruptions) < 20; round++) {
        CHECK_EQUAL(weft_send(fds[0], "ping", 4, 0), 4);
        size_t got = 0;
        while (got < 4) {
            ssize_t n = weft_recv(fds[0], buf + got, 4 - got, 0);
            CHECK(n > 0);
            got += (size_t)n;
        }
        CHECK_EQUAL(weft_sleep(100 * WEFT_US), 0);
        CHECK_EQUAL(round % 50 == 0 ? weft_run_blocking(nothing, NULL, NULL) : 0, 0);
    }
    CHECK_EQUAL(shutdown(fds[0], SHUT_WR), 0);
    CHECK_EQUAL(weft_join(t, NULL), 0);
    CHECK_EQUAL(weft_close(fds[0]), 0);
    CHECK_EQUAL(weft_close(fds[1]), 0);
    return arg;
}

/* A profiler's signal, which workers leave open: it comes every 300 us of time. */
struct storm {
    shared_int is_over;
    pthread_t thread;
};

static void *send_signals(void *arg)
{
    struct storm *s = arg;
    const struct timespec pause = {0, 300000};
    while (atomic_load_seq_cst(&s->is_over) == 0) {
        DIR *dir = opendir("/proc/self/task");
        struct dirent *entry;
        while (dir != NULL && (entry = readdir(dir)) != NULL) {
            int tid = atoi(entry->d_name);
            if (tid > 0 && tid != (int)gettid()) {
                (void)tgkill(getpid(), tid, SIGPROF);
            }
        }
        if (dir != NULL) {
            closedir(dir);
        }
        nanosleep(&pause, NULL);
    }
    return NULL;
}

static void a_storm_of_signals_changes_nothing(void **state)
{
    struct sigaction action = {.sa_handler = count_interruption}; /* without SA_RESTART */
    struct sigaction before;
    struct storm s = {.is_over = 0};
    (void)state;
    CHECK_EQUAL(sigaction(SIGPROF, &action, &before), 0);
    s.thread = start_thread(send_signals, &s);
    run_case(talk_under_signals, NULL);
    atomic_store_seq_cst(&s.is_over, 1);
    CHECK_EQUAL(pthread_join(s.thread, NULL), 0);
    CHECK_EQUAL(sigaction(SIGPROF, &before, NULL), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors_are_enough_or_it_is_told),
        cmocka_unit_test(locked_memory_is_enough_or_it_is_told),
        cmocka_unit_test(threads_are_enough_or_it_is_told),
        cmocka_unit_test(a_child_too_many_is_told),
        cmocka_unit_test(no_completion_is_lost_when_the_queue_overflows),
        cmocka_unit_test(a_storm_of_signals_changes_nothing),
    };
    fault_begin();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
