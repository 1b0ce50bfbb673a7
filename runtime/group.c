/* SPDX-License-Identifier: MIT */
/*
 * Groups: children, their errors, and the wait for their end.
 *
 * Each child has a record, which is the first waiter of its task: the end of the task calls it. It
 * is in `children`, or, once a cancel was passed on to it, in `told`; so a walk that cancels can
 * let go of the lock for each of them. All of this is under the lock, which is held for a few
 * instructions.
 *
 *   OPEN       children are taken
 *   ABORTING   it has failed, was cancelled, or a scope around it has ended: none are taken, all
 *              that there are have been or are being cancelled
 *   OVER       the exit has found no child left
 *
 * The memory of a group goes when its task has left weft_group_exit. A child that ends touches it
 * for the last time by the unlocking after `live` was counted down; the wake that may follow is of
 * a fiber and a ticket. Whoever else is in a call is a child that has not ended, or the task.
 *
 * The exit waits in a way that can be cut short, passes a cancel on to the children, and then waits
 * firmly. What cuts it short may also be the group's own scope, of which a failure is the end.
 *
 * Lock order: a child's LOCK (future.h), the group's lock; then the hold of a fiber, without it.
 *
 * Pairs
 *   P1  unlock: lock, release -> lock: lock, acquire     all fields but the scope's
 *
 * Tested: tests/model/model_group.c (all interleavings), tests/unit/test_rt_group.c,
 * tests/stress/stress_scope.c.
 */
#include "group.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>

#include "runtime_object.h"
#include "scope.h"

/* Records of ended children that a worker keeps for the next ones: those of a wide group, in 64
 * KiB. malloc and free of one took a sixth of what a child costs. */
#define RECORDS_MAX 1024

enum group_state {
    GROUP_OPEN,
    GROUP_ABORTING,
    GROUP_OVER,
};

struct group_child {
    struct waiter node;
    struct weft_group *group;
    weft_task *task;
    struct group_child *next; /* circular; of one that a worker keeps, the one below */
    struct group_child *prev;
    union {
        bool is_told;
        size_t kept; /* how many the worker keeps, this one included */
    };
};

static void group_lock(struct weft_group *g)
{
    unsigned spins = 0;
    /* ORD P1: what the holder before did. */
    while (atomic_exchange_acquire(&g->lock, 1) != 0) {
        cpu_relax();
        if (++spins % 64 == 0) {
            sched_yield();
        }
    }
}

static void group_unlock(struct weft_group *g)
{
    atomic_store_release(&g->lock, 0); /* ORD P1: what we did */
}

static void child_push(void **list, struct group_child *c)
{
    struct group_child *first = *list;
    if (first == NULL) {
        c->next = c;
        c->prev = c;
        *list = c;
    } else {
        c->next = first;
        c->prev = first->prev;
        c->prev->next = c;
        c->next->prev = c;
    }
}

static void child_remove(void **list, struct group_child *c)
{
    if (c->next == c) {
        *list = NULL;
    } else {
        c->next->prev = c->prev;
        c->prev->next = c->next;
        if (*list == c) {
            *list = c->next;
        }
    }
}

/* Cancel all children, once. The group is ABORTING, and stays while we are here. */
static void group_cancel_children(struct weft_group *g)
{
    for (;;) {
        group_lock(g);
        struct group_child *c = g->children;
        if (c == NULL) {
            group_unlock(g);
            return;
        }
        child_remove(&g->children, c);
        child_push(&g->told, c);
        c->is_told = true;
        weft_task *t = weft_get(c->task); /* it has not ended: its end takes the record out first */
        group_unlock(g);
        (void)weft__cancel(t);
        weft_put(t);
    }
}

/* From the first who asks on: cancel scope and children. error: a failure, or 0. */
static void group_abort(struct weft_group *g, int error, bool with_scope)
{
    group_lock(g);
    if (error != 0) {
        if (g->error_count < WEFT_GROUP_ERRORS) {
            g->errors[g->error_count] = error;
        }
        g->error_count++;
    }
    bool is_first = g->state == GROUP_OPEN;
    if (is_first) {
        g->state = GROUP_ABORTING;
    }
    group_unlock(g);
    if (is_first && with_scope) {
        weft_scope_cancel(&g->scope);
    }
    if (is_first) {
        group_cancel_children(g);
    }
}

/* A child has ended; called with its LOCK held. */
static void group_child_ended(struct waiter *node, weft_future *t)
{
    struct group_child *c = WEFT_CONTAINER(node, struct group_child, node);
    struct weft_group *g = c->group;
    if (t->error < 0 && t->error != -ECANCELED) {
        /* ORD none: as in future_mark_seen: the group tells. */
        atomic_store_relaxed(&t->seen, 1);
        group_abort(g, t->error, true);
    }
    struct fiber *f = NULL;
    uint64_t ticket = 0;
    group_lock(g);
    child_remove(c->is_told ? &g->told : &g->children, c);
    if (--g->live == 0) {
        f = g->fiber;
        ticket = g->ticket;
    }
    group_unlock(g);
    weft__group_child_drop(c);
    if (f != NULL) {
        (void)weft__wake(f, ticket);
    }
}

weft_task *weft__group_task_of(const struct waiter *node)
{
    return node->wake == group_child_ended
               ? WEFT_CONTAINER(node, const struct group_child, node)->group->scope.task
               : NULL;
}

