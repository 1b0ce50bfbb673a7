/* SPDX-License-Identifier: MIT */
/*
 * Park and ready: the only way a fiber sleeps, and the only way it is woken.
 *
 *     uint64_t ticket = weft__wait_begin(f, WAIT_CLAIMABLE, NULL);
 *     int err = weft__interrupted(f);
 *     if (err < 0 && weft__wait_abort(f, ticket)) return err;
 *     ... tell the one who will wake it: (f, ticket) ...
 *     weft__park(f);                        until somebody calls weft__wake(f, ticket)
 *     ... f->outcome ...
 *
 * The order matters: the wait is announced before the cancel requests are read (fiber.h P1), so no
 * request falls between the two. The waker may come before weft__park; then it returns at once.
 */
#ifndef WEFT_PARK_H
#define WEFT_PARK_H

#include "fiber.h"

/* A wait did not fail after weft__interrupted, or nothing was passed on. Context: on f. */
void weft__interrupted_unnote(struct fiber *f);

/*
 * Announce that the current fiber is about to wait. Returns the ticket to end the wait with.
 * home: for WAIT_OPERATION the current worker is noted
 * Context: on f.
 */
uint64_t weft__wait_begin(struct fiber *f, enum wait_kind kind, void *on);

/*
 * End the wait of that ticket, outcome 0, and leave the fiber where it is: the caller makes it
 * ready (weft__fiber_ready) when it sees fit. False when it was ended before. Waits for one that
 * holds it, which is for a few instructions. f may be stale, as for weft__wake.
 * Context: any thread.
 */
bool weft__wait_claim(struct fiber *f, uint64_t ticket);

/*
 * Take the announcement back. False when somebody has ended the wait already: then the fiber is
 * being made ready and has to park to consume that.
 * Context: on f.
 */
static inline bool weft__wait_abort(struct fiber *f, uint64_t ticket)
{
    bool is_aborted = weft__wait_claim(f, ticket);
    if (is_aborted) {
        f->wait_for = WAIT_FOR_SOMETHING;
    } else {
        weft__interrupted_unnote(f); /* the wait does not fail of what was seen, if anything */
    }
    return is_aborted;
}

/* Switch away until the announced wait has ended. Context: on f; may return on another worker. */
void weft__park(struct fiber *f);

/*
 * End the wait of that ticket and make the fiber ready, outcome 0. False when it was ended before:
 * nothing happened. f may be stale: a ticket is never used twice.
 * Context: any thread.
 */
bool weft__wake(struct fiber *f, uint64_t ticket);

/* Queue a fiber whose wait the caller has ended. Context: any thread. */
void weft__fiber_ready(struct fiber *f);

/* The same for one of several: behind what is queued here, so that they run in the order of the
 * calls. Context: any thread. */
void weft__fiber_ready_last(struct fiber *f);

/* Queue something that can run: on this worker if the caller is on one of rt, else anywhere. */
void weft__runnable_ready(weft_runtime *rt, struct runnable *r);

/*
 * Why the wait that f's top task begins is to fail: 0, -ECANCELED, -ETIMEDOUT. Requests made to
 * tasks under it, which await it, and the ends of their scopes are passed on to it here; a scope
 * that has ended takes note that a wait failed of it.
 * Context: on f.
 */
int weft__interrupted(struct fiber *f);

/* The same, quick for a task that is not nested, was not cancelled, and is in no scope. */
static inline int fiber_interrupted(struct fiber *f)
{
    weft_task *top = f->top;
    /* ORD P4 (future.h): after the wait was announced, where one was. */
    if (WEFT_LIKELY(atomic_load_seq_cst(&top->cancel) == 0 && top->under == NULL &&
                    f->scope == NULL)) {
        return 0;
    }
    return weft__interrupted(f);
}

/*
 * Make a request to end: as weft_cancel.
 * Context: any thread.
 */
bool weft__cancel(weft_task *t);

/*
 * Take hold of a waiting fiber: nobody can resume it until weft__unhold. Returns the ticket, or 0
 * when it is not waiting.
 * Context: any thread.
 */
uint64_t weft__hold(struct fiber *f);

/*
 * A request was made of a task of rt, or of a scope in one, and its fiber was not found waiting.
 * True: look again, the wait may have been announced in between and not have seen the request.
 * Context: any thread, after a seq_cst read-modify-write.
 */
bool weft__request_settle(const weft_runtime *rt);

/* Let go; with `end`, end the wait, of which outcome and blame were set, unless it was ended
 * meanwhile: then it has outcome 0. */
void weft__unhold(struct fiber *f, uint64_t ticket, bool end);

/* What weft_yield does for others; nothing is looked at, and nothing fails. Context: task; may
 * return on another worker. */
void weft__give_turn(void);

/* A call that never waited counts as an item: who makes it again and again lets others run.
 * Context: task; may return on another worker. */
void weft__spend(void);

/* Whether the worker has nothing to do at the moment but to run the caller: nothing is ready there,
 * and the poller has nothing to hand over. Context: task. */
bool weft__is_alone_here(void);

/* The poller of the worker the caller is on. Context: worker. */
struct poller *weft__poller_current(void);

/* The poller of a worker. Context: worker. */
struct poller *weft__poller_of(const struct worker *w);

/* Whether a held fiber's operation belongs to a poller. Context: any thread. */
bool weft__wait_is_at(const struct fiber *f, const struct poller *p);

/* Whether the top task of a held fiber has been asked to end its wait. Context: any thread. */
bool weft__wait_is_asked(const struct fiber *f);

/* Have the worker that a held fiber's operation belongs to cancel it. Context: any thread. */
void weft__wait_kick(const struct fiber *f);

/* The index of the worker the caller is on. Context: worker. */
unsigned weft__worker_here(void);

/* Send a message to a worker of the current runtime. Context: worker. */
void weft__send_to_worker(unsigned index, struct message *m);

#endif
