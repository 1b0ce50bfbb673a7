/* SPDX-License-Identifier: MIT */
/*
 * Broadcast: a ring of the last elements, under a turnstile.
 *
 * Elements are numbered from 0 on; those from `sent - capacity` to `sent - 1` are in the ring, each
 * at its number modulo the capacity. A subscription is a number, and a subscriber waits only when
 * that is `sent`: so the next element is for all who wait, and is copied to each of them, in the
 * order in which they came, by the one who sends it.
 */
#include <weft/broadcast.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "element.h"
#include "park.h"
#include "turnstile.h"

struct weft_broadcast {
    struct turnstile gate; /* guards the rest */
    bool is_closed;
    struct wait_queue receivers;
    uint64_t sent;
    size_t capacity;      /* immutable */
    size_t element_bytes; /* immutable */
    _Alignas(WEFT_CACHE_LINE) unsigned char elements[];
};

/* One wait; on the receiver's stack. */
struct broadcast_waiter {
    struct wait_node node;
    void *element; /* where it is to go */
    int outcome;   /* what the call returns; written by who claimed the node */
};

static struct broadcast_waiter *broadcast_waiter_of(struct wait_node *n)
{
    return WEFT_CONTAINER(n, struct broadcast_waiter, node);
}

weft_broadcast *weft_broadcast_create(size_t element_bytes, size_t capacity)
{
    size_t bytes;
    if (capacity == 0 || __builtin_mul_overflow(element_bytes, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct weft_broadcast) + WEFT_CACHE_LINE, &bytes)) {
        return NULL;
    }
    bytes &= ~(size_t)(WEFT_CACHE_LINE - 1);
    struct weft_broadcast *b = aligned_alloc(WEFT_CACHE_LINE, bytes);
    if (b != NULL) {
        memset(b, 0, sizeof *b);
        b->capacity = capacity;
        b->element_bytes = element_bytes;
    }
    return b;
}

static unsigned char *broadcast_place(struct weft_broadcast *b, uint64_t number)
{
    return b->elements + (size_t)(number % b->capacity) * b->element_bytes;
}

int weft_broadcast_send(weft_broadcast *b, const void *element)
{
    if (b == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&b->gate);
    if (b->is_closed) {
        turnstile_unlock(&b->gate);
        return -EPIPE;
    }
    element_copy(broadcast_place(b, b->sent), element, b->element_bytes);
    b->sent++;
    struct wait_node *chain = weft__turnstile_claim_all(&b->gate, &b->receivers);
    for (struct wait_node *n = chain; n != NULL; n = n->next) {
        element_copy(broadcast_waiter_of(n)->element, element, b->element_bytes);
        broadcast_waiter_of(n)->outcome = 0;
    }
    turnstile_unlock(&b->gate);
    weft__turnstile_resume_all(chain);
    return 0;
}

int weft_broadcast_subscribe(weft_broadcast *b, struct weft_subscription *s)
{
    *s = (struct weft_subscription){.broadcast = b, .next = 0};
    if (b == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&b->gate);
    s->next = b->sent;
    turnstile_unlock(&b->gate);
    return 0;
}

/* Receive, if it can be done at once. Caller holds the lock. Returns 0, -EPIPE or -EAGAIN. */
static int broadcast_take(struct weft_broadcast *b, struct weft_subscription *s, void *element,
                          uint64_t *missed)
{
    if (s->next == b->sent) {
        return b->is_closed ? -EPIPE : -EAGAIN;
    }
    uint64_t oldest = b->sent > b->capacity ? b->sent - b->capacity : 0;
    uint64_t number = s->next < oldest ? oldest : s->next;
    element_copy(element, broadcast_place(b, number), b->element_bytes);
    if (missed != NULL) {
        *missed = number - s->next;
    }
    s->next = number + 1;
    return 0;
}

int weft_broadcast_receive(struct weft_subscription *s, void *element, uint64_t *missed)
{
    struct weft_broadcast *b = s->broadcast;
    struct fiber *f = weft__fiber_current();
    if (f == NULL || b == NULL) {
        return f == NULL ? -EPERM : -ENOMEM;
    }
    turnstile_lock(&b->gate);
    int err = broadcast_take(b, s, element, missed);
    if (err != -EAGAIN) {
        turnstile_unlock(&b->gate);
        weft__spend();
        return err;
    }
    struct broadcast_waiter w = {.element = element};
    f->wait_for = WAIT_FOR_BROADCAST;
    err = weft__turnstile_wait(&b->gate, &b->receivers, &w.node, f, b);
    err = err < 0 ? err : w.outcome;
    if (err == 0) {
        s->next++;
        if (missed != NULL) {
            *missed = 0;
        }
    }
    return err;
}

int weft_broadcast_try_receive(struct weft_subscription *s, void *element, uint64_t *missed)
{
    struct weft_broadcast *b = s->broadcast;
    if (b == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&b->gate);
    int err = broadcast_take(b, s, element, missed);
    turnstile_unlock(&b->gate);
    return err;
}

int weft_broadcast_close(weft_broadcast *b)
{
    if (b == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&b->gate);
    bool was_closed = b->is_closed;
    b->is_closed = true;
    struct wait_node *chain = weft__turnstile_claim_all(&b->gate, &b->receivers);
    for (struct wait_node *n = chain; n != NULL; n = n->next) {
        broadcast_waiter_of(n)->outcome = -EPIPE;
    }
    turnstile_unlock(&b->gate);
    weft__turnstile_resume_all(chain);
    return was_closed ? -EALREADY : 0;
}

int weft_broadcast_destroy(weft_broadcast *b)
{
    if (b == NULL) {
        return 0;
    }
    turnstile_lock(&b->gate);
    bool is_busy = b->gate.waiting != 0;
    turnstile_unlock(&b->gate);
    if (is_busy) {
        return -EBUSY;
    }
    free(b);
    return 0;
}
