/* SPDX-License-Identifier: MIT */
/* Process: waiting, signals, talking; see process.h. */
#include "process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "check.h"

/* wait4(2), where waitid(2) is refused. refusal: what that has answered; returned where this fails,
 * too. */
static int reap_by_number(int pidfd, pid_t pid, int *status, int refusal)
{
    int how = 0;
    long got;
    if (syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0 && errno == ESRCH) {
        return -ECHILD; /* somebody has asked, and the number is another's */
    }
    do {
        got = syscall(SYS_wait4, pid, &how, WNOHANG, NULL);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == ECHILD ? -ECHILD : refusal;
    }
    if (got == 0) {
        return -EINPROGRESS;
    }
    *status = WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
    return 0;
}

/* waitid(2), which the C library of some systems cannot ask by a descriptor. Not to be inlined: the
 * callers may be on another thread later, and errno is the thread's. */
WEFT_NOINLINE int weft__process_reap(int pidfd, pid_t pid, int *status)
{
    const int by_pidfd = 3; /* P_PIDFD */
    siginfo_t info;
    long got;
    do {
        memset(&info, 0, sizeof info);
        got = syscall(SYS_waitid, by_pidfd, pidfd, &info, WEXITED | WNOHANG, NULL);
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return errno == ECHILD ? -ECHILD : reap_by_number(pidfd, pid, status, -errno);
    }
    if (info.si_pid == 0) {
        return -EINPROGRESS;
    }
    *status = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return 0;
}

int weft_process_status(weft_process *p, int *status)
{
    pthread_mutex_lock(&p->lock);
    if (!p->has_ended) {
        int err = weft__process_reap(p->pidfd, p->pid, &p->status);
        p->has_ended = err == 0 || err == -ECHILD; /* I2 */
        p->error = err;
    }
    int err = p->error;
    if (err == 0 && status != NULL) {
        *status = p->status;
    }
    pthread_mutex_unlock(&p->lock);
    return err;
}

int weft_process_wait(weft_process *p, int *status)
{
    if (weft_self() == NULL) {
        return -EPERM;
    }
    int err;
    while ((err = weft_process_status(p, status)) == -EINPROGRESS) {
        int ready = weft_wait_fd(p->pidfd, POLLIN);
        if (ready < 0) {
            return ready;
        }
    }
    return err;
}

/* Apart for the sake of errno, as weft__process_reap. */
static WEFT_NOINLINE int send_to(int pidfd, int signo)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signo, NULL, 0) < 0 ? -errno : 0;
}

int weft_process_send_signal(weft_process *p, int signo)
{
    return send_to(p->pidfd, signo);
}

int weft_process_kill(weft_process *p)
{
    return send_to(p->pidfd, SIGKILL);
}

int weft_process_terminate(weft_process *p)
{
    return send_to(p->pidfd, SIGTERM);
}

pid_t weft_process_pid(const weft_process *p)
{
    return p->pid;
}

weft_stream *weft_process_stdin(weft_process *p)
{
    return p->stream[0];
}

weft_stream *weft_process_stdout(weft_process *p)
{
    return p->stream[1];
}

weft_stream *weft_process_stderr(weft_process *p)
{
    return p->stream[2];
}

int weft_process_close_stdin(weft_process *p)
{
    if (weft_self() == NULL) {
        return -EPERM;
    }
    weft_stream *s = p->stream[0];
    p->stream[0] = NULL;
    return weft_stream_close(s);
}

weft_process *weft_process_get(weft_process *p)
{
    if (p != NULL) {
        (void)atomic_add_relaxed(&p->refs, 1); /* ORD none: the caller has one */
    }
    return p;
}

void weft_process_put(weft_process *p)
{
    if (p == NULL || atomic_sub_acq_rel(&p->refs, 1) != 1) { /* ORD P1: the last one */
        return;
    }
    WEFT_REQUIRE(weft_self() != NULL, "a process's last reference is put in a task");
    for (int i = 0; i < 3; i++) {
        (void)weft_stream_close(p->stream[i]);
    }
    bool has_ended = weft_process_status(p, NULL) != -EINPROGRESS;
    pthread_mutex_destroy(&p->lock);
    if (has_ended) {
        (void)weft_close(p->pidfd);
        free(p);
    } else {
        p->orphan.pidfd = p->pidfd;
        p->orphan.pid = p->pid;
        weft__process_orphan(&p->orphan); /* I3 */
    }
}

