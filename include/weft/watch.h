/* SPDX-License-Identifier: MIT */
/*
 * Watches: a value that tasks wait for to change.
 *
 *     weft_watch *w = weft_watch_create(sizeof(struct config), &config);
 *     weft_watch_set(w, &config);                          never waits
 *
 *     uint64_t seen = 0;                                   in each task that follows it
 *     while (weft_watch_wait(w, &seen, &config) == 0) { ... }
 *
 * Only the latest value is kept: who is slow sees fewer of them, never an old one after a newer
 * one, and always the last. Values have versions, 1 for the first; a task knows by the version
 * which it has seen.
 *
 * What a task waits for is handed to it; a cancel that comes after that does not undo it. What can
 * be done at once is done, also in a cancelled task; where it would have to wait, it gets
 * -ECANCELED, or -ETIMEDOUT in a scope whose deadline has passed (scope.h).
 *
 * Destroying: a call has let go of the watch before those that it lets go on return.
 *
 * A watch may be NULL, as from a failed create: calls answer -ENOMEM.
 */
#ifndef WEFT_WATCH_H
#define WEFT_WATCH_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_watch weft_watch;

/*
 * Make a watch.
 * Context: any thread     Blocks: nothing
 * value_bytes: the size of the value, which is copied, in and out
 * value: the first one
 * Returns the watch, which is the caller's to destroy, or NULL: no memory.
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_watch *weft_watch_create(size_t value_bytes, const void *value);

/*
 * Give it another value; it may be the same one, and counts as another.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EPIPE (closed), -ENOMEM for NULL; then the value is as it was.
 */
WEFT_PUBLIC int weft_watch_set(weft_watch *w, const void *value);

/*
 * The latest value, also of a closed watch.
 * Context: any thread     Blocks: nothing
 * value: where it is copied to; may be NULL
 * version: where its version goes; may be NULL
 * Returns 0, or -ENOMEM for NULL; then both are untouched.
 */
WEFT_PUBLIC int weft_watch_get(weft_watch *w, void *value, uint64_t *version);

/*
 * The latest value, waiting for another one if that was seen.
 * Context: task     Blocks: task
 * seen: the version that the caller has seen, 0 for none; becomes the one that it gets
 * value: where it is copied to; may be NULL
 * Returns 0, or -EPIPE (closed, and the last value was seen), -ECANCELED, -ETIMEDOUT, -EPERM
 * outside a task, -ENOMEM for NULL; after each of these `seen` and `value` are untouched.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_watch_wait(weft_watch *w, uint64_t *seen, void *value);

/*
 * Say that there will be no other value.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EALREADY when it was closed before, -ENOMEM for NULL.
 */
WEFT_PUBLIC int weft_watch_close(weft_watch *w);

/*
 * Free a watch. It need not be closed. Nobody may begin a call on it any more.
 * Context: any thread     Blocks: nothing
 * Returns 0, also for NULL; -EBUSY when a task waits in a call on it, or has been cancelled there
 * and has not returned yet: then nothing happened.
 */
WEFT_PUBLIC int weft_watch_destroy(weft_watch *w);

WEFT_END_DECLS

#endif
