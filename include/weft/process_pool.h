/* SPDX-License-Identifier: MIT */
/*
 * Process pools: jobs in other processes, for work that computes for long and may crash.
 *
 *     static int add_up(const void *in, size_t n, struct weft_process_reply *reply)
 *     {
 *         long sum = ...;
 *         return weft_process_reply_add(reply, &sum, sizeof sum);
 *     }
 *
 *     int main(int argc, char **argv)
 *     {
 *         weft_process_register("add_up", add_up);
 *         weft_process_main(argc, argv);                    does not return in a worker
 *         return weft_run(my_main, NULL, NULL) < 0;
 *     }
 *
 *     weft_process_pool *pool;                              in a task:
 *     int err = weft_process_pool_create(NULL, &pool);
 *     weft_future *f = weft_submit_process(pool, "add_up", numbers, sizeof numbers);
 *     const void *sum;
 *     err = weft_await(f, NULL);
 *     err = weft_process_result(f, &sum, NULL);             as long as f is held
 *     weft_put(f);
 *     weft_process_pool_close(pool);
 *
 * A worker is this program, executed anew: it shares no memory with this process, no descriptors
 * but the first three (its input is /dev/null), and none of its threads. It gets as far as
 * weft_process_main, where it takes jobs by their names. So what is registered before that call is
 * known to both.
 *
 * A worker that crashes, or is killed, fails the job that it was at with -EPIPE, and no other; the
 * next job gets a new worker. Workers are started as jobs need them. When this process ends, they
 * end after the job that they are at. They are in process groups of their own, so that an interrupt
 * from the terminal does not reach them.
 */
#ifndef WEFT_PROCESS_POOL_H
#define WEFT_PROCESS_POOL_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_process_pool weft_process_pool;

/* What a job answers. */
struct weft_process_reply;

/*
 * A job, in a worker, on its main thread: in is the job's until it returns.
 * Returns 0, or a negative errno value: the job has failed, and what was added to the reply is a
 * message for people.
 */
typedef int (*weft_process_fn)(const void *in, size_t in_bytes, struct weft_process_reply *reply);

#define WEFT_PROCESS_NAME_MAX 255

/*
 * Give a job a name. The name is not copied.
 * Context: the main thread, before weft_process_main     Blocks: nothing
 * Returns 0, -EEXIST, -EINVAL (no name, or longer than WEFT_PROCESS_NAME_MAX; no function),
 * -ENOMEM.
 */
WEFT_PUBLIC int weft_process_register(const char *name, weft_process_fn fn);

/*
 * To be called first thing in main, with its arguments. In a worker it does the jobs, and ends the
 * process by exit(3); else it returns at once, and pools may be made.
 * Context: the main thread, before there are others
 */
WEFT_PUBLIC void weft_process_main(int argc, char **argv);

/*
 * Add bytes to the reply.
 * Context: in a job     Blocks: nothing
 * Returns 0, or -ENOMEM: nothing was added.
 */
WEFT_PUBLIC int weft_process_reply_add(struct weft_process_reply *reply, const void *data,
                                       size_t n);

/* How a pool is; all zero is the default. */
struct weft_process_pool_options {
    unsigned workers;         /* at most so many processes; 0: as many as the runtime would have
                                 workers. At most WEFT_PROCESS_WORKERS_MAX */
    unsigned jobs_max;        /* a worker ends after so many, and a new one takes its place; 0: it
                                 stays */
    const char *initializer;  /* a job that each worker does first; NULL: none. When it fails, so
                                 does the job for which the worker was started */
    const void *initializer_in; /* copied, as the name */
    size_t initializer_bytes;
    uint64_t reserved[4]; /* zero */
};

#define WEFT_PROCESS_WORKERS_MAX 1024

/*
 * Make a pool. No process is started yet.
 * Context: any thread     Blocks: nothing
 * options: may be NULL
 * Returns 0, -EINVAL (options: too many workers, a name that is too long, more bytes than half of
 * SIZE_MAX, a reserved word), -ENOMEM, -EPERM when weft_process_main was not called: a worker
 * would not know that it is one.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_process_pool_create(
    const struct weft_process_pool_options *options, weft_process_pool **pool);

/*
 * Have the job of that name done by a worker. The caller gets one reference to a task, which has
 * the name of the job, and waits for a worker, first come, first served, and for the reply. To
 * cancel it takes it out of the line; one that a worker is at loses that worker, which is killed.
 * Context: worker     Blocks: nothing
 * in: copied
 * Returns NULL outside a task or callback, for a name longer than WEFT_PROCESS_NAME_MAX, and when
 * memory ran out, as for more bytes than half of SIZE_MAX; calls that take a future answer -ENOMEM
 * to NULL. The task ends with
 *   the job's own error
 *   -EPIPE      the worker has ended before it answered
 *   -ENOENT     there is no job of that name
 *   -ECANCELED  it was cancelled, or the pool closed by a task that was
 *   -ESHUTDOWN  the pool was being closed
 *   -EPROTO     what the worker answered is no error of a job's
 *   what weft_process_spawn fails of
 */
WEFT_PUBLIC WEFT_MUST_CHECK weft_future *weft_submit_process(weft_process_pool *pool,
                                                             const char *name, const void *in,
                                                             size_t in_bytes);

/*
 * The bytes that a job has answered; when it has failed, a message: its own, or what became of the
 * worker. Followed by a '\0' that is not counted.
 * Context: any thread, holding a reference, as long as which they stay     Blocks: nothing
 * *data, *bytes: set in every case ("" and 0: there are none); bytes may be NULL
 * Returns as weft_result; -EINVAL for a future that is none of weft_submit_process's.
 */
WEFT_PUBLIC int weft_process_result(weft_future *f, const void **data, size_t *bytes);

/*
 * Wait until all jobs that were submitted are done, end the workers, free the pool; always: when
 * the caller's wait is cut short, the jobs are cancelled. Workers get a second for what they do at
 * exit(3), and are killed then.
 * Context: task     Blocks: task
 * Returns 0; -ECANCELED, -ETIMEDOUT: jobs were cancelled, the pool is gone all the same; -EPERM
 * outside a task: nothing happened.
 */
WEFT_PUBLIC int weft_process_pool_close(weft_process_pool *pool);

WEFT_END_DECLS

#endif
