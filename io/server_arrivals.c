/* SPDX-License-Identifier: MIT */
/* Arrivals; see server_arrivals.h. */
#include "server_arrivals.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <weft/scope.h>

#include "sync_word.h"

#define ARRIVALS_FIRST 16u

static const struct op_backend *backend_here(void)
{
    return ((struct io_poller *)(void *)weft__poller_current())->backend;
}

bool weft__arrivals_can(void)
{
    const struct op_backend *b = backend_here();
    return b->can_repeat != NULL && b->can_repeat(weft__poller_current(), OP_ACCEPT);
}

/* Twice the room. Caller holds the lock. */
static bool arrivals_grow(struct arrivals *a)
{
    unsigned capacity = a->capacity == 0 ? ARRIVALS_FIRST : 2 * a->capacity;
    int *fds = malloc(capacity * sizeof *fds);
    if (fds == NULL) {
        return false;
    }
    for (unsigned i = 0; i < a->count; i++) {
        fds[i] = a->fds[(a->first + i) % a->capacity];
    }
    free(a->fds);
    a->fds = fds;
    a->first = 0;
    a->capacity = capacity;
    return true;
}

/* Inside the guard of whoever has the poller. The lock is let go of last: once the task has had it
 * and seen the end, all of this may be freed. */
static void arrivals_event(struct op *op, int result, bool is_over)
{
    struct arrivals *a = WEFT_CONTAINER(op, struct arrivals, op);
    (void)sync_lock(&a->lock);
    bool has_room = result < 0 || a->count < a->capacity || arrivals_grow(a);
    if (result >= 0 && has_room) {
        a->fds[(a->first + a->count++) % a->capacity] = result;
    }
    a->is_over = is_over;
    a->error = is_over && result < 0 ? result : 0;
    weft_event_set(&a->news);
    sync_unlock(&a->lock, 0);
    if (!has_room) {
        close(result); /* no memory: there would have been none for its task */
    }
}

static int arrivals_begin(struct arrivals *a, int listener)
{
    struct op_request r = {
        .code = OP_ACCEPT,
        .fd = listener,
        .flags = SOCK_CLOEXEC,
        .repeats = true,
    };
    int err = weft__op_enter_all(&r, 1);
    if (err < 0) {
        return err;
    }
    a->is_over = false;
    a->is_ending = false;
    a->home = (uint16_t)weft__worker_here();
    err = weft__op_begin(&a->op, &r, arrivals_event);
    if (err < 0) {
        weft__op_leave_all(&r, 1);
        return err;
    }
    a->is_armed = true;
    return 0;
}

/* On the home, or another worker that has its place. The lock comes last, as above. */
static void arrivals_deliver(struct message *m, struct worker *w)
{
    struct arrivals *a = WEFT_CONTAINER(m, struct arrivals, message);
    weft__op_end(weft__poller_of(w), &a->op);
    (void)sync_lock(&a->lock);
    a->is_telling = false;
    weft_event_set(&a->news);
    sync_unlock(&a->lock, 0);
}

/* Have it ended. */
static void arrivals_ask_end(struct arrivals *a)
{
    if (!a->is_armed || a->is_ending) {
        return;
    }
    a->is_ending = true;
    if (a->home == weft__worker_here()) {
        weft__op_end(weft__poller_current(), &a->op);
        return;
    }
    (void)sync_lock(&a->lock);
    a->is_telling = true;
    sync_unlock(&a->lock, 0);
    a->message.deliver = arrivals_deliver;
    weft__send_to_worker(a->home, &a->message);
}

/* Take the first of the queue, or -EAGAIN. *is_over: nothing more comes of the operation; why is
 * in *error. */
static int arrivals_take(struct arrivals *a, bool *is_over, int *error)
{
    int fd = -EAGAIN;
    (void)sync_lock(&a->lock);
    if (a->count > 0) {
        fd = a->fds[a->first];
        a->first = (a->first + 1) % a->capacity;
        a->count--;
    }
    bool is_many = a->count > ARRIVALS_MAX;
    *is_over = a->is_over && !a->is_telling;
    *error = a->error;
    sync_unlock(&a->lock, 0);
    if (is_many) {
        arrivals_ask_end(a);
    }
    return fd;
}

/* Whether an error is none of accepting: we have ended it, or the kernel wants it to be begun
 * again. */
static bool is_no_error(const struct arrivals *a, int error)
{
    return error == 0 || error == -EAGAIN || error == -EINTR ||
           (error == -ECANCELED && a->is_ending);
}

int weft__arrivals_next(struct arrivals *a, int listener, bool may_wait)
{
    for (;;) {
        bool is_over;
        int error;
        weft_event_clear(&a->news);
        int fd = arrivals_take(a, &is_over, &error);
        if (fd >= 0) {
            return fd;
        }
        if (a->is_armed && is_over) {
            weft__op_leave_all(&(struct op_request){.fd = listener}, 1);
            a->is_armed = false;
            if (!is_no_error(a, error)) {
                return error;
            }
        }
        int err = !may_wait ? -EAGAIN : a->is_armed ? 0 : arrivals_begin(a, listener);
        if (err == 0) {
            err = weft_event_wait(&a->news);
        }
        if (err < 0) {
            return err;
        }
    }
}

void weft__arrivals_end(struct arrivals *a, int listener)
{
    arrivals_ask_end(a);
    while (a->is_armed) {
        weft_event_clear(&a->news);
        (void)sync_lock(&a->lock);
        bool is_over = a->is_over && !a->is_telling;
        sync_unlock(&a->lock, 0);
        if (is_over) {
            weft__op_leave_all(&(struct op_request){.fd = listener}, 1);
            a->is_armed = false;
        } else {
            WEFT_SHIELD {
                int err = weft_event_wait(&a->news);
                WEFT_ASSERT(err == 0);
            }
        }
    }
}

void weft__arrivals_drop(struct arrivals *a)
{
    WEFT_ASSERT(!a->is_armed && a->count == 0);
    free(a->fds);
    a->fds = NULL;
    a->capacity = 0;
}
