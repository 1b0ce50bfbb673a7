/* SPDX-License-Identifier: MIT */
/*
 * A round: make a runtime, let the root task serve and spawn the actors, close it while they are at
 * work, and balance the ledger.
 */
#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "soak.h"

enum { LOOK_MS = 10 };

const struct soak_kind soak_kinds[] = {
    {"client", 24, 6, soak_step_client},     {"timer", 8, 2, soak_step_timer},
    {"cancel", 12, 4, soak_step_cancel},     {"queue", 9, 4, soak_step_queue},
    {"channel", 9, 4, soak_step_channel},    {"lock", 10, 4, soak_step_lock},
    {"blocking", 6, 3, soak_step_blocking},  {"file", 4, 2, soak_step_file},
    {"process", 2, 1, soak_step_process},    {"stall", 2, 1, soak_step_stall},
    {"rwlock", 8, 3, soak_step_rwlock},      {"condition", 8, 4, soak_step_condition},
    {"datagram", 4, 2, soak_step_datagram},  {"signal", 4, 2, soak_step_signal},
    {"farm", 2, 1, soak_step_farm},
};
const unsigned soak_kind_count = sizeof soak_kinds / sizeof soak_kinds[0];

static void *act(void *arg)
{
    struct soak_actor *a = arg;
    struct soak_round *r = a->round;
    while (weft_scope_error() == 0) {
        soak_in(r, SOAK_STEPS, 1);
        a->kind->step(a);
        soak_out(r, SOAK_STEPS, 1);
        /* ORD none: the watchdog looks again. */
        atomic_fetch_add_explicit(&a->steps, 1, memory_order_relaxed);
    }
    soak_out(r, SOAK_ACTORS, 1);
    atomic_store_explicit(&a->live, false, memory_order_relaxed); /* ORD none: the same */
    return NULL;
}

static void spawn_actor(struct soak_round *r, const struct soak_kind *kind)
{
    /* ORD none: written here alone. */
    unsigned number = atomic_load_explicit(&r->actor_count, memory_order_relaxed);
    struct soak_actor *a = &r->actors[number];
    struct weft_spawn_options o = {.name = kind->name};
    *a = (struct soak_actor){.round = r, .kind = kind, .number = number};
    a->random = r->options->seed + ((uint64_t)r->number << 32) + ((uint64_t)number << 8);
    a->random = soak_random(&a->random);
    /* ORD none: before the spawn, and the store of the count. */
    atomic_store_explicit(&a->live, true, memory_order_relaxed);
    soak_in(r, SOAK_ACTORS, 1);
    weft_task *t = weft_spawn_with(&o, act, a);
    if (t == NULL) {
        soak_broken("round %u: no task for an actor", r->number);
        soak_out(r, SOAK_ACTORS, 1);
        /* ORD none: the end of the round orders all else. */
        atomic_store_explicit(&r->lame, true, memory_order_relaxed);
        return;
    }
    weft_put(t);
    /* ORD P1 (soak.h): the watchdog may look at it. */
    atomic_store_explicit(&r->actor_count, number + 1, memory_order_release);
}

static void *root(void *arg)
{
    struct soak_round *r = arg;
    weft_server *servers[SOAK_SERVERS] = {NULL};
    if (soak_serve(r, servers) == 0) {
        for (unsigned k = 0; k < soak_kind_count; k++) {
            unsigned n = SOAK_SANITIZED ? soak_kinds[k].count_sanitized : soak_kinds[k].count;
            for (unsigned i = 0; i < n && soak_actor_count(r) < SOAK_ACTORS_MAX; i++) {
                spawn_actor(r, &soak_kinds[k]);
            }
        }
        (void)weft_sleep(WEFT_FOREVER);
    } else {
        /* ORD none: the end of the round orders all else. */
        atomic_store_explicit(&r->lame, true, memory_order_relaxed);
    }
    for (int i = 0; i < SOAK_SERVERS; i++) {
        (void)weft_server_close(servers[i], 0);
    }
    return NULL;
}

