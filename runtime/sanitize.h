/* SPDX-License-Identifier: MIT */
/*
 * What AddressSanitizer, ThreadSanitizer and Valgrind have to be told about a context switch.
 *
 *     leaver:   sanitize_switch_begin(&from, &to, is_dying);
 *               weft__context_switch(...)
 *     arriver:  sanitize_switch_end(&self);        (also the first thing on a fresh stack)
 *
 * One struct sanitize_fiber for each stack, one for each thread's native stack. Without a tool the
 * struct is empty and every hook compiles to nothing. Zeroed memory is an uninitialised one.
 *
 * ThreadSanitizer keeps a shadow call stack and a vector clock a fiber. The switch call exchanges
 * the shadow stacks, so the function that makes it must not push or pop an entry between the call
 * and the switch: the hooks are inlined into the function that calls weft__context_switch, and
 * nothing may stand between the two. A function that never returns never pops its entry: therefore
 * a fiber lives from the first switch to a stack until the last one away from it (is_dying) and not
 * as long as the stack. It is made here when a stack without one is entered. That costs the tool
 * 0.3 ms and more a life; an entry that loops, and stays suspended between two uses of its stack,
 * never dies and costs it nothing. A switch orders what
 * the two fibers do (flag 0), which is what happens: they share a thread. Without that order, every
 * structure that belongs to a worker would be reported.
 *
 * AddressSanitizer wants the bounds of the stack that is entered, and keeps a fake stack a fiber
 * for use-after-return; NULL at the last switch frees it. The frames of a dead fiber never ran
 * their epilogues, so their red zones are wiped for the next one.
 *
 * Valgrind tells a switch by a large step of the stack pointer; registering the stacks makes it
 * certain. It costs a few instructions when a stack is made, nothing at a switch, and is compiled
 * in only with WEFT_VALGRIND.
 */
#ifndef WEFT_SANITIZE_H
#define WEFT_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT_ASAN 1
#endif
#if __has_feature(thread_sanitizer)
#define WEFT_TSAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) && !defined(WEFT_ASAN)
#define WEFT_ASAN 1
#endif
#if defined(__SANITIZE_THREAD__) && !defined(WEFT_TSAN)
#define WEFT_TSAN 1
#endif

#if defined(WEFT_VALGRIND) && defined(__has_include)
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#define WEFT_VALGRIND_STACKS 1
#endif
#endif

#ifdef WEFT_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEFT_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* Owner: whoever runs on the stack; between uses, the stack's owner. */
struct sanitize_fiber {
#ifdef WEFT_ASAN
    const void *low;  /* lowest usable address of the stack, and */
    size_t bytes;     /* its size: to be told when it is entered */
    void *fake_stack; /* saved while the stack is left; NULL before the first entry */
#endif
#ifdef WEFT_TSAN
    void *tsan;      /* the tool's fiber; NULL before the first switch to it, after the last away */
    void *tsan_dead; /* fiber that the arriver here has to free; else NULL */
#endif
#ifdef WEFT_VALGRIND_STACKS
    unsigned valgrind_id_plus_1; /* 0: not registered */
#endif
};

#define WEFT_HOOK static inline __attribute__((always_inline, unused))

#ifdef WEFT_TSAN
/* Stands for the kernel's address space. */
extern char weft__sanitize_kernel;
#endif

/*
 * Memory of the caller's is about to be given back to the kernel, or has just come from there, by a
 * system call that the tool does not see: liburing makes its own. What one thread gave back another
 * may get, after the first one's last use of it. Context: any thread.
 */
WEFT_HOOK void sanitize_memory_goes(void)
{
#ifdef WEFT_TSAN
    __tsan_release(&weft__sanitize_kernel);
#endif
}

WEFT_HOOK void sanitize_memory_comes(void)
{
#ifdef WEFT_TSAN
    __tsan_acquire(&weft__sanitize_kernel);
#endif
}

/*
 * Before a thread waits in a system call that the tool does not see. ThreadSanitizer keeps a signal
 * until the thread enters or leaves a call that it does see: so here is one, and the wait is to be
 * no longer than what this returns, and then begun anew.
 */
WEFT_HOOK int64_t sanitize_signals(int64_t for_ns)
{
#ifdef WEFT_TSAN
    (void)usleep(0);
    return for_ns < 20000000 ? for_ns : 20000000;
#else
    return for_ns;
#endif
}

