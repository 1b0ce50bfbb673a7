/* SPDX-License-Identifier: MIT */
/* Wait set; see wait_set.h. */
#include "wait_set.h"

#include <errno.h>
#include <stdlib.h>

#include <weft/task.h>

#include "scope.h"

static bool set_decides(const struct wait_set *s, const weft_future *f)
{
    int error = f == NULL ? -ENOMEM : f->error;
    switch (s->end) {
    case SET_ALL:
        return false;
    case SET_FIRST:
        return true;
    case SET_FAILURE:
        return error < 0;
    case SET_ERROR:
        return error < 0 && error != -ECANCELED;
    }
    return false;
}

/* A future that decides is done. Returns whether the waiter is to be woken for it. */
static bool set_fire(struct wait_set *s, weft_future *f)
{
    /* ORD P1: what others did. */
    /* ORD P2: whom to wake. */
    uint64_t old = atomic_or_acq_rel(&s->state, SET_FIRED);
    if ((old & SET_FIRED) != 0) {
        return false;
    }
    s->first = f;
    return (old & SET_EARLY) != 0;
}

/* Called by who ends f, with its lock held. */
static void set_wake(struct waiter *node, weft_future *f)
{
    struct wait_set *s = WEFT_CONTAINER(node, struct set_node, node)->set;
    if (set_decides(s, f) && set_fire(s, f)) {
        (void)weft__wake(s->fiber, s->ticket);
    }
    /* ORD P1: our last touch, mostly. */
    /* ORD P2: whom to wake. */
    uint64_t old = atomic_sub_acq_rel(&s->state, SET_ONE);
    bool is_last = old < 2 * SET_ONE && (old & SET_ARMED) != 0;
    bool is_fired = (old & SET_EARLY) != 0 && (old & SET_FIRED) != 0;
    if (is_last && !is_fired) {
        (void)weft__wake(s->fiber, s->ticket);
    }
}

struct fiber *weft__wait_set_fiber_of(const struct waiter *node)
{
    return node->wake == set_wake ? WEFT_CONTAINER(node, const struct set_node, node)->set->fiber
                                  : NULL;
}

/* Sizes of nodes, and their number in `state`, do not wrap. */
#define SET_COUNT_MAX (SIZE_MAX / 16 / sizeof(struct set_node))

/* Nodes for all, on the stack or in one piece. */
static bool set_provide(struct wait_set *s)
{
    s->nodes = s->own;
    if (s->count > WAIT_SET_OWN) {
        s->nodes = malloc(s->count * sizeof *s->nodes);
    }
    return s->nodes != NULL;
}

/* -EDEADLK when the task that waits, or one under it, is among what it would wait for; else
 * whether one of them has not started. */
static int set_survey(const struct wait_set *s)
{
    int is_unstarted = 0;
    for (size_t i = 0; i < s->count; i++) {
        weft_future *f = s->futures[i];
        if (f == NULL || f->fn == NULL || future_is_done(f)) {
            continue;
        }
        /* ORD none: what is on our own fiber was put there by ourselves; else a hint. */
        struct fiber *on = atomic_load_relaxed(&f->fiber);
        if (on == s->fiber && fiber_carries(s->fiber, f)) {
            return -EDEADLK;
        }
        is_unstarted |= on == NULL;
    }
    return is_unstarted;
}

/* Whether the future is pending and its ender will tell. */
static bool set_add(struct wait_set *s, size_t i)
{
    weft_future *f = s->futures[i];
    struct set_node *n = &s->nodes[i];
    n->node.wake = set_wake;
    n->set = s;
    if (f != NULL && !future_is_done(f) && weft__future_add_waiter(f, &n->node)) {
        return true;
    }
    n->set = NULL;
    return false;
}

/* Until one that is done already decides. */
static void set_add_all(struct wait_set *s)
{
    uint64_t done = 0;
    while (s->added < s->count) {
        size_t i = s->added++;
        if (!set_add(s, i)) {
            done++;
            if (set_decides(s, s->futures[i])) {
                (void)set_fire(s, s->futures[i]);
                break;
            }
        }
    }
    if (done > 0) {
        (void)atomic_sub_acq_rel(&s->state, done * SET_ONE); /* ORD P1: as those who end futures */
    }
}

