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

static _Alignas(64) unsigned char mx_fiber_stacks[MODEL_THREADS_MAX][MX_STACK_BYTES];

static void mx_fiber_main(void);

#ifdef MODEL_ASAN
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
void __sanitizer_start_switch_fiber(void **save, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *save, const void **bottom_old, size_t *size_old);

/* What AddressSanitizer is told: whose stack comes next, and whose it was. */
static const void *mx_fiber_explorer_bottom;
static size_t mx_fiber_explorer_bytes;
static void *mx_fiber_fake[MODEL_THREADS_MAX + 1];

static void mx_fiber_before_enter(int i)
{
    __sanitizer_start_switch_fiber(&mx_fiber_fake[MODEL_THREADS_MAX], mx_fiber_stacks[i],
                                   MX_STACK_BYTES);
}

static void mx_fiber_before_leave(int i)
{
    __sanitizer_start_switch_fiber(&mx_fiber_fake[i], mx_fiber_explorer_bottom,
                                   mx_fiber_explorer_bytes);
}

static void mx_fiber_arrived(int i)
{
    __sanitizer_finish_switch_fiber(mx_fiber_fake[i], &mx_fiber_explorer_bottom,
                                    &mx_fiber_explorer_bytes);
}

static void mx_fiber_returned(void)
{
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(mx_fiber_fake[MODEL_THREADS_MAX], &bottom, &bytes);
}

static void mx_fiber_forget(int i)
{
    mx_fiber_fake[i] = NULL;
    __asan_unpoison_memory_region(mx_fiber_stacks[i], MX_STACK_BYTES);
}

#else

static void mx_fiber_before_enter(int i)
{
    (void)i;
}

static void mx_fiber_before_leave(int i)
{
    (void)i;
}

static void mx_fiber_arrived(int i)
{
    (void)i;
}

static void mx_fiber_returned(void)
{
}

static void mx_fiber_forget(int i)
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

static void *mx_fiber_sp[MODEL_THREADS_MAX];
static void *mx_fiber_explorer_sp;

static void mx_fiber_init(int i)
{
    void **sp = (void **)(void *)(mx_fiber_stacks[i] + MX_STACK_BYTES);
    *--sp = NULL; /* where fiber_main would return to; aligns its frame */
    *--sp = (void *)(uintptr_t)mx_fiber_main;
    for (int r = 0; r < 6; r++) {
        *--sp = NULL;
    }
    mx_fiber_sp[i] = sp;
}

static void mx_fiber_swap_in(int i)
{
    model_switch(&mx_fiber_explorer_sp, mx_fiber_sp[i]);
}

static void mx_fiber_swap_out(int i)
{
    model_switch(&mx_fiber_sp[i], mx_fiber_explorer_sp);
}

#else

#include <ucontext.h>

static ucontext_t mx_fiber_contexts[MODEL_THREADS_MAX];
static ucontext_t mx_fiber_explorer;

static void mx_fiber_init(int i)
{
    getcontext(&mx_fiber_contexts[i]);
    mx_fiber_contexts[i].uc_stack.ss_sp = mx_fiber_stacks[i];
    mx_fiber_contexts[i].uc_stack.ss_size = MX_STACK_BYTES;
    makecontext(&mx_fiber_contexts[i], mx_fiber_main, 0);
}

static void mx_fiber_swap_in(int i)
{
    swapcontext(&mx_fiber_explorer, &mx_fiber_contexts[i]);
}

static void mx_fiber_swap_out(int i)
{
    swapcontext(&mx_fiber_contexts[i], &mx_fiber_explorer);
}

#endif

/* Run thread i until it stands before a step that the explorer has to decide, or has ended. */
static void mx_thread_resume(int i)
{
    mx.current = i;
    mx_fiber_before_enter(i);
    mx_fiber_swap_in(i);
    mx_fiber_returned();
    mx.current = -1;
}

/* In a thread: let the explorer decide; returns when the step has been made. */
static void mx_thread_suspend(void)
{
    int i = mx.current;
    mx_fiber_before_leave(i);
    mx_fiber_swap_out(i);
    mx_fiber_arrived(i);
}

static void mx_fiber_main(void)
{
    mx_fiber_arrived(mx.current);
    mx.scenario->threads[mx.current]();
    mx.threads[mx.current].ended = true;
    mx_thread_suspend();
    abort();
}

void model_fail(const char *format, ...)
{
    if (!mx.failed) {
        va_list args;
        va_start(args, format);
        vsnprintf(mx.rule, sizeof(mx.rule), format, args);
        va_end(args);
        mx.failed = true;
    }
    if (mx.current < 0) {
        longjmp(mx.failed_outside, 1);
    }
    for (;;) {
        mx_thread_suspend();
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
