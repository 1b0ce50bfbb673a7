/* SPDX-License-Identifier: MIT */
/*
 * Runtimes: start them, run tasks on them, close them.
 *
 *     static void *hello(void *arg) { puts("Hello, world!"); return NULL; }
 *     int main(void) { return weft_run(hello, NULL, NULL) < 0; }
 *
 * Several runtimes may live in one process, each with its own workers. A runtime holds one thread,
 * one io_uring ring or epoll instance (three descriptors at most) and one queue of tasks a worker.
 *
 * Signals the library uses
 *   signal   where                     what for, and how it gets on with the program
 *   SIGPIPE  blocked on the workers    a write to a closed pipe or socket returns -EPIPE and never
 *                                      kills. The program's own threads are not touched.
 *   SIGSEGV  a process-wide handler,   reports a stack overflow of a task, or of a job on a pool's
 *   SIGBUS   while a runtime exists,   thread. Any other fault goes on to the handler that was
 *            on a stack of its own     there before, or to the default action. A handler that the
 *                                      program installs later replaces ours. To refuse it:
 *                                      options.overflow_report = -1.
 *   SIGSEGV  the same, when            report what a worker's thread has done itself, or one with a
 *   SIGBUS   options.crash_report      blocking job of the runtime's: a fault, an abort. Then the
 *   SIGFPE   asks for it               signal goes on as above, to the handler that was there
 *   SIGILL                             before, or to the default action. See debug.h for the
 *   SIGABRT                            report.
 *   SIGURG   a process-wide handler,   reaches a worker whose task uses the CPU for long, by a
 *            while a runtime exists;   timer of the thread's CPU time, so never one that blocks.
 *            open on the workers, on   When such tasks were met in the last second also from other
 *            a stack of its own        workers, after 0.1 ms, which look at the CPU clock first: a
 *                                      call that blocks right after such a computation may fail
 *                                      with EINTR. Signals of others go on to the handler that was
 *                                      there before. A handler that the program installs later
 *                                      replaces ours. Another signal, or none: options.kick_signal.
 *   SIGRTMIN a process-wide handler,   makes the system calls of a job fail with EINTR that was
 *    + 7     once a job was            submitted as interruptible, when that is cancelled. It is
 *            interrupted (blocking.h)  sent to the job's thread alone, again and again, and open
 *                                      nowhere else. A handler of the program's stays. Another
 *                                      signal, or none: options.blocking_signal.
 *   SIGINT   a process-wide handler,   the first one cancels the main task of weft_run, which
 *            in place of the default   returns -EINTR if the task ends cancelled by that; the next
 *            action alone, while       one ends the process. A handler that the program has, or
 *            weft_run waits on the     installs meanwhile, stays, and so does being ignored. To
 *            main thread for its       refuse it: options.interrupt = -1.
 *            main task
 *   others   a process-wide handler    those that tasks want to know of (signal.h), from the first
 *            for each                  wish to the last; SIGINT too, in place of the above
 *   others   blocked on the workers    so they reach the program's own threads (the synchronous
 *                                      ones, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, stay open)
 *
 * fork: in the child every runtime of the parent is dead; calls on it return -ESHUTDOWN, waits
 * -EPERM, and none touches the parent's rings. Futures that are done keep their outcome; one that
 * is not never ends, cannot be cancelled, and waiting for it on a thread returns -ESHUTDOWN. A
 * runtime created in the child works. A child forked inside a task must exec or _exit; it must not
 * return from the task's function. It has the signal mask of the thread that made the runtime; but
 * posix_spawn, popen and system, which call no fork handlers, hand the worker's on
 * (POSIX_SPAWN_SETSIGMASK sets another).
 */
#ifndef WEFT_RUNTIME_H
#define WEFT_RUNTIME_H

#include <weft/base.h>

WEFT_BEGIN_DECLS

/* What drives input and output. */
enum weft_backend {
    WEFT_BACKEND_AUTO = 0,  /* io_uring; where that is refused, epoll, and a line says why, once */
    WEFT_BACKEND_URING = 1, /* where it is refused, no runtime is made */
    WEFT_BACKEND_EPOLL = 2, /* sockets that are accepted from are given O_NONBLOCK, for good, and
                               those that connect, until they have */
};

#define WEFT_WORKERS_MAX 256

/*
 * Gets what nobody retrieved: f failed and its last reference went without anyone looking at the
 * outcome, or it was a held task and never started (-ECANCELED); or what weft_report_error was
 * given, f being NULL then in most cases. Called as a callback, on a worker of rt, with the locals
 * of the task that failed, and not to wait; once the runtime is closed, on the thread that let go.
 * f is whole until it returns; to keep it, weft_get. The default prints one line to standard error.
 */
typedef void (*weft_error_handler_fn)(weft_runtime *rt, weft_future *f, int error, void *arg);

