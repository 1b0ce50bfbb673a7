/* SPDX-License-Identifier: MIT */
/* The current worker; see tls.h. */
#include "tls.h"

#include <stddef.h>

#include "check.h"

static __thread struct worker *current __attribute__((tls_model("initial-exec")));

WEFT_NOINLINE struct worker *weft__worker_current(void)
{
    /* Keeps callers from being told, by link-time optimisation, that this reads a fixed address. */
    __asm__ volatile("");
    return current;
}

WEFT_NOINLINE void weft__worker_set_current(struct worker *w)
{
    current = w;
}
