/* SPDX-License-Identifier: MIT */
/*
 * Processes: start programs, talk to them, wait for their end.
 *
 *     weft_process *p;
 *     struct weft_process_options o = {.out = WEFT_PROCESS_PIPE, .err = WEFT_PROCESS_PIPE};
 *     int err = weft_process_shell("ls /zzz", &o, &p);
 *
 *     struct weft_process_output got;
 *     err = weft_process_communicate(p, NULL, 0, &got);
 *     printf("exited with %d, %s\n", got.status, got.err);
 *     weft_process_output_fini(&got);
 *     weft_process_put(p);
 *
 * A child is known by a process descriptor, so that no signal ever reaches another process that has
 * got its number since. Nothing is done about SIGCHLD. A program that ignores that signal, or waits
 * for any child (wait(2)), takes the exit status away: weft_process_wait returns -ECHILD then.
 *
 * Nobody kills a child but weft_process_kill and weft_process_close: one whose handle was put, or
 * whose runtime is closed, goes on. When it ends it leaves no zombie: a thread waits for the
 * children that were left alone, and is there as long as there are any.
 *
 * The child has of this process's descriptors none but the ones it was given; the signal mask of
 * the thread that made the runtime; the default action for each signal that is not ignored.
 */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <weft/base.h>
#include <weft/stream.h>

WEFT_BEGIN_DECLS

/* A child; reference counted. */
typedef struct weft_process weft_process;

/* What a standard stream of the child is. */
enum weft_process_stdio {
    WEFT_PROCESS_INHERIT = 0, /* this process's; closed where that is closed, or close-on-exec */
    WEFT_PROCESS_PIPE,        /* a pipe; its other end is a stream, below */
    WEFT_PROCESS_NULL,        /* /dev/null */
    WEFT_PROCESS_FD,          /* a descriptor of the caller's, who keeps it */
    WEFT_PROCESS_STDOUT,      /* err only: the same as the child's standard output */
};

/* A descriptor for the child, beyond the first three. */
struct weft_process_fd {
    int fd; /* the caller's, who keeps it */
    int as; /* its number in the child, 3 to WEFT_PROCESS_FD_MAX */
};

#define WEFT_PROCESS_FD_MAX 255

/* What to start, and how; what is zero is as said. All of it stays the caller's. */
struct weft_process_options {
    const char *program;      /* a path, from `directory` on; without a '/' it is looked for in this
                                 process's PATH; NULL: argv[0] */
    char *const *argv;        /* ends with NULL */
    char *const *environment; /* ends with NULL; NULL: this process's */
    const char *directory;    /* to start in; NULL: this process's */
    enum weft_process_stdio in;
    enum weft_process_stdio out;
    enum weft_process_stdio err;
    int in_fd; /* with WEFT_PROCESS_FD */
    int out_fd;
    int err_fd;
    const struct weft_process_fd *fds; /* further ones */
    size_t fd_count;
    bool keep_fds;    /* the child has also those of this process that are not close-on-exec */
    bool new_session; /* it leads a session of its own, without a terminal */
    bool new_group;   /* it leads a process group of its own */
    uint64_t reserved[8]; /* zero */
};

/* What a child has written, and how it ended. */
struct weft_process_output {
    char *out; /* followed by a '\0'; NULL when there was no pipe */
    char *err;
    size_t out_bytes;
    size_t err_bytes;
    int status; /* as of weft_process_wait */
};

/*
 * Start a program. It is running when this returns; the child is made on a thread of the blocking
 * pool, since that takes until the program is loaded.
 * Context: task     Blocks: task
 * *p: the caller's, one reference; untouched on error
 * Returns 0; else no child is left, and no descriptor: why the program cannot be executed (-ENOENT,
 * also for the directory, -EACCES, -ENOEXEC, -E2BIG, ...), -EMFILE, -ENFILE, -EAGAIN (too many
 * processes, or no thread), -ENOMEM, -EBADF (a descriptor that was given), -EINVAL (no argv, a
 * number that is out of range or given twice, a reserved word), -ECHILD (SIGCHLD is ignored, and
 * the child has ended already), -EPERM outside a task; -ECANCELED
 * or -ETIMEDOUT when the caller's waits fail before it was begun. A cancel that comes later leaves
 * the process to the caller, whose next wait fails.
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_process_spawn(const struct weft_process_options *options,
                                                   weft_process **p);

/*
 * Start /bin/sh -c command. options: may be NULL; program and argv must be.
 * Context: task     Blocks: task
 * Returns as weft_process_spawn; what the shell cannot find is its exit status (127).
 */
WEFT_PUBLIC WEFT_MUST_CHECK int weft_process_shell(const char *command,
                                                   const struct weft_process_options *options,
                                                   weft_process **p);

