/* SPDX-License-Identifier: MIT */
/*
 * Inbox: many threads push, one thread takes everything there is, in the order of arrival.
 *
 * Roles
 *   producer  any thread; pushes a node that it owns, and with that gives it away
 *   consumer  one thread at a time; takes the whole content at once
 *
 * The inbox is one word: the newest node, or NULL. Each node points at the one pushed before it, so
 * the content is a stack, and the consumer turns it round when it takes it. That makes the order
 * first in, first out for each producer and, between producers, the order of their pushes on the
 * word. A node may be pushed again (to this inbox or another) as soon as the consumer has it.
 *
 * Invariants
 *   I1  a node reachable from `head` belongs to the inbox: nobody reads or writes it but the
 *       consumer that has taken it out
 *   I2  nodes leave only all together, so `next` of a pushed node never changes before it is taken
 *   I3  of the pushes between two takes exactly one reports "was empty"
 *
 * A push that finds `head` at the same node as before, taken and pushed again in between, is not
 * fooled (the ABA problem of stacks that pop): it only ever asks "is this the newest node", which
 * is true again, and it never followed that node's link.
 *
 * Sleep protocol, which mpsc_empty is made for
 *     consumer: publish "parked" by a seq_cst RMW;  mpsc_empty;    sleep only if it was empty
 *     producer: mpsc_push;  read "parked" by a seq_cst load;       wake the consumer if it was set
 * These four are in one total order. If the consumer saw the inbox empty, its look came before the
 * push, and its "parked" before its look, so the producer's later look at "parked" sees it. A
 * producer whose push reports "was not empty" may leave the wake to the one that reported "was
 * empty": by I3 there is one, and it has yet to look at "parked" or has looked after its push. The
 * price is delay: that other thread may have lost its processor between the two steps.
 *
 * Pairs
 *   P1  push: head, release (in seq_cst)   -> take_all: head, acquire            the node's content
 *   P2  push: head; then parked; seq_cst  <-> parker: parked; then empty: head; seq_cst    the wake
 * Every push is an RMW, so a take that reads the newest push also acquires all the older ones.
 *
 * Bounds: none of its own; nodes are embedded in what they carry, so the inbox allocates nothing
 * and cannot be full. A push loops only while other pushes succeed.
 *
 * Rejected: exchanging the head first and linking the node afterwards (never loops, but a producer
 * that loses its processor between the two leaves the consumer unable to see what is behind it);
 * a ring of slots (has to be sized, and a full inbox has no good answer); a lock.
 *
 * Tested in tests/unit/test_mpsc.c, tests/stress/stress_mpsc.c, tests/model/model_mpsc.c.
 */
#ifndef WEFT_MPSC_H
#define WEFT_MPSC_H

#include <stdbool.h>
#include <stddef.h>

#include "atomic.h"

/* Embedded in what is sent. Needs no initialisation. */
struct mpsc_node {
    struct mpsc_node *next; /* of whoever owns the node (I1): its producer, then the consumer */
};

/* Zeroed memory is an empty inbox. Whoever embeds it chooses the cache line. */
struct mpsc {
    /* written by all */
    _Atomic(struct mpsc_node *) head; /* the newest node; NULL: empty */
};

/* Context: before the inbox is shared. */
static inline void mpsc_init(struct mpsc *inbox)
{
    atomic_store_relaxed(&inbox->head, NULL); /* ORD none: not shared yet */
}

/*
 * Hand a node to the consumer; true when the inbox was empty before.
 * Context: any thread.  Blocks: nothing.  The node belongs to the consumer from here on: it may be
 * gone before this returns.
 */
static inline bool mpsc_push(struct mpsc *inbox, struct mpsc_node *node)
{
    /* ORD none: a guess, which the CAS checks. */
    struct mpsc_node *newest = atomic_load_relaxed(&inbox->head);
    do {
        node->next = newest;
        /* ORD P1: publishes the node's link and what the node carries. */
        /* ORD P2: stands before the producer's look at "parked" in the total order. */
    } while (!atomic_cas_seq_cst(&inbox->head, &newest, node));
    return newest == NULL;
}

/*
 * Take everything: a chain through `next`, oldest first, ended by NULL; NULL when there was
 * nothing. Context: the consumer.  Blocks: nothing.  May miss a push that happens at the same time;
 * a consumer that is about to sleep asks mpsc_empty after it has said so.
 */
static inline struct mpsc_node *mpsc_take_all(struct mpsc *inbox)
{
    /* ORD none: saves writing a line that others write; what it misses stays for the next time. */
    if (atomic_load_relaxed(&inbox->head) == NULL) {
        return NULL;
    }
    /* ORD P1: sees every taken node as its producer left it. */
    struct mpsc_node *node = atomic_exchange_acquire(&inbox->head, NULL);
    struct mpsc_node *oldest = NULL;
    while (node != NULL) {
        struct mpsc_node *older = node->next;
        node->next = oldest;
        oldest = node;
        node = older;
    }
    return oldest;
}

/*
 * True when nothing waits to be taken. As the second step of a parker (see the sleep protocol) it
 * misses no push whose producer did not see "parked". Context: any thread.
 */
static inline bool mpsc_empty(struct mpsc *inbox)
{
    /* ORD P2: stands after the parker's "parked" in the total order. */
    return atomic_load_seq_cst(&inbox->head) == NULL;
}

#endif
