/* SPDX-License-Identifier: MIT */
/* fork; see fork.h. */
#include "fork.h"

#include <pthread.h>
#include <stddef.h>

#include "atomic.h"
#include "tls.h"

static _Atomic(uint64_t) generation;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void fork_in_child(void)
{
    /* ORD none: the child has one thread. */
    (void)atomic_add_relaxed(&generation, 1);
    weft__worker_set_current(NULL);
}

static void fork_register(void)
{
    (void)pthread_atfork(NULL, NULL, fork_in_child);
}

void weft__fork_watch(void)
{
    pthread_once(&watch_once, fork_register);
}

uint64_t weft__fork_generation(void)
{
    return atomic_load_relaxed(&generation); /* ORD none: changes only where there is one thread */
}
