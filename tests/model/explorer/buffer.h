/* SPDX-License-Identifier: MIT */
/* The store buffers: what is under way, what may go to memory next; and the trace. */
#ifndef WEFT_MODEL_BUFFER_H
#define WEFT_MODEL_BUFFER_H

/* The newest own store to the location that is under way, or NULL. */
static struct entry *buffer_find(struct thread *t, const struct loc *loc)
{
    for (uint32_t i = t->count; i-- > 0;) {
        if (t->buffer[i].loc == loc) {
            return &t->buffer[i];
        }
    }
    return NULL;
}

static bool loc_reserved(const struct loc *loc, int thread)
{
    return loc->reserved_by != 0 && loc->reserved_by != thread + 1;
}

/* Whether entry k of the buffer may go to memory next. */
static bool entry_ready(const struct thread *t, int thread, uint32_t k)
{
    const struct entry *e = &t->buffer[k];
    if (loc_reserved(e->loc, thread)) {
        return false;
    }
    if (k == 0) {
        return true;
    }
    if (m.scenario->memory != MODEL_WEAK || e->is_release) {
        return false;
    }
    for (uint32_t i = 0; i < k; i++) {
        if (t->buffer[i].loc == e->loc) {
            return false;
        }
    }
    return true;
}

static void step_count(void)
{
    if (++m.step_count > m.depth_max) {
        model_fail("no end after %u steps: a loop without cpu_relax()? (depth_max)", m.depth_max);
    }
}

/* At most once for each counted step, so the array is large enough. */
static void trace(int thread, const struct op *op, bool is_buffered, uint64_t value)
{
    m.events[m.event_count++] = (struct event){thread, *op, is_buffered, value};
}

/* Entry k goes to memory. */
static void entry_drain(int thread, uint32_t k)
{
    struct thread *t = &m.threads[thread];
    struct entry e = t->buffer[k];
    struct op op = {.kind = OP_DRAIN, .loc = e.loc, .place = e.place};
    step_count();
    trace(thread, &op, false, e.value);
    if (!e.is_own_garbage) {
        retired_check(e.loc->addr, e.loc->bytes, e.place.text);
    }
    loc_write(e.loc, e.value, e.version);
    e.loc->clock = e.clock;
    if (e.is_rmw) {
        e.loc->reserved_by = 0;
    }
    t->count--;
    memmove(&t->buffer[k], &t->buffer[k + 1], (t->count - k) * sizeof(e));
}

/* The value that a thread would load. */
static uint64_t thread_peek(struct thread *t, const struct loc *loc)
{
    const struct entry *e = buffer_find(t, loc);
    return e != NULL ? e->value : memory_read(loc->addr, loc->bytes);
}

#endif
