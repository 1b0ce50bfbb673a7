/* SPDX-License-Identifier: MIT */
/* The transitions: what is possible at a state, what commutes, what is done at once. */
#ifndef WEFT_MODEL_TRANSITION_H
#define WEFT_MODEL_TRANSITION_H

struct mx_effect {
    enum mx_op_kind kind;
    const struct mx_loc *loc;
    bool is_write;
};

/* What a transition that is possible now does to memory. */
static struct mx_effect mx_effect_of(uint32_t id)
{
    const struct mx_thread *t = &mx.threads[id / MX_ID_BITS];
    if (id % MX_ID_BITS == 0) {
        return (struct mx_effect){t->op.kind, t->op.loc, t->op.kind != MX_OP_LOAD};
    }
    for (uint32_t k = 0; k < t->count; k++) {
        if (t->buffer[k].seq % (MX_ID_BITS - 1) == id % MX_ID_BITS - 1) {
            return (struct mx_effect){MX_OP_DRAIN, t->buffer[k].loc, true};
        }
    }
    return (struct mx_effect){MX_OP_HEAVY_BEGIN, NULL, true}; /* cannot be; depends on everything */
}

static bool mx_commute(uint32_t a, uint32_t b)
{
    struct mx_effect x = mx_effect_of(a);
    struct mx_effect y = mx_effect_of(b);
    bool steps_of_one =
        a / MX_ID_BITS == b / MX_ID_BITS && a % MX_ID_BITS == 0 && b % MX_ID_BITS == 0;
    if (steps_of_one || x.loc == NULL || y.loc == NULL) {
        return false; /* heavy barriers and spins depend on everything */
    }
    return x.loc != y.loc || (!x.is_write && !y.is_write);
}

/* The part of a sleep set that is still asleep after a transition. */
static uint64_t mx_sleep_after(uint64_t sleep, uint32_t id)
{
    uint64_t left = 0;
    for (uint64_t rest = sleep; rest != 0; rest &= rest - 1) {
        uint32_t other = (uint32_t)__builtin_ctzll(rest);
        if (mx_commute(other, id)) {
            left |= mx_id_bit(other);
        }
    }
    return left;
}

static void mx_transition(uint32_t id)
{
    int thread = (int)(id / MX_ID_BITS);
    struct mx_thread *t = &mx.threads[thread];
    if (id % MX_ID_BITS == 0) {
        if (mxs.last >= 0 && mxs.last != thread && mx_thread_enabled(mxs.last)) {
            mxs.preemptions_left--;
        }
        mxs.last = thread;
        mx_thread_step(thread);
        t->settled_seq = t->next_seq;
        mx_thread_resume(thread);
        return;
    }
    for (uint32_t k = 0; k < t->count; k++) {
        if (mx_id_drain(thread, &t->buffer[k]) == id) {
            mx_entry_drain(thread, k);
            return;
        }
    }
}

static uint64_t mx_transitions_possible(void)
{
    uint64_t possible = 0;
    for (int i = 0; i < mx.thread_count; i++) {
        const struct mx_thread *t = &mx.threads[i];
        if (mx_thread_enabled(i)) {
            possible |= mx_id_bit(mx_id_step(i));
        }
        for (uint32_t k = 0; k < t->count; k++) {
            if (mx_entry_ready(t, i, k)) {
                possible |= mx_id_bit(mx_id_drain(i, &t->buffer[k]));
            }
        }
    }
    return possible;
}

/* Without those that need a preemption when none is left. */
static uint64_t mx_transitions_affordable(uint64_t possible)
{
    if (mx.scenario->preemptions_max == 0 || mxs.preemptions_left != 0 || mxs.last < 0 ||
        !mx_thread_enabled(mxs.last)) {
        return possible;
    }
    for (int i = 0; i < mx.thread_count; i++) {
        if (i != mxs.last) {
            possible &= ~mx_id_bit(mx_id_step(i));
        }
    }
    return possible;
}

/* Do what commutes with everything: one such thing; false when there is none. */
static bool mx_settle_one(void)
{
    for (int i = 0; i < mx.thread_count; i++) {
        const struct mx_thread *t = &mx.threads[i];
        if (mx_thread_enabled(i) && mx_thread_local_step(i)) {
            mx_thread_step(i);
            mx_thread_resume(i);
            return true;
        }
        for (uint32_t k = 0; k < t->count; k++) {
            if (!mx_loc_shared(t->buffer[k].loc) && mx_entry_ready(t, i, k) &&
                !mx.scenario->unreduced) {
                mx_entry_drain(i, k);
                return true;
            }
        }
    }
    return false;
}

#endif