static bool make(struct soak_round *r)
{
    struct weft_options o = {
        .workers = r->options->workers,
        .backend = r->options->backend,
        .seed = r->options->seed + r->number,
    };
    soak_ledger_init(r);
    r->queue = weft_queue_create(WEFT_PRIORITY, 16);
    r->channel = weft_channel_create(sizeof(uint64_t), 4);
    (void)weft_bounded_semaphore_init(&r->semaphore, SOAK_PERMITS);
    soak_secure_make(r);
    int err = weft_runtime_create(&r->rt, &o);
    if (err < 0) {
        soak_broken("round %u: no runtime: %s", r->number, strerrordesc_np(-err));
    }
    return err == 0;
}

/* Whether some actor of each kind has ended a step; or one never will. */
static bool has_begun(const struct soak_round *r)
{
    unsigned kinds = 0;
    /* ORD P1 (soak.h): the actors. */
    unsigned n = atomic_load_explicit(&r->actor_count, memory_order_acquire);
    for (unsigned i = 0; i < n; i++) {
        const struct soak_actor *a = &r->actors[i];
        /* ORD none: the look is repeated. */
        bool has_stepped = atomic_load_explicit(&a->steps, memory_order_relaxed) > 0;
        kinds |= has_stepped ? 1u << (a->kind - soak_kinds) : 0;
    }
    /* ORD none: the look is repeated. */
    return kinds == (1u << soak_kind_count) - 1 ||
           atomic_load_explicit(&r->lame, memory_order_relaxed);
}

/* With a word each second on how it goes. Signals come on this thread. However slow the machine is,
 * each round does a bit of everything: else those of the warm-up may have made less than later ones
 * do, or be over before there are servers. */
static void sleep_through(struct soak_round *r, int64_t for_ns)
{
    while (for_ns > 0 || !has_begun(r)) {
        int64_t left = for_ns > 0 ? for_ns : LOOK_MS * WEFT_MS;
        int64_t ns = left < WEFT_SECOND ? left : WEFT_SECOND;
        struct timespec t = {.tv_sec = ns / WEFT_SECOND, .tv_nsec = ns % WEFT_SECOND};
        while (nanosleep(&t, &t) < 0 && errno == EINTR) {
        }
        for_ns -= ns;
        soak_tell(r);
    }
}

bool soak_round_run(struct soak_round *r, const struct soak_options *o, unsigned number,
                    const char *folder, int64_t for_ns)
{
    memset(r, 0, sizeof *r);
    r->options = o;
    r->number = number;
    r->folder = folder;
    soak_watchdog_watch(NULL, "create");
    if (!make(r)) {
        return false;
    }
    weft_task *t;
    int err = weft_runtime_spawn(r->rt, root, r, &t);
    if (err < 0) {
        soak_broken("round %u: no root task: %s", number, strerrordesc_np(-err));
        return false;
    }
    soak_watchdog_watch(r, "work");
    sleep_through(r, for_ns);
    /* ORD none: before the close, and all that comes of it. */
    atomic_store_explicit(&r->closing, true, memory_order_relaxed);
    soak_watchdog_watch(r, "close");
    err = weft_runtime_close(r->rt);
    soak_watchdog_watch(NULL, "destroy");
    if (err < 0 || (err = weft_future_wait_blocking(t, 0, NULL)) < 0) {
        soak_broken("round %u: the close, or the root task: %s", number, strerrordesc_np(-err));
    }
    weft_put(t);
    (void)weft_runtime_destroy(r->rt);
    soak_secure_drop(r);
    soak_watchdog_watch(NULL, "look");
    soak_guards_check(r);
    soak_signals_check(r);
    soak_ledger_check(r);
    if (weft_queue_destroy(r->queue) < 0 || weft_channel_destroy(r->channel) < 0) {
        soak_broken("round %u: somebody still waits at the queue or channel", number);
    }
    return true;
}
