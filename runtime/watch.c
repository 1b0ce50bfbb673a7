/* SPDX-License-Identifier: MIT */
/*
 * Watch: the latest value and its version, under a turnstile.
 *
 * A task waits only when it has seen the version that is there: so the next value is for all who
 * wait, and is copied to each of them by the one who sets it.
 */
#include <weft/watch.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "park.h"
#include "turnstile.h"

struct weft_watch {
    struct turnstile gate; /* guards the rest */
    bool is_closed;
    struct wait_queue watchers;
    uint64_t version;
    size_t value_bytes; /* immutable */
    _Alignas(WEFT_CACHE_LINE) unsigned char value[];
};

/* One wait; on the watcher's stack. */
struct watch_waiter {
    struct wait_node node;
    void *value;      /* where it is to go */
    uint64_t version; /* of what it was given */
    int outcome;      /* what the call returns; written by who claimed the node, as version */
};

static struct watch_waiter *watch_waiter_of(struct wait_node *n)
{
    return WEFT_CONTAINER(n, struct watch_waiter, node);
}

weft_watch *weft_watch_create(size_t value_bytes, const void *value)
{
    size_t bytes;
    if (__builtin_add_overflow(value_bytes, sizeof(struct weft_watch) + WEFT_CACHE_LINE, &bytes)) {
        return NULL;
    }
    bytes &= ~(size_t)(WEFT_CACHE_LINE - 1);
    struct weft_watch *w = aligned_alloc(WEFT_CACHE_LINE, bytes);
    if (w != NULL) {
        memset(w, 0, sizeof *w);
        w->value_bytes = value_bytes;
        w->version = 1;
        element_copy(w->value, value, value_bytes);
    }
    return w;
}

int weft_watch_set(weft_watch *w, const void *value)
{
    if (w == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&w->gate);
    if (w->is_closed) {
        turnstile_unlock(&w->gate);
        return -EPIPE;
    }
    element_copy(w->value, value, w->value_bytes);
    w->version++;
    struct wait_node *chain = weft__turnstile_claim_all(&w->gate, &w->watchers);
    for (struct wait_node *n = chain; n != NULL; n = n->next) {
        struct watch_waiter *waiter = watch_waiter_of(n);
        element_copy(waiter->value, value, w->value_bytes);
        waiter->version = w->version;
        waiter->outcome = 0;
    }
    turnstile_unlock(&w->gate);
    weft__turnstile_resume_all(chain);
    return 0;
}

int weft_watch_get(weft_watch *w, void *value, uint64_t *version)
{
    if (w == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&w->gate);
    element_copy(value, w->value, w->value_bytes);
    if (version != NULL) {
        *version = w->version;
    }
    turnstile_unlock(&w->gate);
    return 0;
}

int weft_watch_wait(weft_watch *w, uint64_t *seen, void *value)
{
    struct fiber *f = weft__fiber_current();
    if (f == NULL || w == NULL) {
        return f == NULL ? -EPERM : -ENOMEM;
    }
    turnstile_lock(&w->gate);
    if (w->version == *seen && !w->is_closed) {
        struct watch_waiter waiter = {.value = value};
        f->wait_for = WAIT_FOR_CHANGE;
        int err = weft__turnstile_wait(&w->gate, &w->watchers, &waiter.node, f, w);
        err = err < 0 ? err : waiter.outcome;
        if (err == 0) {
            *seen = waiter.version;
        }
        return err;
    }
    int err = w->version == *seen ? -EPIPE : 0;
    if (err == 0) {
        element_copy(value, w->value, w->value_bytes);
        *seen = w->version;
    }
    turnstile_unlock(&w->gate);
    weft__spend();
    return err;
}

int weft_watch_close(weft_watch *w)
{
    if (w == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&w->gate);
    bool was_closed = w->is_closed;
    w->is_closed = true;
    struct wait_node *chain = weft__turnstile_claim_all(&w->gate, &w->watchers);
    for (struct wait_node *n = chain; n != NULL; n = n->next) {
        watch_waiter_of(n)->outcome = -EPIPE;
    }
    turnstile_unlock(&w->gate);
    weft__turnstile_resume_all(chain);
    return was_closed ? -EALREADY : 0;
}

int weft_watch_destroy(weft_watch *w)
{
    if (w == NULL) {
        return 0;
    }
    turnstile_lock(&w->gate);
    bool is_busy = w->gate.waiting != 0;
    turnstile_unlock(&w->gate);
    if (is_busy) {
        return -EBUSY;
    }
    free(w);
    return 0;
}
