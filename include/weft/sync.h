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
 * to wait it fails then, and one that waits is woken by a cancel: -ECANCELED; or by the end of a
 * scope around it: -ETIMEDOUT, -ECANCELED. It leaves the queue, and what it waited for goes to the
 * next. One that was given what it waited for has it, whatever is asked of the task later.
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
 * Returns 0; else it is not locked: -ECANCELED, -ETIMEDOUT, -EDEADLK when the caller has it locked
 * already, -EPERM outside a task.
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
 * Reader-writer lock: one task that writes, or any number that read.
 *
 * First come, first served: a reader that comes while a writer waits has its turn after it. So a
 * task must not lock it for reading twice: a writer may come in between, and both wait for ever.
 * Neither can it be locked for writing by one who reads.
 */
struct weft_rwlock {
    WEFT_ATOMIC(uint64_t) word;
    void *first;
};

#define WEFT_RWLOCK_INIT {0, NULL}

/*
 * Wait until nobody writes, and lock l for reading.
 * Context: task     Blocks: task
 * Returns 0; else it is not locked: -ECANCELED, -ETIMEDOUT, -EDEADLK when the caller has it for
 * writing, -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_rwlock_rdlock(struct weft_rwlock *l);

/*
 * Wait until nobody reads or writes, and lock l for writing.
 * Context: task     Blocks: task
 * Returns as weft_rwlock_rdlock.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_rwlock_wrlock(struct weft_rwlock *l);

/*
 * Lock l for reading if that can be had without waiting and nobody waits.
 * Context: task     Blocks: nothing
 * Returns 0, -EAGAIN, -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_rwlock_tryrdlock(struct weft_rwlock *l);

/*
 * The same for writing.
 * Context: task     Blocks: nothing
 * Returns as weft_rwlock_tryrdlock.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_rwlock_trywrlock(struct weft_rwlock *l);

/*
 * Unlock l, which the caller has for reading or writing.
 * Context: task     Blocks: nothing
 * Returns 0, -EPERM when it is free, or another has it for writing, or outside a task; nothing has
 * changed then. Who reads is not known: a task that takes back another's reading is not found out.
 */
WEFT_PUBLIC int weft_rwlock_unlock(struct weft_rwlock *l);

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
 * Returns 0, -ECANCELED, -ETIMEDOUT, -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_event_wait(struct weft_event *e);

/*
 * Condition: to wait, with a mutex unlocked meanwhile, until one who has the mutex says that
 * something has changed. All that wait at the same time use the same mutex.
 *
 *     while (!done) {                                done = true;
 *         err = weft_cond_wait(&c, &m);              weft_cond_notify_all(&c);
 *         if (err < 0) break;                        weft_mutex_unlock(&m);
 *     }
 */
struct weft_cond {
    WEFT_ATOMIC(uint64_t) word;
    void *first;
    struct weft_mutex *mutex;
};

#define WEFT_COND_INIT {0, NULL, NULL}

/*
 * Unlock m, wait until notified, lock m again: also when the wait failed, and no cancel ends that.
 * What was waited for may have changed again before m was locked: look anew. A waiter that was
 * notified returns 0, also when it is cancelled before it has m; so no notify is lost.
 * Context: task     Blocks: task
 * Returns, m locked by the caller: 0, -ECANCELED, -ETIMEDOUT, -EINVAL when others wait with another
 * mutex. -EPERM when m is not locked by the caller, or outside a task; nothing has changed then.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_cond_wait(struct weft_cond *c, struct weft_mutex *m);

/*
 * Wait until predicate(arg) is true, which is asked with m locked: at once, then after each wait.
 * Where it is true at once nothing else is looked at.
 * Context: task     Blocks: task
 * Returns 0 when it is true, also if the wait before failed; else as weft_cond_wait.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_cond_wait_for(struct weft_cond *c, struct weft_mutex *m,
                                                   bool (*predicate)(void *), void *arg);

/*
 * Wake the n that have waited longest, or all if they are fewer. They lock the mutex one after the
 * other when the caller has unlocked it.
 * Context: task, which has locked the mutex of those who wait     Blocks: nothing
 * Returns 0, -EPERM when it has not, and somebody waits; nobody was woken then.
 */
WEFT_PUBLIC int weft_cond_notify(struct weft_cond *c, size_t n);

/*
 * Wake all that wait.
 * Context, Blocks, Returns: as weft_cond_notify.
 */
WEFT_PUBLIC int weft_cond_notify_all(struct weft_cond *c);

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
 * Returns 0; else it took none: -ECANCELED, -ETIMEDOUT, -EPERM outside a task.
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

/*
 * Barrier: so many parties wait for each other, again and again.
 *
 * A party that is cancelled while it waits just leaves, and another may take its place.
 */
struct weft_barrier {
    WEFT_ATOMIC(uint64_t) word;
    void *first;
    int parties;
    int waiting;
};

/* For so many parties, at least 1. */
#define WEFT_BARRIER_INIT(parties) {0, NULL, (parties), 0}

/*
 * Make a barrier for so many parties.
 * Context: any thread, nobody uses it     Blocks: nothing
 * Returns 0, -EINVAL for less than 1; then b is unchanged.
 */
WEFT_PUBLIC int weft_barrier_init(struct weft_barrier *b, int parties);

/*
 * Wait until as many as there are parties wait here; then all go on, and the next round begins.
 * Context: task     Blocks: task
 * Returns a number from 0 to parties - 1, each party of a round another, the last to come the
 * highest; -ECANCELED, -ETIMEDOUT; -EPIPE when the barrier is broken, or was broken or reset
 * meanwhile; -EINVAL when it has no parties (zeroed memory); -EPERM outside a task.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_barrier_wait(struct weft_barrier *b);

/*
 * Turn out all that wait (-EPIPE), and have the barrier be as new.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_barrier_reset(struct weft_barrier *b);

/*
 * Turn out all that wait, and all that come, until a reset (-EPIPE).
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_barrier_abort(struct weft_barrier *b);

/*
 * How many wait for the round to be full, a moment ago.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC int weft_barrier_waiting(struct weft_barrier *b);

/*
 * Whether the barrier was aborted, and not reset since.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC bool weft_barrier_is_broken(const struct weft_barrier *b);

WEFT_END_DECLS

#endif
