/* SPDX-License-Identifier: MIT */
/*
 * Channel: the calls on one channel; see channel_object.h for the hand-over.
 *
 * A call lets go of the lock, and with it of the channel, before it lets others go on: they may
 * destroy it. A call that did not wait counts as an item of its worker (weft__spend), so that a
 * task which always finds room does not keep its worker from polling; that comes before the other
 * one is made ready, which would be sent on from the next slot by a turn of the loop.
 */
#include <stdlib.h>
#include <string.h>

#include "channel_object.h"
#include "turnstile_resume.h"
#include "worker.h"

weft_channel *weft_channel_create(size_t element_bytes, size_t capacity)
{
    size_t bytes;
    if (__builtin_mul_overflow(element_bytes, capacity, &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct weft_channel) + WEFT_CACHE_LINE, &bytes)) {
        return NULL;
    }
    struct weft_channel *c = aligned_alloc(WEFT_CACHE_LINE, bytes & ~(size_t)(WEFT_CACHE_LINE - 1));
    if (c != NULL) {
        memset(c, 0, sizeof *c);
        c->capacity = capacity;
        c->element_bytes = element_bytes;
    }
    return c;
}

/* The channel is let go: let another go on, and the worker poll if that is due. */
static inline int channel_done(struct worker *w, struct wait_node *resume, int outcome)
{
    w = worker_spend(w);
    if (resume != NULL) {
        turnstile_resume(w, resume);
    }
    return outcome;
}

/* It cannot be done at once. Lets go of the lock. */
static int channel_wait(struct weft_channel *c, struct wait_queue *q, struct fiber *f,
                        void *element)
{
    struct channel_waiter w = {.element = element, .outcome = CHANNEL_PENDING};
    f->wait_for = q == &c->senders ? WAIT_FOR_SEND : WAIT_FOR_RECEIVE;
    int err = weft__turnstile_wait(&c->gate, q, &w.node, f, c);
    return err < 0 ? err : w.outcome;
}

int weft_channel_send(weft_channel *c, const void *element)
{
    struct worker *w = weft__worker_current();
    struct fiber *f = worker_current_fiber(w);
    if (WEFT_UNLIKELY(f == NULL || c == NULL)) {
        return f == NULL ? -EPERM : -ENOMEM;
    }
    struct wait_node *resume = NULL;
    turnstile_lock_by(&c->gate, w);
    int err = channel_put(c, element, &resume);
    if (err == -EAGAIN) {
        return channel_wait(c, &c->senders, f, (void *)(uintptr_t)element);
    }
    turnstile_unlock(&c->gate);
    return channel_done(w, resume, err);
}

int weft_channel_receive(weft_channel *c, void *element)
{
    struct worker *w = weft__worker_current();
    struct fiber *f = worker_current_fiber(w);
    if (WEFT_UNLIKELY(f == NULL || c == NULL)) {
        return f == NULL ? -EPERM : -ENOMEM;
    }
    struct wait_node *resume = NULL;
    turnstile_lock_by(&c->gate, w);
    int err = channel_take(c, element, &resume);
    if (err == -EAGAIN) {
        return channel_wait(c, &c->receivers, f, element);
    }
    turnstile_unlock(&c->gate);
    return channel_done(w, resume, err);
}

int weft_channel_try_send(weft_channel *c, const void *element)
{
    if (c == NULL) {
        return -ENOMEM;
    }
    struct wait_node *resume = NULL;
    turnstile_lock(&c->gate);
    int err = channel_put(c, element, &resume);
    turnstile_unlock(&c->gate);
    if (resume != NULL) {
        weft__wait_queue_resume(resume);
    }
    return err;
}

int weft_channel_try_receive(weft_channel *c, void *element)
{
    if (c == NULL) {
        return -ENOMEM;
    }
    struct wait_node *resume = NULL;
    turnstile_lock(&c->gate);
    int err = channel_take(c, element, &resume);
    turnstile_unlock(&c->gate);
    if (resume != NULL) {
        weft__wait_queue_resume(resume);
    }
    return err;
}

/* End all waits in q, as of a closed channel. Returns them, to be resumed. */
static struct wait_node *channel_refuse(struct weft_channel *c, struct wait_queue *q)
{
    struct wait_node *chain = weft__turnstile_claim_all(&c->gate, q);
    for (struct wait_node *n = chain; n != NULL; n = n->next) {
        channel_waiter_of(n)->outcome = -EPIPE;
    }
    return chain;
}

int weft_channel_close(weft_channel *c)
{
    if (c == NULL) {
        return -ENOMEM;
    }
    turnstile_lock(&c->gate);
    bool was_closed = c->is_closed;
    c->is_closed = true;
    struct wait_node *receivers = channel_refuse(c, &c->receivers);
    struct wait_node *senders = channel_refuse(c, &c->senders);
    turnstile_unlock(&c->gate);
    weft__turnstile_resume_all(receivers);
    weft__turnstile_resume_all(senders);
    return was_closed ? -EALREADY : 0;
}

size_t weft_channel_size(const weft_channel *c)
{
    if (c == NULL) {
        return 0;
    }
    struct weft_channel *mine = (struct weft_channel *)(uintptr_t)c;
    turnstile_lock(&mine->gate);
    size_t count = mine->count;
    turnstile_unlock(&mine->gate);
    return count;
}

int weft_channel_destroy(weft_channel *c)
{
    if (c == NULL) {
        return 0;
    }
    turnstile_lock(&c->gate);
    bool is_busy = c->gate.waiting != 0;
    turnstile_unlock(&c->gate);
    if (is_busy) {
        return -EBUSY;
    }
    free(c);
    return 0;
}
