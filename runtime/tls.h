/* SPDX-License-Identifier: MIT */
/*
 * The current worker, and the current job on a thread of a pool: the only thread-local variables of
 * the library that matter to more than one file.
 *
 * A fiber may resume on another thread, and compilers keep the address of a thread-local variable
 * over a call. So it is read by a function that is never inlined, or by instructions that they know
 * nothing of and make anew each time; its result is not kept over anything that can suspend.
 */
#ifndef WEFT_TLS_H
#define WEFT_TLS_H

struct job;
struct worker;

/* The variable, for tls.c and for what follows. */
extern __thread struct worker *weft__thread_worker __attribute__((tls_model("initial-exec")));

#if defined(__x86_64__) && !defined(WEFT_MODEL)
#define WEFT_TLS_INLINE
#endif

/* The worker whose thread this is, or NULL. Context: any thread. */
#ifdef WEFT_TLS_INLINE
static inline struct worker *weft__worker_current(void)
{
    struct worker *w;
    /* volatile: never merged with another one, nor moved over a call. A call of a function costs a
     * park and what follows it 5 %. */
    __asm__ volatile("movq weft__thread_worker@gottpoff(%%rip), %0\n\t"
                     "movq %%fs:(%0), %0"
                     : "=r"(w));
    return w;
}
#else
struct worker *weft__worker_current(void);
#endif

/* The job that this thread of a pool runs, or NULL. Context: any thread. */
struct job *weft__job_current(void);

/* Context: a pool's own thread. */
void weft__job_set_current(struct job *job);

/* Context: a worker's own thread, at its start and end; a forked child. */
void weft__worker_set_current(struct worker *w);

#endif
