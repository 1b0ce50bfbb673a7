/* SPDX-License-Identifier: MIT */
/*
 * Runtime: start and run; the end is in close.c.
 *
 * Everything shared is made first, then the workers' threads, each of which makes its own ring; the
 * creator waits for all of them. When one cannot start, those that could are stopped again.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <weft/task.h>

#include "barrier.h"
#include "blocking.h"
#include "crash.h"
#include "fork.h"
#include "group.h"
#include "locals.h"
#include "pool.h"
#include "runtime_object.h"
#include "sigint.h"
#include "signal_hub.h"
#include "simulation.h"

struct start_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned answered;
    unsigned failed;
};

int64_t weft__runtime_now(weft_runtime *rt)
{
    if (WEFT_UNLIKELY(rt->seams.clock != NULL)) {
        return rt->seams.clock(rt->seams.clock_arg);
    }
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * WEFT_SECOND + t.tv_nsec;
}

bool weft__runtime_has_come(weft_runtime *rt, int64_t at_ns)
{
    /* The coarse clock shows the time of the last tick: 1 to 10 ms, and what a tick may be late. */
    const int64_t behind_ns = 50 * WEFT_MS;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    if (WEFT_LIKELY(rt->seams.clock == NULL) &&
        at_ns - behind_ns > t.tv_sec * WEFT_SECOND + t.tv_nsec) {
        return false;
    }
    return weft__runtime_now(rt) >= at_ns;
}

