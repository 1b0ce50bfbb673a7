/* SPDX-License-Identifier: MIT */
/* Debug mode: the worker's part, the looking thread, the switch; see debug.h. */
#include "debug.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <weft/task.h>

#include "debug_switch.h"
#include "runtime_object.h"

/* A look costs a few microseconds a worker. */
#define LOOK_NS_MIN (1 * WEFT_MS)

/* ---- the worker ---- */

static void step_name(char *buf, size_t bytes, weft_task *t, uint64_t callback)
{
    if (t != NULL) {
        char name[64];
        (void)weft_task_name(t, name, sizeof name);
        snprintf(buf, bytes, "task %s", name);
    } else {
        snprintf(buf, bytes, "a callback (0x%llx)", (unsigned long long)callback);
    }
}

/* The step is over: was it slow? */
static void step_end(struct worker *w, struct debug_step *s, uint64_t number, int64_t now)
{
    /* ORD none: written by this thread. */
    int64_t took_ns = now - atomic_load_relaxed(&s->started_ns);
    atomic_store_seq_cst(&s->number, number + 1); /* ORD P2: before the fields */
    /* ORD none: written by this thread; another mode: it was off meanwhile. */
    bool is_noted = atomic_load_relaxed(&s->mode) == atomic_load_relaxed(&w->debug_mode);
    if (!is_noted || took_ns < w->rt->options.slow_ns) {
        return;
    }
    counter_add(&w->count.slow, 1);
    /* ORD none: a hint, that it was told of already. */
    if (atomic_load_relaxed(&s->told) != number) {
        char name[96];
        /* ORD none: written by this thread; the task cannot end before its step. */
        step_name(name, sizeof name, atomic_load_relaxed(&s->task),
                  atomic_load_relaxed(&s->callback)); /* ORD none: the same */
        fprintf(stderr, "weft: debug: %s took %lld ms without waiting\n", name,
                (long long)(took_ns / WEFT_MS));
    }
}

/* For crash reports: what comes next; nothing does when a task has ended. */
static void step_note(struct worker *w, weft_task *next, uintptr_t callback, int64_t now)
{
    struct recent *r = &w->debug.recent;
    if (next != NULL) {
        /* ORD none: a task in our hands starts nowhere else. */
        bool is_new = atomic_load_relaxed(&next->fiber) == NULL;
        recent_note(r, is_new ? RECENT_START : RECENT_RUN, next->id, now);
    } else if (callback != 0) {
        recent_note(r, RECENT_CALLBACK, callback, now);
    } else if (!w->in_loop && w->fiber->top != NULL) {
        recent_note(r, RECENT_END, w->fiber->top->id, now);
    }
}

static void step_next(struct worker *w, weft_task *next, uintptr_t callback)
{
    struct debug_step *s = &w->debug;
    uint64_t number = atomic_load_relaxed(&s->number); /* ORD none: written by this thread */
    bool is_running = number % 2 == 1;
    /* ORD none: the same. */
    if (is_running && next != NULL && atomic_load_relaxed(&s->task) == next) {
        return;
    }
    int64_t now = weft_now();
    step_note(w, next, callback, now);
    if (is_running) {
        step_end(w, s, number, now);
        number++;
    }
    if (next == NULL && callback == 0) {
        return;
    }
    atomic_store_release(&s->started_ns, now);                      /* ORD P2: after the number */
    atomic_store_release(&s->task, next);                           /* ORD P2: as above */
    atomic_store_release(&s->task_id, next == NULL ? 0 : next->id); /* ORD P2: as above */
    atomic_store_release(&s->callback, callback);                   /* ORD P2: as above */
    uint32_t mode = atomic_load_relaxed(&w->debug_mode); /* ORD none: sooner or later */
    atomic_store_release(&s->mode, mode);                /* ORD P2: after the number */
    atomic_store_release(&s->number, number + 1);        /* ORD P1: the fields */
}

