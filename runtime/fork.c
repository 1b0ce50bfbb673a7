/* SPDX-License-Identifier: MIT */
/* fork; see fork.h. */
#include "fork.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "fatal.h"
#include "runtime_object.h"
#include "signal_action.h"

static _Atomic(uint64_t) generation;
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

/* The locks that a child is to find free. */
static void fork_begin(void)
{
    weft__signal_fork_begin();
    weft__fatal_fork_begin();
    weft__kick_fork_begin();
}

static void fork_end(void)
{
    weft__kick_fork_end();
    weft__fatal_fork_end();
    weft__signal_fork_end();
}

static void fork_in_child(void)
{
    weft__signal_fork_in_child();
    fork_end();
    /* ORD none: the child has one thread. */
    (void)atomic_add_relaxed(&generation, 1);
    struct worker *w = weft__worker_current();
    if (w != NULL) {
        /* What it executes is not to inherit that a worker leaves signals to other threads. */
        (void)pthread_sigmask(SIG_SETMASK, &w->rt->program_mask, NULL);
        weft__worker_set_current(NULL);
    }
}

static void fork_register(void)
{
    (void)pthread_atfork(fork_begin, fork_end, fork_in_child);
}

void weft__fork_watch(void)
{
    pthread_once(&watch_once, fork_register);
}

uint64_t weft__fork_generation(void)
{
    return atomic_load_relaxed(&generation); /* ORD none: changes only where there is one thread */
}

void weft__fork_program_mask(sigset_t *set)
{
    struct worker *w = weft__worker_current();
    if (w != NULL) {
        *set = w->rt->program_mask;
    } else {
        (void)pthread_sigmask(SIG_SETMASK, NULL, set);
    }
}
