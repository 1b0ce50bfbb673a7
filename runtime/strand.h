/* SPDX-License-Identifier: MIT */
/*
 * Strand: what happens to one object, handled in order and never in parallel, without a fiber.
 *
 *     weft__strand_init(&s, rt, handle, MADE);  weft__strand_queue(&s);
 *     weft__strand_post(&s, READABLE);         any thread, from the middle of anything
 *     enum strand_next handle(struct strand *s, uint32_t events)     on a worker, as a callback
 *
 * Events are bits: one that is posted again before it was handled is handled once. Who posts the
 * first one queues the strand's callback, which any worker may run or steal; it handles what has
 * come, again and again until nothing has, and rests. So an object is in a queue once at most, and
 * costs nothing while nothing happens.
 *
 *      resting --post--> BUSY, queued --runs--> BUSY, handling --nothing has come--> resting
 *                           ^                     |   |
 *                           '---more than a turn--'   '--over--> BUSY for good
 *
 * A strand that is over is BUSY for ever: posts to it do nothing, for as long as its memory is
 * there. The callback handles the locals of who made the strand, and keeps what it sets.
 *
 * Pairs
 *   P1  post: word, acq_rel or        -> handle: word, acq_rel exchange     what the poster did
 *   P2  rest: word, acq_rel CAS       -> post: word, acq_rel or; then the queue
 *                                                               the strand's own fields, to the
 *                                                               worker that has it next
 * Tested: tests/model/model_strand.c (all interleavings).
 */
#ifndef WEFT_STRAND_H
#define WEFT_STRAND_H

#include <weft/base.h>

#include "atomic.h"
#include "check.h"
#include "runnable.h"

struct local_set;
struct strand;

/* What becomes of the strand. */
enum strand_next {
    STRAND_REST,  /* it has handled what it was given */
    STRAND_AGAIN, /* it has not, and lets others have their turn first */
    STRAND_OVER,  /* it must not be touched any more; its memory may be gone */
};

typedef enum strand_next (*strand_handle_fn)(struct strand *s, uint32_t events);

/* Events are the other 31 bits. */
#define STRAND_BUSY ((uint32_t)1)

/* Times in a row that a strand handles what has come meanwhile before others have their turn. More
 * would hold up a worker; fewer would cost a queue more where two threads play ball. */
#ifndef STRAND_ROUNDS_MAX
#define STRAND_ROUNDS_MAX 8
#endif

struct strand {
    struct callback callback;
    weft_runtime *rt; /* immutable; its memory is held */
    strand_handle_fn handle;  /* immutable */
    struct local_set *locals; /* the strand's own */
    _Atomic(uint32_t) word;
};

/* Make a strand that is BUSY, with its first events: weft__strand_queue starts it, once all else is
 * ready. 0 or -ENOMEM. Context: a worker of rt. */
int weft__strand_init(struct strand *s, weft_runtime *rt, strand_handle_fn handle,
                      uint32_t events);

/* Context: who has its memory alone; not begun, or over. */
void weft__strand_fini(struct strand *s);

/* Queue the callback. Context: who has made the strand BUSY. */
void weft__strand_queue(struct strand *s);

/* Whether it belongs to the parent of this forked child: then there is nobody to handle it. */
bool weft__strand_is_parents(const struct strand *s);

/* What has come. Context: the callback. */
static inline uint32_t strand_take(struct strand *s)
{
    /* ORD P1: what the posters did. */
    return atomic_exchange_acq_rel(&s->word, STRAND_BUSY) & ~STRAND_BUSY;
}

/* Whether some of these have come since. Context: the callback. */
static inline bool strand_has(struct strand *s, uint32_t events)
{
    return (atomic_load_relaxed(&s->word) & events) != 0; /* ORD none: they are taken later */
}

/* True: nothing has come, and it rests; it is the next poster's now. Context: the callback. */
static inline bool strand_rest(struct strand *s)
{
    uint32_t busy = STRAND_BUSY;
    return atomic_cas_acq_rel(&s->word, &busy, 0); /* ORD P2: what was handled */
}

/* What the callback does. handle: the strand's. True: it is to be queued again, being BUSY. */
static inline bool strand_turn(struct strand *s, strand_handle_fn handle)
{
    enum strand_next next = STRAND_REST;
    for (unsigned i = 0; i < STRAND_ROUNDS_MAX && next == STRAND_REST; i++) {
        next = handle(s, strand_take(s));
        if (next == STRAND_REST && strand_rest(s)) {
            return false;
        }
    }
    return next != STRAND_OVER;
}

/*
 * Have events handled. The runtime is there: the strand is a resident's, which is not over, or
 * whose memory the caller holds.
 * Context: any thread. The strand may be over, and its memory gone, when this returns.
 */
static inline void weft__strand_post(struct strand *s, uint32_t events)
{
    /* ORD P1: what we did. */
    /* ORD P2: what was handled before. */
    if ((atomic_or_acq_rel(&s->word, events | STRAND_BUSY) & STRAND_BUSY) == 0) {
        weft__strand_queue(s);
    }
}

#endif
