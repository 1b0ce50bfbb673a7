/* SPDX-License-Identifier: MIT */
/*
 * Goal: a child of fork finds its parent's runtimes dead and harmless: every call is refused, none
 * hangs, none reaches the parent; it can have a runtime of its own. A child that was forked inside
 * a task can exec and _exit, with the program's signal mask.
 *
 * Method: real children. That the parent was not touched is seen from its counters: an idle runtime
 * counts every wake.
 */
#include "life_help.h"

#include <signal.h>
#include <sys/socket.h>

#include "fatal.h"

static weft_runtime *parents; /* what the child inherits */
static weft_task *done_task;
static weft_task *pending_task;
static weft_task *held_task;
static weft_timer *timer;
static int ends[2]; /* pending_task receives from the first */

static void *give_back(void *arg)
{
    return arg;
}

static void *receive_one(void *fd)
{
    char byte;
    ssize_t n = weft_recv((int)(intptr_t)fd, &byte, 1, 0);
    return n < 0 ? weft_fail((int)n) : value_of(byte);
}

static void *spawn_a_held_one(void *arg)
{
    struct weft_spawn_options held = {.held = true};
    weft_task *t = weft_spawn_with(&held, give_back, arg);
    WEFT_ASSERT(t != NULL);
    return t;
}

static void ignore_callback(void *arg)
{
    (void)arg;
}

static struct weft_metrics metrics_of(weft_runtime *rt)
{
    struct weft_metrics m;
    WEFT_ASSERT(weft_metrics(rt, &m) == 0);
    return m;
}

/* Until its workers have nothing to do any more. */
static void settle(weft_runtime *rt)
{
    struct weft_metrics before;
    struct weft_metrics after = metrics_of(rt);
    do {
        before = after;
        sleep_ms(5);
        after = metrics_of(rt);
    } while (memcmp(&before, &after, sizeof before) != 0);
}

/* A runtime with something of everything. */
static void parents_make(void)
{
    WEFT_ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    parents = runtime_make(NULL);
    done_task = spawn_on(parents, give_back, value_of(8));
    WEFT_ASSERT(wait_on(done_task) == 0);
    held_task = run_on(parents, spawn_a_held_one, value_of(9));
    WEFT_ASSERT(weft_timer_create(&timer, parents, ignore_callback, NULL) == 0);
    pending_task = spawn_on(parents, receive_one, value_of(ends[0]));
    settle(parents);
}

static void parents_end(void)
{
    runtime_end(parents);
    weft_timer_destroy(timer);
    weft_put(done_task);
    weft_put(held_task);
    weft_put(pending_task);
    close(ends[0]);
    close(ends[1]);
}

/* --- a child of a plain thread --- */

static void check_calls_are_refused(void)
{
    weft_task *t = NULL;
    weft_timer *another = NULL;
    struct weft_metrics m;
    void *result = NULL;
    WEFT_ASSERT(weft_runtime_current() == NULL && weft_self() == NULL);
    WEFT_ASSERT(weft_runtime_run(parents, give_back, NULL, NULL) == -ESHUTDOWN);
    WEFT_ASSERT(weft_runtime_spawn(parents, give_back, NULL, &t) == -ESHUTDOWN);
    WEFT_ASSERT(weft_post(parents, ignore_callback, NULL) == -ESHUTDOWN);
    WEFT_ASSERT(weft_timer_create(&another, parents, ignore_callback, NULL) == -ESHUTDOWN);
    WEFT_ASSERT(weft_timer_start(timer, 0) == -ESHUTDOWN);
    WEFT_ASSERT(!weft_timer_stop(timer) && !weft_timer_stop_and_wait(timer));
    WEFT_ASSERT(weft_metrics(parents, &m) == -ESHUTDOWN);
    WEFT_ASSERT(weft_runtime_close(parents) == -ESHUTDOWN);

    WEFT_ASSERT(weft_result(done_task, &result) == 0 && (intptr_t)result == 8);
    WEFT_ASSERT(weft_future_wait_blocking(done_task, 0, NULL) == 0);
    WEFT_ASSERT(weft_result(pending_task, NULL) == -EINPROGRESS);
    WEFT_ASSERT(weft_future_wait_blocking(pending_task, WEFT_FOREVER, NULL) == -ESHUTDOWN);
    WEFT_ASSERT(!weft_cancel(pending_task) && !weft_cancel(held_task));
    WEFT_ASSERT(weft_start(held_task) == -ESHUTDOWN);
    WEFT_ASSERT(t == NULL && another == NULL);
}

