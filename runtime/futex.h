/* SPDX-License-Identifier: MIT */
/* futex(2), for plain threads that wait on a word. */
#ifndef WEFT_FUTEX_H
#define WEFT_FUTEX_H

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <weft/base.h>

#include "atomic.h"
#include "sanitize.h"

/* Wait while *word == seen, for at most for_ns (WEFT_FOREVER: no limit). May return early. */
static inline void weft__futex_wait(_Atomic(uint32_t) *word, uint32_t seen, int64_t for_ns)
{
    for_ns = sanitize_signals(for_ns);
    struct timespec t = {for_ns / WEFT_SECOND, for_ns % WEFT_SECOND};
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, for_ns == WEFT_FOREVER ? NULL : &t,
                  NULL, 0);
}

/* Wake up to `count` waiters. The word may be gone already: then this does nothing. */
static inline void weft__futex_wake(_Atomic(uint32_t) *word, int count)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

#endif
