/* SPDX-License-Identifier: MIT */
/*
 * The watchdog: a thread of its own that looks ten times a second whether each actor has ended a
 * step since, and whether the round has come into its next phase. What stands still for PATIENCE
 * looks hangs: no step waits for more than a second or two by itself. Looks are counted instead of
 * time, so a process that was stopped as a whole is not taken for one that hangs.
 */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "soak.h"

enum { LOOKS_A_SECOND = 10, PATIENCE = (SOAK_SANITIZED ? 90 : 30) * LOOKS_A_SECOND };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct soak_round *watched;
static const char *phase = "start";
static unsigned phase_ticks;
static const struct soak_options *options;

void soak_watchdog_watch(struct soak_round *r, const char *name)
{
    pthread_mutex_lock(&lock);
    watched = r;
    phase = name;
    phase_ticks = 0;
    pthread_mutex_unlock(&lock);
}

/* Prints what stands still, in one report, and ends the process. */
static void give_up(const char *what)
{
    soak_broken("hang: %s, phase %s", what, phase);
    if (watched != NULL && watched->rt != NULL) {
        (void)weft_dump_tasks(watched->rt, stderr);
    }
    soak_verdict(options, "HANGS");
    fflush(NULL);
    _exit(1);
}

static void look(struct soak_round *r)
{
    unsigned n = soak_actor_count(r);
    for (unsigned i = 0; i < n; i++) {
        struct soak_actor *a = &r->actors[i];
        /* ORD none: looked at again. */
        unsigned long long steps = soak_count(&a->steps);
        if (!atomic_load_explicit(&a->live, memory_order_relaxed) || steps != a->seen) {
            a->seen = steps;
            a->ticks = 0;
        } else if (++a->ticks >= PATIENCE) {
            char what[128];
            snprintf(what, sizeof what, "round %u, actor %u (%s) has not ended step %llu",
                     r->number, i, a->kind->name, steps);
            give_up(what);
        }
    }
}

static void *watch(void *unused)
{
    (void)unused;
    soak_signals_block();
    struct timespec between = {.tv_nsec = 1000000000L / LOOKS_A_SECOND};
    for (;;) {
        nanosleep(&between, NULL);
        pthread_mutex_lock(&lock);
        if (watched != NULL) {
            look(watched);
        }
        if (++phase_ticks >= 2 * PATIENCE) {
            give_up("the round does not go on");
        }
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

void soak_watchdog_start(const struct soak_options *o)
{
    options = o;
    pthread_t thread;
    if (pthread_create(&thread, NULL, watch, NULL) != 0) {
        fprintf(stderr, "weft-soak: no thread for the watchdog\n");
        exit(1);
    }
    pthread_detach(thread);
}
