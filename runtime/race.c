/* SPDX-License-Identifier: MIT */
/*
 * Staggered race. The caller begins the contenders and waits for the first that ends, inside a
 * scope whose deadline is the time for the next one. Contenders that have failed are taken out of
 * what is waited for; so each wait ends because somebody has ended anew, or it is time.
 *
 * To end a race is to cancel all that are under way and await each. An await passes a cancel of the
 * caller on again, so that one who was slow to give up is told as often as the caller is.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include <weft/future.h>
#include <weft/race.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "check.h"

/* Contenders whose handles are on the caller's stack. */
#define RACE_OWN 16

struct race {
    const struct weft_race *given;
    weft_task **tasks;   /* of those that were begun, in their order */
    weft_task **pending; /* those of them that were not seen to have ended */
    size_t begun;
    size_t pending_count;
    size_t winner; /* or count: none yet */
    bool is_next;  /* the last one that was begun has failed */
};

static bool reserved_is_zero(const struct weft_race *race)
{
    uint64_t any = 0;
    for (size_t i = 0; i < sizeof race->reserved / sizeof race->reserved[0]; i++) {
        any |= race->reserved[i];
    }
    return any == 0;
}

static int race_begin_next(struct race *r)
{
    size_t i = r->begun;
    weft_task *t = weft_spawn(r->given->fn, r->given->args == NULL ? NULL : r->given->args[i]);
    if (t == NULL) {
        return -ENOMEM;
    }
    r->tasks[i] = t;
    r->pending[r->pending_count++] = t;
    r->begun++;
    r->is_next = false;
    return 0;
}

/* Wait until one of those under way has ended, or it is time for the next. 0, or why not. */
static int race_wait(struct race *r, int64_t next_ns)
{
    int64_t for_ns = r->begun == r->given->count || next_ns == WEFT_FOREVER
                         ? WEFT_FOREVER
                         : next_ns - weft_now();
    struct weft_scope s;
    weft_scope_enter(&s, for_ns);
    int done = weft_wait(r->pending_count, r->pending, WEFT_FIRST_COMPLETED);
    (void)weft_scope_exit(&s);
    return done < 0 ? done : 0;
}

/* Look who has ended. */
static void race_look(struct race *r)
{
    size_t kept = 0;
    for (size_t i = 0; i < r->pending_count; i++) {
        weft_task *t = r->pending[i];
        if (!weft_done(t)) {
            r->pending[kept++] = t;
        } else if (weft_result(t, NULL) < 0) {
            r->is_next = r->is_next || t == r->tasks[r->begun - 1];
        } else if (r->winner == r->given->count) {
            r->winner = 0;
            while (r->tasks[r->winner] != t) {
                r->winner++;
            }
        }
    }
    r->pending_count = kept;
}

/* Until somebody has won, all have failed, or the wait fails. 0, or why it was called off. */
static int race_run(struct race *r)
{
    size_t count = r->given->count;
    int64_t next_ns = WEFT_FOREVER;
    for (;;) {
        bool is_due = r->begun == 0 || r->is_next || weft_now() >= next_ns;
        if (r->begun < count && (r->given->delay_ns <= 0 || is_due)) {
            int err = race_begin_next(r);
            if (err < 0) {
                return err;
            }
            int64_t now = weft_now();
            next_ns = r->given->delay_ns > WEFT_FOREVER - 1 - now ? WEFT_FOREVER
                                                                  : now + r->given->delay_ns;
            continue;
        }
        if (r->pending_count == 0) {
            return 0;
        }
        int err = race_wait(r, next_ns);
        race_look(r);
        if (r->winner < count || err < 0) {
            return r->winner < count ? 0 : err;
        }
    }
}

/* Wait for all that were begun, and let go of them. */
static void race_end(struct race *r, void **result)
{
    const struct weft_race *given = r->given;
    for (size_t i = 0; i < r->begun; i++) {
        if (i != r->winner) {
            (void)weft_cancel(r->tasks[i]);
        }
    }
    for (size_t i = 0; i < r->begun; i++) {
        void *value = NULL;
        int error = weft_await(r->tasks[i], &value);
        bool is_winner = i == r->winner;
        if (is_winner && result != NULL) {
            *result = value;
        } else if (error == 0 && given->drop != NULL) {
            given->drop(value);
        }
        if (given->errors != NULL) {
            given->errors[i] = error == 0 && !is_winner ? -ECANCELED : error;
        }
        weft_put(r->tasks[i]);
    }
    for (size_t i = r->begun; i < given->count && given->errors != NULL; i++) {
        given->errors[i] = WEFT_RACE_NOT_BEGUN;
    }
}

int weft_staggered_race(const struct weft_race *race, void **result)
{
    if (weft_self() == NULL) {
        return -EPERM;
    }
    if (race == NULL || race->fn == NULL || race->count > INT_MAX || !reserved_is_zero(race)) {
        return -EINVAL;
    }
    if (race->count == 0) {
        return -ENODATA;
    }
    weft_task *own[2 * RACE_OWN];
    struct race r = {.given = race, .tasks = own, .winner = race->count};
    if (race->count > RACE_OWN) {
        r.tasks = malloc(2 * race->count * sizeof(weft_task *));
    }
    if (r.tasks == NULL) {
        race_end(&r, NULL); /* fills the errors in */
        return -ENOMEM;
    }
    r.pending = r.tasks + race->count;
    int err = race_run(&r);
    int first = err < 0 || r.winner < race->count ? err : weft_result(r.tasks[0], NULL);
    race_end(&r, result);
    if (r.tasks != own) {
        free(r.tasks);
    }
    return r.winner < race->count ? (int)r.winner : first;
}
