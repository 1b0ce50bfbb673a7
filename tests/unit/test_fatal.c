/* SPDX-License-Identifier: MIT */
/*
 * Goal: a fault that is told of as the end kills by its signal; every other one meets what was
 * installed before, exactly as if the handler were not there; the handlers and signal stacks are
 * put back.
 *
 * Method: each case runs in a child process that ends in some way; the parent checks how, and what
 * was written to standard error. The overflow is a real one, on a stack of stack.h, with a tell
 * function that stands for the scheduler's.
 */
#include "test.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "context.h"
#include "fatal.h"
#include "signal_stack.h"
#include "sanitize.h"
#include "stack.h"

/* What a child left. */
struct outcome {
    int status;
    char text[4096]; /* of its standard error */
};

static struct outcome in_child(void (*run)(void))
{
    struct outcome out;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60);
        (void)signal(SIGSEGV, SIG_DFL);
        (void)signal(SIGBUS, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(ends[1]);
    size_t bytes = 0;
    ssize_t n;
    while ((n = read(ends[0], out.text + bytes, sizeof(out.text) - 1 - bytes)) > 0) {
        bytes += (size_t)n;
    }
    out.text[bytes] = '\0';
    close(ends[0]);
    assert_int_equal(waitpid(child, &out.status, 0), child);
    return out;
}

static void assert_exited(struct outcome out, int code)
{
    if (!WIFEXITED(out.status) || WEXITSTATUS(out.status) != code) {
        print_error("status %#x, standard error: %s\n", (unsigned)out.status, out.text);
    }
    assert_true(WIFEXITED(out.status));
    assert_int_equal(WEXITSTATUS(out.status), code);
    assert_string_equal(out.text, "");
}

static void assert_killed(struct outcome out, int sig)
{
    if (!WIFSIGNALED(out.status)) {
        print_error("status %#x, standard error: %s\n", (unsigned)out.status, out.text);
    }
    assert_true(WIFSIGNALED(out.status));
    assert_int_equal(WTERMSIG(out.status), sig);
}

static void install(void)
{
    int err = weft__fatal_install(FATAL_OVERFLOWS);
    WEFT_ASSERT(err == 0);
    err = weft__signal_stack_begin();
    WEFT_ASSERT(err == 0);
}

/* A page that nobody may touch. */
static volatile char *volatile forbidden;

static void fault(void)
{
    if (forbidden == NULL) {
        forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    *forbidden = 1;
}

static void set_action(int sig, void (*handler)(int, siginfo_t *, void *), int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | flags;
    sigaddset(&action.sa_mask, SIGUSR1);
    WEFT_ASSERT(sigaction(sig, &action, NULL) == 0);
}

/* A real overflow, on a fiber's stack. */

static struct stack *stack;
static void *native_sp;
static void *fiber_sp;
static struct sanitize_fiber native_sanitize;
static struct sanitize_fiber fiber_sanitize;

static enum fatal_answer tell(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (sig != SIGSEGV || info->si_code <= 0 || !weft__stack_is_guard(stack, info->si_addr)) {
        return FATAL_PASSED;
    }
    static const char said[] = "told\n";
    WEFT_ASSERT(write(STDERR_FILENO, said, sizeof(said) - 1) == (ssize_t)sizeof(said) - 1);
    return FATAL_ENDS;
}

static __attribute__((noinline)) int recurse(int n)
{
    volatile char frame[1000];
    frame[n % 1000] = (char)n;
    int below = n < 0 ? 0 : recurse(n + 1);
    return below + frame[n % 1000];
}

static void overflow_entry(void *value)
{
    sanitize_switch_end(&fiber_sanitize);
    recurse((int)(uintptr_t)value);
    abort();
}

static __attribute__((noinline)) void overflow_on_fiber(void)
{
    static struct stack_pool pool;
    static struct stack_cache cache;
    WEFT_ASSERT(weft__stack_pool_init(&pool, NULL) == 0);
    weft__stack_cache_init(&cache, &pool);
    stack = stack_cache_get(&cache, 2);
    sanitize_thread_init(&native_sanitize);
    sanitize_fiber_init(&fiber_sanitize, stack->low, weft__stack_top(stack));
    fiber_sp = weft__context_make(weft__stack_top(stack), overflow_entry);
    weft__fatal_set_tell(tell);
    sanitize_switch_begin(&native_sanitize, &fiber_sanitize, false);
    weft__context_switch(&native_sp, fiber_sp, NULL);
}

static void run_overflow(void)
{
    install();
    overflow_on_fiber();
}

static void test_what_is_told_kills(void **state)
{
    (void)state;
    struct outcome out = in_child(run_overflow);
    assert_killed(out, SIGSEGV);
    assert_string_equal(out.text, "told\n");
}

/* It is told from a fault elsewhere, although a handler is there that would take it. */

static void exit_42(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)context;
    _exit(info->si_addr == forbidden ? 42 : 1);
}

