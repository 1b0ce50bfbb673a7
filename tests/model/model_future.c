/* SPDX-License-Identifier: MIT */
/*
 * The word of a future: its end, its waiters, its references, in all interleavings.
 *
 * future.c, promise.c and task.c as they are. A descriptor is given back once, after everybody's
 * last use; the outcome is there for whoever sees it done; a waiter is woken once, or refused, or
 * has left, and nobody looks at its node after that; a held task is started, dropped or closed by
 * one; a promise is set by one, who alone writes the outcome. The descriptor may be the next task's
 * at once, which a walker over all of them, and one who comes late, must leave alone.
 *
 * Announced as plain data: the outcome, the identity, what the lock guards, the waiters' nodes.
 */
#include "explorer/model.h"

enum mutant {
    MUTANT_NONE,
    MUTANT_END_ACQUIRE,      /* P1 */
    MUTANT_DONE_RELAXED,     /* P1, the other side */
    MUTANT_PUT_ACQUIRE,      /* P2 */
    MUTANT_PUT_RELEASE,      /* P2, the other side */
    MUTANT_LAST_PUT_RELAXED, /* P2, the other side where it is a mere load */
    MUTANT_PUBLISH_RELAXED,  /* P2, for walkers */
    MUTANT_TRY_GET_RELAXED,  /* P2, for walkers, the other side */
    MUTANT_UNLOCK_ACQUIRE,   /* P3 */
    MUTANT_LOCK_RELEASE,     /* P3, the other side */
    MUTANT_PUT_UNLOCKED,     /* load and store in place of the subtraction */
    MUTANT_END_UNLOCKED,     /* load and store in place of the CAS */
    MUTANT_WAITED_ACQUIRE,   /* P1, where there are waiters */
    MUTANT_SET_UNLOCKED,     /* load and store in place of a promise's CAS */
    MUTANT_SET_UNHELD,       /* who sets a promise takes no reference for the time */
};

static enum mutant mutant;

static bool mutates(enum mutant which, const char *function, const char *here)
{
    return mutant == which && strcmp(function, here) == 0;
}

static enum model_order cas_order(const char *function)
{
    bool keeps_acquire = mutates(MUTANT_END_ACQUIRE, "weft__future_end", function) ||
                         mutates(MUTANT_WAITED_ACQUIRE, "future_lock_setting", function) ||
                         mutates(MUTANT_UNLOCK_ACQUIRE, "weft__future_unlock", function);
    return keeps_acquire                                                 ? MODEL_ACQUIRE
           : mutates(MUTANT_LOCK_RELEASE, "future_lock_setting", function) ? MODEL_RELEASE
                                                                           : MODEL_ACQ_REL;
}

static enum model_order sub_order(const char *function)
{
    return mutates(MUTANT_PUT_ACQUIRE, "weft_put", function)   ? MODEL_ACQUIRE
           : mutates(MUTANT_PUT_RELEASE, "weft_put", function) ? MODEL_RELEASE
                                                               : MODEL_ACQ_REL;
}

static uint64_t sub_unlocked(void *p, uint64_t v)
{
    _Atomic(uint64_t) *word = p;
    uint64_t was = atomic_load_acquire(word);
    atomic_store_seq_cst(word, was - v);
    return was;
}

#undef atomic_load_acquire
#define atomic_load_acquire(p) \
    MODEL_LOAD(p, mutates(MUTANT_DONE_RELAXED, "future_is_done", __func__) || \
                          mutates(MUTANT_LAST_PUT_RELAXED, "weft_put", __func__) \
                      ? MODEL_RELAXED \
                      : MODEL_ACQUIRE)
#undef atomic_store_release
#define atomic_store_release(p, v) \
    MODEL_STORE(p, v, \
                mutates(MUTANT_PUBLISH_RELAXED, "task_publish", __func__) ? MODEL_RELAXED \
                                                                          : MODEL_RELEASE)
#undef atomic_cas_acquire
#define atomic_cas_acquire(p, expected, v) \
    MODEL_CAS(p, expected, v, \
              mutates(MUTANT_TRY_GET_RELAXED, "weft__task_try_get", __func__) ? MODEL_RELAXED \
                                                                              : MODEL_ACQUIRE)
