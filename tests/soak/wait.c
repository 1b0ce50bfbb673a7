/* SPDX-License-Identifier: MIT */
/*
 * Steps of waiting that ends early: timers that are stopped, tasks that are cancelled wherever they
 * wait, deadlines of everything.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "soak.h"

static void count(void *arg)
{
    /* ORD none: the stop, which waits, has ordered it. */
    atomic_fetch_add_explicit((atomic_uint *)arg, 1, memory_order_relaxed);
}

/* A timer, started, maybe moved, maybe stopped: it calls back once, or was prevented to. */
void soak_step_timer(struct soak_actor *a)
{
    atomic_uint calls = 0;
    weft_timer *t;
    int err = weft_timer_create(&t, a->round->rt, count, &calls);
    if (err < 0) {
        if (!soak_excused(a->round, err)) {
            soak_broken("round %u: no timer: %s", a->round->number, strerrordesc_np(-err));
        }
        (void)weft_yield();
        return;
    }
    bool is_started = weft_timer_start(t, (int64_t)soak_below(&a->random, 3000) * WEFT_US) == 0;
    (void)weft_sleep((int64_t)soak_below(&a->random, 3000) * WEFT_US);
    bool is_stopped = weft_timer_stop_and_wait(t);
    unsigned times = atomic_load_explicit(&calls, memory_order_relaxed); /* ORD none: as above */
    if (times + is_stopped != is_started && !soak_is_closing(a->round)) {
        soak_broken("round %u: a timer called %u times, stopped: %d", a->round->number, times,
                    is_stopped);
    }
    weft_timer_destroy(t);
}

enum wait { SLEEPS, READS, WAITS_FOR_EVENT, ACQUIRES, RECEIVES, GETS, AWAITS, WAITS };

/* One that waits for what never comes. */
struct waiter {
    struct soak_round *round;
    enum wait wait;
    int fd;
    struct weft_event event;
    struct weft_semaphore semaphore;
    weft_channel *channel;
    weft_queue *queue;
    weft_future *promise;
};

static int wait_for_ever(struct waiter *w)
{
    char byte;
    switch (w->wait) {
    case READS:
        return (int)weft_read(w->fd, &byte, 1);
    case WAITS_FOR_EVENT:
        return weft_event_wait(&w->event);
    case ACQUIRES:
        return weft_semaphore_acquire(&w->semaphore);
    case RECEIVES:
        return weft_channel_receive(w->channel, NULL);
    case GETS:
        return weft_queue_get(w->queue, NULL);
    case AWAITS:
        return weft_await(w->promise, NULL);
    case SLEEPS:
    default:
        return weft_sleep(WEFT_FOREVER);
    }
}

static void *wait_task(void *arg)
{
    struct waiter *w = arg;
    int err = wait_for_ever(w);
    soak_out(w->round, SOAK_CHILDREN, 1);
    return weft_fail(err < 0 ? err : -EPROTO);
}

/* Ends it by a cancel, or by a deadline, from before its first moment on. */
static int end_early(struct soak_actor *a, struct waiter *w, bool *by_deadline)
{
    int64_t soon = (int64_t)soak_below(&a->random, 2000) * WEFT_US;
    *by_deadline = soak_below(&a->random, 2) == 0;
    weft_task *t = weft_spawn(wait_task, w);
    if (t == NULL) {
        return -ENOMEM;
    }
    soak_in(w->round, SOAK_CHILDREN, 1);
    int err;
    if (*by_deadline) {
        err = weft_wait_for(t, soon, NULL);
        weft_put(t);
    } else {
        if (soak_below(&a->random, 2) == 0) {
            (void)weft_sleep(soon);
        }
        err = weft_cancel_and_join(t, NULL);
    }
    return err;
}

void soak_step_cancel(struct soak_actor *a)
{
    int fds[2];
    struct waiter w = {.round = a->round, .wait = (enum wait)soak_below(&a->random, WAITS)};
    if (pipe2(fds, O_CLOEXEC) < 0) {
        (void)weft_yield();
        return;
    }
    w.fd = fds[0];
    w.channel = weft_channel_create(1, 0);
    w.queue = weft_queue_create(WEFT_FIFO, 1);
    w.promise = weft_future_create();
    bool by_deadline = false;
    int err;
    if (soak_below(&a->random, 4) == 0) {
        struct weft_scope s;
        weft_scope_enter(&s, (int64_t)soak_below(&a->random, 1000) * WEFT_US);
        err = wait_for_ever(&w);
        (void)weft_scope_exit(&s);
        by_deadline = w.wait != AWAITS; /* which passes a cancel on, and returns the outcome */
    } else {
        err = end_early(a, &w, &by_deadline);
    }
    int wanted = by_deadline ? -ETIMEDOUT : -ECANCELED;
    if (err != wanted && weft_scope_error() == 0 && !soak_is_closing(a->round)) {
        soak_broken("round %u: wait %d ended with %d, not %d", a->round->number, w.wait, err,
                    wanted);
    }
    if (weft_channel_destroy(w.channel) < 0 || weft_queue_destroy(w.queue) < 0) {
        soak_broken("round %u: somebody still waits after wait %d", a->round->number, w.wait);
    }
    weft_put(w.promise);
    (void)weft_close(fds[0]);
    (void)weft_close(fds[1]);
}

/* Burns the processor, as code that nobody has measured does. */
void soak_step_stall(struct soak_actor *a)
{
    int64_t end = weft_now() + (1 + (int64_t)soak_below(&a->random, 20)) * WEFT_MS;
    while (weft_now() < end) {
    }
    (void)weft_sleep((20 + (int64_t)soak_below(&a->random, 200)) * WEFT_MS);
}
