/* SPDX-License-Identifier: MIT */
/*
 * Interrupt: why the waits of a task fail, and how that reaches one that is under way.
 *
 * There are three reasons: the task was asked to end (cancel.c), a scope around it was cancelled,
 * or a scope's deadline has passed. Which of them a wait fails of, see weft/scope.h. All three are
 * levels: they are looked at when a wait begins, by the fiber, and act on a wait under way through
 * one who holds the fiber: a canceller, or the alarm.
 *
 * Tasks nested on one fiber await the one above them. What has ended for one that is not the
 * innermost is passed upwards as a cancel, once: by who holds the fiber, or, when it runs, by
 * itself at its next look.
 *
 * The alarm is one deadline a fiber. It is set when a wait parks, and only if it is not set early
 * enough already: it stays when the wait is over, so that a timeout around every operation of a
 * connection sets it once in a while. It goes off with nothing to do, then, and is set anew to what
 * is needed. If there is no memory to set it, what has a deadline ends at once.
 */
#include <errno.h>

#include <weft/task.h>

#include "runtime_object.h"
#include "scope.h"

/* --- looking ---------------------------------------------------------------------------------- */

/*
 * Why the waits of t fail. s: the innermost of its scopes; one of another task, or NULL: it has
 * none. *blame: the scope they fail of; NULL: a cancel of the task. Caller is on the fiber, or
 * holds it.
 */
static int task_why(weft_task *t, struct weft_scope *s, int64_t now_ns, struct weft_scope **blame)
{
    int error = 0;
    int64_t first_ns = WEFT_FOREVER;
    *blame = NULL;
    for (; s != NULL && s->task == t; s = s->outer) {
        uint32_t state = scope_state(s);
        bool is_over = (state & SCOPE_EXPIRED) != 0;
        if (!is_over && s->deadline_ns <= now_ns) {
            (void)atomic_or_seq_cst(&s->state, SCOPE_EXPIRED); /* ORD none: the caller's, I2 */
            is_over = true;
        }
        if ((state & SCOPE_CANCELLED) != 0) {
            error = -ECANCELED;
            *blame = s;
        } else if (is_over && error != -ECANCELED && s->deadline_ns <= first_ns) {
            error = -ETIMEDOUT;
            *blame = s;
            first_ns = s->deadline_ns;
        }
        if ((state & SCOPE_SHIELD) != 0) {
            return error;
        }
    }
    /* ORD P4 (future.h): after the wait was announced. */
    if (atomic_load_seq_cst(&t->cancel) != 0) {
        *blame = NULL;
        return -ECANCELED;
    }
    return error;
}

/* Pass on what has ended for the tasks under the top one, each to the one above it. */
static void pass_up(struct fiber *f, int64_t now_ns)
{
    weft_task *t = f->top->under;
    while (t->under != NULL) {
        t = t->under;
    }
    for (; t != f->top; t = t->above) {
        struct weft_scope *s = f->scope;
        while (s != NULL && s->task != t) {
            s = s->outer;
        }
        struct weft_scope *blame;
        int error = t->passed ? 0 : task_why(t, s, now_ns, &blame);
        if (error < 0) {
            t->passed = 1;
            scope_note(blame, error);
            /* ORD P4 (future.h): the look at `cancel` that follows is by the fiber itself, or by
             * one who holds it. */
            (void)atomic_add_seq_cst(&t->above->cancel, 1);
        }
    }
}

/* Why the waits of the top task fail. Caller is on the fiber, or holds it. */
static int fiber_why(struct fiber *f, int64_t now_ns, struct weft_scope **blame)
{
    if (f->top->under != NULL) {
        pass_up(f, now_ns);
    }
    return task_why(f->top, f->scope, now_ns, blame);
}

/* The nearest deadline after that time of the scopes that the top task sees the end of, but for
 * those that were found to have passed. */
static int64_t nearest_after(const struct fiber *f, int64_t after_ns)
{
    int64_t nearest_ns = WEFT_FOREVER;
    for (const struct weft_scope *s = f->scope; s != NULL; s = s->outer) {
        uint32_t state = scope_state(s);
        if ((state & SCOPE_EXPIRED) == 0 && s->deadline_ns > after_ns &&
            s->deadline_ns < nearest_ns) {
            nearest_ns = s->deadline_ns;
        }
        if ((state & SCOPE_SHIELD) != 0) {
            break;
        }
    }
    return nearest_ns;
}

