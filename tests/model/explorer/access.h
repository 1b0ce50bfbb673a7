/* SPDX-License-Identifier: MIT */
/*
 * The accesses as the code under test calls them.
 *
 * A thread announces its next step in thread.op. If nothing that others do can matter to it (a
 * store into the own buffer, a location that one thread alone uses) it makes the step at once; else
 * it suspends, and the explorer makes it when its turn has come.
 */
#ifndef WEFT_MODEL_ACCESS_H
#define WEFT_MODEL_ACCESS_H

/* In a thread: make the step in t->op, now or when the explorer says so. */
static void mx_thread_announce(void)
{
    int thread = mx.current;
    if (mx_thread_enabled(thread) && mx_thread_local_step(thread)) {
        mx_thread_step(thread);
    } else {
        mx_thread_suspend();
    }
}

/* In a thread: prepare the step. */
static struct mx_op *mx_op_begin(enum mx_op_kind kind, struct model_place place)
{
    struct mx_op *op = &mx.threads[mx.current].op;
    *op = (struct mx_op){.kind = kind, .place = place};
    return op;
}

static struct mx_op *mx_op_begin_access(enum mx_op_kind kind, const volatile void *p, size_t bytes,
                                        enum model_order order, struct model_place place)
{
    struct mx_op *op = mx_op_begin(kind, place);
    op->order = order;
    op->loc = mx_loc_get((uintptr_t)p, bytes);
    mx_loc_use(op->loc, mx.current);
    return op;
}

/* The step was made: the memory must have been alive then. */
static uint64_t mx_op_end(struct mx_op *op)
{
    mx_retired_check(op->loc->addr, op->loc->bytes, op->place.text);
    return op->result;
}

uint64_t model_load(const volatile void *p, size_t bytes, enum model_order order,
                    struct model_place place)
{
    if (mx.current < 0) {
        return mx_memory_read((uintptr_t)p, bytes);
    }
    struct mx_op *op = mx_op_begin_access(MX_OP_LOAD, p, bytes, order, place);
    mx_thread_announce();
    return mx_op_end(op);
}

void model_store(volatile void *p, size_t bytes, uint64_t value, enum model_order order,
                 struct model_place place)
{
    if (mx.current < 0) {
        mx_memory_write((uintptr_t)p, bytes, value);
        return;
    }
    struct mx_op *op = mx_op_begin_access(MX_OP_STORE, p, bytes, order, place);
    op->operand = mx_memory_truncate(value, bytes);
    mx_thread_announce();
    mx_op_end(op);
}

uint64_t model_rmw(volatile void *p, size_t bytes, enum model_rmw rmw, uint64_t operand,
                   enum model_order order, struct model_place place)
{
    if (mx.current < 0) {
        uint64_t was = mx_memory_read((uintptr_t)p, bytes);
        mx_memory_write((uintptr_t)p, bytes, mx_rmw_value(rmw, was, operand));
        return was;
    }
    struct mx_op *op = mx_op_begin_access(MX_OP_RMW, p, bytes, order, place);
    op->rmw = rmw;
    op->operand = mx_memory_truncate(operand, bytes);
    mx_thread_announce();
    return mx_op_end(op);
}

bool model_cas(volatile void *p, size_t bytes, void *expected, uint64_t value,
               enum model_order order, struct model_place place)
{
    if (mx.current < 0) {
        uint64_t was = mx_memory_read((uintptr_t)p, bytes);
        bool same = was == mx_memory_read((uintptr_t)expected, bytes);
        mx_memory_write(same ? (uintptr_t)p : (uintptr_t)expected, bytes, same ? value : was);
        return same;
    }
    struct mx_op *op = mx_op_begin_access(MX_OP_CAS, p, bytes, order, place);
    op->operand = mx_memory_truncate(value, bytes);
    op->expected = mx_memory_read((uintptr_t)expected, bytes);
    mx_thread_announce();
    uint64_t was = mx_op_end(op);
    if (!op->succeeded) {
        mx_memory_write((uintptr_t)expected, bytes, was);
    }
    return op->succeeded;
}

void model_relax(struct model_place place)
{
    if (mx.current >= 0) {
        mx_op_begin(MX_OP_RELAX, place);
        mx_thread_announce();
    }
}

void model_heavy(struct model_place place)
{
    if (mx.current < 0) {
        return;
    }
    mx_op_begin(MX_OP_HEAVY_BEGIN, place);
    mx_thread_announce();
    mx_op_begin(MX_OP_HEAVY_END, place);
    mx_thread_announce();
}

void model_retire(const volatile void *p, size_t bytes)
{
    if (mx.current < 0) {
        mx_range_retire((uintptr_t)p, bytes);
        return;
    }
    struct mx_op *op = mx_op_begin(MX_OP_RETIRE, MODEL_PLACE("retire"));
    op->expected = (uint64_t)(uintptr_t)p;
    op->operand = bytes;
    mx_range_use(&mx.threads[mx.current], mx.current, (uintptr_t)p, bytes);
    mx_thread_announce();
}

void model_free(void *p)
{
    if (p != NULL) {
        size_t bytes;
        mx_retired_check((uintptr_t)p, 1, "free");
        memcpy(&bytes, (unsigned char *)p - sizeof(bytes), sizeof(bytes));
        model_retire(p, bytes);
    }
}

int model_choose(int count)
{
    if (mx.current < 0 || count < 1 || count > 60) {
        model_fail("model_choose is for threads, with 1 to 60 alternatives");
    }
    struct mx_op *op = mx_op_begin(MX_OP_CHOOSE, MODEL_PLACE("choose"));
    op->operand = (uint64_t)count;
    mx_thread_announce();
    return (int)op->result;
}

uint64_t model_mark(void)
{
    return mx.current < 0 ? 0 : mx.threads[mx.current].history;
}

void model_rewind(uint64_t mark)
{
    if (mx.current >= 0) {
        mx.threads[mx.current].history = mark;
    }
}

/* Whether a thread waits in a heavy barrier, so that the numbers of entries have to go on. */
static bool mx_heavy_under_way(void)
{
    for (int i = 0; i < mx.thread_count; i++) {
        if (!mx.threads[i].ended && mx.threads[i].op.kind == MX_OP_HEAVY_END) {
            return true;
        }
    }
    return false;
}

void model_forget_at(uint64_t local, int line)
{
    if (mx.current < 0 || mx.scenario->unreduced) {
        return;
    }
    struct mx_thread *t = &mx.threads[mx.current];
    if (t->count == 0 && !mx_heavy_under_way()) {
        t->next_seq = 0;
    }
    t->read_count = 0;
    t->history = mx_mix(mx_mix(mx_mix(1, (uint64_t)mx.current), (uint64_t)line), local);
    t->history = mx_mix(mx_mix(t->history, t->next_seq), t->spins_left);
}

int model_self(void)
{
    return mx.current;
}

#endif