void weft__debug_switch(struct worker *w, weft_task *next)
{
    step_next(w, next, 0);
}

void weft__debug_leave(struct worker *w, enum leave_action leave)
{
    static const enum recent_kind kinds[] = {
        [LEAVE_PARKED] = RECENT_PARK,   [LEAVE_NEXT] = RECENT_YIELD,
        [LEAVE_REQUEUE] = RECENT_YIELD, [LEAVE_OFFER] = RECENT_YIELD,
    };
    const weft_task *t = w->fiber->top;
    if (t != NULL) { /* else it has ended, or is the loop */
        recent_note(&w->debug.recent, kinds[leave], t->id, weft_now());
    }
}

void weft__debug_callback(struct worker *w, uintptr_t fn)
{
    step_next(w, NULL, fn);
}

/* What its switches look at (switch_is_usual). Context: anybody, who alone changes the mode. */
static void debug_watch(struct worker *w)
{
    static const struct cxx_state none = {{0, 0}};
    static const struct cxx_state always = {{1, 0}};
    const struct cxx_state *usual = w->cxx_globals != NULL ? w->cxx_globals : &none;
    /* ORD none: a flag, and where another one is. */
    bool is_on = atomic_load_relaxed(&w->debug_mode) != 0;
    atomic_store_relaxed(&w->unusual, is_on ? &always : usual); /* ORD none: sooner or later */
}

void weft__debug_begin(struct worker *w)
{
    int err = pthread_getcpuclockid(pthread_self(), &w->debug.cpu_clock);
    if (err == 0) {
        /* ORD P1: as a field, the clock. */
        atomic_store_release(&w->debug.tid, (int)syscall(SYS_gettid));
    }
    debug_watch(w);
}

/* ---- the looking thread ---- */

/* Whether a thread sleeps in the kernel. */
static bool thread_is_asleep(int tid)
{
    char path[64];
    char text[512] = "";
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    const char *state = strrchr(text, ')'); /* the name before it may hold anything */
    return state != NULL && (strncmp(state, ") S", 3) == 0 || strncmp(state, ") D", 3) == 0);
}

static void look_tell(struct worker *w, uint64_t number, weft_task *t, uint64_t id,
                      uint64_t callback, int64_t since_ns)
{
    struct debug_step *s = &w->debug;
    bool has_task = t != NULL && weft__task_try_get(t);
    bool is_same = (t == NULL || (has_task && t->id == id)) &&
                   /* ORD P2: after all else was read. */
                   atomic_load_seq_cst(&s->number) == number;
    if (is_same) {
        char name[96];
        step_name(name, sizeof name, t, callback);
        atomic_store_relaxed(&s->told, number); /* ORD none: a hint */
        /* ORD none: a figure. */
        (void)atomic_add_relaxed(&w->rt->debug.blocked, 1);
        fprintf(stderr, "weft: debug: %s blocks worker %u in the kernel since %lld ms\n", name,
                w->index, (long long)(since_ns / WEFT_MS));
    }
    if (has_task) {
        weft_put(t);
    }
}

/* Look at one worker's step, if it was noted in this mode. */
static void look_at(struct worker *w, uint32_t mode)
{
    struct debug_step *s = &w->debug;
    uint64_t number = atomic_load_acquire(&s->number);      /* ORD P1: the fields */
    int64_t started = atomic_load_acquire(&s->started_ns);  /* ORD P2: before the last look */
    weft_task *t = atomic_load_acquire(&s->task);           /* ORD P2: as above */
    uint64_t id = atomic_load_acquire(&s->task_id);         /* ORD P2: as above */
    uint64_t callback = atomic_load_acquire(&s->callback);  /* ORD P2: as above */
    int tid = atomic_load_acquire(&s->tid);                 /* ORD P1: the clock */
    int64_t since_ns = weft_now() - started;
    struct timespec cpu;
    if (number % 2 == 0 || atomic_load_acquire(&s->mode) != mode || /* ORD P2: as above */
        tid == 0 || clock_gettime(s->cpu_clock, &cpu) != 0 ||
        !thread_is_asleep(tid)) {
        s->looked_number = 0;
        return;
    }
    int64_t cpu_ns = cpu.tv_sec * WEFT_SECOND + cpu.tv_nsec;
    bool is_still = s->looked_number == number && s->looked_cpu_ns == cpu_ns;
    s->looked_number = number;
    s->looked_cpu_ns = cpu_ns;
    if (is_still && since_ns >= w->rt->options.slow_ns &&
        atomic_load_relaxed(&s->told) != number) { /* ORD none: this thread writes it */
        look_tell(w, number, t, id, callback, since_ns);
    }
}

