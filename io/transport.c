/* SPDX-License-Identifier: MIT */
/* Transport: begin, end, and which side has to do something; see transport.h. */
#include "transport.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/io.h>
#include <weft/runtime.h>
#include <weft/task.h>

#include "descriptor.h"
#include "fd_table.h"

static void transport_free(weft_transport *t)
{
    weft__output_drop(&t->output);
    pthread_mutex_destroy(&t->lock);
    weft__strand_fini(&t->strand);
    free(t);
}

weft_transport *weft_transport_get(weft_transport *t)
{
    (void)atomic_add_relaxed(&t->users, 1); /* ORD none: the caller has a reference */
    return t;
}

void weft_transport_put(weft_transport *t)
{
    if (t != NULL && atomic_sub_acq_rel(&t->users, 1) == 1) { /* ORD P1: the last one */
        transport_free(t);
    }
}

/* --- the end ---------------------------------------------------------------------------------- */

bool weft__transport_lose(weft_transport *t, int error)
{
    bool is_new = !t->is_lost;
    if (is_new) {
        t->is_lost = true;
        t->error = error;
        weft__output_drop(&t->output);
        (void)atomic_or_acq_rel(&t->gate, GATE_CLOSING); /* ORD P2: before the event */
    }
    return is_new;
}

static bool lose(weft_transport *t, int error)
{
    pthread_mutex_lock(&t->lock);
    bool is_new = weft__transport_lose(t, error);
    pthread_mutex_unlock(&t->lock);
    return is_new;
}

void weft__transport_fail(weft_transport *t, int error)
{
    if (lose(t, error)) {
        weft__strand_post(&t->strand, TRANSPORT_CHANGED);
    }
}

void weft__transport_refuse(weft_transport *t, int error)
{
    bool was_closing = (transport_gate(t) & GATE_CLOSING) != 0;
    weft__transport_fail(t, error);
    if (!was_closing) {
        weft_report_error(t->strand.rt, NULL, error);
    }
}

void weft_transport_close(weft_transport *t)
{
    if (weft__strand_is_parents(&t->strand)) {
        return;
    }
    pthread_mutex_lock(&t->lock);
    /* ORD P2: before the event. */
    uint32_t old = atomic_or_acq_rel(&t->gate, GATE_CLOSING);
    pthread_mutex_unlock(&t->lock);
    if ((old & GATE_CLOSING) == 0) {
        weft__strand_post(&t->strand, TRANSPORT_CHANGED);
    }
}

void weft_transport_abort(weft_transport *t)
{
    if (!weft__strand_is_parents(&t->strand)) {
        weft__transport_fail(t, 0);
    }
}

bool weft_transport_is_closing(const weft_transport *t)
{
    return (transport_gate(t) & GATE_CLOSING) != 0;
}

/* Whether there is nothing left to do but to end. */
static bool transport_is_over(weft_transport *t)
{
    if (WEFT_LIKELY((transport_gate(t) & GATE_CLOSING) == 0)) {
        return false;
    }
    pthread_mutex_lock(&t->lock);
    bool is_over = t->is_lost || t->output.bytes == 0;
    pthread_mutex_unlock(&t->lock);
    return is_over;
}

static struct fd_table *fds_here(void)
{
    return ((struct io_poller *)(void *)weft__poller_current())->fds;
}

/* Others, tasks, are using the descriptor that is the transport's: end them first. */
static void *close_from_task(void *arg)
{
    int fd = (int)(intptr_t)arg;
    fd_table_leave(fds_here(), fd);
    (void)weft_close(fd);
    return NULL;
}

static void transport_close_fd(int fd)
{
    struct fd_entry *e = fd_table_find(fds_here(), fd); /* it was entered */
    if (WEFT_LIKELY(fd_entry_end_alone(e))) {
        op_closing(fd);
        (void)close(fd);
        fd_entry_ended(e);
        return;
    }
    /* ORD none: nobody begins to close it but by mistake; then it is theirs. */
    if ((atomic_load_relaxed(&e->word) & FD_CLOSING) != 0) {
        fd_entry_leave(e);
    } else if (weft_go(close_from_task, (void *)(intptr_t)fd) < 0) {
        fd_entry_leave(e);
        (void)close(fd);
    }
}

