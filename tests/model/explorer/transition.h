/* SPDX-License-Identifier: MIT */
/* The transitions: what is possible at a state, what commutes, what is done at once. */
#ifndef WEFT_MODEL_TRANSITION_H
#define WEFT_MODEL_TRANSITION_H

struct effect {
    enum op_kind kind;
    const struct loc *loc;
    bool is_write;
};

/* What a transition that is possible now does to memory. */
static struct effect effect_of(uint32_t id)
{
    const struct thread *t = &m.threads[id / ID_BITS];
    if (id % ID_BITS == 0) {
        return (struct effect){t->op.kind, t->op.loc, t->op.kind != OP_LOAD};
    }
    for (uint32_t k = 0; k < t->count; k++) {
        if (t->buffer[k].seq % (ID_BITS - 1) == id % ID_BITS - 1) {
            return (struct effect){OP_DRAIN, t->buffer[k].loc, true};
        }
    }
    return (struct effect){OP_HEAVY_BEGIN, NULL, true}; /* cannot be; depends on everything */
}

static bool commute(uint32_t a, uint32_t b)
{
    struct effect x = effect_of(a);
    struct effect y = effect_of(b);
    bool steps_of_one = a / ID_BITS == b / ID_BITS && a % ID_BITS == 0 && b % ID_BITS == 0;
    if (steps_of_one || x.loc == NULL || y.loc == NULL) {
        return false; /* heavy barriers and spins depend on everything */
    }
    return x.loc != y.loc || (!x.is_write && !y.is_write);
}

/* The part of a sleep set that is still asleep after a transition. */
static uint64_t sleep_after(uint64_t sleep, uint32_t id)
{
    uint64_t left = 0;
    for (uint64_t rest = sleep; rest != 0; rest &= rest - 1) {
        uint32_t other = (uint32_t)__builtin_ctzll(rest);
        if (commute(other, id)) {
            left |= id_bit(other);
        }
    }
    return left;
}

static void transition(uint32_t id)
{
    int thread = (int)(id / ID_BITS);
    struct thread *t = &m.threads[thread];
    if (id % ID_BITS == 0) {
        if (s.last >= 0 && s.last != thread && thread_enabled(s.last)) {
            s.preemptions_left--;
        }
        s.last = thread;
        thread_step(thread);
        thread_resume(thread);
        return;
    }
    for (uint32_t k = 0; k < t->count; k++) {
        if (id_drain(thread, &t->buffer[k]) == id) {
            entry_drain(thread, k);
            return;
        }
    }
}

static uint64_t transitions_possible(void)
{
    uint64_t possible = 0;
    for (int i = 0; i < m.thread_count; i++) {
        const struct thread *t = &m.threads[i];
        if (thread_enabled(i)) {
            possible |= id_bit(id_step(i));
        }
        for (uint32_t k = 0; k < t->count; k++) {
            if (entry_ready(t, i, k)) {
                possible |= id_bit(id_drain(i, &t->buffer[k]));
            }
        }
    }
    return possible;
}

/* Without those that need a preemption when none is left. */
static uint64_t transitions_affordable(uint64_t possible)
{
    if (m.scenario->preemptions_max == 0 || s.preemptions_left != 0 || s.last < 0 ||
        !thread_enabled(s.last)) {
        return possible;
    }
    for (int i = 0; i < m.thread_count; i++) {
        if (i != s.last) {
            possible &= ~id_bit(id_step(i));
        }
    }
    return possible;
}

/* Do what commutes with everything: one such thing; false when there is none. */
static bool settle_one(void)
{
    for (int i = 0; i < m.thread_count; i++) {
        const struct thread *t = &m.threads[i];
        if (thread_enabled(i) && thread_local_step(i)) {
            thread_step(i);
            thread_resume(i);
            return true;
        }
        for (uint32_t k = 0; k < t->count; k++) {
            if (!loc_shared(t->buffer[k].loc) && entry_ready(t, i, k) && !m.scenario->unreduced) {
                entry_drain(i, k);
                return true;
            }
        }
    }
    return false;
}

#endif