#undef atomic_cas_acq_rel
#define atomic_cas_acq_rel(p, expected, v) \
    (mutates(MUTANT_END_UNLOCKED, "weft__future_end", __func__) \
         ? (MODEL_STORE(p, v, MODEL_SEQ_CST), true) \
         : MODEL_CAS(p, expected, v, cas_order(__func__)))
#undef atomic_cas_relaxed
#define atomic_cas_relaxed(p, expected, v) \
    (mutant == MUTANT_SET_UNLOCKED ? (MODEL_STORE(p, v, MODEL_SEQ_CST), true) \
     : mutant == MUTANT_SET_UNHELD ? MODEL_CAS(p, expected, (v)-FUTURE_REF, MODEL_RELAXED) \
                                   : MODEL_CAS(p, expected, v, MODEL_RELAXED))
#undef atomic_sub_acq_rel
#define atomic_sub_acq_rel(p, v) \
    (mutates(MUTANT_PUT_UNLOCKED, "weft_put", __func__) \
         ? sub_unlocked((p), (v)) \
         : MODEL_MODIFY(p, v, MODEL_SUB, sub_order(__func__)))

/* What is said on stderr. */
#define fprintf(...) ((void)0)

#include "future.c"

static void promise_is_written(void);

/* Between the claim of a promise and its end its outcome is written. */
#define weft__future_end(f) (promise_is_written(), weft__future_end(f))

#include "promise.c"

#undef weft__future_end

#include "extra.c"

#include "task.c"

enum { WAITERS = 2, FIRST_TASK = 1, NEXT_TASK = 2 };

/* On the stack of one who waits. */
struct waiting {
    struct waiter node;
    _Atomic(uint32_t) is_over;
    int calls;
};

static weft_runtime runtime;
static weft_future t;
static int guarded; /* by the lock: the list, the name */
static int freed;
static int started;
static unsigned references; /* at the start */
static uint64_t flags;      /* at the start */
static struct waiting waiting[WAITERS];
static bool leaves_early; /* waiter 0 removes its node, as one whose time is over */
static bool is_promise;
static int won; /* how many have set it */
static bool is_spawning;  /* the first thread is a worker that spawns the task */
static struct worker spawner;

/* ---- what future.c and task.c call ---- */

struct group_child *weft__group_child_new(struct weft_group *g)
{
    (void)g;
    model_fail("no group");
}

void weft__group_child_drop(struct group_child *c)
{
    (void)c;
}

bool weft__group_add(struct group_child *c, weft_task *of, uint64_t word)
{
    (void)c;
    (void)of;
    (void)word;
    return false;
}

struct worker *weft__worker_current(void)
{
    return is_spawning && model_self() == 0 ? &spawner : NULL;
}

struct fiber *weft__fiber_current(void)
{
    return NULL;
}

bool weft__slab_is_ours(const weft_task *of)
{
    (void)of;
    return true;
}

struct slab_pool *weft__slab_pool_of_threads(void)
{
    return NULL;
}

struct slab_pool *weft__slab_pool_of(const weft_task *of)
{
    (void)of;
    return NULL;
}

void weft__slab_spill(struct slab_cache *cache, unsigned keep)
{
    (void)cache;
    (void)keep;
}

weft_task *weft__slab_refill(struct slab_cache *cache)
{
    (void)cache;
    return NULL;
}

weft_task *weft__slab_get(struct slab_pool *pool)
{
    (void)pool;
    return NULL;
}

/* All that anybody did with it is over. The next task is a held one. */
void weft__slab_put(struct slab_pool *pool, weft_task *of)
{
    (void)pool;
    model_assert(of == &t);
    freed++;
    model_assert(freed == 1);
    model_plain_write(&t.value);
    model_plain_write(&t.id);
    model_plain_write(&guarded);
    t.id = NEXT_TASK;
    atomic_store_release(&t.word, FUTURE_HELD + 2 * FUTURE_REF);
}