/* Tell the protocol, and be no more. */
static void transport_finish(weft_transport *t)
{
    (void)lose(t, 0);
    if (t->protocol->connection_lost != NULL) {
        t->protocol->connection_lost(t, t->error, t->arg);
    }
    pthread_mutex_lock(&t->lock);
    int fd = t->fd;
    t->fd = -1;
    pthread_mutex_unlock(&t->lock);
    transport_close_fd(fd);
    if (t->server != NULL) {
        weft__server_transport_over(t);
    }
    weft__resident_leave(t->strand.rt, &t->resident);
    weft_transport_put(t);
}

/* --- events ----------------------------------------------------------------------------------- */

static int socket_error(int fd)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
    return -error;
}

/* Take note of what the input's poll has told. */
static void transport_note_input(weft_transport *t, uint32_t events)
{
    t->is_readable = t->is_readable || (events & READINESS_READY) != 0;
    if ((events & READINESS_BEHIND) != 0) {
        t->has_more_behind = true;
        int err = t->is_input_over ? socket_error(t->fd) : 0; /* else a read meets it */
        if (err < 0) {
            (void)lose(t, err);
        }
    }
}

static void transport_make(weft_transport *t)
{
    const struct weft_protocol *p = t->protocol;
    int err = p->connection_made != NULL ? p->connection_made(t, t->arg) : 0;
    if (err < 0) {
        weft__transport_refuse(t, err);
    }
}

/* Something was written, or the socket takes more. 0 or -errno. */
static int transport_look_after_output(weft_transport *t, bool is_writable)
{
    weft__transport_tell_marks(t);
    if (is_writable) {
        weft__transport_flush(t);
        weft__transport_tell_marks(t);
    }
    if (t->writable.is_armed || weft_transport_buffered(t) == 0) {
        return 0;
    }
    return weft__readiness_arm(&t->writable, t->fd, POLLOUT, false);
}

static int transport_look_after_input(weft_transport *t, bool *has_more)
{
    *has_more = weft__transport_receive(t);
    if (t->input.is_armed || t->is_readable || t->is_input_over) {
        return 0;
    }
    return weft__readiness_arm(&t->input, t->fd, POLLIN | POLLPRI | POLLRDHUP, true);
}

static enum strand_next transport_handle(struct strand *s, uint32_t events)
{
    weft_transport *t = WEFT_CONTAINER(s, weft_transport, strand);
    int err = (events & TRANSPORT_CANCELLED) != 0 ? -ECANCELED : 0;
    uint32_t out = weft__readiness_note(&t->writable, events, &err);
    transport_note_input(t, weft__readiness_note(&t->input, events, &err));
    if ((events & TRANSPORT_MADE) != 0) {
        transport_make(t);
    }
    if (err < 0) {
        (void)lose(t, err);
    }
    bool has_more = false;
    if ((events & TRANSPORT_CHANGED) != 0 || out != 0) {
        err = transport_look_after_output(t, (out & READINESS_READY) != 0);
    }
    if (err == 0 && !transport_is_over(t)) {
        err = transport_look_after_input(t, &has_more);
    }
    if (err < 0) {
        (void)lose(t, err);
    }
    if (!transport_is_over(t)) {
        return has_more ? STRAND_AGAIN : STRAND_REST;
    }
    bool is_idle = weft__readiness_end(&t->input);
    is_idle = weft__readiness_end(&t->writable) && is_idle;
    if (!is_idle) {
        return STRAND_REST; /* until the kernel has ended them */
    }
    transport_finish(t);
    return STRAND_OVER;
}

/* --- the beginning ---------------------------------------------------------------------------- */

static void transport_cancel(struct resident *r)
{
    weft_transport *t = WEFT_CONTAINER(r, weft_transport, resident);
    weft__strand_post(&t->strand, TRANSPORT_CANCELLED);
}

bool weft__protocol_is_complete(const struct weft_protocol *p)
{
    return p != NULL && (p->get_buffer != NULL) == (p->buffer_updated != NULL) &&
           (p->data_received != NULL || p->get_buffer != NULL);
}

/* 0: a stream socket; *is_tcp tells which kind. Apart, as errno is the thread's. */
static WEFT_NOINLINE int socket_look(int fd, bool *is_tcp)
{
    int type;
    int kind = 0;
    socklen_t bytes = sizeof type;
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) < 0) {
        return -errno;
    }
    if (type != SOCK_STREAM) {
        return -EPROTOTYPE;
    }
    bytes = sizeof kind;
    (void)getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &kind, &bytes);
    *is_tcp = kind == IPPROTO_TCP;
    if (*is_tcp) {
        int one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    return 0;
}