void weft__runtime_started(weft_runtime *rt, bool ok)
{
    struct start_gate *gate = rt->gate;
    pthread_mutex_lock(&gate->lock);
    gate->answered++;
    gate->failed += ok ? 0 : 1;
    pthread_cond_signal(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

/* The signals a worker leaves to the program's own threads: all that are not about what it does. */
static void worker_signal_mask(sigset_t *set, int kick_signal)
{
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < sizeof synchronous / sizeof synchronous[0]; i++) {
        sigdelset(set, synchronous[i]);
    }
    sigdelset(set, SIGPROF); /* profilers want to see the workers */
    if (kick_signal > 0) {
        sigdelset(set, kick_signal);
    }
}

/* The signal that its workers are kicked by; 0: none. */
static int runtime_kick_signal(const weft_runtime *rt)
{
    return rt->options.kick_signal > 0 ? rt->options.kick_signal : 0;
}

/* The fatal signals that it has a handler of. */
static enum fatal_set runtime_fatal_set(const weft_runtime *rt)
{
    return rt->options.crash_report           ? FATAL_ALL
           : rt->options.overflow_report >= 0 ? FATAL_OVERFLOWS
                                              : FATAL_NONE;
}

void weft__runtime_remove_handlers(weft_runtime *rt)
{
    if (runtime_kick_signal(rt) != 0) {
        weft__kick_uninstall(runtime_kick_signal(rt));
    }
    weft__fatal_uninstall(runtime_fatal_set(rt));
}

/* 0 or -errno; then none is installed. */
static int runtime_install_handlers(weft_runtime *rt)
{
    weft__fatal_set_tell(weft__crash_tell);
    int err = weft__fatal_install(runtime_fatal_set(rt));
    if (err == 0 && runtime_kick_signal(rt) != 0) {
        err = weft__kick_install(runtime_kick_signal(rt), weft__rescue_on_kick);
        if (err < 0) {
            weft__fatal_uninstall(runtime_fatal_set(rt));
        }
    }
    return err;
}

static int worker_prepare(weft_runtime *rt, unsigned index)
{
    struct worker *w = &rt->workers[index];
    w->rt = rt;
    w->index = index;
    w->is_alone = rt->worker_count == 1;
    w->poller_ops = rt->seams.poller;
    w->tasks.pool = rt->tasks;
    weft__stack_cache_init(&w->stacks, &rt->stacks);
    weft__timers_init(&w->timers);
    mpsc_init(&w->inbox);
    rng_init(&w->rng, rt->options.seed + index);
    return deque_init(&w->deque, WEFT_DEQUE_CAPACITY, rt->worker_count > 1);
}

static void worker_unprepare(struct worker *w)
{
    if (w->poller != NULL) {
        w->poller_ops->destroy(w->poller); /* till now for its counters, see metrics.c */
    }
    deque_fini(&w->deque);
    weft__timers_fini(&w->timers); /* what is armed is forgotten, and not touched */
}

/* Why a worker could not start. */
static void runtime_tell(weft_runtime *rt, const char *why)
{
    if (rt->seams.refusal != NULL) {
        snprintf(rt->seams.refusal, rt->seams.refusal_bytes, "%s", why);
    } else {
        fprintf(stderr, "weft: %s\n", why);
    }
}

/* Start the threads; returns 0 when all run, else the first one's error with all of them ended. */
static int runtime_start_workers(weft_runtime *rt)
{
    struct start_gate gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    rt->gate = &gate;
    sigset_t set, before;
    worker_signal_mask(&set, runtime_kick_signal(rt));
    pthread_sigmask(SIG_SETMASK, &set, &before);
    rt->program_mask = before;
    unsigned started = 0;
    int err = 0;
    while (started < rt->worker_count && err == 0) {
        struct worker *w = &rt->workers[started];
        err = -pthread_create(&w->thread, NULL, weft__worker_main, w);
        started += err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_lock(&gate.lock);
    while (gate.answered < started) {
        pthread_cond_wait(&gate.changed, &gate.lock);
    }
    bool has_failed = err < 0 || gate.failed > 0;
    pthread_mutex_unlock(&gate.lock);
    rt->gate = NULL;
    if (err < 0) {
        fprintf(stderr, "weft: cannot start worker thread %u of %u: %s\n", started,
                rt->worker_count, strerrordesc_np(-err));
    }
    if (has_failed) {
        weft__runtime_stop_workers(rt, started);
        for (unsigned i = 0; i < started; i++) {
            if (err == 0 && rt->workers[i].start_error < 0) {
                err = rt->workers[i].start_error;
                runtime_tell(rt, rt->workers[i].start_why);
            }
        }
    }
    return err;
}

/* What there is before any thread. */
static int runtime_prepare(weft_runtime *rt)
{
    rt->worker_count = rt->options.workers;
#ifdef WEFT_SCATTER
    const char *scatters = getenv("WEFT_TEST_SCATTER");
    rt->scatters = rt->worker_count > 1 && scatters != NULL && strcmp(scatters, "1") == 0;
#endif
    rt->default_class = (unsigned)weft__stack_class(rt->options.stack_bytes);
    rt->fork_generation = weft__fork_generation();
    atomic_store_relaxed(&rt->holders, 1); /* ORD none: not shared yet */
    atomic_store_relaxed(&rt->ids, 1);     /* ORD none: as above */
    idle_init(&rt->idle, rt->worker_count);
    weft__inject_init(&rt->inject);
    weft__residents_init(&rt->residents);
    pthread_mutex_init(&rt->close_lock, NULL);
    pthread_mutex_init(&rt->handler_lock, NULL);
    struct stack_options stacks = {0};
#ifdef WEFT_TSAN
    stacks.decay_ns = -1; /* a stack whose memory is given back would lose its fiber in the tool */
#endif
    int err = weft__stack_pool_init(&rt->stacks, &stacks);
    if (err < 0) {
        return err;
    }
    if (rt->seams.poller->shared_create != NULL) {
        rt->poller_shared = rt->seams.poller->shared_create();
        if (rt->poller_shared == NULL) {
            return -ENOMEM;
        }
    }
    rt->tasks = weft__slab_pool_create(rt);
    size_t bytes = rt->worker_count * sizeof(struct worker);
    rt->workers = aligned_alloc(WEFT_CACHE_LINE, bytes);
    if (rt->workers != NULL) {
        memset(rt->workers, 0, bytes);
    }
    rt->close_messages = calloc(rt->worker_count, sizeof *rt->close_messages);
    if (rt->tasks == NULL || rt->workers == NULL || rt->close_messages == NULL) {
        return -ENOMEM;
    }
    for (unsigned i = 0; i < rt->worker_count && err == 0; i++) {
        err = worker_prepare(rt, i);
    }
    return err;
}

/* Locals go from run to run. */
static struct local_set *runtime_swap_locals(weft_runtime *rt, struct local_set *locals)
{
    return atomic_exchange_acq_rel(&rt->run_locals, locals); /* ORD P2 (locals.h): the values */
}

void weft__runtime_free(weft_runtime *rt)
{
    weft__signal_hub_free(rt);
    for (unsigned i = 0; rt->workers != NULL && i < rt->worker_count; i++) {
        weft__group_records_drop(&rt->workers[i]);
        worker_unprepare(&rt->workers[i]);
    }
    free(rt->workers);
    free(rt->close_messages);
    if (rt->tasks != NULL) {
        weft__slab_pool_orphan(rt->tasks);
    }
    if (rt->poller_shared != NULL) {
        rt->seams.poller->shared_destroy(rt->poller_shared);
    }
    weft__stack_pool_fini(&rt->stacks);
    weft__inject_fini(&rt->inject);
    weft__pool_release(atomic_load_relaxed(&rt->pool)); /* ORD none: nobody else is left */
    weft__pool_release(atomic_load_relaxed(&rt->detached)); /* ORD none: the same */
    weft__locals_drop(runtime_swap_locals(rt, NULL));
    weft__residents_fini(&rt->residents);
    pthread_mutex_destroy(&rt->close_lock);
    weft__runtime_release(rt);
}

int weft__runtime_create(weft_runtime **out, const struct weft_options *options,
                         const struct runtime_seams *seams)
{
    weft__barrier_init();
    weft__fork_watch();
    weft_runtime *rt = aligned_alloc(WEFT_CACHE_LINE, sizeof *rt);
    if (rt == NULL) {
        return -ENOMEM;
    }
    memset(rt, 0, sizeof *rt);
    int err = weft__options_complete(&rt->options, options);
    if (err < 0) {
        free(rt);
        return err;
    }
    rt->seams = *seams;
    err = rt->options.simulation ? weft__simulation_create(rt) : 0;
    if (err < 0) {
        free(rt);
        return err;
    }
    err = runtime_prepare(rt);
    bool has_handlers = false;
    if (err == 0) {
        err = runtime_install_handlers(rt);
        has_handlers = err == 0;
    }
    if (err == 0) {
        err = runtime_start_workers(rt);
    }
    if (err == 0) {
        err = weft__debug_init(rt);
        if (err < 0) {
            weft__runtime_stop_workers(rt, rt->worker_count);
        }
    }
    if (err < 0) {
        if (has_handlers) {
            weft__runtime_remove_handlers(rt);
        }
        weft__runtime_free(rt);
        return err;
    }
    *out = rt;
    return 0;
}

weft_runtime *weft_runtime_current(void)
{
    struct worker *w = weft__worker_current();
    return w == NULL ? NULL : w->rt;
}

unsigned weft_runtime_workers(const weft_runtime *rt)
{
    return rt == NULL ? 0 : rt->worker_count;
}

/* Run fn as a task and wait for it, on a thread that is no worker. */
static int runtime_run(weft_runtime *rt, weft_fn fn, void *arg, void **result, bool is_watched)
{
    weft_task *t;
    struct local_set *locals = runtime_swap_locals(rt, NULL);
    int err = weft__runtime_spawn(rt, fn, arg, &t, locals);
    if (err < 0) {
        weft__locals_drop(locals);
        return err;
    }
    err = is_watched ? weft__sigint_wait(t, result)
                     : weft_future_wait_blocking(t, WEFT_FOREVER, result);
    weft__locals_drop(runtime_swap_locals(rt, weft__locals_take(t)));
    weft_put(t);
    return err;
}

int weft_runtime_run(weft_runtime *rt, weft_fn fn, void *arg, void **result)
{
    if (weft__worker_current() != NULL) {
        return -EBUSY;
    }
    if (rt == NULL) {
        return -EINVAL;
    }
    if (weft__runtime_is_parents(rt)) {
        return -ESHUTDOWN;
    }
    if (weft__blocking_holds(rt)) {
        return -EBUSY;
    }
    return runtime_run(rt, fn, arg, result, false);
}

int weft_run_with(const struct weft_options *options, weft_fn fn, void *arg, void **result)
{
    if (weft__worker_current() != NULL) {
        return -EBUSY;
    }
    weft_runtime *rt;
    int err = weft_runtime_create(&rt, options);
    if (err < 0) {
        return err;
    }
    bool is_watched = rt->options.interrupt >= 0 && weft__sigint_begin();
    err = runtime_run(rt, fn, arg, result, is_watched);
    if (is_watched) {
        weft__sigint_end();
    }
    while (weft_runtime_close(rt) == -ETIMEDOUT) {
        /* close_grace_ns bounds a close that can be given up; a run that returned with its threads
         * still running would leave them with the caller's memory. It has named them: go on. */
    }
    (void)weft_runtime_destroy(rt);
    return err;
}

int weft_run(weft_fn fn, void *arg, void **result)
{
    return weft_run_with(NULL, fn, arg, result);
}