void weft__runnable_ready(weft_runtime *rt, struct runnable *r)
{
    model_assert(rt == &runtime && r == &t.run);
    started++;
}

void weft__runnable_spawn(struct worker *w, struct runnable *r)
{
    model_assert(w == &spawner && r == &t.run);
    started++;
}

void weft__runtime_poke(weft_runtime *rt)
{
    model_assert(rt == &runtime);
}

int weft__runtime_enter(weft_runtime *rt, enum runtime_phase refused_from)
{
    (void)rt;
    (void)refused_from;
    return -ESHUTDOWN;
}

void weft__runtime_exit(weft_runtime *rt)
{
    (void)rt;
}

int weft__stack_class(size_t stack_bytes)
{
    (void)stack_bytes;
    return -EINVAL;
}

size_t weft__stack_high_water(const struct stack *s)
{
    (void)s;
    return 0;
}

bool weft__report_future(weft_future *f, enum report_kind kind, int error)
{
    (void)kind;
    (void)error;
    model_assert(f == &t);
    return false;
}

#include "blocking_calls.h"
/* No task here has locals. */

void weft__locals_forget(struct task_extra *extra)
{
    (void)extra;
}

void weft__locals_drop(struct local_set *set)
{
    (void)set;
}

int weft__locals_capture(struct local_set **set)
{
    *set = NULL;
    return 0;
}

int weft__locals_inherit(weft_task *of)
{
    (void)of;
    return 0;
}

int weft__locals_give(weft_task *to, struct local_set *set)
{
    (void)to;
    (void)set;
    return 0;
}

int weft__locals_give_context(weft_task *to, weft_context *context)
{
    (void)to;
    (void)context;
    return 0;
}

/* ---- threads ---- */

static void *nothing(void *arg)
{
    return arg;
}

static void wake(struct waiter *node, weft_future *f)
{
    struct waiting *w = WEFT_CONTAINER(node, struct waiting, node);
    model_assert(f == &t);
    model_plain_write(&guarded);
    model_plain_write(&w->calls);
    w->calls++;
    atomic_store_release(&w->is_over, 1);
}

static void setup(void)
{
    memset(&runtime, 0, sizeof(runtime));
    memset(&t, 0, sizeof(t));
    memset(&spawner, 0, sizeof(spawner));
    memset(waiting, 0, sizeof(waiting));
    freed = 0;
    started = 0;
    won = 0;
    t.rt = &runtime;
    t.fn = is_promise ? NULL : nothing;
    t.id = FIRST_TASK;
    for (int i = 0; i < WAITERS; i++) {
        waiting[i].node.wake = wake;
    }
    if (is_spawning) {
        spawner.rt = &runtime;
        spawner.fiber = &spawner.loop;
        spawner.id_next = FIRST_TASK;
        spawner.id_end = FIRST_TASK + 1;
        spawner.tasks.free = &t.run;
        spawner.tasks.count = 1;
        spawner.tasks.pool = (struct slab_pool *)(void *)&spawner;
    } else {
        atomic_store_relaxed(&t.word, flags + references * FUTURE_REF);
    }
}

/* The end of the task itself. */
static void end(void)
{
    model_plain_write(&t.value);
    weft__future_end(&t);
}

static void put(void)
{
    if (future_is_done(&t)) {
        model_plain_read(&t.value);
    }
    weft_put(&t);
}

static void wait_as(int i, bool leaves)
{
    struct waiting *w = &waiting[i];
    bool is_added = weft__future_add_waiter(&t, &w->node);
    bool has_left = is_added && leaves && weft__future_remove_waiter(&t, &w->node);
    if (!has_left) {
        model_wait_until(!is_added || atomic_load_acquire(&w->is_over) != 0);
        model_plain_read(&t.value);
    }
    model_plain_read(&w->calls);
    model_assert(w->calls == (is_added && !has_left));
    model_retire(w, sizeof(*w));
    weft_put(&t);
}

static void wait_0(void)
{
    wait_as(0, leaves_early);
}

static void wait_1(void)
{
    wait_as(1, false);
}

