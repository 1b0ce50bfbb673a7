/* SPDX-License-Identifier: MIT */
/*
 * Select: one of several sends and receives.
 *
 * All channels are locked at once, in the order of their addresses, each once, however many cases
 * it is in. Then either a case can be done, which is done under that lock as a send or receive
 * alone would be; or none can, and the task waits in the queues of all of them. It waits with one
 * ticket: whoever claims any of its nodes ends the whole wait, so one case is done and no more. The
 * others' claims fail from then on, and they pass its nodes over. Afterwards it takes the rest of
 * its nodes back, one lock at a time.
 *
 * Two tasks that select the same two channels the other way round cannot miss each other: the
 * second finds the first one's nodes, since the locks are held from the look to the queue.
 *
 * Which case was done is told by its outcome; the claimer of a node writes that of no other.
 *
 * Fair: the cases are tried in a random order, drawn as far as it is needed.
 */
#include <limits.h>

#include <weft/task.h>

#include "channel_object.h"
#include "park.h"
#include "rng.h"
#include "runtime_object.h"

/* What a case's `reserved` is used for. */
struct select_node {
    struct channel_waiter waiter;
    struct weft_select_case *next; /* in the order of locking */
    size_t turn;                   /* of the i-th node: which case is tried as the i-th */
};

_Static_assert(sizeof(struct select_node) <= sizeof((struct weft_select_case *)0)->reserved,
               "a node fits into its case");

/* Enough lists of 1, 2, 4... for any number of cases. */
#define SELECT_LISTS (sizeof(size_t) * CHAR_BIT)

static struct select_node *select_node(struct weft_select_case *at)
{
    return (struct select_node *)(void *)at->reserved;
}

static bool select_is_on_channel(const struct weft_select_case *at)
{
    return at->kind != WEFT_SELECT_DEFAULT && at->channel != NULL;
}

static struct weft_select_case *select_merge(struct weft_select_case *a, struct weft_select_case *b)
{
    struct weft_select_case *merged = NULL;
    struct weft_select_case **last = &merged;
    while (a != NULL && b != NULL) {
        struct weft_select_case **less = (uintptr_t)a->channel <= (uintptr_t)b->channel ? &a : &b;
        *last = *less;
        last = &select_node(*less)->next;
        *less = *last;
    }
    *last = a != NULL ? a : b;
    return merged;
}

/* A chain of the cases with a channel, by its address. */
static struct weft_select_case *select_sort(struct weft_select_case *cases, size_t n)
{
    struct weft_select_case *lists[SELECT_LISTS] = {NULL}; /* [i]: 2^i cases, or none */
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        if (!select_is_on_channel(&cases[i])) {
            continue;
        }
        struct weft_select_case *carry = &cases[i];
        select_node(carry)->next = NULL;
        size_t l = 0;
        for (; lists[l] != NULL; l++) {
            carry = select_merge(lists[l], carry);
            lists[l] = NULL;
        }
        lists[l] = carry;
        used = l >= used ? l + 1 : used;
    }
    struct weft_select_case *chain = NULL;
    for (size_t l = 0; l < used; l++) {
        chain = select_merge(lists[l], chain);
    }
    return chain;
}

static void select_lock(struct weft_select_case *chain)
{
    const struct weft_channel *before = NULL;
    for (; chain != NULL; chain = select_node(chain)->next) {
        if (chain->channel != before) {
            turnstile_lock(&chain->channel->gate);
            before = chain->channel;
        }
    }
}

static void select_unlock(struct weft_select_case *chain)
{
    while (chain != NULL) {
        struct weft_channel *c = chain->channel;
        do {
            chain = select_node(chain)->next;
        } while (chain != NULL && chain->channel == c);
        turnstile_unlock(&c->gate);
    }
}

/* Try the cases in a random order. Caller holds the locks. Returns the index, or -1. */
static int select_try(struct weft_select_case *cases, size_t n, struct rng *rng,
                      struct wait_node **resume)
{
    for (size_t i = 0; i < n; i++) {
        select_node(&cases[i])->turn = i;
    }
    for (size_t i = 0; i < n; i++) {
        size_t drawn = i + rng_below(rng, (uint32_t)(n - i));
        size_t turn = select_node(&cases[drawn])->turn;
        select_node(&cases[drawn])->turn = select_node(&cases[i])->turn;
        struct weft_select_case *at = &cases[turn];
        if (!select_is_on_channel(at)) {
            continue;
        }
        int err = at->kind == WEFT_SELECT_SEND ? channel_put(at->channel, at->element, resume)
                                               : channel_take(at->channel, at->element, resume);
        if (err != -EAGAIN) {
            at->error = err;
            return (int)turn;
        }
    }
    return -1;
}

