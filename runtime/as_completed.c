/* SPDX-License-Identifier: MIT */
/*
 * As completed: futures in the order in which they end.
 *
 * A small queue under a turnstile: whoever ends a future puts its node at the end of a list, or
 * gives the future to the first task that waits; so a task that is cancelled has either been given
 * one or not. When the last has been given away, those who still wait are told so.
 *
 * The nodes are in the structure, above AS_COMPLETED_OWN in one piece of heap memory, which goes
 * as the last is handed out, whoever takes it: none is left to ask for. A future that was handed
 * out may be gone; of the others the program holds references. So `is_added` says, under the
 * turnstile, which a look may be taken at.
 * Locks are taken in this order: a future's, under which its node is called; the turnstile.
 *
 * Release: who ends a future touches the structure last as it unlocks the turnstile, and then only
 * the waiters that it has claimed. weft_as_completed_fini takes the lock of each future that has
 * not called its node yet, and so comes after one that is just doing so.
 */
#include <errno.h>
#include <stdlib.h>

#include <weft/future.h>

#include "park.h"
#include "turnstile.h"

/* As many as most iterations need. */
#define AS_COMPLETED_OWN 16

struct as_completed;

struct as_completed_node {
    struct waiter node;
    struct as_completed *of;
    weft_future *future;
    struct as_completed_node *next; /* gate */
    bool is_added;                  /* gate; the future is pending, or has not called us yet */
};

struct as_completed {
    struct turnstile gate; /* guards the rest but for the nodes' first three fields */
    struct wait_queue waiters;
    size_t left; /* not handed out */
    struct as_completed_node *first; /* done and not handed out */
    struct as_completed_node *last;
    struct as_completed_node *nodes;
    size_t count; /* nodes */
    struct as_completed_node own[AS_COMPLETED_OWN];
};

_Static_assert(sizeof(struct as_completed) <= sizeof(struct weft_as_completed), "it fits");
_Static_assert(_Alignof(struct as_completed) <= _Alignof(struct weft_as_completed), "it fits");

/* A task that waits for one; on its stack. */
struct as_completed_waiter {
    struct wait_node node;
    weft_future *future; /* given by who claims the node, as outcome */
    int outcome;
};

static struct as_completed *as_completed_of(struct weft_as_completed *it)
{
    return (struct as_completed *)(void *)it->opaque;
}

/* There is nothing in it. Returns what is to be freed. Caller holds the gate, or has it alone. */
static void *as_completed_empty(struct as_completed *a)
{
    void *memory = a->nodes;
    a->nodes = NULL;
    a->count = 0;
    a->left = 0;
    a->first = NULL;
    return memory == a->own ? NULL : memory;
}

static void waiter_give(struct wait_node *n, weft_future *f, int outcome)
{
    struct as_completed_waiter *w = WEFT_CONTAINER(n, struct as_completed_waiter, node);
    w->future = f;
    w->outcome = outcome;
}

/* One less is left; of the last one's taking the others are told. Returns whom to resume; *memory:
 * what is to be freed. Caller holds the gate. */
static struct wait_node *as_completed_take(struct as_completed *a, void **memory)
{
    a->left--;
    if (a->left > 0) {
        return NULL;
    }
    *memory = as_completed_empty(a);
    struct wait_node *chain = weft__turnstile_claim_all(&a->gate, &a->waiters);
    for (struct wait_node *n = chain; n != NULL; n = n->next) {
        waiter_give(n, NULL, -ENODATA);
    }
    return chain;
}

/* One is done. */
static void as_completed_offer(struct as_completed *a, struct as_completed_node *n)
{
    struct wait_node *rest = NULL;
    void *memory = NULL; /* n is in it, maybe */
    turnstile_lock(&a->gate);
    n->is_added = false;
    struct wait_node *taker = turnstile_claim(&a->gate, &a->waiters);
    if (taker != NULL) {
        waiter_give(taker, n->future, 0);
        rest = as_completed_take(a, &memory);
    } else {
        n->next = NULL;
        *(a->first == NULL ? &a->first : &a->last->next) = n;
        a->last = n;
    }
    turnstile_unlock(&a->gate);
    free(memory);
    /* Made ready and no more: the future is locked, and so its ender must not be suspended. */
    if (taker != NULL) {
        weft__fiber_ready(taker->fiber);
    }
    while (rest != NULL) {
        struct wait_node *one = rest;
        rest = one->next;
        weft__fiber_ready(one->fiber);
    }
}

static void as_completed_wake(struct waiter *node, weft_future *f)
{
    (void)f;
    struct as_completed_node *n = WEFT_CONTAINER(node, struct as_completed_node, node);
    as_completed_offer(n->of, n);
}

/* Pointers met so far: open addressing, a power of two of places, half of them free. */
struct as_completed_met {
    weft_future **places;
    size_t mask;
    weft_future *own[4 * AS_COMPLETED_OWN];
};

