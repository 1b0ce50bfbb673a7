/* SPDX-License-Identifier: MIT */
/*
 * A step of signals: some are sent to the process, and waited for by a callback or a task. They are
 * not counted, so fewer may be told than were sent, but never more, and one at least of those that
 * were sent after one was told; else the step never ends.
 *
 * Each actor has a signal of its own, which nobody else sends; and all have one in common. What the
 * process does about them when no runtime has them is nothing. They come on the main thread, which
 * alone has them open.
 */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "soak.h"

/* From where on actors have their own: no runtime's. */
#define FIRST_OWN (SIGRTMIN + 10)

enum { KILLS = 5 };

void soak_signals_ignore(void)
{
    (void)signal(SIGUSR1, SIG_IGN);
    for (int signo = FIRST_OWN; signo <= SIGRTMAX; signo++) {
        (void)signal(signo, SIG_IGN);
    }
}

void soak_signals_block(void)
{
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, NULL);
}

static int own_signal(const struct soak_actor *a)
{
    return FIRST_OWN + (int)a->number % (SIGRTMAX - FIRST_OWN + 1);
}

static void check(struct soak_actor *a, const char *what, int err)
{
    if (err < 0 && !soak_excused(a->round, err)) {
        soak_broken("round %u: %s: %s", a->round->number, what, strerrordesc_np(-err));
    }
}

static void count(atomic_ullong *counter, unsigned n)
{
    /* ORD none: looked at when the round is over. */
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void send_one(struct soak_actor *a, int signo)
{
    count(signo == SIGUSR1 ? &a->round->shared_sent : &a->signals.sent, 1);
    if (kill(getpid(), signo) < 0) {
        soak_broken("round %u: kill: %s", a->round->number, strerrordesc_np(errno));
    }
}

/* --- callbacks -------------------------------------------------------------------------------- */

/* Where it still runs when it is removed it may do so for a while: so all it has is the actor's. */
static void called(int signo, void *arg)
{
    struct soak_actor *a = arg;
    count(signo == SIGUSR1 ? &a->signals.called_shared : &a->signals.called_own, 1);
    weft_event_set(&a->signals.event);
}

static void by_callback(struct soak_actor *a, int signo)
{
    int err = weft_on_signal(signo, called, a);
    check(a, "weft_on_signal", err);
    if (err < 0) {
        return;
    }
    unsigned kills = 1 + (unsigned)soak_below(&a->random, KILLS);
    while (err == 0 && kills-- > 0) {
        weft_event_clear(&a->signals.event);
        send_one(a, signo);
        if (soak_below(&a->random, 2) == 0) {
            err = weft_event_wait(&a->signals.event);
        }
    }
    err = err == 0 ? weft_event_wait(&a->signals.event) : err;
    check(a, "a signal's callback", err);
    if (weft_on_signal_remove(signo, called, a) != 1) {
        soak_broken("round %u: a registration is gone, or there twice", a->round->number);
    }
}

/* --- waits ------------------------------------------------------------------------------------ */

static void by_wait(struct soak_actor *a)
{
    int signo = own_signal(a);
    sigset_t own;
    int got = 0;
    sigemptyset(&own);
    sigaddset(&own, signo);
    WEFT_TIMEOUT(0) {
        got = weft_signal_wait(&own); /* from the first wait on it is the runtime's */
    }
    count(&a->signals.waited, got == signo);
    send_one(a, signo);
    got = -ETIMEDOUT;
    while (got == -ETIMEDOUT && weft_scope_error() == 0) {
        WEFT_TIMEOUT((int64_t)soak_below(&a->random, 200) * WEFT_US) {
            got = weft_signal_wait(&own);
        }
    }
    count(&a->signals.waited, got == signo);
    check(a, "weft_signal_wait", got);
    if (got > 0 && got != signo) {
        soak_broken("round %u: signal %d came instead of %d", a->round->number, got, signo);
    }
    if (soak_below(&a->random, 2) == 0) {
        check(a, "weft_signal_release", weft_signal_release(&own));
    }
}

void soak_step_signal(struct soak_actor *a)
{
    switch (soak_below(&a->random, 4)) {
    case 0:
        by_callback(a, SIGUSR1);
        break;
    case 1:
        by_callback(a, own_signal(a));
        break;
    default:
        by_wait(a);
        break;
    }
    (void)weft_sleep((int64_t)soak_below(&a->random, 2000) * WEFT_US);
}

/* --- when the round is over ------------------------------------------------------------------- */

void soak_signals_check(struct soak_round *r)
{
    unsigned long long shared = soak_count(&r->shared_sent);
    for (unsigned i = 0; i < soak_actor_count(r); i++) {
        struct soak_signals *s = &r->actors[i].signals;
        unsigned long long sent = soak_count(&s->sent);
        if (soak_count(&s->called_own) > sent || soak_count(&s->waited) > sent ||
            soak_count(&s->called_shared) > shared) {
            soak_broken("round %u: of %llu signals, and %llu for all, an actor was told %llu (%llu)"
                        " and %llu times",
                        r->number, sent, shared, soak_count(&s->called_own),
                        soak_count(&s->waited), soak_count(&s->called_shared));
        }
    }
}
