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
static void thread_announce(void)
{
    int thread = m.current;
    if (thread_enabled(thread) && thread_local_step(thread)) {
        thread_step(thread);
    } else {
        thread_suspend();
    }
}

/* In a thread: prepare the step. */
static struct op *op_begin(enum op_kind kind, struct model_place place)
{
    struct op *op = &m.threads[m.current].op;
    *op = (struct op){.kind = kind, .place = place};
    return op;
}

static struct op *op_begin_access(enum op_kind kind, const volatile void *p, size_t bytes,
                                  enum model_order order, struct model_place place)
{
    struct op *op = op_begin(kind, place);
    op->order = order;
    op->loc = loc_get((uintptr_t)p, bytes);
    loc_use(op->loc, m.current);
    return op;
}

/* The step was made: the memory must have been alive then. */
static uint64_t op_end(struct op *op)
{
    retired_check(op->loc->addr, op->loc->bytes, op->place.text);
    return op->result;
}

uint64_t model_load(const volatile void *p, size_t bytes, enum model_order order,
                    struct model_place place)
{
    if (m.current < 0) {
        return memory_read((uintptr_t)p, bytes);
    }
    struct op *op = op_begin_access(OP_LOAD, p, bytes, order, place);
    thread_announce();
    return op_end(op);
}

void model_store(volatile void *p, size_t bytes, uint64_t value, enum model_order order,
                 struct model_place place)
{
    if (m.current < 0) {
        memory_write((uintptr_t)p, bytes, value);
        return;
    }
    struct op *op = op_begin_access(OP_STORE, p, bytes, order, place);
    op->operand = memory_truncate(value, bytes);
    thread_announce();
    op_end(op);
}

uint64_t model_rmw(volatile void *p, size_t bytes, enum model_rmw rmw, uint64_t operand,
                   enum model_order order, struct model_place place)
{
    if (m.current < 0) {
        uint64_t was = memory_read((uintptr_t)p, bytes);
        memory_write((uintptr_t)p, bytes, rmw_value(rmw, was, operand));
        return was;
    }
    struct op *op = op_begin_access(OP_RMW, p, bytes, order, place);
    op->rmw = rmw;
    op->operand = memory_truncate(operand, bytes);
    thread_announce();
    return op_end(op);
}

bool model_cas(volatile void *p, size_t bytes, void *expected, uint64_t value,
               enum model_order order, struct model_place place)
{
    if (m.current < 0) {
        uint64_t was = memory_read((uintptr_t)p, bytes);
        bool same = was == memory_read((uintptr_t)expected, bytes);
        memory_write(same ? (uintptr_t)p : (uintptr_t)expected, bytes, same ? value : was);
        return same;
    }
    struct op *op = op_begin_access(OP_CAS, p, bytes, order, place);
    op->operand = memory_truncate(value, bytes);
    op->expected = memory_read((uintptr_t)expected, bytes);
    thread_announce();
    uint64_t was = op_end(op);
    if (!op->succeeded) {
        memory_write((uintptr_t)expected, bytes, was);
    }
    return op->succeeded;
}

void model_relax(struct model_place place)
{
    if (m.current >= 0) {
        op_begin(OP_RELAX, place);
        thread_announce();
    }
}

void model_heavy(struct model_place place)
{
    if (m.current < 0) {
        return;
    }
    if (!m.heavy_used) {
        m.heavy_used = true;
        m.must_restart = true;
    }
    op_begin(OP_HEAVY_BEGIN, place);
    thread_announce();
    op_begin(OP_HEAVY_END, place);
    thread_announce();
}

void model_retire(const volatile void *p, size_t bytes)
{
    if (m.current < 0) {
        range_retire((uintptr_t)p, bytes);
        return;
    }
    struct op *op = op_begin(OP_RETIRE, MODEL_PLACE("retire"));
    op->expected = (uint64_t)(uintptr_t)p;
    op->operand = bytes;
    range_use(&m.threads[m.current], m.current, (uintptr_t)p, bytes);
    thread_announce();
}

void model_free(void *p)
{
    if (p != NULL) {
        size_t bytes;
        retired_check((uintptr_t)p, 1, "free");
        memcpy(&bytes, (unsigned char *)p - sizeof(bytes), sizeof(bytes));
        model_retire(p, bytes);
    }
}

int model_choose(int count)
{
    if (m.current < 0 || count < 1 || count > 60) {
        model_fail("model_choose is for threads, with 1 to 60 alternatives");
    }
    struct op *op = op_begin(OP_CHOOSE, MODEL_PLACE("choose"));
    op->operand = (uint64_t)count;
    thread_announce();
    return (int)op->result;
}

int model_self(void)
{
    return m.current;
}

#endif