/* As weft_task_set_name. */
static void rename_task(void)
{
    weft__future_lock(&t);
    model_plain_write(&guarded);
    weft__future_unlock(&t);
    weft_put(&t);
}

/* Comes by all descriptors, without a reference. */
static void walk(void)
{
    if (weft__task_try_get(&t)) {
        model_plain_read(&t.id);
        weft_put(&t);
    }
}

/* As close_cancel, which the next task is none of the business of. */
static void walk_to_close(void)
{
    if (weft__task_try_get(&t)) {
        model_plain_read(&t.id);
        if (t.id == FIRST_TASK && weft__task_unhold(&t)) {
            weft__task_end_unrun(&t);
        }
        weft_put(&t);
    }
}

static void start_held(void)
{
    if (weft_start(&t) == 0) {
        end();
    }
    weft_put(&t);
}

/* A spawn, the run of the task, and the last of its handle. */
static void spawn(void)
{
    model_plain_write(&t.id);
    weft_task *spawned = weft_spawn(nothing, NULL);
    model_assert(spawned == &t && started == 1);
    end();
    weft_put(spawned);
}

/* A spawn that is refused for its options. */
static void spawn_refused(void)
{
    const struct weft_spawn_options options = {.stack_bytes = 1};
    model_plain_write(&t.id);
    weft_task *spawned = weft_spawn_with(&options, nothing, NULL);
    model_assert(spawned == NULL && started == 0);
}

static void promise_is_written(void)
{
    model_plain_write(&t.value);
    won++;
}

/* One of several who may set a promise. */
static void set(void)
{
    int err = weft_future_set_result(&t, NULL);
    model_assert(err == 0 || err == -EALREADY);
    weft_put(&t);
}

/* The same, as a cancel that is passed on. */
static void call_off(void)
{
    (void)weft__promise_set(&t, NULL, -ECANCELED);
    weft_put(&t);
}

/* ---- scenarios ---- */

static void check(void)
{
    model_assert(freed == 1);
    model_assert(!is_promise || won == 1);
    model_assert(atomic_load_relaxed(&t.word) == FUTURE_HELD + 2 * FUTURE_REF);
}

static void check_refused(void)
{
    model_assert(freed == 0 && spawner.tasks.free == &t.run);
    model_assert(atomic_load_relaxed(&t.word) == 0);
}

/* `others` of the threads have a reference. */
static struct model_scenario scenario(const char *name, unsigned others, void (*a)(void),
                                      void (*b)(void), void (*c)(void))
{
    mutant = MUTANT_NONE;
    flags = 0;
    references = 1 + others;
    is_spawning = false;
    is_promise = false;
    leaves_early = false;
    return (struct model_scenario){
        .name = name, .setup = setup, .threads = {a, b, c}, .check = check};
}

static struct model_scenario held(const char *name, void (*a)(void))
{
    struct model_scenario s = scenario(name, 1, a, walk_to_close, NULL);
    flags = FUTURE_HELD;
    return s;
}

/* All references are those of the threads. */
static struct model_scenario promise(const char *name, unsigned threads, void (*a)(void),
                                     void (*b)(void), void (*c)(void))
{
    struct model_scenario s = scenario(name, threads - 1, a, b, c);
    is_promise = true;
    return s;
}

static struct model_scenario spawned_and_walked(const char *name)
{
    struct model_scenario s = scenario(name, 1, spawn, walk, NULL);
    is_spawning = true;
    return s;
}

