/* SPDX-License-Identifier: MIT */
/*
 * Between tasks: mutexes, reader-writer locks, events, conditions, semaphores, barriers.
 *
 *     static struct weft_mutex m = WEFT_MUTEX_INIT;
 *
 *     int err = weft_mutex_lock(&m);
 *     if (err < 0) {
 *         return weft_fail(err);
 *     }
 *     ...                              may wait, and go on in another thread
 *     weft_mutex_unlock(&m);
 *
 * The objects are structs of a few words that live wherever the program puts them, alone or inside
 * others. Zeroed memory or the WEFT_..._INIT of its kind makes one; nothing needs to be destroyed,
 * but the memory must stay, and must not be moved, while a call on it is under way. Their fields
 * are the library's. Tasks of all workers, and of several runtimes, may use the same one.
 *
 * A call that gives something away (unlock, set, release) does not touch the object any more when
 * another task may have it: so whoever comes to know by the object itself that nobody else needs it
 * may free it.
 *
 * Where a call can be satisfied at once it succeeds, in a cancelled task, too. Where it would have
 * to wait it fails then, and one that waits is woken by a cancel: -ECANCELED. It leaves the queue,
 * and what it waited for goes to the next. One that was given what it waited for has it, whatever
 * is asked of the task later.
 */
#ifndef WEFT_SYNC_H
#define WEFT_SYNC_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/*
 * Mutex: one task at a time. It belongs to the task that locked it, and does not nest.
 *
 * First come, first served among those that wait. On a runtime with one worker a mutex that is
 * unlocked goes straight to the first of them. With more, a task that is running may find it free
 * and take it before the one that was woken gets there; who came too late once is given the mutex
 * by the next unlock. So each one gets it in the end.
 */
struct weft_mutex {
    WEFT_ATOMIC(uint64_t) word;
    void *first;
    bool has_heir;
};

#define WEFT_MUTEX_INIT {0, NULL, false}

/*
 * Wait until m is free and lock it.
 * Context: task     Blocks: task
 * Returns 0; else it is not locked: -ECANCELED, -EDEADLK when the caller has it locked already,
 * -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_mutex_lock(struct weft_mutex *m);

/*
 * The same, for clean-up that must be done: a cancel does not end the wait, and is seen by the next
 * one.
 * Context: task     Blocks: task
 * Returns 0, -EDEADLK, -EPERM as weft_mutex_lock.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_mutex_lock_shielded(struct weft_mutex *m);

/*
 * Lock m if it is free.
 * Context: task     Blocks: nothing
 * Returns 0, -EAGAIN when it is locked, by whomever, -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_mutex_trylock(struct weft_mutex *m);

/*
 * Unlock m, which the caller has locked, and let the next one have it.
 * Context: task     Blocks: nothing
 * Returns 0, -EPERM when m is free or another's, or outside a task; nothing has changed then.
 */
WEFT_PUBLIC int weft_mutex_unlock(struct weft_mutex *m);

/*
 * Event: a flag to wait for. Setting it lets everybody through, until it is cleared.
 */
struct weft_event {
    WEFT_ATOMIC(uint64_t) word;
    void *first;
};

#define WEFT_EVENT_INIT {0, NULL}

/*
 * Set e and wake all that wait for it, in their order. What the caller did before is seen by those
 * who find it set. Setting it twice does nothing more.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_event_set(struct weft_event *e);

/*
 * Clear e: who waits from now on waits for the next set. Those that a set has woken go on anyway.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_event_clear(struct weft_event *e);

/*
 * Whether e is set.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC bool weft_event_is_set(const struct weft_event *e);

/*
 * Wait until e is set; it stays set.
 * Context: task     Blocks: task
 * Returns 0, -ECANCELED, -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_event_wait(struct weft_event *e);

/*
 * Semaphore: a number of permits. Who acquires takes one, and waits while there is none; who
 * releases gives one, its own or a new one.
 *
 * First come, first served: while somebody waits, nobody is served out of turn, also when the
 * permits would do for a smaller wish.
 */
struct weft_semaphore {
    WEFT_ATOMIC(uint64_t) word;
    void *first;
    uint64_t limit; /* 0: no bound */
};

/* Of so many permits to begin with: a constant from 0 to WEFT_SEMAPHORE_MAX. */
#define WEFT_SEMAPHORE_INIT(value) {(uint64_t)(value) << 2, NULL, 0}

/* The same for one that never has more permits than at first; at least 1. */
#define WEFT_BOUNDED_SEMAPHORE_INIT(value) {(uint64_t)(value) << 2, NULL, (uint64_t)(value)}

#define WEFT_SEMAPHORE_MAX (INT64_MAX / 4)

/*
 * Make a semaphore of so many permits. Zeroed memory is one of none.
 * Context: any thread, nobody uses it     Blocks: nothing
 * Returns 0, -EINVAL when value is less than 0 or more than WEFT_SEMAPHORE_MAX; then s is
 * unchanged.
 */
WEFT_PUBLIC int weft_semaphore_init(struct weft_semaphore *s, int64_t value);

/*
 * The same, and a release that would make it more permits than that is refused.
 * Returns as weft_semaphore_init; -EINVAL also for 0.
 */
WEFT_PUBLIC int weft_bounded_semaphore_init(struct weft_semaphore *s, int64_t value);

/*
 * Wait for a permit and take it.
 * Context: task     Blocks: task
 * Returns 0; else it took none: -ECANCELED, -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_semaphore_acquire(struct weft_semaphore *s);

/*
 * Wait for n permits and take them all at once.
 * Context: task     Blocks: task
 * Returns as weft_semaphore_acquire; -EINVAL when n is less than 1 or more than there can be.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_semaphore_acquire_many(struct weft_semaphore *s, int64_t n);

/*
 * Take a permit if there is one and nobody waits.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EAGAIN.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_semaphore_tryacquire(struct weft_semaphore *s);

/*
 * Give a permit: to the first who waits, else for later.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EOVERFLOW when there are as many as there may be; nothing has changed then.
 */
WEFT_PUBLIC int weft_semaphore_release(struct weft_semaphore *s);

/*
 * Give n permits at once.
 * Context: any thread     Blocks: nothing
 * Returns as weft_semaphore_release; -EINVAL when n is less than 1.
 */
WEFT_PUBLIC int weft_semaphore_release_many(struct weft_semaphore *s, int64_t n);

/*
 * How many permits there are, a moment ago.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC int64_t weft_semaphore_value(const struct weft_semaphore *s);

WEFT_END_DECLS

#endif