static void run_overflow_over_handler(void)
{
    set_action(SIGSEGV, exit_42, 0);
    run_overflow();
}

static void run_fault_with_tell(void)
{
    set_action(SIGSEGV, exit_42, 0);
    install();
    static struct stack none;
    stack = &none;
    weft__fatal_set_tell(tell);
    fault();
}

static void test_only_an_overflow_is_taken(void **state)
{
    (void)state;
    assert_killed(in_child(run_overflow_over_handler), SIGSEGV);
    assert_exited(in_child(run_fault_with_tell), 42);
}

/* What was there before: default, ignore, either kind of handler; a fault or a signal sent. */

static void run_default_fault(void)
{
    install();
    fault();
}

static void run_default_sent(void)
{
    install();
    raise(SIGSEGV);
}

static void run_default_bus_sent(void)
{
    install();
    raise(SIGBUS);
}

static void run_ignored_fault(void)
{
    (void)signal(SIGSEGV, SIG_IGN);
    install();
    fault();
}

static void run_ignored_sent(void)
{
    (void)signal(SIGSEGV, SIG_IGN);
    install();
    errno = 123;
    raise(SIGSEGV);
    raise(SIGSEGV);
    WEFT_ASSERT(errno == 123);
    _exit(5);
}

static void exit_43(int sig)
{
    _exit(sig == SIGBUS ? 43 : 1);
}

static void run_plain_handler(void)
{
    (void)signal(SIGBUS, exit_43);
    install();
    char name[] = "/tmp/weft-overflow-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    volatile char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    *p = 1; /* behind the end of the file */
}

static void test_other_faults_go_where_they_went_before(void **state)
{
    (void)state;
    struct outcome out = in_child(run_default_fault);
    assert_killed(out, SIGSEGV);
    assert_string_equal(out.text, "");
    assert_killed(in_child(run_default_sent), SIGSEGV);
    assert_killed(in_child(run_default_bus_sent), SIGBUS);
    assert_killed(in_child(run_ignored_fault), SIGSEGV);
    assert_exited(in_child(run_ignored_sent), 5);
    assert_exited(in_child(run_plain_handler), 43);
}

/* Handlers that live on: one repairs and returns, one jumps out, one wants to be called once. */

static volatile sig_atomic_t calls;

static void repair(int sig, siginfo_t *info, void *context)
{
    (void)info;
    (void)context;
    sigset_t mask;
    pthread_sigmask(SIG_BLOCK, NULL, &mask);
    WEFT_ASSERT(sigismember(&mask, SIGUSR1) && sigismember(&mask, sig));
    errno = 99;
    calls++;
    mprotect((void *)(uintptr_t)forbidden, 4096, PROT_READ | PROT_WRITE);
}

static void run_repair(void)
{
    set_action(SIGSEGV, repair, 0);
    install();
    errno = 123;
    for (int i = 0; i < 3; i++) {
        fault();
        WEFT_ASSERT(*forbidden == 1 && errno == 123 && calls == i + 1);
        mprotect((void *)(uintptr_t)forbidden, 4096, PROT_NONE);
    }
    _exit(6);
}

static sigjmp_buf back;

static void jump(int sig, siginfo_t *info, void *context)
{
    (void)sig;
    (void)info;
    (void)context;
    calls++;
    siglongjmp(back, 1);
}

static void run_jump(void)
{
    set_action(SIGSEGV, jump, 0);
    install();
    if (sigsetjmp(back, 1) == 0 || calls < 5) {
        fault();
    }
    _exit(7);
}

static void run_once(void)
{
    set_action(SIGSEGV, repair, (int)SA_RESETHAND);
    install();
    fault();
    mprotect((void *)(uintptr_t)forbidden, 4096, PROT_NONE);
    fault();
}

static void test_handlers_may_go_on(void **state)
{
    (void)state;
    assert_exited(in_child(run_repair), 6);
    assert_exited(in_child(run_jump), 7);
    assert_killed(in_child(run_once), SIGSEGV);
}

/* Installed, counted, restored. */

static void other_handler(int sig)
{
    (void)sig;
}

static void *handler_now(int sig)
{
    struct sigaction now;
    assert_int_equal(sigaction(sig, NULL, &now), 0);
    return (void *)now.sa_sigaction;
}

