/* SPDX-License-Identifier: MIT */
/* The store buffers: what is under way, what may go to memory next; and the trace. */
#ifndef WEFT_MODEL_BUFFER_H
#define WEFT_MODEL_BUFFER_H

/* The newest own store to the location that is under way, or NULL. */
static struct mx_entry *mx_buffer_find(struct mx_thread *t, const struct mx_loc *loc)
{
    for (uint32_t i = t->count; i-- > 0;) {
        if (t->buffer[i].loc == loc) {
            return &t->buffer[i];
        }
    }
    return NULL;
}

static bool mx_loc_reserved(const struct mx_loc *loc, int thread)
{
    return loc->reserved_by != 0 && loc->reserved_by != thread + 1;
}

/* Whether entry k of the buffer may go to memory next. */
static bool mx_entry_ready(const struct mx_thread *t, int thread, uint32_t k)
{
    const struct mx_entry *e = &t->buffer[k];
    if (mx_loc_reserved(e->loc, thread)) {
        return false;
    }
    if (k == 0) {
        return true;
    }
    if (mx.scenario->memory != MODEL_WEAK || e->is_release) {
        return false;
    }
    for (uint32_t i = 0; i < k; i++) {
        if (t->buffer[i].loc == e->loc) {
            return false;
        }
    }
    return true;
}

static void mx_step_count(void)
{
    if (++mx.step_count > mx.depth_max) {
        model_fail("no end after %u steps: a loop without cpu_relax()? (depth_max)", mx.depth_max);
    }
}

/* At most once for each counted step, so the array is large enough. */
static void mx_trace(int thread, const struct mx_op *op, bool is_buffered, uint64_t value)
{
    mx.events[mx.event_count++] = (struct mx_event){thread, *op, is_buffered, value};
}

/* Entry k goes to memory. */
static void mx_entry_drain(int thread, uint32_t k)
{
    struct mx_thread *t = &mx.threads[thread];
    struct mx_entry e = t->buffer[k];
    struct mx_op op = {.kind = MX_OP_DRAIN, .loc = e.loc, .place = e.place};
    mx_step_count();
    mx_trace(thread, &op, false, e.value);
    if (!e.is_own_garbage) {
        mx_retired_check(e.loc->addr, e.loc->bytes, e.place.text);
    }
    mx_loc_write(e.loc, e.value, e.version);
    e.loc->clock = e.clock;
    if (e.is_rmw) {
        e.loc->reserved_by = 0;
    }
    /* One that nobody else sees may as well drain later: it settles nothing. */
    if (mx_loc_shared(e.loc) && t->settled_seq <= e.seq) {
        t->settled_seq = e.seq + 1;
    }
    t->count--;
    memmove(&t->buffer[k], &t->buffer[k + 1], (t->count - k) * sizeof(e));
}

/* The value that a thread would load. */
static uint64_t mx_thread_peek(struct mx_thread *t, const struct mx_loc *loc)
{
    const struct mx_entry *e = mx_buffer_find(t, loc);
    return e != NULL ? e->value : mx_memory_read(loc->addr, loc->bytes);
}

#endif
