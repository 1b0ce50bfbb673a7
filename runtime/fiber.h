/* SPDX-License-Identifier: MIT */
/*
 * Fiber: a stack with a suspended execution on it, and what its wait is.
 *
 * A fiber carries one task, or several nested ones: a task that awaits a child which has not
 * started runs it as a call on its own stack. `top` is the innermost; it is the one that waits, is
 * made ready and is queued. Those under it wait for the one above. `scope` is the innermost of the
 * scopes that they have entered, and the head of a list of all of them (scope.h).
 *
 *      slot, low end                                                  slot, high end
 *      | guard |  ... free ...  | frames of top | frames of top->under | struct fiber |
 *
 * The object lives at the top of its own slot, so a stack and its fiber are had in one piece.
 * Memory of idle slots may be given back and then reads as zeros, which is a valid idle fiber:
 * whoever holds a stale pointer to one finds nobody waiting.
 *
 * The wait word decides who ends a wait. One waiter, many who may end it: completion, time, cancel.
 *   0                          not waiting
 *   ticket                     waiting; a ticket is (generation << 8 | WAITING), never used twice
 *   ticket | HELD              somebody looks at what it waits for (cancel.c); nobody can resume it
 *   ticket | HELD | NOTIFIED   it was ended meanwhile; the holder makes it ready when it lets go
 * Ending is a CAS from the ticket to 0, or to NOTIFIED; whoever succeeds has the duty to make the
 * fiber ready, everybody else leaves it alone.
 *
 * A fiber may be made ready before it has left its stack. Whoever is to resume it waits for
 * `running` to become 0, which the next one on the leaver's worker writes as its first act.
 *
 * Invariants
 *   I1  top, scope, wait_kind, wait_for, wait_on, wait_home, wake_ns: written by the fiber while it
 *       runs; read by others only while they hold it, or by the one who ended its wait.
 *   I2  outcome, blame: written by the one who ended the wait, before the fiber is queued.
 *   I3  at most one worker has running = 1 for a fiber.
 *
 * Pairs
 *   P1  park: wait, seq_cst exchange; then task.cancel, seq_cst
 *       <-> cancel: task.cancel, seq_cst add; then wait, seq_cst
 *           either the waiter sees the request or the canceller sees the wait
 *   P2  begin: wait, seq_cst        -> hold, end: wait, acquire (CAS)     I1
 *   P3  end, unhold: wait, release  -> unhold, end: wait, acquire         outcome, what it waits on
 *   P4  leave: running, release     -> resume: running, acquire           saved registers, I1
 *   P5  park: wait, seq_cst exchange; then alarm.armed_ns, seq_cst
 *       <-> expiry: alarm.armed_ns, seq_cst; then wait, seq_cst (timers.h P2)
 *           who relies on the alarm being armed is found waiting by it
 *   P6  park, in a runtime with one worker: wait, release; light barrier; then task.cancel, seq_cst
 *       <-> settle: task.cancel, seq_cst add; heavy barrier; then wait, seq_cst
 *           as P1 between that worker and other threads; on the worker itself P1 and P5 are the
 *           order of its program, and its parks need no read-modify-write
 *
 * Tested: tests/model/model_wait.c (all interleavings).
 */
#ifndef WEFT_FIBER_H
#define WEFT_FIBER_H

#include "atomic.h"
#include "future.h"
#include "sanitize.h"
#include "stack.h"
#include "timers.h"

struct worker;
struct weft_scope;

#define WAIT_WAITING ((uint64_t)1)
#define WAIT_HELD ((uint64_t)2)
#define WAIT_NOTIFIED ((uint64_t)4)
#define WAIT_GENERATION ((uint64_t)256)

/* What a wait is for; said before it begins, for those who look at suspended tasks (view.h). Said
 * of that one wait: when it is over the next is for something, unless it says what. */
