/* SPDX-License-Identifier: MIT */
/* Strand: the callback; see strand.h. */
#include "strand.h"

#include <errno.h>

#include "locals.h"
#include "runtime_object.h"

/* Handle what has come, with the strand's locals. */
static enum strand_next strand_handle(struct strand *s, uint32_t events)
{
    struct callback_frame frame;
    callback_begin(&frame, s->locals, (uintptr_t)s->handle);
    s->locals = NULL;
    enum strand_next next = s->handle(s, events);
    if (next != STRAND_OVER) {
        s->locals = frame.locals;
        frame.locals = NULL;
    }
    callback_end(&frame);
    return next;
}

static void strand_invoke(struct callback *c)
{
    struct strand *s = WEFT_CONTAINER(c, struct strand, callback);
    if (strand_turn(s, strand_handle)) {
        weft__strand_queue(s);
    }
}

int weft__strand_init(struct strand *s, weft_runtime *rt, strand_handle_fn handle,
                      uint32_t events)
{
    if (locals_capture(weft__worker_current(), &s->locals) < 0) {
        return -ENOMEM;
    }
    weft__runtime_hold(rt);
    s->rt = rt;
    s->handle = handle;
    s->callback.invoke = strand_invoke;
    atomic_store_relaxed(&s->word, STRAND_BUSY | events); /* ORD none: not shared yet */
    return 0;
}

void weft__strand_fini(struct strand *s)
{
    weft__locals_drop(s->locals);
    weft__runtime_release(s->rt);
}

void weft__strand_queue(struct strand *s)
{
    weft__callback_queue(s->rt, &s->callback);
}

bool weft__strand_is_parents(const struct strand *s)
{
    return weft__runtime_is_parents(s->rt);
}