static int test_right(void)
{
    struct model_scenario s = scenario("future: end, a waiter, a put", 2, end, wait_0, put);
    int failures = model_run(&s);
    s = scenario("future: end, two waiters", 2, end, wait_0, wait_1);
    s.memory = MODEL_SC;
    s.preemptions_max = 4;
    failures += model_run(&s);
    s = scenario("future: end, a waiter that leaves", 1, end, wait_0, NULL);
    leaves_early = true;
    failures += model_run(&s);
    s = scenario("future: end, a waiter that leaves, one that stays", 2, end, wait_0, wait_1);
    s.memory = MODEL_SC;
    s.preemptions_max = 3;
    leaves_early = true;
    failures += model_run(&s);
    s = scenario("future: end, a waiter, a new name", 2, end, wait_0, rename_task);
    s.memory = MODEL_SC;
    s.preemptions_max = 4;
    failures += model_run(&s);
    s = scenario("future: end, a put, a walker", 1, end, put, walk);
    failures += model_run(&s);
    s = scenario("future: end, two walkers", 0, end, walk, walk);
    failures += model_run(&s);
    s = spawned_and_walked("future: spawn, run, end, a walker");
    failures += model_run(&s);
    s = spawned_and_walked("future: a spawn refused, a walker");
    s.threads[0] = spawn_refused;
    s.check = check_refused;
    failures += model_run(&s);
    s = held("future: held, started, closed", start_held);
    failures += model_run(&s);
    s = held("future: held, dropped, closed", put);
    failures += model_run(&s);
    s = held("future: held, dropped, closed, walked", put);
    s.threads[2] = walk;
    s.memory = MODEL_SC;
    failures += model_run(&s);
    s = promise("future: a promise, set by one, awaited", 2, set, wait_0, NULL);
    failures += model_run(&s);
    s = promise("future: a promise, set or called off, looked at", 3, set, call_off, put);
    failures += model_run(&s);
    s = promise("future: a promise, set or called off, awaited", 3, set, call_off, wait_0);
    s.memory = MODEL_SC;
    s.preemptions_max = 4;
    failures += model_run(&s);
    return failures;
}

static int test_mutant(enum mutant which, struct model_scenario s, const char *text)
{
    mutant = which;
    return model_finds(&s, text);
}

static int test_mutants(void)
{
    struct model_scenario s = scenario("future, mutant: end acquire", 1, end, put, NULL);
    int failures = test_mutant(MUTANT_END_ACQUIRE, s, "data race");
    s = scenario("future, mutant: done relaxed", 1, end, put, NULL);
    failures += test_mutant(MUTANT_DONE_RELAXED, s, "data race");
    s = scenario("future, mutant: put acquire", 1, end, walk, put);
    failures += test_mutant(MUTANT_PUT_ACQUIRE, s, "data race");
    s = scenario("future, mutant: put release", 1, end, walk, put);
    failures += test_mutant(MUTANT_PUT_RELEASE, s, "data race");
    s = scenario("future, mutant: last put relaxed", 1, end, walk, put);
    failures += test_mutant(MUTANT_LAST_PUT_RELAXED, s, "data race");
    s = spawned_and_walked("future, mutant: publish relaxed");
    failures += test_mutant(MUTANT_PUBLISH_RELAXED, s, "data race");
    s = spawned_and_walked("future, mutant: try_get relaxed");
    failures += test_mutant(MUTANT_TRY_GET_RELAXED, s, "data race");
    s = scenario("future, mutant: unlock acquire", 2, end, rename_task, rename_task);
    failures += test_mutant(MUTANT_UNLOCK_ACQUIRE, s, "data race");
    s = scenario("future, mutant: lock release", 2, end, rename_task, rename_task);
    failures += test_mutant(MUTANT_LOCK_RELEASE, s, "data race");
    s = scenario("future, mutant: put loads and stores", 2, end, put, put);
    failures += test_mutant(MUTANT_PUT_UNLOCKED, s, "freed == 1");
    s = scenario("future, mutant: end stores", 1, end, put, NULL);
    failures += test_mutant(MUTANT_END_UNLOCKED, s, "freed == 1");
    s = scenario("future, mutant: waited end acquire", 2, end, wait_0, put);
    failures += test_mutant(MUTANT_WAITED_ACQUIRE, s, "data race");
    s = promise("future, mutant: a promise set without CAS", 2, set, set, NULL);
    failures += test_mutant(MUTANT_SET_UNLOCKED, s, "data race");
    s = promise("future, mutant: who sets has no reference", 2, set, wait_0, NULL);
    failures += test_mutant(MUTANT_SET_UNHELD, s, "deadlock");
    return failures;
}

int main(void)
{
    return test_right() + test_mutants() == 0 ? 0 : 1;
}
