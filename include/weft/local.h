/* SPDX-License-Identifier: MIT */
/*
 * Task locals: values that belong to the running task, and that its children start with.
 *
 *     static weft_local_t request;                       once: weft_local_create(&request);
 *
 *     weft_local_set(request, r);                        in a task, and from there on
 *     struct request *r = weft_local_get(request);       in it, and in all that it spawns later
 *
 * A task starts with the values that its spawner had at that moment; what either sets afterwards
 * the other does not see. A task spawned by a thread that runs no task starts with none, but see
 * weft_runtime_run. A callback has the values of the one who registered it (weft_post,
 * weft_timer_start, weft_on_done), as they were then; what it sets goes when it returns.
 *
 * Only the pointers are inherited: parent and child see the same object behind one, unless the
 * local was created with a copy function. Inheriting costs one count however many values there are;
 * with copy functions it costs a copy of each value that has one.
 */
#ifndef WEFT_LOCAL_H
#define WEFT_LOCAL_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Which value; the same in all tasks and runtimes of the process. */
typedef struct weft_local *weft_local_t;

/* The values of several locals, apart from any task. */
typedef struct weft_context weft_context;

/*
 * Make a local, not set anywhere, for plain pointers.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EINVAL for NULL, -ENOMEM (*local is untouched).
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_local_create(weft_local_t *local);

/*
 * The same for values that are somebody's. Both functions may be NULL, are not called with NULL,
 * and must not wait: inside them every call that would answers -EPERM.
 *   destructor(value)  the value is not any task's any more: the last that had it replaced it, or
 *                      ended and its last reference is gone. Called there, on any thread. Without
 *                      one nothing becomes of values.
 *   copy(value)        gives the value that the child starts with (NULL: not set there). Called in
 *                      weft_spawn and its kind, in the spawner, before the child can run, once for
 *                      each child; likewise when a callback is registered, and for weft_context.
 *                      Without one, the child has the same pointer, and the destructor is called
 *                      when the last task that has it is gone.
 * Context: any thread     Blocks: nothing
 * Returns as weft_local_create.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_local_create_with(weft_local_t *local,
                                                       void (*destructor)(void *value),
                                                       void *(*copy)(void *value));

/*
 * Give a local back; NULL does nothing. Values that tasks still have keep their destructor, and
 * nobody can ask for them any more.
 * Context: any thread, nobody else uses it     Blocks: nothing
 */
WEFT_PUBLIC void weft_local_destroy(weft_local_t local);

/*
 * Set the current task's, or callback's, value. The one it had before is let go of.
 * value: the task's from now on; NULL: as if it had never been set
 * Context: worker     Blocks: nothing
 * Returns 0, or, with nothing changed and the value still the caller's: -EPERM outside a task or
 * callback, -EINVAL for a NULL local, -ENOMEM.
 */
WEFT_PUBLIC int weft_local_set(weft_local_t local, void *value);

/*
 * The current task's, or callback's, value.
 * Context: any thread     Blocks: nothing
 * Returns what was set last; NULL when that was never, and outside.
 */
WEFT_PUBLIC void *weft_local_get(weft_local_t local);

/*
 * The values that the caller has, in an object of their own, for weft_spawn_options.context: tasks
 * that are given the same one share it. What one of them sets the others see, and their children
 * start with what it holds then. Empty outside a task or callback.
 * Context: any thread     Blocks: nothing
 * Returns the context, with one reference; NULL: no memory.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_context *weft_context_create(void);

/*
 * What a local's value is in a context; NULL when it is not set there.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void *weft_context_value(weft_context *context, weft_local_t local);

/*
 * The context that the current task was spawned with, without a reference; NULL when it has none.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC weft_context *weft_context_current(void);

/*
 * Take another reference; NULL is passed through. Tasks hold theirs.
 * Context: any thread, holding a reference     Blocks: nothing
 */
WEFT_PUBLIC weft_context *weft_context_get(weft_context *context);

/*
 * Give a reference back; NULL does nothing.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_context_put(weft_context *context);

WEFT_END_DECLS

#endif