static void *debug_main(void *arg)
{
    weft_runtime *rt = arg;
    struct debug *d = &rt->debug;
    int64_t every_ns = rt->options.slow_ns / 2;
    every_ns = every_ns < LOOK_NS_MIN ? LOOK_NS_MIN : every_ns;
    pthread_setname_np(pthread_self(), "weft-debug");
    pthread_mutex_lock(&d->lock);
    while (!d->is_over) {
        if (!d->is_on) {
            pthread_cond_wait(&d->changed, &d->lock);
            continue;
        }
        int64_t until_ns = weft_now() + every_ns;
        struct timespec until = {until_ns / WEFT_SECOND, until_ns % WEFT_SECOND};
        (void)pthread_cond_timedwait(&d->changed, &d->lock, &until);
        uint32_t mode = d->mode;
        pthread_mutex_unlock(&d->lock);
        for (unsigned i = 0; i < rt->worker_count; i++) {
            look_at(&rt->workers[i], mode);
        }
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

/* ---- on and off ---- */

int weft__debug_init(weft_runtime *rt)
{
    struct debug *d = &rt->debug;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&d->lock, NULL);
    return rt->options.debug ? weft__debug_set(rt, true) : 0;
}

/* Lock held. */
static int debug_start_thread(weft_runtime *rt)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = -pthread_create(&rt->debug.thread, NULL, debug_main, rt);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    rt->debug.has_thread = err == 0;
    return err == 0 ? 0 : -EAGAIN;
}

int weft__debug_set(weft_runtime *rt, bool is_on)
{
    struct debug *d = &rt->debug;
    int err = 0;
    pthread_mutex_lock(&d->lock);
    if (is_on && !d->has_thread && !d->is_over) {
        err = debug_start_thread(rt);
    }
    if (err == 0 && is_on != d->is_on) {
        d->is_on = is_on;
        d->mode += is_on;
        for (unsigned i = 0; i < rt->worker_count; i++) {
            /* ORD none: a flag alone. */
            atomic_store_relaxed(&rt->workers[i].debug_mode, is_on ? d->mode : 0);
            debug_watch(&rt->workers[i]);
        }
        pthread_cond_signal(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    return err;
}

void weft__debug_end(weft_runtime *rt)
{
    struct debug *d = &rt->debug;
    pthread_mutex_lock(&d->lock);
    bool has_thread = d->has_thread;
    d->is_over = true;
    d->has_thread = false;
    pthread_cond_signal(&d->changed);
    pthread_mutex_unlock(&d->lock);
    if (has_thread) {
        pthread_join(d->thread, NULL);
    }
}

int weft_set_debug(weft_runtime *rt, bool is_on)
{
    int err = weft__runtime_enter(rt, RUNTIME_CLOSED);
    if (err == 0) {
        err = weft__debug_set(rt, is_on);
        weft__runtime_exit(rt);
    }
    return err;
}

bool weft_debug(weft_runtime *rt)
{
    if (rt == NULL || weft__runtime_is_parents(rt)) {
        return false;
    }
    pthread_mutex_lock(&rt->debug.lock);
    bool is_on = rt->debug.is_on && !rt->debug.is_over;
    pthread_mutex_unlock(&rt->debug.lock);
    return is_on;
}