static void test_the_last_one_restores(void **state)
{
    (void)state;
    struct sigaction before, after;
    sigaction(SIGSEGV, NULL, &before);
    void *bus = handler_now(SIGBUS);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(weft__fatal_install(FATAL_OVERFLOWS), 0);
        assert_int_equal(weft__fatal_install(FATAL_OVERFLOWS), 0);
        assert_ptr_not_equal(handler_now(SIGSEGV), (void *)before.sa_sigaction);
        assert_ptr_equal(handler_now(SIGSEGV), handler_now(SIGBUS));
        weft__fatal_uninstall(FATAL_OVERFLOWS);
        assert_ptr_not_equal(handler_now(SIGBUS), bus);
        weft__fatal_uninstall(FATAL_OVERFLOWS);
        assert_ptr_equal(handler_now(SIGBUS), bus);
        sigaction(SIGSEGV, NULL, &after);
        assert_ptr_equal((void *)after.sa_sigaction, (void *)before.sa_sigaction);
        assert_int_equal(after.sa_flags, before.sa_flags);
    }
}

static void test_a_later_handler_stays(void **state)
{
    (void)state;
    struct sigaction before, ours;
    sigaction(SIGSEGV, NULL, &before);
    for (int round = 0; round < 3; round++) {
        assert_int_equal(weft__fatal_install(FATAL_OVERFLOWS), 0);
        if (round == 0) {
            assert_true(signal(SIGSEGV, other_handler) != SIG_ERR);
        }
        assert_ptr_equal(handler_now(SIGSEGV), (void *)other_handler);
        weft__fatal_uninstall(FATAL_OVERFLOWS);
        assert_ptr_equal(handler_now(SIGSEGV), (void *)other_handler);
    }
    /* When the default is set by hand, nobody chains: the next runtime installs anew. */
    assert_true(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
    assert_int_equal(weft__fatal_install(FATAL_OVERFLOWS), 0);
    sigaction(SIGSEGV, NULL, &ours);
    assert_ptr_equal((void *)ours.sa_sigaction, handler_now(SIGBUS));
    weft__fatal_uninstall(FATAL_OVERFLOWS);
    assert_ptr_equal(handler_now(SIGSEGV), (void *)SIG_DFL);
    sigaction(SIGSEGV, &before, NULL);
}

/* A handler over ours that chains to it, still there for the next runtime: no endless loop. */

static struct sigaction chained;

static void chain(int sig, siginfo_t *info, void *context)
{
    if (++calls > 1) {
        _exit(1);
    }
    chained.sa_sigaction(sig, info, context);
}

static void run_chain(void)
{
    set_action(SIGSEGV, exit_42, 0);
    install();
    sigaction(SIGSEGV, NULL, &chained);
    set_action(SIGSEGV, chain, 0);
    weft__fatal_uninstall(FATAL_OVERFLOWS);
    WEFT_ASSERT(weft__fatal_install(FATAL_OVERFLOWS) == 0);
    fault();
}

static void test_a_chain_has_no_loop(void **state)
{
    (void)state;
    assert_exited(in_child(run_chain), 42);
}

static void *signal_stack_main(void *arg)
{
    stack_t before, during, after;
    for (int round = 0; round < 3; round++) {
        sigaltstack(NULL, &before);
        if (weft__signal_stack_begin() != 0) {
            return NULL;
        }
        sigaltstack(NULL, &during);
        weft__signal_stack_end();
        sigaltstack(NULL, &after);
        if ((during.ss_flags & SS_DISABLE) != 0 || during.ss_size < (size_t)64 * 1024 ||
            before.ss_flags != after.ss_flags || before.ss_sp != after.ss_sp ||
            during.ss_sp == before.ss_sp) {
            return NULL;
        }
    }
    weft__signal_stack_end(); /* without a begin: nothing */
    return arg;
}

static void test_a_thread_gets_its_signal_stack_back(void **state)
{
    (void)state;
    pthread_t thread;
    void *result;
    int arg;
    assert_int_equal(pthread_create(&thread, NULL, signal_stack_main, &arg), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &arg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_told_kills),
        cmocka_unit_test(test_only_an_overflow_is_taken),
        cmocka_unit_test(test_other_faults_go_where_they_went_before),
        cmocka_unit_test(test_handlers_may_go_on),
        cmocka_unit_test(test_the_last_one_restores),
        cmocka_unit_test(test_a_later_handler_stays),
        cmocka_unit_test(test_a_chain_has_no_loop),
        cmocka_unit_test(test_a_thread_gets_its_signal_stack_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
