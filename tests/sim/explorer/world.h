/* SPDX-License-Identifier: MIT */
/*
 * The world of the explorer: actors, which are tasks that do random things to shared objects, and
 * what is known about each, to be checked.
 *
 * An actor's dice are its own, so what it does depends on the order of things only as far as their
 * results do. While it waits it says for what: when all is quiet, nobody may wait for what is there
 * (a wake-up was lost), nor for anything at all when it was cancelled.
 */
#ifndef WEFT_EXPLORER_WORLD_H
#define WEFT_EXPLORER_WORLD_H

#include "../sim_help.h"

#define ACTORS_MAX 30
#define ACTORS_FIRST 8

/* A scope that an actor is in; on its stack. */
struct frame {
    struct weft_scope scope;
    struct frame *outer;
    bool is_finite; /* over long before all is quiet */
    bool is_shield;
    bool was_cancelled;
};

struct actor {
    int number;
    uint64_t dice;
    weft_task *task; /* a reference of the world's; NULL: not spawned yet */
    bool has_started;
    bool has_ended;
    bool is_asked;   /* cancelled, and has not acknowledged it */
    int patience;    /* cancels that it may acknowledge and go on */
    struct frame *frames; /* the innermost scope */
    /* what it waits for; NULL: nothing. is_there says whether that is to be had. */
    bool (*is_there)(void *on);
    void *on;
    const char *waits_in;
    bool is_firm; /* a cancel does not end the wait */
};

struct action {
    const char *name;
    int (*run)(struct actor *a); /* 0, or why the actor's own waits fail */
};

static struct actor actors[ACTORS_MAX];
static int actor_count;

/* What an actor's dice show; tests/fuzz has its own. */
#ifndef EXPLORER_THROW
#define EXPLORER_THROW(a) ((uint32_t)(test_random(&(a)->dice) >> 33))
#endif

static inline uint32_t dice(struct actor *a, uint32_t sides)
{
    return EXPLORER_THROW(a) % sides;
}

/* Say what is done, when WEFT_SIM_TRACE is set. */
static inline void trace(const struct actor *a, const char *what, int64_t on, int64_t result)
{
    static int is_wanted = -1;
    if (is_wanted < 0) {
        is_wanted = getenv("WEFT_SIM_TRACE") != NULL;
    }
    if (is_wanted) {
        dprintf(STDERR_FILENO, "%8" PRId64 " us  actor %2d  %s %" PRId64 " -> %" PRId64 "\n",
                (weft_now() - WEFT_SECOND) / WEFT_US, a->number, what, on, result);
    }
}

/* Around a call that may wait. */
static inline void wait_begin(struct actor *a, const char *what, bool (*is_there)(void *on),
                              void *on)
{
    a->waits_in = what;
    a->on = on;
    a->is_there = is_there;
    a->is_firm = false;
}

static inline int wait_end(struct actor *a, int result)
{
    trace(a, a->waits_in, 0, result);
    a->is_there = NULL;
    return result;
}

/* What anybody waits for who does not wait for another: time, which has passed. */
static inline bool always(void *on)
{
    (void)on;
    return true;
}

/* Whether anybody waits in that call for that object. */
static inline bool anybody_waits(const char *what, const void *on)
{
    for (int i = 0; i < actor_count; i++) {
        const struct actor *a = &actors[i];
        if (a->is_there != NULL && a->on == on && strcmp(a->waits_in, what) == 0) {
            return true;
        }
    }
    return false;
}

/* Another actor that exists, or NULL. */
static inline struct actor *other_actor(struct actor *a)
{
    struct actor *other = &actors[dice(a, (uint32_t)actor_count)];
    return other == a || other->task == NULL ? NULL : other;
}

/* A wait of the actor's own has failed, with err. Returns why they fail now. */
static inline int wait_failed(int err)
{
    CHECK(err == -ECANCELED || err == -ETIMEDOUT);
    CHECK(weft_scope_error() < 0);
    return weft_scope_error();
}

static inline void frame_push(struct actor *a, struct frame *f)
{
    f->outer = a->frames;
    a->frames = f;
}

static inline void frame_pop(struct actor *a, struct frame *f)
{
    CHECK(a->frames == f);
    a->frames = f->outer;
}

/* Whether the actor's waits are to fail, when time has passed. */
static inline bool actor_is_cut(const struct actor *a)
{
    for (const struct frame *f = a->frames; f != NULL; f = f->outer) {
        if (f->is_finite || f->was_cancelled || f->is_shield) {
            return !f->is_shield;
        }
    }
    return a->is_asked;
}

/* Nobody can go on: check that everybody who waits has a reason to. */
static inline void world_check_quiet(void)
{
    for (int i = 0; i < actor_count; i++) {
        struct actor *a = &actors[i];
        CHECK(a->has_started);
        CHECK(a->has_ended || a->is_there != NULL);
        if (a->has_ended) {
            continue;
        }
        if (a->is_there(a->on)) {
            dprintf(STDERR_FILENO, "actor %d waits in %s for what is there\n", i, a->waits_in);
            abort();
        }
        if (actor_is_cut(a) && !a->is_firm) {
            dprintf(STDERR_FILENO, "actor %d waits in %s, cut short\n", i, a->waits_in);
            abort();
        }
    }
}

#endif