enum wait_for {
    WAIT_FOR_SOMETHING,
    WAIT_FOR_FUTURE,     /* wait_on */
    WAIT_FOR_FUTURES,    /* wait_on: the wait set */
    WAIT_FOR_COMPLETION, /* of the next of several */
    WAIT_FOR_CHILDREN,   /* of the group in wait_on */
    WAIT_FOR_TIME,       /* wake_ns */
    WAIT_FOR_MUTEX,      /* from here on: of the object in wait_on */
    WAIT_FOR_READING,
    WAIT_FOR_WRITING,
    WAIT_FOR_EVENT,
    WAIT_FOR_CONDITION,
    WAIT_FOR_SEMAPHORE,
    WAIT_FOR_BARRIER,
    WAIT_FOR_ROOM,
    WAIT_FOR_ITEM,
    WAIT_FOR_JOIN,
    WAIT_FOR_SEND,
    WAIT_FOR_RECEIVE,
    WAIT_FOR_BROADCAST,
    WAIT_FOR_CHANGE,
    WAIT_FOR_SELECT,
    WAIT_FOR_OPERATION, /* the poller's */
    WAIT_FOR_CLOSE,
    WAIT_FOR_CALL,      /* on a thread of a pool, of the function at wait_on */
    WAIT_FOR_SIGNAL,
};

/* What a cancel does to a wait. */
enum wait_kind {
    WAIT_CLAIMABLE, /* ends it at once */
    WAIT_TASK,      /* is passed on to the task in wait_on; the wait goes on */
    WAIT_OPERATION, /* is handed to the worker in wait_home, whose poller asks the kernel */
    WAIT_FIRM,      /* nothing */
};

struct fiber {
    struct stack stack; /* first: a fiber is the header of its slot */

    /* what a switch touches, in one line with the stack's link */
    void *sp;                  /* I1 */
    weft_task *top;            /* I1 */
    struct weft_scope *scope;  /* I1: the innermost; NULL: none */
    _Atomic(uint32_t) running; /* I3 */
    int16_t outcome;           /* I2: 0 or why the wait was cut short, negative */
    bool has_alarm;            /* it was armed; the fiber's own */

    /* what a wait touches */
    _Atomic(uint64_t) wait;
    uint64_t generation;      /* I1: of the last ticket */
    void *wait_on;            /* I1 */
    struct worker *wait_home; /* I1 */
    struct weft_scope *blame; /* I2: the scope that cut it short; NULL: a cancel of the task */
    struct weft_scope *noted; /* the fiber's own: took note of a wait that it thought to fail */
    int64_t wake_ns;          /* I1: the end of a sleep; 0: of another kind of wait */
    uint8_t wait_kind;        /* I1 */
    uint8_t wait_for;         /* I1 */

    struct deadline alarm; /* goes off before or when a wait has to end (interrupt.c) */
    struct sanitize_fiber sanitize;
};

_Static_assert(sizeof(struct fiber) <= WEFT_STACK_HEADER, "a fiber fits in its slot's header");

/* Whether t is among the tasks of a fiber. For it to wait for one of them would be for ever.
 * Context: on f, or holding it. */
static inline bool fiber_carries(const struct fiber *f, const weft_task *t)
{
    const weft_task *on = f->top;
    while (on != NULL && on != t) {
        on = on->under;
    }
    return on != NULL;
}

/*
 * Fetch the frames that a suspended fiber returns through first: who wakes many knows them long
 * before they run. One by one from memory they would take half of a short task's time.
 * Context: who holds it.
 */
static inline void fiber_fetch(const struct fiber *f)
{
    if (WEFT_UNLIKELY(atomic_load_acquire(&f->running) != 0)) { /* ORD P4: sp */
        return;
    }
    const char *sp = f->sp;
    for (unsigned i = 0; i < STACK_FETCH_LINES; i++) {
        __builtin_prefetch(sp + (size_t)i * WEFT_CACHE_LINE, 1);
    }
}

/* Fetch of a fiber what its wait and its resumer touch; f may be stale, or NULL. */
static inline void fiber_fetch_header(const struct fiber *f)
{
    uintptr_t header = (uintptr_t)f; /* of which no pointer may be computed, when it is NULL */
    for (unsigned i = 0; i < STACK_HEADER_LINES; i++) {
        __builtin_prefetch((const void *)(header + (size_t)i * WEFT_CACHE_LINE), 1);
    }
}

/* The fiber and the task the caller runs on; NULL where there is none. */
struct fiber *weft__fiber_current(void);

#endif
