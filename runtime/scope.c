/* SPDX-License-Identifier: MIT */
/* Scopes: entering, leaving, and what else their task does with them; see scope.h. */
#include "scope.h"

#include <errno.h>

#include <weft/task.h>

#include "runtime_object.h"
#include "simulation.h"

/* for_ns from now, kept apart from WEFT_FOREVER. */
static int64_t scope_time(weft_runtime *rt, int64_t for_ns)
{
    if (for_ns == WEFT_FOREVER) {
        return WEFT_FOREVER;
    }
    int64_t now = weft__runtime_now(rt);
    return for_ns > TIMERS_END - now ? TIMERS_END : now + for_ns;
}

static void scope_enter(struct weft_scope *s, int64_t for_ns, uint32_t state)
{
    struct fiber *f = weft__fiber_current();
    s->fiber = f;
    s->task = NULL;
    s->outer = NULL;
    s->deadline_ns = WEFT_FOREVER;
    s->error = f == NULL ? -EPERM : 0;
    if (f != NULL) {
        for (const struct weft_scope *o = f->scope; o != NULL; o = o->outer) {
            WEFT_REQUIRE(o != s, "a scope is left before it is entered again");
        }
        s->task = f->top;
        s->outer = f->scope;
        s->deadline_ns = scope_time(s->task->rt, for_ns);
        f->scope = s;
        state |= SCOPE_ENTERED;
    }
    /* ORD none: nobody else knows of it yet, or sees it through a hold. */
    atomic_store_relaxed(&s->state, state);
}

void weft_scope_enter(struct weft_scope *s, int64_t for_ns)
{
    scope_enter(s, for_ns, 0);
}

void weft_shield_enter(struct weft_scope *s)
{
    scope_enter(s, WEFT_FOREVER, SCOPE_SHIELD);
}

/* Whether its deadline has passed, whoever noticed. Context: its task. */
static bool scope_is_late(const struct weft_scope *s, uint32_t state)
{
    return (state & SCOPE_EXPIRED) != 0 ||
           ((state & SCOPE_ENTERED) != 0 && s->deadline_ns != WEFT_FOREVER &&
            weft__runtime_has_come(s->task->rt, s->deadline_ns));
}

void weft_scope_drop(struct weft_scope *s)
{
    if (s->task != NULL) {
        struct fiber *f = weft__fiber_current();
        WEFT_REQUIRE(f != NULL && f->scope == s && f->top == s->task,
                     "a task leaves its scopes in the reverse order of entering");
        f->scope = s->outer;
    }
}

int weft_scope_exit(struct weft_scope *s)
{
    weft_scope_drop(s);
    if (s->task != NULL) {
        uint32_t state = scope_state(s);
        state = scope_is_late(s, state) ? state | SCOPE_EXPIRED : state;
        atomic_store_relaxed(&s->state, state & ~SCOPE_ENTERED); /* ORD none: its task's again */
    }
    return s->error;
}

int weft_scope_result(const struct weft_scope *s)
{
    return s->error;
}

bool weft_scope_expired(const struct weft_scope *s)
{
    uint32_t state = scope_state(s);
    return (state & SCOPE_CANCELLED) != 0 || scope_is_late(s, state);
}

void weft_scope_cancel(struct weft_scope *s)
{
    weft_task *t = s->task;
    struct fiber *f = s->fiber;
    if (t == NULL || weft__runtime_enter(t->rt, RUNTIME_CLOSED) < 0) {
        return;
    }
    weft_runtime *rt = t->rt;
    /* ORD P1: before the look at what the task does. The last touch of s: the task may go on. */
    uint32_t before = atomic_or_seq_cst(&s->state, SCOPE_CANCELLED);
    bool is_first = (before & SCOPE_CANCELLED) == 0;
    uint64_t ticket = is_first ? weft__hold(f) : 0;
    if (is_first && ticket == 0 && weft__request_settle(rt)) {
        ticket = weft__hold(f);
    }
    weft_task *pass_on = NULL;
    if (ticket != 0) {
        const struct weft_scope *on = f->scope;
        while (on != NULL && on != s) {
            on = on->outer;
        }
        if (on == NULL) {
            weft__unhold(f, ticket, false); /* it was left meanwhile */
        } else {
            pass_on = weft__interrupt(f, ticket, SCOPE_NO_TIME);
        }
    }
    weft__cancel_put(pass_on);
    simulation_point(rt);
    weft__runtime_exit(rt);
}

int weft_scope_reschedule(struct weft_scope *s, int64_t for_ns)
{
    struct fiber *f = weft__fiber_current();
    uint32_t state = scope_state(s);
    if (f == NULL || (state & SCOPE_ENTERED) == 0 || s->task != f->top) {
        return -EPERM;
    }
    if ((state & SCOPE_CANCELLED) != 0) {
        return -ECANCELED;
    }
    if (scope_is_late(s, state)) {
        return -ETIMEDOUT;
    }
    s->deadline_ns = scope_time(s->task->rt, for_ns);
    return 0;
}

int64_t weft_deadline(void)
{
    struct fiber *f = weft__fiber_current();
    int64_t nearest_ns = WEFT_FOREVER;
    const struct weft_scope *s = f == NULL ? NULL : f->scope;
    for (; s != NULL && s->task == f->top; s = s->outer) {
        nearest_ns = s->deadline_ns < nearest_ns ? s->deadline_ns : nearest_ns;
        if ((scope_state(s) & SCOPE_SHIELD) != 0) {
            break;
        }
    }
    return nearest_ns;
}
