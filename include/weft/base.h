/* SPDX-License-Identifier: MIT */
/*
 * What every other header needs: units of time, visibility, the handle types.
 *
 * Conventions of the whole library
 *   - A call that can fail returns int or ssize_t: >= 0, or -errno. errno itself is never set for
 *     the caller and need not be looked at.
 *   - Times are int64_t nanoseconds on CLOCK_MONOTONIC. Durations are written 100 * WEFT_MS.
 *   - "Waits" means: the task is suspended and its worker runs others. A call that waits returns
 *     -EPERM on a thread that runs no task and in a callback, unless it says otherwise.
 *   - A task may go on, after any call that waits, on another thread than before: do not keep the
 *     address of a thread-local variable (errno included) over such a call, and do not hold a
 *     pthread mutex over it.
 *   - "Context" in the comment of a call says where it may be called:
 *       any thread   a task, a callback, or a thread that Weft knows nothing of
 *       task         only inside a task
 *       worker       inside a task or a callback
 */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <errno.h> /* the errors that calls return */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS extern "C" {
#define WEFT_END_DECLS }
#else
#define WEFT_BEGIN_DECLS
#define WEFT_END_DECLS
#endif

#define WEFT_PUBLIC __attribute__((visibility("default")))
#define WEFT_MUST_CHECK __attribute__((warn_unused_result))

/* A field of a public struct that the library accesses atomically, of the same size to C and C++;
 * not for the program's hands. */
#ifdef __cplusplus
#define WEFT_ATOMIC(type) type
#else
#define WEFT_ATOMIC(type) _Atomic(type)
#endif

#define WEFT_US ((int64_t)1000)
#define WEFT_MS (1000 * WEFT_US)
#define WEFT_SECOND (1000 * WEFT_MS)
#define WEFT_MINUTE (60 * WEFT_SECOND)
#define WEFT_FOREVER INT64_MAX

/* A set of workers and everything that lives on them. */
typedef struct weft_runtime weft_runtime;

/* Anything that can be awaited; reference counted. */
typedef struct weft_future weft_future;

/* A future whose outcome is what its function returned. The same type under another name. */
typedef struct weft_future weft_task;

/* A task's function. A pthread start routine fits unchanged. */
typedef void *(*weft_fn)(void *arg);

#endif
