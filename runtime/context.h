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
 * 5.7 ns with ret, 28.8 with jmp. It stays out of line for its unwind tables and its landing pads;
 * inline it was no faster. Call it from as few places as possible: ret predicts well when there is
 * one.
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

/*
 * Save the caller's context to *save_sp and go on with the one at load_sp.
 * Context: any, on the stack that is left     Blocks: nothing
 * value: what the other side's weft__context_switch returns, or its entry gets
 * Returns, when somebody switches back, that switch's value.
 */
void *weft__context_switch(void **save_sp, void *load_sp, void *value);

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