/* The bounds of the calling thread's native stack. */
void weft__sanitize_native_stack(const void **low, size_t *bytes);

/* A stack from low to high comes into use. Context: any thread, not on that stack. */
WEFT_HOOK void sanitize_fiber_init(struct sanitize_fiber *f, const void *low, const void *high)
{
    (void)f;
    (void)low;
    (void)high;
#ifdef WEFT_ASAN
    f->low = low;
    f->bytes = (size_t)((const char *)high - (const char *)low);
    f->fake_stack = NULL;
    /* The frames that were suspended here when the memory was given back. */
    ASAN_UNPOISON_MEMORY_REGION(f->low, f->bytes);
#endif
#ifdef WEFT_TSAN
    f->tsan = NULL;
    f->tsan_dead = NULL;
#endif
#ifdef WEFT_VALGRIND_STACKS
    f->valgrind_id_plus_1 = (unsigned)VALGRIND_STACK_REGISTER(low, high) + 1;
#endif
}

/* Memory that holds stacks, some left in mid-use, goes back to the system: what is mapped there
 * next is not theirs. Context: any thread, not on one of them. */
WEFT_HOOK void sanitize_unmap(const void *low, size_t bytes)
{
    (void)low;
    (void)bytes;
#ifdef WEFT_ASAN
    ASAN_UNPOISON_MEMORY_REGION(low, bytes);
#endif
}

/* Forget a stack: nothing runs on it any more. Context: any thread, not on that stack. */
WEFT_HOOK void sanitize_fiber_fini(struct sanitize_fiber *f)
{
    (void)f;
#ifdef WEFT_ASAN
    if (f->low != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(f->low, f->bytes);
    }
    f->low = NULL;
#endif
#ifdef WEFT_TSAN
    /* Left alive by a stack that was left in mid-use, as when a runtime is dropped. */
    if (f->tsan != NULL) {
        __tsan_destroy_fiber(f->tsan);
        f->tsan = NULL;
    }
#endif
#ifdef WEFT_VALGRIND_STACKS
    if (f->valgrind_id_plus_1 != 0) {
        VALGRIND_STACK_DEREGISTER(f->valgrind_id_plus_1 - 1);
        f->valgrind_id_plus_1 = 0;
    }
#endif
}

/* The calling thread's own stack. Context: on that stack; needs no fini. */
WEFT_HOOK void sanitize_thread_init(struct sanitize_fiber *f)
{
    (void)f;
#ifdef WEFT_ASAN
    weft__sanitize_native_stack(&f->low, &f->bytes);
    f->fake_stack = NULL;
#endif
#ifdef WEFT_TSAN
    f->tsan = __tsan_get_current_fiber();
    f->tsan_dead = NULL;
#endif
#ifdef WEFT_VALGRIND_STACKS
    f->valgrind_id_plus_1 = 0; /* Valgrind knows it */
#endif
}

/*
 * The caller is about to switch from one stack to another, in this very function and with nothing
 * in between.
 * is_dying: nobody will switch back to what is left; the stack may be used anew after that
 */
WEFT_HOOK void sanitize_switch_begin(struct sanitize_fiber *from, struct sanitize_fiber *to,
                                     bool is_dying)
{
    (void)from;
    (void)to;
    (void)is_dying;
#ifdef WEFT_ASAN
    if (is_dying) {
        ASAN_UNPOISON_MEMORY_REGION(from->low, from->bytes);
        from->fake_stack = NULL;
    }
    __sanitizer_start_switch_fiber(is_dying ? NULL : &from->fake_stack, to->low, to->bytes);
#endif
#ifdef WEFT_TSAN
    if (to->tsan == NULL) {
        to->tsan = __tsan_create_fiber(0);
    }
    if (is_dying) {
        to->tsan_dead = from->tsan;
        from->tsan = NULL;
    }
    __tsan_switch_to_fiber(to->tsan, 0);
#endif
}

/* The first thing after a switch to this stack, also when it is the first one. */
WEFT_HOOK void sanitize_switch_end(struct sanitize_fiber *self)
{
    (void)self;
#ifdef WEFT_ASAN
    __sanitizer_finish_switch_fiber(self->fake_stack, NULL, NULL);
    self->fake_stack = NULL;
#endif
#ifdef WEFT_TSAN
    if (self->tsan_dead != NULL) {
        __tsan_destroy_fiber(self->tsan_dead);
        self->tsan_dead = NULL;
    }
#endif
}

#endif