int weft_process_close(weft_process *p, int *status)
{
    if (weft_self() == NULL) {
        return -EPERM;
    }
    int err = weft_process_status(p, status);
    if (err != 0 && err != -ECHILD) {
        err = weft_process_kill(p);
        if (err == 0 || err == -ESRCH) {
            WEFT_SHIELD
            {
                err = weft_process_wait(p, status);
            }
        }
    }
    weft_process_put(p);
    return err;
}

/* --- communicate ------------------------------------------------------------------------------ */

struct feeding {
    weft_process *p;
    const char *input;
    size_t n;
};

/* A task: all of the input, then its end. What the child does not read is no error. */
static void *feed(void *arg)
{
    struct feeding *f = arg;
    weft_stream *s = f->p->stream[0];
    ssize_t taken = f->n == 0 ? 0 : weft_stream_write(s, f->input, f->n);
    int err = taken < 0 ? (int)taken : weft_scope_error();
    if (err != -ECANCELED && err != -ETIMEDOUT) {
        int closed = weft_process_close_stdin(f->p);
        err = err < 0 ? err : closed;
    }
    bool is_unread = err == -EPIPE || err == -ECONNRESET;
    return err < 0 && !is_unread ? weft_fail(err) : NULL;
}

/* What is read of a stream; the memory stays in it until the next read. */
struct collecting {
    weft_stream *stream;
    struct weft_view view;
};

static void *collect(void *arg)
{
    struct collecting *c = arg;
    ssize_t n = c->stream == NULL ? 0 : weft_stream_read_to_end(c->stream, &c->view);
    return n < 0 ? weft_fail((int)n) : NULL;
}

/* A copy of its own, with a '\0' behind it. */
static char *copy_of(const struct collecting *c)
{
    char *copy = malloc(c->view.bytes + 1);
    if (copy != NULL) {
        if (c->view.bytes > 0) {
            memcpy(copy, c->view.data, c->view.bytes);
        }
        copy[c->view.bytes] = '\0';
    }
    return copy;
}

static int output_fill(struct weft_process_output *output, const struct collecting *out,
                       const struct collecting *err)
{
    *output = (struct weft_process_output){0};
    if (out->stream != NULL) {
        output->out = copy_of(out);
        output->out_bytes = out->view.bytes;
    }
    if (err->stream != NULL) {
        output->err = copy_of(err);
        output->err_bytes = err->view.bytes;
    }
    bool is_whole = (out->stream == NULL || output->out != NULL) &&
                    (err->stream == NULL || output->err != NULL);
    return is_whole ? 0 : -ENOMEM;
}

/* Begin a task, if there is something for it to do. */
static weft_task *begin(bool is_needed, weft_fn fn, void *arg, int *err)
{
    weft_task *t = is_needed && *err == 0 ? weft_spawn(fn, arg) : NULL;
    *err = is_needed && t == NULL ? -ENOMEM : *err;
    return t;
}

/* Wait for it; the first error stays. */
static int end(weft_task *t, int err)
{
    if (t == NULL) {
        return err;
    }
    if (err < 0) {
        (void)weft_cancel(t);
    }
    int ended = weft_join(t, NULL);
    return err < 0 ? err : ended;
}

void weft_process_output_fini(struct weft_process_output *output)
{
    free(output->out);
    free(output->err);
    *output = (struct weft_process_output){0};
}

int weft_process_communicate(weft_process *p, const void *input, size_t n,
                             struct weft_process_output *output)
{
    *output = (struct weft_process_output){0};
    if (weft_self() == NULL) {
        return -EPERM;
    }
    struct feeding in = {p, input, n};
    struct collecting out = {.stream = p->stream[1]};
    struct collecting error = {.stream = p->stream[2]};
    int err = 0;
    weft_task *feeder = begin(p->stream[0] != NULL, feed, &in, &err);
    weft_task *reader = begin(error.stream != NULL, collect, &error, &err);
    weft_task *other = begin(out.stream != NULL, collect, &out, &err);
    err = end(other, err);
    err = end(reader, err);
    err = end(feeder, err);
    if (err == -ECANCELED && weft_scope_error() < 0) {
        err = weft_scope_error(); /* it was passed on to them as a cancel */
    }
    int status = 0;
    err = err < 0 ? err : weft_process_wait(p, &status);
    err = err < 0 ? err : output_fill(output, &out, &error);
    if (err < 0) {
        weft_process_output_fini(output);
        return err;
    }
    output->status = status;
    return 0;
}
