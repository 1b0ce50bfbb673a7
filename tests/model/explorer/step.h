/* SPDX-License-Identifier: MIT */
/* What a step does. */
#ifndef WEFT_MODEL_STEP_H
#define WEFT_MODEL_STEP_H

/* What the thread would find at the location again, unless another one writes to it. */
static void mx_note_read(struct mx_thread *t, struct mx_loc *loc, uint64_t value)
{
    uint32_t i = 0;
    while (i < t->read_count && t->reads[i].loc != loc) {
        i++;
    }
    if (i == MX_READS_MAX) {
        model_fail("more than %d locations read between two cpu_relax()", MX_READS_MAX);
    }
    t->reads[i] = (struct mx_read){loc, value};
    t->read_count += i == t->read_count;
}

static uint64_t mx_new_version(const struct mx_thread *t, uint64_t value)
{
    return mx.scenario->value_states ? mx_mix(1, value) | 1 : t->history | 1;
}

static void mx_step_load(struct mx_thread *t)
{
    struct mx_op *op = &t->op;
    const struct mx_entry *e = mx_buffer_find(t, op->loc);
    op->result = mx_thread_peek(t, op->loc);
    mx_note_read(t, op->loc, op->result);
    t->history =
        mx_mix(mx_mix(t->history, op->loc->addr), e != NULL ? e->version : op->loc->version);
    if (e == NULL && mx_is_acquire(op->order)) {
        mx_clock_join(&t->clock, &op->loc->clock);
    }
}

/* Write a value: to memory, or into the buffer. `clock` is what an acquire of it will bring. */
static void mx_step_write(struct mx_thread *t, int thread, uint64_t value, struct mx_clock clock)
{
    struct mx_op *op = &t->op;
    uint64_t version = mx_new_version(t, value);
    mx_note_read(t, op->loc, value);
    bool direct = mx_store_is_direct(op->kind, op->order);
    if (direct) {
        mx_loc_write(op->loc, value, version);
        op->loc->clock = clock;
    } else {
        t->buffer[t->count++] = (struct mx_entry){.loc = op->loc,
                                                  .value = value,
                                                  .version = version,
                                                  .seq = t->next_seq++,
                                                  .is_release = mx_is_release(op->order),
                                                  .is_rmw = op->kind != MX_OP_STORE,
                                                  .clock = clock,
                                                  .place = op->place};
        if (op->kind != MX_OP_STORE) {
            op->loc->reserved_by = (uint8_t)(thread + 1);
        }
    }
    mx_trace(thread, op, !direct, value);
}

static void mx_step_store(struct mx_thread *t, int thread)
{
    struct mx_clock clock = {{0}};
    if (mx_is_release(t->op.order)) {
        t->clock.at[thread]++;
        clock = t->clock;
    }
    t->history = mx_mix(mx_mix(t->history, t->op.loc->addr), t->op.operand);
    mx_step_write(t, thread, t->op.operand, clock);
}

/* What an RMW writes; a CAS that succeeds is an exchange. */
static uint64_t mx_rmw_value(enum model_rmw rmw, uint64_t was, uint64_t operand)
{
    switch (rmw) {
    case MODEL_ADD:
        return was + operand;
    case MODEL_SUB:
        return was - operand;
    case MODEL_OR:
        return was | operand;
    case MODEL_AND:
        return was & operand;
    default:
        return operand;
    }
}

/* A CAS that fails is the load of its failure order, which acquires unless it is relaxed. */
static void mx_step_rmw(struct mx_thread *t, int thread)
{
    struct mx_op *op = &t->op;
    struct mx_loc *loc = op->loc;
    mx_step_load(t);
    op->succeeded = op->kind == MX_OP_CAS && op->result == op->expected;
    t->history = mx_mix(t->history, op->succeeded);
    if (op->kind == MX_OP_CAS && !op->succeeded) {
        mx_trace(thread, op, false, 0);
        return;
    }
    /* Whatever its order, an RMW continues the release sequence that it has read. */
    struct mx_clock clock = loc->clock;
    if (mx_is_release(op->order)) {
        t->clock.at[thread]++;
        mx_clock_join(&clock, &t->clock);
    }
    uint64_t value = mx_rmw_value(op->rmw, op->result, op->operand);
    mx_step_write(t, thread, mx_memory_truncate(value, loc->bytes), clock);
}

/*
 * Stores enter the buffer as early as can be, which nobody sees but a heavy barrier. So those since
 * the thread's last decided step are taken to enter later: that allows more.
 */
static void mx_step_heavy(struct mx_thread *t)
{
    for (int i = 0; i < mx.thread_count; i++) {
        t->mark[i] = mx.threads[i].settled_seq;
    }
    t->history = mx_mix(t->history, MX_OP_HEAVY_BEGIN);
}

/* Make the step that the thread stands before; it is enabled. */
static void mx_thread_step(int thread)
{
    struct mx_thread *t = &mx.threads[thread];
    struct mx_op *op = &t->op;
    mx_step_count();
    switch (op->kind) {
    case MX_OP_LOAD:
        mx_step_load(t);
        mx_trace(thread, op, false, 0);
        break;
    case MX_OP_STORE:
        mx_step_store(t, thread);
        break;
    case MX_OP_RMW:
    case MX_OP_CAS:
        mx_step_rmw(t, thread);
        break;
    case MX_OP_RELAX:
        if (!mx_relax_over(t)) {
            t->spins_left--;
            t->history = mx_mix(t->history, MX_OP_RELAX);
        }
        t->read_count = 0;
        break;
    case MX_OP_HEAVY_BEGIN:
        mx_step_heavy(t);
        mx_trace(thread, op, false, 0);
        break;
    case MX_OP_RETIRE:
        mx_range_retire((uintptr_t)op->expected, (size_t)op->operand);
        t->history = mx_mix(t->history, op->expected);
        mx_trace(thread, op, false, 0);
        break;
    case MX_OP_CHOOSE:
        t->history = mx_mix(t->history, op->result);
        mx_trace(thread, op, false, 0);
        break;
    default:
        mx_trace(thread, op, false, 0);
        break;
    }
}

#endif
