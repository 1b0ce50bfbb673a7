/* SPDX-License-Identifier: MIT */
/*
 * Signal stack: where a thread's signal handlers run. A fiber's stack may be too small for the
 * registers alone that the kernel saves, and one that has overflowed has no room at all.
 */
#ifndef WEFT_SIGNAL_STACK_H
#define WEFT_SIGNAL_STACK_H

/*
 * Give the calling thread a stack for signal handlers. A later weft__signal_stack_end puts back the
 * one it had.
 * Context: a worker's thread, on its native stack, or a pool's     Blocks: nothing
 * Returns 0 or -ENOMEM.
 */
int weft__signal_stack_begin(void);
void weft__signal_stack_end(void);

#endif
