/* SPDX-License-Identifier: MIT */
/* Process slot: starting, asking and ending a worker; see process_slot.h. */
#include "process_slot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/scope.h>
#include <weft/task.h>

#include "check.h"
#include "process_job.h"

/* Longer than any text we write. */
#define SLOT_TEXT_BYTES 160

static struct process_result *result_make(size_t bytes)
{
    struct process_result *r =
        bytes < SIZE_MAX / 2 ? malloc(sizeof *r + bytes + 1) : NULL;
    if (r != NULL) {
        r->bytes = bytes;
        r->data[bytes] = '\0';
    }
    return r;
}

static struct process_result *result_text(const char *text)
{
    struct process_result *r = result_make(strlen(text));
    if (r != NULL) {
        memcpy(r->data, text, r->bytes);
    }
    return r;
}

/* Apart, as errno is the thread's. */
static WEFT_NOINLINE int socket_make(int fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
}

static int slot_start(struct process_slot *s)
{
    int fds[2];
    int err = socket_make(fds);
    if (err < 0) {
        return err;
    }
    char *argv[] = {program_invocation_name, (char[]){JOB_WORKER_ARGUMENT}, NULL};
    struct weft_process_fd given = {.fd = fds[1], .as = JOB_WORKER_FD};
    struct weft_process_options o = {
        .program = "/proc/self/exe",
        .argv = argv,
        .in = WEFT_PROCESS_NULL,
        .fds = &given,
        .fd_count = 1,
        .new_group = true,
    };
    err = weft_process_spawn(&o, &s->worker);
    close(fds[1]); /* no call of the runtime has used them */
    if (err < 0) {
        close(fds[0]);
        return err;
    }
    s->fd = fds[0];
    s->jobs = 0;
    return 0;
}

void weft__process_slot_hang_up(struct process_slot *s)
{
    if (s->worker != NULL && s->fd >= 0) {
        (void)weft_close(s->fd);
        s->fd = -1;
    }
}

/* The worker is no more use: wait for its end, for so long, and kill it then. Returns its status;
 * *is_killed: by us. */
static int slot_clear(struct process_slot *s, int64_t for_ns, bool *is_killed)
{
    int status = 0;
    *is_killed = false;
    weft__process_slot_hang_up(s);
    if (for_ns > 0) {
        WEFT_SHIELD
        {
            WEFT_TIMEOUT(for_ns)
            {
                (void)weft_process_wait(s->worker, NULL);
            }
        }
    }
    *is_killed = weft_process_status(s->worker, NULL) == -EINPROGRESS;
    (void)weft_process_close(s->worker, &status);
    s->worker = NULL;
    return status;
}

void weft__process_slot_end(struct process_slot *s, int64_t until_ns)
{
    bool is_killed;
    if (s->worker != NULL) {
        (void)slot_clear(s, until_ns - weft_now(), &is_killed);
    }
}

/* The worker has closed its socket: tell what has become of it. Returns -EPIPE. */
static int slot_crashed(struct process_slot *s, struct process_result **result)
{
    char text[SLOT_TEXT_BYTES];
    bool is_killed;
    int pid = (int)weft_process_pid(s->worker);
    int status = slot_clear(s, SLOT_PATIENCE_NS, &is_killed);
    if (is_killed) {
        snprintf(text, sizeof text, "worker process %d has closed its socket", pid);
    } else if (status < 0) {
        const char *name = sigdescr_np(-status);
        snprintf(text, sizeof text, "worker process %d was ended by signal %d (%s)", pid, -status,
                 name != NULL ? name : "unknown");
    } else {
        snprintf(text, sizeof text, "worker process %d has exited with status %d", pid, status);
    }
    free(*result);
    *result = result_text(text);
    return -EPIPE;
}

static int slot_send(const struct process_slot *s, const struct process_call *call)
{
    char head[sizeof(struct job_request) + WEFT_PROCESS_NAME_MAX];
    struct job_request request = {
        .name_bytes = strlen(call->name),
        .in_bytes = call->in_bytes,
    };
    memcpy(head, &request, sizeof request);
    memcpy(head + sizeof request, call->name, request.name_bytes);
    int err = weft_write_full(s->fd, head, sizeof request + request.name_bytes, NULL);
    return err < 0 ? err : weft_write_full(s->fd, call->in, call->in_bytes, NULL);
}

/* Returns 0, the error of the connection or of memory; *error: the job's. */
static int slot_receive(const struct process_slot *s, int *error, struct process_result **result)
{
    struct job_reply reply;
    int err = weft_read_full(s->fd, &reply, sizeof reply, NULL);
    if (err < 0) {
        return err;
    }
    *result = result_make(reply.bytes);
    if (*result == NULL) {
        return -ENOMEM;
    }
    *error = reply.error <= 0 && reply.error > -4096 ? (int)reply.error : -EPROTO;
    return weft_read_full(s->fd, (*result)->data, reply.bytes, NULL);
}

/* One request and its reply. */
static int slot_ask(struct process_slot *s, const struct process_call *call,
                    struct process_result **result)
{
    int error = 0;
    int err = slot_send(s, call);
    if (err == 0) {
        err = slot_receive(s, &error, result);
    }
    if (err == 0) {
        return error;
    }
    if (err == -EPIPE || err == -ENODATA || err == -ECONNRESET) {
        return slot_crashed(s, result);
    }
    bool is_killed; /* cancelled, or no memory: it is in the middle of something */
    (void)slot_clear(s, 0, &is_killed);
    free(*result);
    *result = NULL;
    return err;
}

/* Whether there is a worker, and it waits for a request. Apart, as errno is the thread's. */
static WEFT_NOINLINE bool slot_is_ready(const struct process_slot *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    int n = 0;
    while (s->worker != NULL && (n = poll(&p, 1, 0)) < 0 && errno == EINTR) {
        /* it does not wait, and is interrupted all the same */
    }
    return s->worker != NULL && n == 0;
}

/* Have a new worker. */
static int slot_renew(struct process_slot *s, const struct weft_process_pool_options *o,
                      struct process_result **result)
{
    bool is_killed;
    if (s->worker != NULL) { /* it has ended meanwhile */
        (void)slot_clear(s, 0, &is_killed);
    }
    int err = slot_start(s);
    if (err < 0 || o->initializer == NULL) {
        return err;
    }
    struct process_call first = {o->initializer, o->initializer_in, o->initializer_bytes};
    err = slot_ask(s, &first, result);
    if (err < 0) {
        weft__process_slot_end(s, weft_now() + SLOT_PATIENCE_NS);
    } else {
        free(*result);
        *result = NULL;
    }
    return err;
}

int weft__process_slot_call(struct process_slot *s, const struct weft_process_pool_options *o,
                            const struct process_call *call, struct process_result **result)
{
    *result = NULL;
    if (!slot_is_ready(s)) {
        int err = slot_renew(s, o, result);
        if (err < 0) {
            return err;
        }
    }
    int err = slot_ask(s, call, result);
    if (s->worker != NULL && ++s->jobs >= o->jobs_max && o->jobs_max > 0) {
        (void)weft_close(s->fd); /* it ends by itself, and nobody has to wait for that */
        weft_process_put(s->worker);
        s->worker = NULL;
    }
    return err;
}