int weft__wait_set_begin(struct wait_set *s, weft_future *const *futures, size_t count,
                         enum set_end end)
{
    if (count > SET_COUNT_MAX) {
        return -ENOMEM; /* of which there would be no array either */
    }
    s->fiber = weft__fiber_current();
    s->first = NULL;
    s->futures = futures;
    s->count = count;
    s->end = end;
    s->is_early = end != SET_ALL;
    s->is_cut = false;
    s->has_parked = false;
    s->added = 0;
    atomic_store_relaxed(&s->state, count * SET_ONE); /* ORD none: the futures' locks publish it */
    int err = set_survey(s);
    if (err < 0) {
        return err;
    }
    if (!set_provide(s)) {
        return -ENOMEM;
    }
    if (err > 0 && (end == SET_ALL || end == SET_FAILURE) &&
        weft__interrupted_look(s->fiber) == 0) {
        weft__give_turn();
    }
    set_add_all(s);
    return 0;
}

static bool set_is_over_at(const struct wait_set *s, uint64_t state)
{
    return state < SET_ONE || (s->is_early && (state & SET_FIRED) != 0);
}

bool weft__wait_set_is_over(struct wait_set *s)
{
    return set_is_over_at(s, atomic_load_acquire(&s->state)); /* ORD P1: who is through */
}

int weft__wait_set_park(struct wait_set *s, enum wait_kind kind)
{
    struct fiber *f = s->fiber;
    f->wait_for = WAIT_FOR_FUTURES;
    s->ticket = weft__wait_begin(f, kind, s);
    struct weft_scope *blame = NULL;
    int err = kind == WAIT_FIRM ? 0 : weft__interrupted_by(f, &blame);
    if (err < 0 && weft__wait_abort(f, s->ticket)) {
        s->blame = blame;
        return err;
    }
    if (err == 0) {
        uint64_t arm = SET_ARMED | (s->is_early ? SET_EARLY : 0);
        /* ORD P1: who is through. */
        /* ORD P2: whom to wake. */
        uint64_t old = atomic_or_acq_rel(&s->state, arm);
        if (set_is_over_at(s, old) && weft__wait_abort(f, s->ticket)) {
            return 0;
        }
    }
    s->has_parked = true;
    weft__park(f);
    err = f->outcome;
    if (err == 0) {
        return 0;
    }
    /* ORD P1: who is through. */
    uint64_t old = atomic_and_acq_rel(&s->state, ~(SET_ARMED | SET_EARLY));
    s->is_cut = set_is_over_at(s, old);
    s->blame = f->blame;
    if (s->is_cut) {
        weft__interrupted_unnote(f);
    }
    return s->is_cut ? 0 : err;
}

/* Whether of several nodes of the set that wait for the same future this one is the first. */
static bool set_is_first(struct wait_set *s, size_t i)
{
    weft_future *f = s->futures[i];
    weft__future_lock(f);
    struct waiter *node = f->waiters;
    while (node != NULL && (node->wake != set_wake ||
                            WEFT_CONTAINER(node, struct set_node, node)->set != s)) {
        node = node->next == f->waiters ? NULL : node->next;
    }
    bool is_first = node == &s->nodes[i].node;
    weft__future_unlock(f);
    return is_first;
}

bool weft__wait_set_cancel(struct wait_set *s)
{
    bool is_passed = false;
    for (size_t i = 0; i < s->added; i++) {
        if (s->nodes[i].set != NULL && set_is_first(s, i)) {
            is_passed |= weft_cancel(s->futures[i]);
        }
    }
    if (!is_passed) {
        weft__interrupted_unnote(s->fiber); /* all had ended meanwhile */
    }
    s->is_early = false;
    return is_passed;
}

void weft__wait_set_end(struct wait_set *s)
{
    /* ORD P1: who is through. */
    bool are_through = !s->is_cut && atomic_load_acquire(&s->state) < SET_ONE;
    for (size_t i = 0; i < s->added && !are_through; i++) {
        if (s->nodes[i].set != NULL) {
            (void)weft__future_remove_waiter(s->futures[i], &s->nodes[i].node);
        }
    }
    if (s->nodes != s->own) {
        free(s->nodes);
    }
}
