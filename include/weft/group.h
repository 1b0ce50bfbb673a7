/* SPDX-License-Identifier: MIT */
/*
 * Groups: tasks that end before their parent goes on.
 *
 *     struct weft_group g;
 *     weft_group_enter(&g);
 *     weft_group_go(&g, fetch, &one);
 *     weft_group_go(&g, fetch, &other);
 *     err = weft_group_exit(&g);                   both have ended; the first failure, or 0
 *
 * A group is a scope (scope.h) of the task that enters it, with children. The first child that
 * fails cancels the others and the scope; an error of -ECANCELED is no failure. When a scope
 * around the group ends, or its task is cancelled, the children are cancelled once, by
 * weft_group_exit. A child that has ended costs nothing any more; so a group may live for long.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H

#include <weft/scope.h>
#include <weft/task.h>

WEFT_BEGIN_DECLS

#define WEFT_GROUP_ERRORS 8

/* On the stack of the task that enters it, or wherever it stays until the exit. Needs no
 * initialisation. All fields are the library's. */
struct weft_group {
    struct weft_scope scope;
    WEFT_ATOMIC(uint32_t) lock;
    uint32_t state;
    void *children;
    void *told;
    size_t live;
    void *fiber;
    uint64_t ticket;
    size_t error_count;
    int errors[WEFT_GROUP_ERRORS];
    uint64_t reserved[2];
};

/*
 * Begin a group, and enter its scope.
 * Context: task; elsewhere children are refused and the exit says -EPERM     Blocks: nothing
 */
WEFT_PUBLIC void weft_group_enter(struct weft_group *g);

/*
 * weft_spawn of a child of the group.
 * Context: the task that entered g, or one of its children; a worker of that runtime
 * Blocks: nothing
 * Returns as weft_spawn; NULL also when the group has failed, was cancelled, or is over: then fn
 * does not run, and the argument is still the caller's.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_task *weft_group_spawn(struct weft_group *g, weft_fn fn,
                                                        void *arg);

/*
 * The same with options (NULL: none); their `group` is not looked at. weft_spawn_with with the
 * option `group` does the same.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_task *
weft_group_spawn_with(struct weft_group *g, const struct weft_spawn_options *options, weft_fn fn,
                      void *arg);

/*
 * The same without a reference.
 * Context: as weft_group_spawn     Blocks: nothing
 * Returns 0, -EPERM outside tasks and callbacks, -ENOMEM, -ECANCELED when the group takes no more
 * children; then fn does not run.
 */
WEFT_PUBLIC int weft_group_go(struct weft_group *g, weft_fn fn, void *arg);

/*
 * End a group early: cancel its children, once, and its scope. The exit then returns 0, unless a
 * child or a scope around it has an error. A second call does nothing.
 * Context: any thread, g being entered until the call returns     Blocks: nothing
 */
WEFT_PUBLIC void weft_group_cancel(struct weft_group *g);

/*
 * The same as a failure: as if a child had failed with that error (negative; -ECANCELED: as
 * weft_group_cancel). For the group's own task before it leaves because of an error.
 * Context: as weft_group_cancel     Blocks: nothing
 */
WEFT_PUBLIC void weft_group_fail(struct weft_group *g, int error);

/*
 * Wait until all children have ended, those that children add meanwhile included, and leave the
 * scope. It is not cut short: a cancel or deadline that meets it is passed on to the children,
 * once.
 * Context: the task that entered g     Blocks: task
 * Returns the first failure; else the error of a scope around the group that has ended, or of a
 * cancel of the task; else 0. -EPERM: it was entered outside a task.
 */
WEFT_PUBLIC int weft_group_exit(struct weft_group *g);

/*
 * The failures so far, in the order in which they came; the first WEFT_GROUP_ERRORS are kept.
 * Context: the task that entered g, also after the exit; or a child     Blocks: nothing
 * i: from 0 on     Returns the error, 0 past the last that was kept.
 */
WEFT_PUBLIC int weft_group_error(struct weft_group *g, size_t i);

/* How many there were, kept or not. */
WEFT_PUBLIC size_t weft_group_error_count(struct weft_group *g);

WEFT_END_DECLS

#endif