/* Be in the queues of all cases. Caller holds the locks. */
static void select_push(struct weft_select_case *chain, struct fiber *f, uint64_t ticket)
{
    for (; chain != NULL; chain = select_node(chain)->next) {
        struct weft_channel *c = chain->channel;
        struct channel_waiter *w = &select_node(chain)->waiter;
        *w = (struct channel_waiter){.node = {.fiber = f, .ticket = ticket},
                                     .element = chain->element,
                                     .outcome = CHANNEL_PENDING};
        wait_queue_push(chain->kind == WEFT_SELECT_SEND ? &c->senders : &c->receivers, &w->node);
        c->gate.waiting++;
    }
}

/* Be in no queue any more. Returns the case that was done, or NULL. */
static struct weft_select_case *select_take_back(struct weft_select_case *chain)
{
    struct weft_select_case *done = NULL;
    for (; chain != NULL; chain = select_node(chain)->next) {
        struct weft_channel *c = chain->channel;
        struct channel_waiter *w = &select_node(chain)->waiter;
        if (w->outcome != CHANNEL_PENDING) {
            done = chain; /* the channel may be gone */
            continue;
        }
        turnstile_lock(&c->gate);
        (void)wait_queue_remove(chain->kind == WEFT_SELECT_SEND ? &c->senders : &c->receivers,
                                &w->node);
        c->gate.waiting--;
        turnstile_unlock(&c->gate);
    }
    return done;
}

/* Nothing can be done at once. Lets go of the locks. */
static int select_wait(struct weft_select_case *cases, struct weft_select_case *chain,
                       struct fiber *f)
{
    f->wait_for = WAIT_FOR_SELECT;
    uint64_t ticket = weft__wait_begin(f, WAIT_CLAIMABLE, cases);
    int err = fiber_interrupted(f);
    if (err < 0) {
        select_unlock(chain);
        if (weft__wait_abort(f, ticket)) {
            return err;
        }
        weft__park(f); /* whoever was first to end it makes us ready */
        return f->outcome;
    }
    select_push(chain, f, ticket);
    select_unlock(chain);
    weft__park(f);
    err = f->outcome;
    struct weft_select_case *done = select_take_back(chain);
    if (err < 0) {
        return err;
    }
    WEFT_ASSERT(done != NULL); /* who ends the wait with 0 has claimed a node */
    done->error = select_node(done)->waiter.outcome;
    return (int)(done - cases);
}

/* The first default among the cases, -1 for none, or -EINVAL. */
static int select_check(const struct weft_select_case *cases, size_t n)
{
    if (n > INT_MAX || (cases == NULL && n != 0)) {
        return -EINVAL;
    }
    int found = -1;
    for (size_t i = n; i-- > 0;) {
        if (cases[i].kind < WEFT_SELECT_SEND || cases[i].kind > WEFT_SELECT_DEFAULT) {
            return -EINVAL;
        }
        found = cases[i].kind == WEFT_SELECT_DEFAULT ? (int)i : found;
    }
    return found;
}

int weft_select(struct weft_select_case *cases, size_t n)
{
    int otherwise = select_check(cases, n);
    if (otherwise == -EINVAL) {
        return -EINVAL;
    }
    struct fiber *f = weft__fiber_current();
    if (f == NULL && otherwise < 0) {
        return -EPERM;
    }
    struct worker *w = weft__worker_current();
    struct rng outside; /* of a thread that is no worker */
    if (w == NULL) {
        rng_init(&outside, (uint64_t)weft_now());
    }
    struct wait_node *resume = NULL;
    struct weft_select_case *chain = select_sort(cases, n);
    select_lock(chain);
    int done = select_try(cases, n, w != NULL ? &w->rng : &outside, &resume);
    if (done < 0 && otherwise < 0) {
        return select_wait(cases, chain, f);
    }
    select_unlock(chain);
    if (f != NULL) {
        weft__spend();
    }
    if (resume != NULL) {
        weft__wait_queue_resume(resume);
    }
    if (done < 0) {
        cases[otherwise].error = 0;
        return otherwise;
    }
    return done;
}
