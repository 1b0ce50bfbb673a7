/* SPDX-License-Identifier: MIT */
/* What a step does. */
#ifndef WEFT_MODEL_STEP_H
#define WEFT_MODEL_STEP_H

/* What the thread would find at the location again, unless another one writes to it. */
static void note_read(struct thread *t, struct loc *loc, uint64_t value)
{
    uint32_t i = 0;
    while (i < t->read_count && t->reads[i].loc != loc) {
        i++;
    }
    if (i == READS_MAX) {
        model_fail("more than %d locations read between two cpu_relax()", READS_MAX);
    }
    t->reads[i] = (struct read){loc, value};
    t->read_count += i == t->read_count;
}

static uint64_t new_version(const struct thread *t, uint64_t value)
{
    return m.scenario->value_states ? mix(1, value) | 1 : t->history | 1;
}

static void step_load(struct thread *t)
{
    struct op *op = &t->op;
    const struct entry *e = buffer_find(t, op->loc);
    op->result = thread_peek(t, op->loc);
    note_read(t, op->loc, op->result);
    t->history = mix(mix(t->history, op->loc->addr), e != NULL ? e->version : op->loc->version);
    if (e == NULL && is_acquire(op->order)) {
        clock_join(&t->clock, &op->loc->clock);
    }
}

/* Write a value: to memory, or into the buffer. `clock` is what an acquire of it will bring. */
static void step_write(struct thread *t, int thread, uint64_t value, struct clock clock)
{
    struct op *op = &t->op;
    uint64_t version = new_version(t, value);
    note_read(t, op->loc, value);
    bool direct = store_is_direct(op->kind, op->order);
    if (direct) {
        loc_write(op->loc, value, version);
        op->loc->clock = clock;
    } else {
        t->buffer[t->count++] = (struct entry){.loc = op->loc,
                                               .value = value,
                                               .version = version,
                                               .seq = t->next_seq++,
                                               .is_release = is_release(op->order),
                                               .is_rmw = op->kind != OP_STORE,
                                               .clock = clock,
                                               .place = op->place};
        if (op->kind != OP_STORE) {
            op->loc->reserved_by = (uint8_t)(thread + 1);
        }
    }
    trace(thread, op, !direct, value);
}

static void step_store(struct thread *t, int thread)
{
    struct clock clock = {{0}};
    if (is_release(t->op.order)) {
        t->clock.at[thread]++;
        clock = t->clock;
    }
    t->history = mix(mix(t->history, t->op.loc->addr), t->op.operand);
    step_write(t, thread, t->op.operand, clock);
}

/* What an RMW writes; a CAS that succeeds is an exchange. */
static uint64_t rmw_value(enum model_rmw rmw, uint64_t was, uint64_t operand)
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
static void step_rmw(struct thread *t, int thread)
{
    struct op *op = &t->op;
    struct loc *loc = op->loc;
    step_load(t);
    op->succeeded = op->kind == OP_CAS && op->result == op->expected;
    t->history = mix(t->history, op->succeeded);
    if (op->kind == OP_CAS && !op->succeeded) {
        trace(thread, op, false, 0);
        return;
    }
    /* Whatever its order, an RMW continues the release sequence that it has read. */
    struct clock clock = loc->clock;
    if (is_release(op->order)) {
        t->clock.at[thread]++;
        clock_join(&clock, &t->clock);
    }
    uint64_t value = rmw_value(op->rmw, op->result, op->operand);
    step_write(t, thread, memory_truncate(value, loc->bytes), clock);
}

static void step_heavy(struct thread *t)
{
    for (int i = 0; i < m.thread_count; i++) {
        t->mark[i] = m.threads[i].next_seq;
    }
    t->history = mix(t->history, OP_HEAVY_BEGIN);
}

/* Make the step that the thread stands before; it is enabled. */
static void thread_step(int thread)
{
    struct thread *t = &m.threads[thread];
    struct op *op = &t->op;
    step_count();
    switch (op->kind) {
    case OP_LOAD:
        step_load(t);
        trace(thread, op, false, 0);
        break;
    case OP_STORE:
        step_store(t, thread);
        break;
    case OP_RMW:
    case OP_CAS:
        step_rmw(t, thread);
        break;
    case OP_RELAX:
        if (!relax_over(t)) {
            t->spins_left--;
            t->history = mix(t->history, OP_RELAX);
        }
        t->read_count = 0;
        break;
    case OP_HEAVY_BEGIN:
        step_heavy(t);
        trace(thread, op, false, 0);
        break;
    case OP_RETIRE:
        range_retire((uintptr_t)op->expected, (size_t)op->operand);
        t->history = mix(t->history, op->expected);
        trace(thread, op, false, 0);
        break;
    case OP_CHOOSE:
        t->history = mix(t->history, op->result);
        trace(thread, op, false, 0);
        break;
    default:
        trace(thread, op, false, 0);
        break;
    }
}

#endif
