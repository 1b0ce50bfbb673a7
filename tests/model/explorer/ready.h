/* SPDX-License-Identifier: MIT */
/* When a step can be made, and which steps commute with everything that others can do. */
#ifndef WEFT_MODEL_READY_H
#define WEFT_MODEL_READY_H

/* Whether a store with this order goes to memory at once, which needs an empty buffer. */
static bool store_is_direct(enum op_kind kind, enum model_order order)
{
    if (m.scenario->memory == MODEL_SC || order == MODEL_SEQ_CST) {
        return true;
    }
    return kind != OP_STORE && m.scenario->memory == MODEL_TSO;
}

static bool store_enabled(struct thread *t, int thread)
{
    const struct op *op = &t->op;
    if (store_is_direct(op->kind, op->order)) {
        return t->count == 0 && !loc_reserved(op->loc, thread);
    }
    if (t->count >= m.buffer_max) {
        return false;
    }
    if (op->kind == OP_STORE) {
        return true;
    }
    if (is_release(op->order) && t->count != 0) {
        return false;
    }
    return buffer_find(t, op->loc) == NULL && !loc_reserved(op->loc, thread);
}

/* Whether something that was read since the last cpu_relax has changed, or nothing was read. */
static bool relax_over(struct thread *t)
{
    for (uint32_t i = 0; i < t->read_count; i++) {
        if (thread_peek(t, t->reads[i].loc) != t->reads[i].value) {
            return true;
        }
    }
    return t->read_count == 0;
}

static bool heavy_over(const struct thread *t)
{
    for (int i = 0; i < m.thread_count; i++) {
        const struct thread *other = &m.threads[i];
        for (uint32_t k = 0; k < other->count && other != t; k++) {
            if (other->buffer[k].seq < t->mark[i]) {
                return false;
            }
        }
    }
    return true;
}

static bool thread_enabled(int thread)
{
    struct thread *t = &m.threads[thread];
    const struct op *op = &t->op;
    if (t->ended) {
        return false;
    }
    switch (op->kind) {
    case OP_STORE:
    case OP_RMW:
        return store_enabled(t, thread);
    case OP_CAS:
        return store_enabled(t, thread) ||
               (m.scenario->memory == MODEL_WEAK && thread_peek(t, op->loc) != op->expected);
    case OP_RELAX:
        return relax_over(t) || t->spins_left > 0;
    case OP_HEAVY_BEGIN:
        return t->count == 0;
    case OP_HEAVY_END:
        return heavy_over(t);
    default:
        return true;
    }
}

/* Whether the step, if it is enabled, commutes with everything that other threads can do. */
static bool thread_local_step(int thread)
{
    struct thread *t = &m.threads[thread];
    const struct op *op = &t->op;
    if (m.scenario->unreduced) {
        return (op->kind == OP_RELAX && relax_over(t)) || op->kind == OP_HEAVY_END;
    }
    switch (op->kind) {
    case OP_LOAD:
        /* A load that finds an own store does not commute with that one's drain. */
        return !loc_shared(op->loc);
    case OP_STORE:
        if (!store_is_direct(op->kind, op->order)) {
            return !m.heavy_used;
        }
        return !loc_shared(op->loc);
    case OP_RMW:
    case OP_CAS:
        return !loc_shared(op->loc);
    case OP_RELAX:
        return relax_over(t);
    case OP_HEAVY_END:
        return true;
    case OP_RETIRE:
        return !range_shared((uintptr_t)op->expected, (size_t)op->operand);
    default:
        return false;
    }
}

#endif