/* Whether one of those scopes has ended. *now_ns: the time, where a deadline has come. */
static bool scopes_are_over(struct fiber *f, int64_t *now_ns)
{
    bool is_over = false;
    int64_t nearest_ns = WEFT_FOREVER;
    for (const struct weft_scope *s = f->scope; s != NULL; s = s->outer) {
        uint32_t state = scope_state(s);
        is_over = is_over || (state & (SCOPE_CANCELLED | SCOPE_EXPIRED)) != 0;
        nearest_ns = s->deadline_ns < nearest_ns ? s->deadline_ns : nearest_ns;
        if ((state & SCOPE_SHIELD) != 0) {
            break;
        }
    }
    weft_runtime *rt = f->top->rt;
    *now_ns = SCOPE_NO_TIME;
    if (nearest_ns != WEFT_FOREVER && weft__runtime_has_come(rt, nearest_ns)) {
        *now_ns = weft__runtime_now(rt);
        is_over = true;
    }
    return is_over;
}

bool weft__scope_is_over(struct fiber *f)
{
    int64_t now_ns;
    return f->scope != NULL && scopes_are_over(f, &now_ns);
}

/* A wait fails because of a scope, or because of a cancel: NULL. */
static void note_wait(struct fiber *f, struct weft_scope *blame, int error)
{
    if (blame != NULL && blame->error == 0) {
        blame->error = error;
        f->noted = blame;
    }
}

/* Something has ended. A wait may be announced, and another be at the same thing: then it is the
 * holder's. */
static WEFT_NOINLINE int interrupted_over(struct fiber *f, int64_t now_ns, bool is_wait,
                                          struct weft_scope **blame)
{
    uint64_t ticket = weft__hold(f); /* 0: it runs, or its wait was ended, and nobody can hold it */
    int error = fiber_why(f, now_ns, blame);
    if (is_wait) {
        note_wait(f, *blame, error);
    }
    if (ticket != 0) {
        weft__unhold(f, ticket, false);
    }
    return error;
}

static inline int interrupted(struct fiber *f, bool is_wait, struct weft_scope **blame)
{
    *blame = NULL;
    /* ORD P4 (future.h): after the wait was announced. */
    bool is_over = atomic_load_seq_cst(&f->top->cancel) != 0;
    if (f->top->under == NULL && f->scope == NULL) {
        return is_over ? -ECANCELED : 0;
    }
    for (weft_task *t = f->top->under; t != NULL; t = t->under) {
        /* ORD P4 (future.h): as above. */
        is_over = is_over || atomic_load_seq_cst(&t->cancel) != 0;
    }
    int64_t now_ns = SCOPE_NO_TIME;
    if (f->scope != NULL && scopes_are_over(f, &now_ns)) {
        is_over = true;
    }
    return WEFT_LIKELY(!is_over) ? 0 : interrupted_over(f, now_ns, is_wait, blame);
}

int weft__interrupted(struct fiber *f)
{
    struct weft_scope *blame;
    return interrupted(f, true, &blame);
}

int weft__interrupted_by(struct fiber *f, struct weft_scope **blame)
{
    return interrupted(f, true, blame);
}

int weft__interrupted_look(struct fiber *f)
{
    struct weft_scope *blame;
    return interrupted(f, false, &blame);
}

void weft__interrupted_note(struct fiber *f)
{
    note_wait(f, f->blame, f->outcome);
}

void weft__interrupted_unnote(struct fiber *f)
{
    if (f->noted != NULL) {
        f->noted->error = 0;
        f->noted = NULL;
    }
}

int weft_scope_error(void)
{
    struct fiber *f = weft__fiber_current();
    return f == NULL ? 0 : weft__interrupted_look(f);
}

/* --- a wait under way ------------------------------------------------------------------------- */

bool weft__wait_is_asked(const struct fiber *f)
{
    struct weft_scope *blame;
    return task_why(f->top, f->scope, SCOPE_NO_TIME, &blame) < 0;
}