static bool met_provide(struct as_completed_met *met, size_t n)
{
    size_t places = 4 * AS_COMPLETED_OWN;
    met->places = met->own;
    while (places / 2 < n) {
        places *= 2;
    }
    met->mask = places - 1;
    if (n > AS_COMPLETED_OWN) {
        met->places = calloc(places, sizeof *met->places);
    } else {
        for (size_t i = 0; i < places; i++) {
            met->own[i] = NULL;
        }
    }
    return met->places != NULL;
}

/* Note f; whether it was there. NULL never was. */
static bool met_before(struct as_completed_met *met, weft_future *f)
{
    size_t i = ((uintptr_t)f / sizeof *f * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    while (met->places[i & met->mask] != NULL && met->places[i & met->mask] != f) {
        i++;
    }
    bool is_there = f != NULL && met->places[i & met->mask] == f;
    met->places[i & met->mask] = f;
    return is_there;
}

static void met_forget(struct as_completed_met *met)
{
    if (met->places != met->own) {
        free(met->places);
    }
}

/* A node for each future, once. -ENOMEM: nothing was taken. */
static int as_completed_provide(struct as_completed *a, size_t n, weft_future *const f[])
{
    struct as_completed_met met;
    if (!met_provide(&met, n)) {
        return -ENOMEM;
    }
    a->nodes = n <= AS_COMPLETED_OWN ? a->own : malloc(n * sizeof *a->nodes);
    if (a->nodes != NULL) {
        for (size_t i = 0; i < n; i++) {
            if (!met_before(&met, f[i])) {
                a->nodes[a->count++] = (struct as_completed_node){
                    .node.wake = as_completed_wake, .of = a, .future = f[i], .is_added = true};
            }
        }
        a->left = a->count;
    }
    met_forget(&met);
    return a->nodes == NULL ? -ENOMEM : 0;
}

int weft_as_completed_init(struct weft_as_completed *it, size_t n, weft_future *const f[])
{
    struct fiber *fiber = weft__fiber_current();
    if (it == NULL || (f == NULL && n > 0)) {
        return -EINVAL;
    }
    struct as_completed *a = as_completed_of(it);
    a->gate = (struct turnstile){0};
    a->waiters = (struct wait_queue){NULL};
    (void)as_completed_empty(a);
    if (fiber == NULL) {
        return -EPERM;
    }
    if (n > SIZE_MAX / 16 / sizeof *a->nodes) {
        return -ENOMEM; /* there is no array of so many either */
    }
    for (size_t i = 0; i < n; i++) {
        /* ORD none: what is on our own fiber was put there by ourselves. */
        if (f[i] != NULL && atomic_load_relaxed(&f[i]->fiber) == fiber &&
            !future_is_done(f[i]) && fiber_carries(fiber, f[i])) {
            return -EDEADLK;
        }
    }
    int err = as_completed_provide(a, n, f);
    if (err < 0) {
        return err;
    }
    for (size_t i = 0; i < a->count; i++) {
        struct as_completed_node *node = &a->nodes[i];
        if (node->future == NULL || !weft__future_add_waiter(node->future, &node->node)) {
            as_completed_offer(a, node);
        }
    }
    return 0;
}

int weft_as_completed_next(struct weft_as_completed *it, weft_future **f)
{
    struct fiber *fiber = weft__fiber_current();
    if (fiber == NULL) {
        return -EPERM;
    }
    if (it == NULL || f == NULL) {
        return -EINVAL;
    }
    struct as_completed *a = as_completed_of(it);
    turnstile_lock(&a->gate);
    if (a->left == 0) {
        turnstile_unlock(&a->gate);
        return -ENODATA;
    }
    struct as_completed_node *n = a->first;
    if (n != NULL) {
        a->first = n->next;
        *f = n->future;
        void *memory = NULL;
        struct wait_node *rest = as_completed_take(a, &memory);
        turnstile_unlock(&a->gate);
        free(memory);
        weft__turnstile_resume_all(rest);
        return 0;
    }
    struct as_completed_waiter w = {.outcome = 0};
    fiber->wait_for = WAIT_FOR_COMPLETION;
    int err = weft__turnstile_wait(&a->gate, &a->waiters, &w.node, fiber, a);
    if (err == 0 && w.outcome == 0) {
        *f = w.future;
    }
    return err < 0 ? err : w.outcome;
}

void weft_as_completed_fini(struct weft_as_completed *it)
{
    struct as_completed *a = as_completed_of(it);
    for (size_t i = 0; i < a->count; i++) {
        struct as_completed_node *n = &a->nodes[i];
        turnstile_lock(&a->gate);
        bool is_added = n->is_added;
        turnstile_unlock(&a->gate);
        if (is_added) {
            (void)weft__future_remove_waiter(n->future, &n->node);
        }
    }
    turnstile_lock(&a->gate);
    WEFT_REQUIRE(a->gate.waiting == 0, "a task is in weft_as_completed_next");
    void *memory = as_completed_empty(a);
    turnstile_unlock(&a->gate);
    free(memory);
}
