/* SPDX-License-Identifier: MIT */
/* The facts of a crash report; see crash_facts.h. */
#include "crash_facts.h"

#include <gnu/libc-version.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <weft/task.h>
#include <weft/version.h>

#include "pool.h"
#include "recent.h"
#include "runtime_object.h"
#include "view.h"

/* Events shown of the worker that crashed, and of each of the first others. */
#define EVENTS_OWN 32u
#define EVENTS_OTHER 4u
#define WORKERS_SHOWN 16u

/* Tasks shown that the one that crashed is nested on. */
#define NESTED_SHOWN 16u

static void add(struct crash_text *text, const char *string)
{
    weft__crash_text_add(text, string);
}

static void add_number(struct crash_text *text, uint64_t number)
{
    weft__crash_text_number(text, number);
}

/* ---- the task ---- */

static const weft_task *task_on(const struct worker *w)
{
    return w == NULL || w->in_loop || w->fiber == NULL ? NULL : w->fiber->top;
}

void weft__crash_task_name(const struct worker *w, char *buf, size_t bytes)
{
    const weft_task *t = task_on(w);
    if (t != NULL) {
        weft__task_format_name(t, buf, bytes);
    } else {
        snprintf(buf, bytes, "none");
    }
}

static void add_task(struct crash_text *text, const weft_task *t)
{
    char name[WEFT_CRASH_NAME_BYTES];
    weft__task_format_name(t, name, sizeof name);
    add(text, "'");
    add(text, name);
    add(text, "' (id ");
    add_number(text, t->id);
    add(text, ")");
}

void weft__crash_task(struct crash_text *text, const struct worker *w, uintptr_t sp)
{
    const weft_task *t = task_on(w);
    if (t == NULL) {
        add(text, w == NULL ? "task: none, on a thread of the program's\n"
                            : "task: none, in the worker's loop or a callback\n");
        return;
    }
    add(text, "task: ");
    add_task(text, t);
    const weft_task *under = t->under;
    for (unsigned i = 0; under != NULL && i < NESTED_SHOWN; i++, under = under->under) {
        add(text, ", on the stack of ");
        add_task(text, under);
    }
    add(text, "\nstack: ");
    const struct stack *s = &w->fiber->stack;
    uintptr_t top = (uintptr_t)weft__stack_top(s);
    if (sp <= top && top - sp <= weft__stack_reserved_bytes(s) + WEFT_STACK_GUARD_MAX) {
        add_number(text, top - sp);
        add(text, " bytes in use of ");
    } else {
        add(text, "the stack pointer is elsewhere; ");
    }
    add_number(text, stack_promise_bytes(t->run.stack_class) / 1024);
    add(text, " KiB promised, ");
    add_number(text, weft__stack_reserved_bytes(s) / 1024);
    add(text, " KiB reserved\n");
}

/* ---- the job ---- */

/* The first task that waits for a future. What another thread has locked is not waited for: that
 * may be this one. */
static void add_awaiter(struct crash_text *text, weft_future *f)
{
    if (!weft__future_trylock(f)) {
        add(text, ", its future is locked");
        return;
    }
    const weft_task *t = NULL;
    const struct waiter *node = f->waiters;
    while (node != NULL && t == NULL) {
        t = weft__waiter_task(node);
        node = node->next == f->waiters ? NULL : node->next;
    }
    if (t != NULL) {
        add(text, ", awaited by ");
        add_task(text, t);
    } else {
        add(text, ", awaited by no task");
    }
    weft__future_unlock(f);
}

void weft__crash_job(struct crash_text *text, struct job *job)
{
    struct weft_pool *pool = job->slot->pool;
    add(text, "task: none, in a job on a thread of the pool '");
    add(text, pool->name);
    add(text, "'\njob: ");
    if (job->name != NULL) {
        add(text, "'");
        add(text, job->name);
        add(text, "'");
    } else {
        add(text, "without a name");
    }
    add(text, ", function ");
    weft__crash_text_hex(text, (uintptr_t)job->fn);
    if (job->of != NULL && pthread_mutex_trylock(&pool->lock) == 0) { /* nobody lets it go now */
        if (job->is_let_go) {
            add(text, ", given up");
        } else if (job->of->fn != NULL) {
            add(text, ", of the task ");
            add_task(text, job->of);
        } else {
            add_awaiter(text, job->of);
        }
        pthread_mutex_unlock(&pool->lock);
    }
    add(text, "\n");
}

/* ---- the worker ---- */

/* What an event is about. */
enum about { ABOUT_NOTHING, ABOUT_WORKER, ABOUT_TASK, ABOUT_ADDRESS };

