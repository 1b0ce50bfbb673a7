/* SPDX-License-Identifier: MIT */
/*
 * Scopes: timeouts, cancellation of a part of a task, shelter from it.
 *
 *     WEFT_TIMEOUT(100 * WEFT_MS) {
 *         n = weft_recv(fd, buf, sizeof buf, 0);           -ETIMEDOUT after 100 ms
 *     }
 *
 *     struct weft_scope s;
 *     WEFT_TIMEOUT_AS(s, WEFT_SECOND) {
 *         handle(request);                                 all its waits together
 *     }
 *     if (weft_scope_expired(&s)) ...
 *
 * A scope is a stretch of one task's run, from weft_scope_enter to weft_scope_exit. When it ends
 * early, every wait inside it fails until it is left: with -ETIMEDOUT when its deadline has passed,
 * with -ECANCELED when it was cancelled. Scopes nest; the end of an outer one is felt inside the
 * inner ones. A wait that is cut short gives back what it had won: a read that had its bytes
 * returns them, and the next wait fails.
 *
 * Input and output, sleeping and yielding look at the scopes when they are called; what tasks wait
 * for between themselves, and awaits, only where they would have to wait. weft_close and the end of
 * a group are never cut short. A cancel or deadline that meets a task in weft_await is passed on to
 * the task that is awaited, and the call returns when that has ended.
 *
 * When several have ended, a wait fails because of one of them, and only that one's exit tells: a
 * cancel of the task; else the outermost scope that was cancelled; else the scope whose deadline
 * came first, of equal ones the outermost.
 *
 * A spawned task begins outside all scopes. A scope in which no task waits costs no timer. Where
 * there is no memory for one, a wait is cut short at once, as if the deadline had passed.
 */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* On the stack of the task that enters it, or wherever it stays until the exit. Needs no
 * initialisation. All fields are the library's. */
struct weft_scope {
    struct weft_scope *outer;
    weft_task *task;
    void *fiber;
    int64_t deadline_ns;
    WEFT_ATOMIC(uint32_t) state;
    int error;
    uint64_t reserved[2];
};

/*
 * Enter a scope that ends early when for_ns are over. It is left by weft_scope_exit, in the same
 * task, in the reverse order; after that it may be entered again. A for_ns of 0 or less is over
 * already: the first wait fails. Outside a task the scope has no effect, and its exit says -EPERM.
 * Context: any thread     Blocks: nothing
 * for_ns: WEFT_FOREVER: no deadline of its own
 */
WEFT_PUBLIC void weft_scope_enter(struct weft_scope *s, int64_t for_ns);

/*
 * Enter a scope inside which the ends of outer scopes and cancels of the task are not felt until it
 * is left: for clean-up that has to wait. It has no deadline; one inside it works as everywhere.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_shield_enter(struct weft_scope *s);

/*
 * Leave the scope that was entered last.
 * Context: the task that entered it     Blocks: nothing
 * Returns 0; or -ETIMEDOUT or -ECANCELED when a wait inside failed, or passed a cancel on, because
 * this scope had ended; -EPERM when it was entered outside a task.
 */
WEFT_PUBLIC int weft_scope_exit(struct weft_scope *s);

/*
 * weft_scope_exit for one that nobody is going to ask anything: weft_scope_expired says nothing.
 * Context: the task that entered it     Blocks: nothing
 */
WEFT_PUBLIC void weft_scope_drop(struct weft_scope *s);

/*
 * What weft_scope_exit returned, or would return now; after WEFT_TIMEOUT_AS, which throws it away.
 * Context: the task that entered it     Blocks: nothing
 */
WEFT_PUBLIC int weft_scope_result(const struct weft_scope *s);

/*
 * Whether s ended early, while it was entered: its deadline passed or it was cancelled, whether or
 * not a wait noticed.
 * Context: the task that entered it, since then     Blocks: nothing
 */
WEFT_PUBLIC bool weft_scope_expired(const struct weft_scope *s);

