/* SPDX-License-Identifier: MIT */
/*
 * Race: several ways to the same thing, one begun after the other, of which the first that succeeds
 * is taken. To connect to a host with many addresses is one ("happy eyeballs"): the next address is
 * tried when the one before has failed, or has taken a quarter of a second.
 *
 *     struct weft_race race = {
 *         .count = 3, .fn = connect_to, .args = addresses,      void *connect_to(void *address)
 *         .delay_ns = 250 * WEFT_MS, .drop = close_it,
 *     };
 *     void *connection;
 *     int winner = weft_staggered_race(&race, &connection);
 *     if (winner < 0) {
 *         return winner;                                        nobody got there, or cancelled
 *     }
 */
#ifndef WEFT_RACE_H
#define WEFT_RACE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* In weft_race.errors: it was not begun. */
#define WEFT_RACE_NOT_BEGUN 1

struct weft_race {
    size_t count;          /* of the contenders */
    weft_fn fn;            /* a contender is fn(args[i]), a task; it loses with weft_fail */
    void *const *args;     /* count of them; NULL: each gets NULL */
    int64_t delay_ns;      /* the next is begun so long after one was, or when that one has failed;
                              0: all at once; WEFT_FOREVER: only when it has failed */
    void (*drop)(void *result); /* takes the result of one that succeeded after the winner, or of
                              any when the race is called off; NULL: results need no care */
    int *errors;           /* gets count of them: 0 for the winner, the error of a loser (one that
                              came too late: -ECANCELED), WEFT_RACE_NOT_BEGUN; NULL: not wanted */
    uint64_t reserved[4];  /* zero */
};

/*
 * Run a race. When one has succeeded the others are cancelled. The call returns when all that were
 * begun have ended: they may be using the caller's stack. A cancel or deadline that reaches the
 * caller while nobody has won calls off the race: all are cancelled, and the call fails. One that
 * comes when somebody has won is left for the next wait.
 * Context: task     Blocks: task
 * result: where the winner's value goes; untouched without one; NULL: it is dropped
 * Returns the winner's index; when all have failed the error of the first contender; -ENODATA when
 * there are none; -ECANCELED or -ETIMEDOUT when the race was called off; -ENOMEM when a contender
 * could not be begun: the race is called off; -EINVAL (no fn, more than INT_MAX, a reserved word),
 * -EPERM outside a task: nothing was begun, and errors is untouched.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_staggered_race(const struct weft_race *race, void **result);

WEFT_END_DECLS

#endif
