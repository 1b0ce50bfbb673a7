/* SPDX-License-Identifier: MIT */
/*
 * weft_on_fd: a callback as long as a descriptor is ready, which no task waits for.
 *
 * A watch is a strand that a poll tells of arrivals (readiness.h). Told of one, it asks poll(2)
 * whether the descriptor is ready, calls if it is, lets others have their turn, and asks again; it
 * rests when the descriptor is not ready. The poll is armed before it asks, so nothing that comes
 * in between is missed.
 *
 *   watched --removed, replaced, the runtime or the descriptor is closed--> ending --the poll has
 *   ended--> over, and free
 *
 * Invariants
 *   I1  `is_live`: it is in the table (fd_table.h), one for each descriptor and event, and its
 *       strand is not over. Both change under the table's lock; who takes it out posts CHANGED
 *       under it, or is the strand itself.
 *   I2  The descriptor is entered until the watch is over, so that weft_close ends it.
 *
 * Pairs: those of the lock (sync_word.h) and of the strand, but for
 *   P1  take out: is_live, release  -> strand: is_live, acquire   alone: it calls no more
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>

#include <weft/io.h>
#include <weft/runtime.h>

#include "fd_table.h"
#include "readiness.h"
#include "resident.h"
#include "sync_word.h"
#include "transport.h"

#define WATCH_READY_SHIFT 1
#define WATCH_CHANGED ((uint32_t)1 << 16)   /* begin, or look at is_live */
#define WATCH_CANCELLED ((uint32_t)1 << 17) /* the runtime closes */

struct fd_watch {
    struct strand strand;
    struct resident resident;
    struct readiness readiness;
    struct fd_watch *next; /* in its bucket */
    struct fd_table *table;
    int fd;
    short event;
    weft_fd_fn fn;
    void *arg;
    _Atomic(uint32_t) is_live; /* I1 */
};

static struct fd_table *table_here(void)
{
    return ((struct io_poller *)(void *)weft__poller_current())->fds;
}

static bool is_live(struct fd_watch *w)
{
    return atomic_load_acquire(&w->is_live) != 0; /* ORD P1: alone */
}

/* Where it is, or would be, in its bucket. Caller holds the lock. */
static struct fd_watch **watch_find(struct fd_table *t, int fd, short event)
{
    struct fd_watch **at = &t->watches[(unsigned)fd % FD_WATCH_BUCKETS];
    while (*at != NULL && ((*at)->fd != fd || (*at)->event != event)) {
        at = &(*at)->next;
    }
    return at;
}

/* Take one out. Caller holds the lock. */
static void watch_unlink(struct fd_watch **at)
{
    struct fd_watch *w = *at;
    *at = w->next;
    atomic_store_release(&w->is_live, 0); /* ORD P1: it calls no more */
}

/* Take out what is there, and have it end. Caller holds the lock. */
static bool watch_remove(struct fd_table *t, int fd, short event)
{
    struct fd_watch **at = watch_find(t, fd, event);
    struct fd_watch *w = *at;
    if (w != NULL) {
        watch_unlink(at);
        weft__strand_post(&w->strand, WATCH_CHANGED);
    }
    return w != NULL;
}

/* The runtime is being closed. */
static void watch_cancel(struct resident *r)
{
    weft__strand_post(&WEFT_CONTAINER(r, struct fd_watch, resident)->strand, WATCH_CANCELLED);
}

/* End, as far as it can be. */
static enum strand_next watch_end(struct fd_watch *w)
{
    (void)sync_lock(&w->table->watch_lock);
    if (is_live(w)) {
        watch_unlink(watch_find(w->table, w->fd, w->event));
    }
    sync_unlock(&w->table->watch_lock, 0);
    if (!weft__readiness_end(&w->readiness)) {
        return STRAND_REST;
    }
    fd_table_leave(w->table, w->fd);
    weft__resident_leave(w->strand.rt, &w->resident);
    weft__strand_fini(&w->strand);
    free(w);
    return STRAND_OVER;
}