/*
 * How to make a runtime; all zero means the defaults. Bad values: -EINVAL, and nothing is started.
 * The environment overrides a default, never an explicit value: WEFT_WORKERS (a number),
 * WEFT_BACKEND (auto, uring, epoll), WEFT_DEBUG and WEFT_CRASH_REPORT (0 or 1), WEFT_SEED (a number
 * from 1 on). To find out whether a feature of the kernel's is at fault,
 * WEFT_URING_DISABLE=name,name does without: defer_taskrun, coop_taskrun, taskrun_flag, submit_all,
 * registered_fd, no_iowait, cqe_skip, multishot_poll, multishot_accept, multishot_recv, cancel_fd,
 * restrictions, ftruncate. A program with more rights than its caller (setuid) reads none of them.
 */
struct weft_options {
    unsigned workers;       /* threads that run tasks, 1 to WEFT_WORKERS_MAX; 0: as many as the
                               affinity mask and the cgroup's CPU quota allow */
    unsigned ring_entries;  /* submission queue of a ring, 8 to 32768, made a power of two;
                               0: 256. Made smaller when locked memory does not suffice */
    size_t stack_bytes;     /* what a task may rely on when its spawn is silent: 16 KiB to 64 MiB,
                               0: 64 KiB. Four times that is reserved as address space */
    enum weft_backend backend;
    int overflow_report;    /* 0: a stack overflow is reported; -1: no SIGSEGV handler */
    int kick_signal;        /* interrupts a worker that is busy in one task for longer than
                               slice_ns, so that others can take over what waits there; 0: SIGURG;
                               -1: none, and what waits there waits for the task */
    int interrupt;          /* 0: a SIGINT during weft_run cancels its main task; -1: it does not */
    bool pin_workers;       /* bind worker i to the i-th CPU of the affinity mask, round robin;
                               without it a worker may bind itself while it sleeps, never while a
                               task runs */
    bool simulation;        /* run on a virtual clock, in an order that the seed decides; one worker
                               (workers: 0 or 1). See simulation.h */
    int64_t spin_ns;        /* how long a worker without work looks for some before it sleeps; costs
                               CPU, saves the wake-up's latency. 0: no longer than a steal takes */
    int64_t slice_ns;       /* how long a task that others wait behind may keep handing its turn to
                               tasks of its own choice, or use the CPU before other workers take
                               over what waits behind it; 0: 10 ms */
    int64_t close_grace_ns; /* how long weft_runtime_close waits; 0 or WEFT_FOREVER: no limit */
    uint64_t seed;          /* of all that is left to chance: whom to steal from, the order of a
                               simulation; 0: another one each time */
    weft_error_handler_fn error_handler; /* NULL: one line on standard error; see above */
    void *error_handler_arg;
    bool debug;             /* report slow tasks and blocking calls; see weft_set_debug */
    int64_t slow_ns;        /* what counts as slow; 0: 100 ms */
    int64_t blocking_idle_ns; /* after how long without a job a thread of the pool for blocking
                               work (blocking.h) ends; 0: 10 s; WEFT_FOREVER: with the runtime */
    unsigned blocking_threads_max; /* how many such threads at most, up to 4096; 0: 4 more than the
                               CPUs that the process may use, but not more than 32 */
    int blocking_signal;    /* interrupts a job that was submitted so; 0: SIGRTMIN + 7; -1: none */
    bool crash_report;      /* report every fault of a task, not only a stack overflow: the table
                               above */
    uint64_t reserved[9];   /* zero */
};

/*
 * Start a runtime, run fn(arg) as its main task, cancel and await what is left, close.
 * Context: any thread outside a task     Blocks: the thread
 * result: where fn's value goes; may be NULL; untouched unless 0 is returned
 * Returns 0, the main task's error, -EINTR when a SIGINT has cancelled it (above; -ECANCELED when
 * somebody else had asked as well), or why no runtime could be started: -EBUSY inside a task,
 * -EINVAL (environment), -ENOMEM, -EMFILE, -EAGAIN (no threads); -EPERM, -EACCES or -ENOSYS
 * (io_uring was asked for and is refused; the reason and its cure go to standard error).
 */
WEFT_PUBLIC int weft_run(weft_fn fn, void *arg, void **result);

/*
 * weft_run with options (NULL: none).
 * Context: any thread outside a task     Blocks: the thread
 * Returns as weft_run; -EINVAL also for an option out of range.
 */
WEFT_PUBLIC int weft_run_with(const struct weft_options *options, weft_fn fn,
                              void *arg, void **result);

/*
 * Make a runtime and start its workers.
 * Context: any thread     Blocks: the thread, until every worker has its ring, or epoll instance
 * *rt: to be closed with weft_runtime_close and freed with weft_runtime_destroy; untouched on error
 * Returns 0, or as weft_run_with; after an error nothing is left behind.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_runtime_create(weft_runtime **rt,
                                                    const struct weft_options *options);

/*
 * Run fn(arg) as a task of rt and wait until it has ended. May be called again and again, and by
 * several threads at once. Other tasks that are unfinished then live on for the next run. The
 * locals that the task leaves (local.h) are those that the next run's starts with.
 * Context: any thread outside a task     Blocks: the thread
 * result: as weft_run
 * Returns 0, the task's error, -EBUSY inside a task, and in a job (blocking.h) of rt when that is
 * simulated, -ENOMEM, -ESHUTDOWN when rt is closed, or is being closed.
 */
