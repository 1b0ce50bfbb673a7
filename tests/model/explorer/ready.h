/* SPDX-License-Identifier: MIT */
/* When a step can be made, and which steps commute with everything that others can do. */
#ifndef WEFT_MODEL_READY_H
#define WEFT_MODEL_READY_H

/* Whether a store with this order goes to memory at once, which needs an empty buffer. */
static bool mx_store_is_direct(enum mx_op_kind kind, enum model_order order)
{
    if (mx.scenario->memory == MODEL_SC || order == MODEL_SEQ_CST) {
        return true;
    }
    return kind != MX_OP_STORE && mx.scenario->memory == MODEL_TSO;
}

static bool mx_store_enabled(struct mx_thread *t, int thread)
{
    const struct mx_op *op = &t->op;
    if (mx_store_is_direct(op->kind, op->order)) {
        return t->count == 0 && !mx_loc_reserved(op->loc, thread);
    }
    if (t->count >= mx.buffer_max) {
        return false;
    }
    if (op->kind == MX_OP_STORE) {
        return true;
    }
    if (mx_is_release(op->order) && t->count != 0) {
        return false;
    }
    return mx_buffer_find(t, op->loc) == NULL && !mx_loc_reserved(op->loc, thread);
}

/* Whether something that was read since the last cpu_relax has changed, or nothing was read. */
static bool mx_relax_over(struct mx_thread *t)
{
    for (uint32_t i = 0; i < t->read_count; i++) {
        if (mx_thread_peek(t, t->reads[i].loc) != t->reads[i].value) {
            return true;
        }
    }
    return t->read_count == 0;
}

static bool mx_heavy_over(const struct mx_thread *t)
{
    for (int i = 0; i < mx.thread_count; i++) {
        const struct mx_thread *other = &mx.threads[i];
        for (uint32_t k = 0; k < other->count && other != t; k++) {
            if (other->buffer[k].seq < t->mark[i]) {
                return false;
            }
        }
    }
    return true;
}

static bool mx_thread_enabled(int thread)
{
    struct mx_thread *t = &mx.threads[thread];
    const struct mx_op *op = &t->op;
    if (t->ended) {
        return false;
    }
    switch (op->kind) {
    case MX_OP_STORE:
    case MX_OP_RMW:
        return mx_store_enabled(t, thread);
    case MX_OP_CAS:
        return mx_store_enabled(t, thread) ||
               (mx.scenario->memory == MODEL_WEAK && mx_thread_peek(t, op->loc) != op->expected);
    case MX_OP_RELAX:
        return mx_relax_over(t) || t->spins_left > 0;
    case MX_OP_HEAVY_BEGIN:
        return t->count == 0;
    case MX_OP_HEAVY_END:
        return mx_heavy_over(t);
    default:
        return true;
    }
}

/* Whether the step, if it is enabled, commutes with everything that other threads can do. */
static bool mx_thread_local_step(int thread)
{
    struct mx_thread *t = &mx.threads[thread];
    const struct mx_op *op = &t->op;
    if (mx.scenario->unreduced) {
        return (op->kind == MX_OP_RELAX && mx_relax_over(t)) || op->kind == MX_OP_HEAVY_END;
    }
    switch (op->kind) {
    case MX_OP_LOAD:
        /* A load that finds an own store does not commute with that one's drain. */
        return !mx_loc_shared(op->loc);
    case MX_OP_STORE:
        return !mx_store_is_direct(op->kind, op->order) || !mx_loc_shared(op->loc);
    case MX_OP_RMW:
    case MX_OP_CAS:
        return !mx_loc_shared(op->loc);
    case MX_OP_RELAX:
        return mx_relax_over(t);
    case MX_OP_HEAVY_END:
        return true;
    case MX_OP_RETIRE:
        return !mx_range_shared((uintptr_t)op->expected, (size_t)op->operand);
    default:
        return false;
    }
}

#endif