static void put_everything(void)
{
    weft_put(weft_get(pending_task));
    weft_put(done_task);
    weft_put(pending_task);
    weft_put(held_task);
    weft_timer_destroy(timer);
    WEFT_ASSERT(weft_runtime_destroy(parents) == 0);
}

static void *talk_to_oneself(void *arg)
{
    int pair[2];
    WEFT_ASSERT(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    weft_task *t = weft_spawn(receive_one, value_of(pair[0]));
    WEFT_ASSERT(weft_yield() == 0);
    WEFT_ASSERT(weft_send(pair[1], "y", 1, 0) == 1);
    void *result = NULL;
    WEFT_ASSERT(weft_join(t, &result) == 0 && (intptr_t)result == 'y');
    WEFT_ASSERT(weft_sleep(WEFT_US) == 0);
    WEFT_ASSERT(weft_close(pair[0]) == 0 && weft_close(pair[1]) == 0);
    return arg;
}

static int child_of_a_thread(void)
{
    check_calls_are_refused();
    put_everything();
    return 0;
}

static int child_with_its_own(void)
{
    check_calls_are_refused();
    void *result = NULL;
    for (intptr_t i = 0; i < 3; i++) {
        WEFT_ASSERT(weft_run(talk_to_oneself, value_of(i), &result) == 0);
        WEFT_ASSERT((intptr_t)result == i);
        check_calls_are_refused();
    }
    put_everything();
    WEFT_ASSERT(weft_run(talk_to_oneself, NULL, NULL) == 0);
    return 0;
}

/* Its own runtime is its child's parents' in turn. */
static int child_with_a_child(void)
{
    struct outcome out;
    put_everything();
    parents_make();
    in_child(child_with_its_own, &out);
    fputs(out.text, stderr);
    WEFT_ASSERT((intptr_t)run_on(parents, give_back, value_of(1)) == 1);
    parents_end();
    return out.status != 0;
}

static void the_parent_goes_on(int (*child)(void))
{
    void *result = NULL;
    bool is_untouched = false;
    parents_make();
    for (int i = 0; i < 20 && !is_untouched; i++) { /* once in a while it stirs by itself */
        struct outcome out;
        settle(parents);
        struct weft_metrics before = metrics_of(parents);
        in_child(child, &out);
        assert_child_ok(&out);
        assert_string_equal(out.text, "");
        struct weft_metrics after = metrics_of(parents);
        is_untouched = memcmp(&before, &after, sizeof before) == 0;
    }
    assert_true(is_untouched);
    assert_false(weft_done(pending_task));
    assert_int_equal((intptr_t)run_on(parents, give_back, value_of(2)), 2);
    assert_int_equal(weft_start(held_task), 0);
    assert_int_equal(weft_future_wait_blocking(held_task, WEFT_FOREVER, &result), 0);
    assert_int_equal((intptr_t)result, 9);
    assert_int_equal(write(ends[1], "z", 1), 1);
    assert_int_equal(weft_future_wait_blocking(pending_task, WEFT_FOREVER, &result), 0);
    assert_int_equal((intptr_t)result, 'z');
    parents_end();
}

static void a_childs_calls_are_refused(void **state)
{
    (void)state;
    the_parent_goes_on(child_of_a_thread);
}

static void a_child_has_its_own_runtime(void **state)
{
    (void)state;
    if (!TEST_CHILD_MAY_START) {
        skip();
    }
    the_parent_goes_on(child_with_its_own);
}

static void a_child_has_a_child(void **state)
{
    (void)state;
    if (!TEST_CHILD_MAY_START) {
        skip();
    }
    the_parent_goes_on(child_with_a_child);
}

/* --- a child of a task --- */

static sigset_t program_mask;

/* Waits for the child as the task of a thread may, and gives its status. */
static void *status_of(pid_t pid)
{
    int status = 0;
    WEFT_ASSERT(pid > 0);
    WEFT_ASSERT(waitpid(pid, &status, 0) == pid);
    return value_of(status);
}

static void check_task_calls_are_refused(void)
{
    char byte;
    int pair[2];
    WEFT_ASSERT(pipe(pair) == 0);
    WEFT_ASSERT(weft_self() == NULL && weft_runtime_current() == NULL);
    WEFT_ASSERT(weft_yield() == -EPERM);
    WEFT_ASSERT(weft_sleep(WEFT_MS) == -EPERM);
    WEFT_ASSERT(weft_await(pending_task, NULL) == -EPERM);
    WEFT_ASSERT(weft_read(pair[0], &byte, 1) == -EPERM);
    WEFT_ASSERT(weft_write(pair[1], "x", 1) == -EPERM);
    WEFT_ASSERT(weft_close(pair[0]) == -EPERM);
    WEFT_ASSERT(weft_spawn(give_back, NULL) == NULL);
    WEFT_ASSERT(weft_go(give_back, NULL) == -EPERM);
    WEFT_ASSERT(weft_cancelling() == 0 && weft_uncancel() == 0 && weft_scope_error() == 0);
}

static void *fork_and_call(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        check_task_calls_are_refused();
        check_calls_are_refused();
        put_everything();
        _exit(41);
    }
    return status_of(pid);
}