static const struct {
    const char *name;
    enum about about;
} kinds[1 << RECENT_KIND_BITS] = {
    [RECENT_NOTHING] = {"nothing", ABOUT_NOTHING},
    [RECENT_POLL] = {"poll", ABOUT_NOTHING},
    [RECENT_STEAL] = {"steal from", ABOUT_WORKER},
    [RECENT_SLEEP] = {"sleep", ABOUT_NOTHING},
    [RECENT_WOKEN] = {"woken", ABOUT_NOTHING},
    [RECENT_WAKE] = {"wake", ABOUT_WORKER},
    [RECENT_RESCUE] = {"rescue", ABOUT_WORKER},
    [RECENT_CANCEL] = {"cancel", ABOUT_TASK},
    [RECENT_START] = {"start", ABOUT_TASK},
    [RECENT_RUN] = {"run", ABOUT_TASK},
    [RECENT_PARK] = {"park", ABOUT_TASK},
    [RECENT_YIELD] = {"yield", ABOUT_TASK},
    [RECENT_END] = {"end", ABOUT_TASK},
    [RECENT_CALLBACK] = {"callback", ABOUT_ADDRESS},
};

static void add_event(struct crash_text *text, const struct recent_event *e, int64_t now)
{
    /* ORD none: both; another worker's may change under our eyes, see recent.h. */
    uint64_t what = atomic_load_relaxed(&e->what);
    int64_t at_ns = atomic_load_relaxed(&e->at_ns); /* ORD none: as above */
    unsigned kind = (unsigned)(what & ((1u << RECENT_KIND_BITS) - 1));
    uint64_t of = what >> RECENT_KIND_BITS;
    add(text, "  ");
    weft__crash_text_us(text, at_ns - now);
    add(text, " us: ");
    add(text, kinds[kind].name == NULL ? "?" : kinds[kind].name);
    if (kinds[kind].about == ABOUT_ADDRESS) {
        add(text, " ");
        weft__crash_text_hex(text, of);
    } else if (kinds[kind].about != ABOUT_NOTHING) {
        add(text, kinds[kind].about == ABOUT_WORKER ? " worker " : " Task-");
        add_number(text, of);
    }
    add(text, "\n");
}

/* The last events of a worker, up to `max`, the newest last. */
static void add_events(struct crash_text *text, const struct worker *w, unsigned max, int64_t now)
{
    uint32_t count = atomic_load_relaxed(&w->debug.recent.count); /* ORD none: a hint */
    uint32_t shown = count < max ? count : max;
    add(text, "worker ");
    add_number(text, w->index);
    add(text, shown == 0 ? ", no events\n" : ", last events before the crash:\n");
    for (uint32_t i = count - shown; i != count; i++) {
        add_event(text, &w->debug.recent.events[i % RECENT_EVENTS], now);
    }
}

void weft__crash_worker(struct crash_text *text, struct worker *w)
{
    add(text, "thread: ");
    add_number(text, (uint64_t)syscall(SYS_gettid));
    add(text, " of process ");
    add_number(text, (uint64_t)getpid());
    if (w == NULL) {
        add(text, ", no worker\n");
        return;
    }
    weft_runtime *rt = w->rt;
    int64_t now = weft__runtime_now(rt);
    add(text, ", worker ");
    add_number(text, w->index);
    add(text, " of ");
    add_number(text, rt->worker_count);
    add(text, rt->options.simulation ? ", simulation" : "");
    add(text, ", seed ");
    add_number(text, rt->options.seed);
    /* ORD none: a flag. */
    add(text, atomic_load_relaxed(&w->debug_mode) != 0
                  ? "\n"
                  : " (in debug mode more events are kept)\n");
    add_events(text, w, EVENTS_OWN, now);
    unsigned others = rt->worker_count < WORKERS_SHOWN ? rt->worker_count : WORKERS_SHOWN;
    for (unsigned i = 0; i < others; i++) {
        if (i != w->index) {
            add_events(text, &rt->workers[i], EVENTS_OTHER, now);
        }
    }
}

/* ---- the machine ---- */

#if defined(__SANITIZE_ADDRESS__)
#define BUILT_WITH ", address sanitizer"
#elif defined(__SANITIZE_THREAD__)
#define BUILT_WITH ", thread sanitizer"
#else
#define BUILT_WITH ""
#endif

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

void weft__crash_versions(struct crash_text *text, const struct worker *w)
{
    add(text, "weft " WEFT_VERSION_STRING ", " COMPILER BUILT_WITH ", glibc ");
    add(text, gnu_get_libc_version());
    struct utsname kernel;
    if (uname(&kernel) == 0) {
        add(text, "\nkernel: ");
        add(text, kernel.sysname);
        add(text, " ");
        add(text, kernel.release);
        add(text, " ");
        add(text, kernel.version);
        add(text, " ");
        add(text, kernel.machine);
    }
    cpu_set_t cpus;
    if (sched_getaffinity(getpid(), sizeof cpus, &cpus) == 0) {
        add(text, ", ");
        add_number(text, (uint64_t)CPU_COUNT(&cpus));
        add(text, " CPUs to run on");
    }
    if (w != NULL) {
        add(text, "\nbackend: ");
        add(text, w->poller_ops->name);
        if (w->poller_ops->about != NULL && w->poller != NULL) {
            w->poller_ops->about(w->poller, text);
        }
        if (w->rt->backend_why[0] != '\0') {
            add(text, "; ");
            add(text, w->rt->backend_why);
        }
    }
    add(text, "\n");
}