/* Enter the descriptor for as long as the transport has it. 0 or -errno. */
static int transport_enter_fd(int fd)
{
    int err = fd_table_enter(fds_here(), fd);
    while (err == -EAGAIN) {
        sched_yield(); /* close(2), of the file which had the number before, is quick */
        err = fd_table_enter(fds_here(), fd);
    }
    return err;
}

/* Make it, with nothing begun. NULL: no memory. */
static weft_transport *transport_create(int fd, const struct weft_protocol *protocol, void *arg)
{
    weft_transport *t = calloc(1, sizeof *t);
    if (t == NULL || weft__strand_init(&t->strand, weft_runtime_current(), transport_handle,
                                       TRANSPORT_MADE) < 0) {
        free(t);
        return NULL;
    }
    t->resident.end = transport_cancel;
    t->protocol = protocol;
    t->arg = arg;
    t->fd = fd;
    weft__output_init(&t->output);
    readiness_init(&t->input, &t->strand, TRANSPORT_INPUT_SHIFT);
    readiness_init(&t->writable, &t->strand, TRANSPORT_OUTPUT_SHIFT);
    pthread_mutex_init(&t->lock, NULL);
    atomic_store_relaxed(&t->users, 2); /* ORD none: not shared yet */
    return t;
}

int weft__transport_make(int fd, const struct weft_protocol *protocol, void *arg,
                         weft_transport **transport)
{
    weft_runtime *rt = weft_runtime_current();
    bool is_tcp = false;
    if (rt == NULL) {
        return -EPERM;
    }
    int err = weft__protocol_is_complete(protocol) ? socket_look(fd, &is_tcp) : -EINVAL;
    if (err < 0) {
        return err;
    }
    err = transport_enter_fd(fd);
    if (err < 0) {
        return err;
    }
    weft_transport *t = transport_create(fd, protocol, arg);
    err = t == NULL ? -ENOMEM : weft__resident_enter(rt, &t->resident);
    if (err < 0) {
        if (t != NULL) {
            transport_free(t);
        }
        fd_table_leave(fds_here(), fd);
        return err;
    }
    t->is_exact = is_tcp;
    *transport = t;
    return 0;
}

void weft__transport_start(weft_transport *t)
{
    weft__strand_queue(&t->strand);
}

int weft_transport_open(int fd, const struct weft_protocol *protocol, void *arg,
                        weft_transport **transport)
{
    weft_transport *t = NULL;
    int err = weft__transport_make(fd, protocol, arg, &t);
    if (err < 0) {
        return err;
    }
    if (transport != NULL) {
        *transport = weft_transport_get(t);
    }
    weft__transport_start(t);
    weft_transport_put(t);
    return 0;
}

static bool transport_is_on(struct resident *r, void *fd)
{
    weft_transport *t = WEFT_CONTAINER(r, weft_transport, resident);
    pthread_mutex_lock(&t->lock);
    bool is_on = t->fd == *(int *)fd;
    pthread_mutex_unlock(&t->lock);
    return is_on;
}

bool weft__transport_has(weft_runtime *rt, int fd)
{
    return weft__residents_have(rt, transport_cancel, transport_is_on, &fd);
}

/* --- looking ---------------------------------------------------------------------------------- */

int weft_transport_fd(const weft_transport *t)
{
    weft_transport *at = (weft_transport *)(uintptr_t)t;
    if (weft__strand_is_parents(&at->strand)) {
        return -1;
    }
    pthread_mutex_lock(&at->lock);
    int fd = at->fd;
    pthread_mutex_unlock(&at->lock);
    return fd;
}

int weft_transport_peer(weft_transport *t, struct sockaddr *address, socklen_t *bytes)
{
    if (weft__strand_is_parents(&t->strand)) {
        return -ENOTCONN;
    }
    pthread_mutex_lock(&t->lock);
    int err = t->fd < 0 ? -ENOTCONN : getpeername(t->fd, address, bytes) < 0 ? -errno : 0;
    pthread_mutex_unlock(&t->lock);
    return err;
}

void *weft_transport_arg(const weft_transport *t)
{
    return t->arg;
}

void weft_transport_set_arg(weft_transport *t, void *arg)
{
    t->arg = arg;
}

int weft_transport_set_protocol(weft_transport *t, const struct weft_protocol *protocol, void *arg)
{
    if (!weft__protocol_is_complete(protocol)) {
        return -EINVAL;
    }
    t->protocol = protocol;
    t->arg = arg;
    return 0;
}