static void *fork_and_exec(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        execl("/bin/sh", "sh", "-c", "exit 42", (char *)NULL);
        _exit(1);
    }
    return status_of(pid);
}

static void *fork_and_look_at_signals(void *arg)
{
    (void)arg;
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t mask;
        WEFT_ASSERT(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
        for (int sig = 1; sig < SIGRTMAX; sig++) {
            WEFT_ASSERT(sigismember(&mask, sig) == sigismember(&program_mask, sig));
        }
        raise(SIGTERM);
        _exit(1);
    }
    return status_of(pid);
}

static void *fork_and_return(void *arg)
{
    pid_t pid = fork();
    if (pid == 0) {
        int nowhere = dup2(fileno(arg), STDERR_FILENO);
        WEFT_ASSERT(nowhere == STDERR_FILENO);
        return NULL; /* it must not */
    }
    return status_of(pid);
}

static void a_task_forks(void **state)
{
    (void)state;
    char text[1000] = "";
    FILE *err = tmpfile();
    assert_non_null(err);
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR2); /* the program blocks this one, and not others */
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &one, NULL), 0);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &program_mask), 0);
    parents_make();

    int status = (int)(intptr_t)run_on(parents, fork_and_call, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 41);
    status = (int)(intptr_t)run_on(parents, fork_and_exec, NULL);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
    status = (int)(intptr_t)run_on(parents, fork_and_look_at_signals, NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGTERM);
    status = (int)(intptr_t)run_on(parents, fork_and_return, err);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    rewind(err);
    assert_true(fread(text, 1, sizeof text - 1, err) > 0);
    assert_non_null(strstr(text, "must exec or _exit"));

    assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &one, NULL), 0);
    assert_false(weft_done(pending_task));
    parents_end();
    fclose(err);
}

/* --- forked while others are in the middle of it --- */

static atomic_int is_over;

static void *use_it(void *rt)
{
    while (atomic_load_seq_cst(&is_over) == 0) {
        weft_task *t = spawn_on(rt, give_back, NULL);
        WEFT_ASSERT(wait_on(t) == 0);
        weft_put(t);
    }
    return NULL;
}

static void *make_and_end(void *arg)
{
    struct weft_options one = {.workers = 1};
    while (atomic_load_seq_cst(&is_over) == 0) {
        weft_runtime *rt = runtime_make(&one);
        runtime_end(rt);
        for (int i = 0; i < 1000; i++) {
            int err = weft__fatal_install(FATAL_OVERFLOWS); /* it takes a lock too */
            WEFT_ASSERT(err == 0);
            weft__fatal_uninstall(FATAL_OVERFLOWS);
        }
    }
    return arg;
}

static int child_that_puts(void)
{
    alarm(20);
    check_calls_are_refused();
    put_everything();
    return 0;
}

static int child_that_runs(void)
{
    alarm(20);
    WEFT_ASSERT(weft_run(talk_to_oneself, NULL, NULL) == 0);
    return child_that_puts();
}

/* Locks that other threads hold at the fork are held in the child for ever: it needs none. */
static void forks_amid_the_traffic(void **state)
{
    (void)state;
#ifdef TEST_SANITIZED
    skip(); /* the allocators of the tools do not get over this themselves */
#endif
    pthread_t threads[3];
    parents_make();
    atomic_store_seq_cst(&is_over, 0);
    assert_int_equal(pthread_create(&threads[0], NULL, use_it, parents), 0);
    assert_int_equal(pthread_create(&threads[1], NULL, use_it, parents), 0);
    assert_int_equal(pthread_create(&threads[2], NULL, make_and_end, NULL), 0);
    for (size_t i = 0; i < 60; i++) {
        struct outcome out;
        in_child(i % 2 == 0 ? child_that_runs : child_that_puts, &out);
        assert_child_ok(&out);
    }
    atomic_store_seq_cst(&is_over, 1);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
    }
    parents_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_childs_calls_are_refused), cmocka_unit_test(a_child_has_its_own_runtime),
        cmocka_unit_test(a_child_has_a_child),        cmocka_unit_test(a_task_forks),
        cmocka_unit_test(forks_amid_the_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