WEFT_PUBLIC int weft_runtime_run(weft_runtime *rt, weft_fn fn, void *arg, void **result);

/*
 * Cancel every task, wait until all have ended, run the callbacks that are queued, end the workers.
 * Tasks that they spawn meanwhile are born cancelled; from elsewhere nothing can be begun. Held
 * tasks that nobody has started end cancelled without having run, those spawned meanwhile too.
 * Timers that are not due are dropped. Streams may send what they hold for a while (stream.h).
 * Jobs of blocking.h are cancelled too: those that have not begun do not run, the others are waited
 * for.
 * Context: any thread outside rt's tasks and jobs     Blocks: the thread
 * Returns 0; -ETIMEDOUT when options.close_grace_ns went by: the tasks and jobs that are stuck are
 * named on standard error, the runtime stays as it was, and the call may be made again; -ESHUTDOWN
 * when it was closed before; -EBUSY inside one of rt's tasks, callbacks or jobs, or while another
 * thread closes.
 */
WEFT_PUBLIC int weft_runtime_close(weft_runtime *rt);

/*
 * Free a runtime that was closed, or that this process got by fork; NULL does nothing. Tasks and
 * timers somebody still holds stay valid.
 * Context: any thread     Blocks: nothing
 * Returns 0, or -EBUSY when rt is not closed: nothing happened.
 */
WEFT_PUBLIC int weft_runtime_destroy(weft_runtime *rt);

/*
 * The runtime this task or callback runs on; NULL elsewhere.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC weft_runtime *weft_runtime_current(void);

/*
 * How many workers a runtime has.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC unsigned weft_runtime_workers(const weft_runtime *rt);

/*
 * Make a task of rt from anywhere.
 * Context: any thread     Blocks: nothing
 * *task: gets one reference; task may be NULL: none is kept; untouched on error
 * Returns 0, -ENOMEM, -ESHUTDOWN when rt is closed, or, outside its tasks, is being closed; then fn
 * does not run.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_runtime_spawn(weft_runtime *rt, weft_fn fn, void *arg,
                                                   weft_task **task);

/*
 * The tasks of rt that have not ended, in no order; each begun and not ended before the call is
 * among them, and one that ends meanwhile may be. Promises are no tasks.
 * Context: any thread     Blocks: nothing
 * out: gets up to n handles, each with a reference; NULL: none
 * Returns how many there are, also when that is more than n; 0 when rt is NULL, closed, or a
 * parent's in a child of fork.
 */
WEFT_PUBLIC size_t weft_all_tasks(weft_runtime *rt, weft_task **out, size_t n);

/*
 * Turn debug mode on or off. While it is on, each of these gets a line on standard error, with the
 * task's name, and is counted (metrics.h): a task or callback that ran for options.slow_ns without
 * waiting, when it does wait, or end; a call that has blocked a worker in the kernel for so long, a
 * system call or a lock, while it goes on. Nobody is interrupted. It costs a read of the clock a
 * switch, and a thread. While it is off it costs nothing. What is against the rules is checked
 * always, and what is lost is reported always.
 * Context: any thread     Blocks: nothing
 * Returns 0, -EAGAIN (no thread; it is as it was), -EINVAL for NULL, -ESHUTDOWN.
 */
WEFT_PUBLIC int weft_set_debug(weft_runtime *rt, bool is_on);

/*
 * Whether debug mode is on.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC bool weft_debug(weft_runtime *rt);

/*
 * Have what nobody retrieves told to fn(rt, f, error, arg); NULL: to standard error, as at first.
 * What was told to the handler before may still be under way.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_set_error_handler(weft_runtime *rt, weft_error_handler_fn fn, void *arg);

/*
 * Tell the error handler of an error that has no other way out, as in a callback, which returns
 * nothing. The handler has the caller's locals.
 * rt: NULL: the current one; where there is none, standard error
 * f: whose error it is; NULL: nobody's
 * error: a negative errno value
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC void weft_report_error(weft_runtime *rt, weft_future *f, int error);

/*
 * Wait on a plain thread until f is done.
 * Context: any thread outside a task     Blocks: the thread
 * for_ns: how long at most; WEFT_FOREVER: no limit; 0 or less: not at all
 * result: where the value goes; may be NULL; untouched unless 0 is returned
 * Returns 0, the future's error, -ETIMEDOUT (nothing has changed), -EDEADLK inside a task or
 * callback, and in a job of a simulated runtime when f is pending and that runtime's, -ENOMEM for
 * NULL, -ESHUTDOWN in a forked child when f is its parent's and pending. A future that itself
 * failed with -ETIMEDOUT is told apart by weft_done.
 */
WEFT_PUBLIC int weft_future_wait_blocking(weft_future *f, int64_t for_ns, void **result);

WEFT_END_DECLS

#endif
