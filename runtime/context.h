/* SPDX-License-Identifier: MIT */
/*
 * Context switch: leave one stack where it stands, go on where another one was left.
 *
 *     void *sp = weft__context_make(stack_top, entry);
 *     void *got = weft__context_switch(&here, sp, value);    (entry(value) runs on the other stack)
 *                                   weft__context_switch(&there, here, answer);   (got == answer)
 *
 * A context is one pointer, the stack pointer at which it was left; everything else lies on its
 * stack. It may be entered once each time it was left, on any thread.
 *
 * Kept over a switch: what the ABI says a call keeps, integer registers only on x86-64 (rbx rbp
 * r12-r15), x19-x30 and d8-d15 on aarch64. Not kept: the floating point environment (MXCSR, the x87
 * control word, FPCR), which belongs to the thread. Saving it costs 1.9 ns a switch; no task may
 * change its rounding mode or exception masks and then wait.
 *
 * The switch ends with `ret`, in spite of what the ping-pong benchmark says (10.7 ns against 1.8
 * with pop and jmp): tasks return through real frames after a switch, and a jmp leaves one entry
 * too many in the processor's return-stack predictor each time. Three frames deep, task to task:
 * 5.7 ns with ret, 28.8 with jmp. The exchange stays out of line for its unwind tables; inline it
 * was no faster. Call it from as few places as possible: ret predicts well when there is one.
 *
 * What does cost is memory: of a hundred fibers the lines that a switch touches no longer fit the
 * first cache. So on x86-64 context_switch leaves the registers to the compiler, which saves each
 * once, in the frame of the function that switches, and not again in every function on the way.
 *
 * Landing pads for indirect branches (IBT, BTI) are there and the objects say so. They do not claim
 * support for shadow stacks (SHSTK, GCS), so a linker leaves that off for the whole program: a
 * switch by hand cannot work with them.
 *
 * Unwinding ends at the trampoline below entry: its return address is declared undefined and the
 * frame pointer is 0, also between the switch and entry's first instruction. An exception that
 * leaves entry therefore ends the process.
 *
 * Compilers keep addresses of thread-local variables, errno's included, over a call: after a switch
 * they may be another thread's. Tested in tests/unit/test_context.c.
 */
#ifndef WEFT_CONTEXT_H
#define WEFT_CONTEXT_H

/* For what has to be part of the function that switches. */
#define WEFT_ALWAYS_INLINE inline __attribute__((always_inline))

/*
 * Save the caller's context to *save_sp and go on with the one at load_sp.
 * Context: any, on the stack that is left     Blocks: nothing
 * value: what the other side's weft__context_switch returns, or its entry gets
 * Returns, when somebody switches back, that switch's value.
 */
void *weft__context_switch(void **save_sp, void *load_sp, void *value);

/*
 * The same, for the scheduler. In a function that makes other calls too: the compiler does not see
 * this one, and must keep nothing below its stack pointer.
 */
#if defined(__x86_64__)
#if defined(__AVX512F__)
#define CONTEXT_WIDE_REGISTERS \
    "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", \
        "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", \
        "k7",
#else
#define CONTEXT_WIDE_REGISTERS
#endif
static WEFT_ALWAYS_INLINE void *context_switch(void **save_sp, void *load_sp, void *value)
{
    void *got;
    __asm__ volatile("call weft__context_exchange"
                     : "=a"(got), "+D"(save_sp), "+S"(load_sp), "+d"(value)
                     :
                     : "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0",
                       "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                       "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
                       CONTEXT_WIDE_REGISTERS "cc", "memory");
    return got;
}
#else
#define context_switch weft__context_switch
#endif

/*
 * Prepare a fresh stack: the first switch to it calls entry(value), with the stack aligned as after
 * any call. entry must not return (if it does, an illegal instruction ends the process).
 * Context: any, not on that stack     Blocks: nothing
 * stack_top: rounded down to 16; up to 256 bytes below it are written
 * Returns the context.
 */
void *weft__context_make(void *stack_top, void (*entry)(void *value));

/*
 * Call fn(arg) on the current stack, as if whoever left the context at sp had: to an unwinder that
 * starts in fn the frames of that stack come next. Nothing of it is changed.
 * Context: any, not on that stack, which nobody goes on with meanwhile
 */
void weft__context_walk(void *sp, void (*fn)(void *arg), void *arg);

#endif