/*
 * The other end of the pipe that the child reads, to be written to. NULL when it is no pipe, or was
 * closed. It is the process's: weft_process_close_stdin ends it, not weft_stream_close.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC weft_stream *weft_process_stdin(weft_process *p);

/*
 * The other end of the pipe that the child writes to, to be read. NULL when it is no pipe. It is
 * the process's, and closed with its last reference: not to be closed by weft_stream_close.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC weft_stream *weft_process_stdout(weft_process *p);

/*
 * The same of its standard error; NULL also when that goes where its standard output goes.
 * Context: any thread     Blocks: nothing
 */
WEFT_PUBLIC weft_stream *weft_process_stderr(weft_process *p);

/*
 * Send what was written and close the pipe: the child meets the end of its input.
 * Context: task     Blocks: task
 * Returns as weft_stream_close (-EPIPE: it has not read everything); 0 when there is none.
 */
WEFT_PUBLIC int weft_process_close_stdin(weft_process *p);

/*
 * Feed the child n bytes and close its input; read both outputs to their end; wait for its end. All
 * at once, so neither side waits for a pipe that is full. What the child does not want to read is
 * no error. As long as somebody else has the pipes, a child of the child, the outputs do not end.
 * Context: task, the only one that uses the streams     Blocks: task
 * *output: to be given to weft_process_output_fini; empty on error
 * Returns 0, -ECANCELED, -ETIMEDOUT (the child goes on; what was read so far may be lost), -ENOMEM
 * or what else a pipe failed of (the same), -ECHILD as weft_process_wait, -EPERM outside a task.
 */
WEFT_PUBLIC int weft_process_communicate(weft_process *p, const void *input, size_t n,
                                         struct weft_process_output *output);

/* Free what is in it. Context: any thread     Blocks: nothing */
WEFT_PUBLIC void weft_process_output_fini(struct weft_process_output *output);

/*
 * Wait until the child has ended. Any number of tasks may, before and after; a cancel leaves the
 * child alone.
 * Context: task, holding a reference     Blocks: task
 * *status: its exit code, or -n when signal n has ended it; may be NULL; untouched on error
 * Returns 0, at once also in a cancelled task when the child has ended; -ECANCELED, -ETIMEDOUT;
 * -ECHILD: it has ended, and somebody else got the status; -EPERM outside a task. Where a filter of
 * system calls refuses both waitid and wait4, what it answers to the first: the status cannot be
 * had, and a child that has ended stays a zombie.
 */
WEFT_PUBLIC int weft_process_wait(weft_process *p, int *status);

/*
 * The same without waiting.
 * Context: any thread     Blocks: nothing
 * Returns 0, -ECHILD, a filter's answer, or -EINPROGRESS: it runs.
 */
WEFT_PUBLIC int weft_process_status(weft_process *p, int *status);

/*
 * Send the child a signal. One that has ended and was not waited for yet takes no notice.
 * Context: any thread, holding a reference     Blocks: nothing
 * Returns 0, -ESRCH when it has ended, -EINVAL (no such signal), -EPERM (it runs as another user).
 */
WEFT_PUBLIC int weft_process_send_signal(weft_process *p, int signo);

/*
 * Send it SIGKILL, which ends it. That it has ended is to be waited for.
 * Context: any thread, holding a reference     Blocks: nothing
 * Returns as weft_process_send_signal.
 */
WEFT_PUBLIC int weft_process_kill(weft_process *p);

/*
 * Send it SIGTERM, which asks it to end.
 * Context: any thread, holding a reference     Blocks: nothing
 * Returns as weft_process_send_signal.
 */
WEFT_PUBLIC int weft_process_terminate(weft_process *p);

/* Its number, for people to read: it may be another process's once it has ended. Context: any
 * thread     Blocks: nothing */
WEFT_PUBLIC pid_t weft_process_pid(const weft_process *p);

/*
 * Kill the child if it has not ended, wait for that, and put p; also in a cancelled task.
 * Context: task     Blocks: task
 * *status: as weft_process_wait; may be NULL
 * Returns as weft_process_wait, which is not cut short here; -EPERM outside a task (nothing
 * happened) or of weft_process_kill (p is put).
 */
WEFT_PUBLIC int weft_process_close(weft_process *p, int *status);

/* Take another reference. Context: any thread, holding one     Blocks: nothing */
WEFT_PUBLIC weft_process *weft_process_get(weft_process *p);

/*
 * Give a reference back; NULL does nothing. The last one closes the pipes: what was written is sent
 * first, as by weft_stream_close. The child goes on.
 * Context: task     Blocks: task
 */
WEFT_PUBLIC void weft_process_put(weft_process *p);

WEFT_END_DECLS

#endif