void weft__wait_kick(const struct fiber *f)
{
    weft_get(f->top);
    if (!weft__task_send(f->top, f->wait_home, TASK_INBOX_KICK)) {
        weft_put(f->top); /* under way already, maybe to an earlier home, which passes it on */
    }
}

weft_task *weft__interrupt(struct fiber *f, uint64_t ticket, int64_t now_ns)
{
    weft_task *top = f->top;
    weft_task *pass_on = NULL;
    struct weft_scope *blame;
    int error = fiber_why(f, now_ns, &blame);
    bool end = false;
    if (error < 0) {
        switch ((enum wait_kind)f->wait_kind) {
        case WAIT_CLAIMABLE:
            f->outcome = (int16_t)error;
            f->blame = blame;
            end = true;
            break;
        case WAIT_TASK:
            if (!top->passed) {
                top->passed = 1;
                scope_note(blame, error);
                pass_on = weft_get(f->wait_on);
            }
            break;
        case WAIT_OPERATION:
            weft__wait_kick(f);
            break;
        case WAIT_FIRM:
            break;
        }
    }
    weft__unhold(f, ticket, end);
    return pass_on;
}

/* --- the alarm -------------------------------------------------------------------------------- */

/* Called with the timers' lock held: whom a cancel is passed on to gets it from the loop. */
static int64_t alarm_expire(struct deadline *d, int64_t now_ns)
{
    struct fiber *f = WEFT_CONTAINER(d, struct fiber, alarm);
    uint64_t ticket = weft__hold(f); /* ORD P5 (fiber.h): after armed_ns was written */
    if (ticket == 0) {
        return 0; /* whatever it waits for next sets the alarm anew */
    }
    struct weft_scope *blame;
    bool is_late = f->wake_ns != 0 && f->wake_ns <= now_ns;
    /* A deadline that came first may have been passed on already, and cut nothing short. */
    if (is_late &&
        (f->wake_ns <= nearest_after(f, SCOPE_NO_TIME) || fiber_why(f, now_ns, &blame) == 0)) {
        fiber_fetch(f);
        weft__unhold(f, ticket, true); /* it has slept */
        return 0;
    }
    int64_t again_ns = nearest_after(f, now_ns);
    if (f->wake_ns > now_ns && f->wake_ns < again_ns) {
        again_ns = f->wake_ns;
    }
    weft_task *pass_on = weft__interrupt(f, ticket, now_ns);
    if (pass_on != NULL &&
        !weft__task_send(pass_on, weft__worker_current(), TASK_INBOX_CANCEL)) {
        weft_put(pass_on);
    }
    return again_ns == WEFT_FOREVER ? 0 : again_ns;
}

static int alarm_arm(struct worker *w, struct fiber *f, int64_t at_ns)
{
    if (!f->has_alarm) {
        f->has_alarm = true;
        f->alarm.expire = alarm_expire; /* else it may be just going off elsewhere */
    }
    return weft__timers_arm(&w->timers, &f->alarm, at_ns > 0 ? at_ns : 1);
}

void weft__alarm_set(struct worker *w, struct fiber *f)
{
    if (f->wait_kind == WAIT_FIRM) {
        return; /* nothing ends it but what it waits for; nor an await that was passed on, but to
                 * know that one would have to hold the fiber */
    }
    int64_t at_ns = nearest_after(f, SCOPE_NO_TIME);
    if (at_ns == WEFT_FOREVER) {
        return;
    }
    int64_t armed_ns = deadline_armed(&f->alarm); /* ORD P5 (fiber.h): after the wait's begin */
    if ((armed_ns == 0 || armed_ns > at_ns) && alarm_arm(w, f, at_ns) < 0) {
        (void)alarm_expire(&f->alarm, TIMERS_END);
    }
}

/* Always anew, also if it would go off earlier: sleeps that end at one time end in the order in
 * which they began. */
int weft__alarm_set_sleep(struct worker *w, struct fiber *f)
{
    int64_t at_ns = nearest_after(f, SCOPE_NO_TIME);
    return alarm_arm(w, f, f->wake_ns < at_ns ? f->wake_ns : at_ns);
}

void weft__alarm_clear(struct fiber *f)
{
    f->has_alarm = false;
    (void)weft__timers_disarm(&f->alarm);
}
