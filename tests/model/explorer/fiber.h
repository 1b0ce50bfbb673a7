/* SPDX-License-Identifier: MIT */
/*
 * The model threads as fibers of one OS thread, switched to and from the explorer alone.
 *
 * A fiber that is not finished when its execution is over is forgotten; its stack is used again.
 */
#ifndef WEFT_MODEL_FIBER_H
#define WEFT_MODEL_FIBER_H

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define MODEL_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define MODEL_TSAN 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define MODEL_ASAN 1
#endif
#ifdef __SANITIZE_THREAD__
#define MODEL_TSAN 1
#endif

static _Alignas(64) unsigned char fiber_stacks[MODEL_THREADS_MAX][STACK_BYTES];

static void fiber_main(void);

#ifdef MODEL_ASAN
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom_old, size_t *size_old);

/* What AddressSanitizer is told: whose stack comes next, and whose it was. */
static const void *fiber_explorer_bottom;
static size_t fiber_explorer_bytes;
static void *fiber_fake[MODEL_THREADS_MAX + 1];

static void fiber_before_enter(int i)
{
    __sanitizer_start_switch_fiber(&fiber_fake[MODEL_THREADS_MAX], fiber_stacks[i], STACK_BYTES);
}

static void fiber_before_leave(int i)
{
    __sanitizer_start_switch_fiber(&fiber_fake[i], fiber_explorer_bottom, fiber_explorer_bytes);
}

static void fiber_arrived(int i)
{
    __sanitizer_finish_switch_fiber(fiber_fake[i], &fiber_explorer_bottom, &fiber_explorer_bytes);
}

static void fiber_returned(void)
{
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(fiber_fake[MODEL_THREADS_MAX], &bottom, &bytes);
}

static void fiber_forget(int i)
{
    fiber_fake[i] = NULL;
    __asan_unpoison_memory_region(fiber_stacks[i], STACK_BYTES);
}

#else

static void fiber_before_enter(int i)
{
    (void)i;
}

static void fiber_before_leave(int i)
{
    (void)i;
}

static void fiber_arrived(int i)
{
    (void)i;
}

static void fiber_returned(void)
{
}

static void fiber_forget(int i)
{
    (void)i;
}

#endif

#if defined(__x86_64__)

/* An own switch: swapcontext makes two system calls. */
void model_switch(void **save, void *load);
__asm__(".text\n"
        ".p2align 4\n"
        ".type model_switch,@function\n"
        "model_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size model_switch,.-model_switch\n");

static void *fiber_sp[MODEL_THREADS_MAX];
static void *fiber_explorer_sp;

static void fiber_init(int i)
{
    void **sp = (void **)(void *)(fiber_stacks[i] + STACK_BYTES);
    *--sp = NULL; /* where fiber_main would return to; aligns its frame */
    *--sp = (void *)(uintptr_t)fiber_main;
    for (int r = 0; r < 6; r++) {
        *--sp = NULL;
    }
    fiber_sp[i] = sp;
}

static void fiber_swap_in(int i)
{
    model_switch(&fiber_explorer_sp, fiber_sp[i]);
}

static void fiber_swap_out(int i)
{
    model_switch(&fiber_sp[i], fiber_explorer_sp);
}

#else

#include <ucontext.h>

static ucontext_t fiber_contexts[MODEL_THREADS_MAX];
static ucontext_t fiber_explorer;

static void fiber_init(int i)
{
    getcontext(&fiber_contexts[i]);
    fiber_contexts[i].uc_stack.ss_sp = fiber_stacks[i];
    fiber_contexts[i].uc_stack.ss_size = STACK_BYTES;
    makecontext(&fiber_contexts[i], fiber_main, 0);
}

static void fiber_swap_in(int i)
{
    swapcontext(&fiber_explorer, &fiber_contexts[i]);
}

static void fiber_swap_out(int i)
{
    swapcontext(&fiber_contexts[i], &fiber_explorer);
}

#endif

/* Run thread i until it stands before a step that the explorer has to decide, or has ended. */
static void thread_resume(int i)
{
    m.current = i;
    fiber_before_enter(i);
    fiber_swap_in(i);
    fiber_returned();
    m.current = -1;
}

/* In a thread: let the explorer decide; returns when the step has been made. */
static void thread_suspend(void)
{
    int i = m.current;
    fiber_before_leave(i);
    fiber_swap_out(i);
    fiber_arrived(i);
}

static void fiber_main(void)
{
    fiber_arrived(m.current);
    m.scenario->threads[m.current]();
    m.threads[m.current].ended = true;
    thread_suspend();
    abort();
}

void model_fail(const char *format, ...)
{
    if (!m.failed) {
        va_list args;
        va_start(args, format);
        vsnprintf(m.rule, sizeof(m.rule), format, args);
        va_end(args);
        m.failed = true;
    }
    if (m.current < 0) {
        longjmp(m.failed_outside, 1);
    }
    for (;;) {
        thread_suspend();
    }
}

__attribute__((noreturn, cold)) void weft__check_failed(const char *rule, const char *advice,
                                                        const char *file, int line);

/* What WEFT_ASSERT in the code under test calls. */
void weft__check_failed(const char *rule, const char *advice, const char *file, int line)
{
    (void)advice;
    model_fail("%s, at %s:%d", rule, file, line);
}

#endif