/*
 * End a scope early: waits inside it fail with -ECANCELED from now on, until it is left. The caller
 * sees to it that s is entered when the call begins; when the task may go on, s is not touched any
 * more. Does nothing when it was cancelled before; one whose deadline has passed is cancelled too.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_scope_cancel(struct weft_scope *s);

/*
 * Move the deadline of an entered scope: to for_ns from now, or to never (WEFT_FOREVER).
 * Context: the task that entered it     Blocks: nothing
 * Returns 0, or, with nothing changed, -ETIMEDOUT or -ECANCELED when it has ended already, -EPERM
 * when it is not entered, or by another task.
 */
WEFT_PUBLIC int weft_scope_reschedule(struct weft_scope *s, int64_t for_ns);

/*
 * When the current task's waits are going to fail at the latest: the nearest of the deadlines of
 * its scopes, up to a shield. WEFT_FOREVER when there is none, and outside a task.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC int64_t weft_deadline(void);

/*
 * The same as statements:
 *
 *     WEFT_TIMEOUT(for_ns) { ... }
 *     WEFT_TIMEOUT_AS(s, for_ns) { ... }     s: a struct weft_scope, readable afterwards
 *     WEFT_SHIELD { ... }
 *
 * Every way out of the block leaves the scope: its end, return, goto, an exception of C++; but not
 * longjmp. `break` and `continue` leave the block, and nothing more.
 */
#define WEFT_TIMEOUT(for_ns) \
    WEFT_BLOCK(WEFT_BLOCK_NAME(__COUNTER__), NULL, (for_ns), WEFT_BLOCK_SCOPE)
#define WEFT_TIMEOUT_AS(s, for_ns) \
    WEFT_BLOCK(WEFT_BLOCK_NAME(__COUNTER__), &(s), (for_ns), WEFT_BLOCK_SCOPE)
#define WEFT_SHIELD \
    WEFT_BLOCK(WEFT_BLOCK_NAME(__COUNTER__), NULL, WEFT_FOREVER, WEFT_BLOCK_SHIELD)

/* What the statements are made of. */
#define WEFT_BLOCK_NAME(number) WEFT_BLOCK_JOIN(weft_block_, number)
#define WEFT_BLOCK_JOIN(a, b) a##b
#define WEFT_BLOCK(name, scope, for_ns, state) \
    for (struct weft_block name __attribute__((cleanup(weft_block_leave))) = \
             weft_block_make(scope, for_ns, state); \
         weft_block_enter(&name);)

enum weft_block_state {
    WEFT_BLOCK_SCOPE,  /* to be entered */
    WEFT_BLOCK_SHIELD, /* the same */
    WEFT_BLOCK_ENTERED,
};

struct weft_block {
    struct weft_scope own;
    struct weft_scope *named; /* NULL: own is used */
    int64_t for_ns;
    enum weft_block_state state;
};

static inline struct weft_block weft_block_make(struct weft_scope *named, int64_t for_ns,
                                                enum weft_block_state state)
{
    struct weft_block b;
    b.named = named;
    b.for_ns = for_ns;
    b.state = state;
    return b;
}

static inline bool weft_block_enter(struct weft_block *b)
{
    enum weft_block_state state = b->state;
    b->state = WEFT_BLOCK_ENTERED;
    if (state == WEFT_BLOCK_SCOPE) {
        weft_scope_enter(b->named != NULL ? b->named : &b->own, b->for_ns);
    } else if (state == WEFT_BLOCK_SHIELD) {
        weft_shield_enter(&b->own);
    }
    return state != WEFT_BLOCK_ENTERED;
}

static inline void weft_block_leave(struct weft_block *b)
{
    if (b->named != NULL) {
        (void)weft_scope_exit(b->named);
    } else {
        weft_scope_drop(&b->own);
    }
}

WEFT_END_DECLS

#include <weft/group.h> /* scopes with children */

#endif