static enum strand_next watch_handle(struct strand *s, uint32_t events)
{
    struct fd_watch *w = WEFT_CONTAINER(s, struct fd_watch, strand);
    int err = (events & WATCH_CANCELLED) != 0 ? -ECANCELED : 0;
    (void)weft__readiness_note(&w->readiness, events, &err);
    if (is_live(w) && err == 0 && !w->readiness.is_armed) {
        err = weft__readiness_arm(&w->readiness, w->fd, w->event, true);
    }
    bool is_untold = err == -EPERM; /* a regular file: what it is not now, it never is */
    if ((err < 0 && !is_untold) || !is_live(w)) {
        return watch_end(w);
    }
    struct pollfd p = {.fd = w->fd, .events = w->event};
    if (weft__poll_now(&p, 1) <= 0) {
        return is_untold ? watch_end(w) : STRAND_REST;
    }
    w->fn(w->fd, p.revents, w->arg);
    return STRAND_AGAIN;
}

/* Enter the descriptor for as long as it is watched. 0 or -errno. */
static int watch_enter(struct fd_table *t, int fd)
{
    int err = fd_table_enter(t, fd);
    while (err == -EAGAIN) {
        sched_yield(); /* close(2), of the file which had the number before, is quick */
        err = fd_table_enter(t, fd);
    }
    return err;
}

/* Make one, with nothing begun. NULL: no memory. */
static struct fd_watch *watch_create(int fd, short event, weft_fd_fn fn, void *arg)
{
    struct fd_watch *w = calloc(1, sizeof *w);
    if (w == NULL || weft__strand_init(&w->strand, weft_runtime_current(), watch_handle,
                                       WATCH_CHANGED) < 0) {
        free(w);
        return NULL;
    }
    w->resident.end = watch_cancel;
    w->table = table_here();
    w->fd = fd;
    w->event = event;
    w->fn = fn;
    w->arg = arg;
    readiness_init(&w->readiness, &w->strand, WATCH_READY_SHIFT);
    return w;
}

/* What can be watched. 0 or -errno. */
static int watch_check(int fd, short event, weft_fd_fn fn)
{
    struct pollfd p = {.fd = fd, .events = event};
    if (weft_runtime_current() == NULL) {
        return -EPERM;
    }
    if ((event != POLLIN && event != POLLOUT && event != POLLPRI) || fn == NULL) {
        return -EINVAL;
    }
    if (fd < 0 || weft__poll_now(&p, 1) < 0 || (p.revents & POLLNVAL) != 0) {
        return -EBADF;
    }
    return weft__transport_has(weft_runtime_current(), fd) ? -EBUSY : 0;
}

int weft_on_fd(int fd, short event, weft_fd_fn fn, void *arg)
{
    int err = watch_check(fd, event, fn);
    if (err < 0) {
        return err;
    }
    struct fd_watch *w = watch_create(fd, event, fn, arg);
    if (w == NULL) {
        return -ENOMEM;
    }
    err = watch_enter(w->table, fd);
    if (err == 0) {
        err = weft__resident_enter(w->strand.rt, &w->resident);
        if (err < 0) {
            fd_table_leave(w->table, fd);
        }
    }
    if (err < 0) {
        weft__strand_fini(&w->strand);
        free(w);
        return err;
    }
    struct fd_table *t = w->table;
    (void)sync_lock(&t->watch_lock);
    bool was_there = watch_remove(t, fd, event);
    struct fd_watch **at = &t->watches[(unsigned)fd % FD_WATCH_BUCKETS];
    w->next = *at;
    *at = w;
    atomic_store_release(&w->is_live, 1); /* ORD P1: from now on */
    weft__strand_queue(&w->strand);
    sync_unlock(&t->watch_lock, 0);
    return was_there;
}

int weft_on_fd_remove(int fd, short event)
{
    if (weft_runtime_current() == NULL) {
        return -EPERM;
    }
    struct fd_table *t = table_here();
    (void)sync_lock(&t->watch_lock);
    bool was_there = fd >= 0 && watch_remove(t, fd, event);
    sync_unlock(&t->watch_lock, 0);
    return was_there;
}