struct group_child *weft__group_child_new(struct weft_group *g)
{
    struct worker *w = weft__worker_current();
    struct group_child *c = w == NULL ? NULL : w->group_records;
    if (c != NULL) {
        w->group_records = c->next;
    } else {
        c = malloc(sizeof *c);
    }
    if (c != NULL) {
        c->group = g;
        c->node.wake = group_child_ended;
        c->is_told = false;
    }
    return c;
}

void weft__group_child_drop(struct group_child *c)
{
    struct worker *w = weft__worker_current();
    size_t below = w == NULL || w->group_records == NULL ? 0 : w->group_records->kept;
    if (w == NULL || below == RECORDS_MAX) {
        free(c);
        return;
    }
    c->kept = below + 1;
    c->next = w->group_records;
    w->group_records = c;
}

void weft__group_records_drop(struct worker *w)
{
    while (w->group_records != NULL) {
        struct group_child *c = w->group_records;
        w->group_records = c->next;
        free(c);
    }
}

bool weft__group_add(struct group_child *c, weft_task *t, uint64_t word)
{
    struct weft_group *g = c->group;
    group_lock(g);
    bool is_open = g->state == GROUP_OPEN;
    if (is_open) {
        c->task = t;
        c->node.next = &c->node;
        c->node.prev = &c->node;
        t->waiters = &c->node;
        /* ORD P2 (future.h): who finds the descriptor by walking finds a task. */
        atomic_store_release(&t->word, word | FUTURE_WAITERS);
        child_push(&g->children, c);
        g->live++;
    }
    group_unlock(g);
    return is_open;
}

void weft_group_enter(struct weft_group *g)
{
    g->state = weft__fiber_current() == NULL ? GROUP_OVER : GROUP_OPEN;
    g->children = NULL;
    g->told = NULL;
    g->live = 0;
    g->fiber = NULL;
    g->error_count = 0;
    atomic_store_relaxed(&g->lock, 0); /* ORD none: not shared yet */
    weft_scope_enter(&g->scope, WEFT_FOREVER);
}

weft_task *weft_group_spawn_with(struct weft_group *g, const struct weft_spawn_options *options,
                                 weft_fn fn, void *arg)
{
    static const struct weft_spawn_options none;
    struct weft_spawn_options with_group = options != NULL ? *options : none;
    with_group.group = g;
    return weft_spawn_with(&with_group, fn, arg);
}

weft_task *weft_group_spawn(struct weft_group *g, weft_fn fn, void *arg)
{
    return weft_group_spawn_with(g, NULL, fn, arg);
}

int weft_group_go(struct weft_group *g, weft_fn fn, void *arg)
{
    if (weft__worker_current() == NULL) {
        return -EPERM;
    }
    weft_task *t = weft_group_spawn(g, fn, arg);
    if (t == NULL) {
        group_lock(g);
        bool is_open = g->state == GROUP_OPEN;
        group_unlock(g);
        return is_open ? -ENOMEM : -ECANCELED;
    }
    weft_put(t);
    return 0;
}

void weft_group_cancel(struct weft_group *g)
{
    group_abort(g, 0, true);
}

void weft_group_fail(struct weft_group *g, int error)
{
    WEFT_REQUIRE(error < 0 && error > -4096, "weft_group_fail takes a negative errno value");
    group_abort(g, error == -ECANCELED ? 0 : error, true);
}

/* Wait for the end of the last child; false when there is none. A wait that is not firm may be cut
 * short. */
static bool group_wait(struct weft_group *g, struct fiber *f, bool is_firm)
{
    f->wait_for = WAIT_FOR_CHILDREN;
    uint64_t ticket = weft__wait_begin(f, is_firm ? WAIT_FIRM : WAIT_CLAIMABLE, g);
    bool is_over = is_firm ? false : weft__interrupted(f) < 0;
    group_lock(g);
    bool has_children = g->live != 0;
    if (has_children && !is_over) {
        g->fiber = f;
        g->ticket = ticket;
    } else if (!has_children) {
        g->state = GROUP_OVER;
    }
    group_unlock(g);
    if ((!has_children || is_over) && weft__wait_abort(f, ticket)) {
        return has_children;
    }
    weft__park(f);
    group_lock(g);
    g->fiber = NULL;
    group_unlock(g);
    return true;
}

int weft_group_exit(struct weft_group *g)
{
    struct fiber *f = weft__fiber_current();
    if (g->scope.task == NULL) {
        return -EPERM;
    }
    WEFT_REQUIRE(f != NULL && f->scope == &g->scope && f->top == g->scope.task,
                 "a task leaves its groups and scopes in the reverse order of entering");
    bool is_firm = false;
    while (group_wait(g, f, is_firm)) {
        if (!is_firm && weft__interrupted_look(f) < 0) {
            group_abort(g, 0, false);
            is_firm = true;
        }
    }
    (void)weft_scope_exit(&g->scope);
    int outer = weft__interrupted(f);
    return g->error_count > 0 ? g->errors[0] : outer;
}

int weft_group_error(struct weft_group *g, size_t i)
{
    group_lock(g);
    int error = i < g->error_count && i < WEFT_GROUP_ERRORS ? g->errors[i] : 0;
    group_unlock(g);
    return error;
}

size_t weft_group_error_count(struct weft_group *g)
{
    group_lock(g);
    size_t count = g->error_count;
    group_unlock(g);
    return count;
}
