/* SPDX-License-Identifier: MIT */
/* The state of the search, and the states that are known. */
#ifndef WEFT_MODEL_KNOWN_H
#define WEFT_MODEL_KNOWN_H

enum { MX_ID_BITS = 16, MX_OPTIONS_MAX = 64 };

/* Transition id: thread * 16 for its step, + 1 + seq % 15 for the drain of that entry. */
static uint32_t mx_id_step(int thread)
{
    return (uint32_t)thread * MX_ID_BITS;
}

static uint32_t mx_id_drain(int thread, const struct mx_entry *e)
{
    return (uint32_t)thread * MX_ID_BITS + 1 + e->seq % (MX_ID_BITS - 1);
}

static uint64_t mx_id_bit(uint32_t id)
{
    return UINT64_C(1) << id;
}

struct mx_node {
    uint64_t sleep;
    uint8_t options[MX_OPTIONS_MAX];
    uint8_t count;
    uint8_t index;
    bool is_choice; /* of model_choose */
};

struct mx_known {
    uint64_t hash; /* 0: free */
    uint64_t sleep;
};

enum mx_outcome { MX_OUTCOME_DONE, MX_OUTCOME_CUT, MX_OUTCOME_FAILED };

static struct {
    struct mx_node *nodes;
    size_t node_count;
    size_t node_room;
    size_t depth; /* nodes passed in this execution */
    struct mx_known *known;
    size_t known_count;
    size_t known_room;
    uint64_t sleep;
    int last; /* thread that made the last step, or -1 */
    uint32_t preemptions_left;
    uint64_t executions;
} mxs;

static struct mx_known *mx_known_slot(uint64_t hash)
{
    size_t i = (size_t)hash & (mxs.known_room - 1);
    while (mxs.known[i].hash != 0 && mxs.known[i].hash != hash) {
        i = (i + 1) & (mxs.known_room - 1);
    }
    return &mxs.known[i];
}

static void *mx_must(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "model: out of memory\n");
        abort();
    }
    return memory;
}

static struct mx_known *mx_known_get(uint64_t hash)
{
    if (mxs.known_count * 2 >= mxs.known_room) {
        struct mx_known *old = mxs.known;
        size_t old_room = mxs.known_room;
        mxs.known_room = old_room != 0 ? old_room * 2 : 1024;
        mxs.known = mx_must((calloc)(mxs.known_room, sizeof(*mxs.known)));
        for (size_t i = 0; i < old_room; i++) {
            if (old[i].hash != 0) {
                *mx_known_slot(old[i].hash) = old[i];
            }
        }
        (free)(old);
    }
    return mx_known_slot(hash);
}

static void mx_known_clear(void)
{
    (free)(mxs.known);
    mxs.known = NULL;
    mxs.known_room = 0;
    mxs.known_count = 0;
}

/*
 * Whether a thread may go on at its next cpu_relax: that is not told by its history alone, since a
 * wait that goes round is at the same point again, with less that it has read since. Two such
 * states taken for one make the search go in a circle: each sleep set counts on the other's visit.
 */
static uint64_t mx_relax_hash(const struct mx_thread *t, uint64_t h)
{
    h = mx_mix(mx_mix(h, t->op.kind == MX_OP_RELAX), t->spins_left);
    for (uint32_t i = 0; i < t->read_count; i++) {
        h = mx_mix(mx_mix(h, t->reads[i].loc->addr), t->reads[i].value);
    }
    return h;
}

static uint64_t mx_state_hash(void)
{
    uint64_t h = mx_mix(0x77656674, mx.memory_hash);
    for (int i = 0; i < mx.thread_count; i++) {
        const struct mx_thread *t = &mx.threads[i];
        h = mx_relax_hash(t, mx_mix(h, t->history));
        h = mx_mix(h, t->count);
        for (uint32_t k = 0; k < t->count; k++) {
            h = mx_mix(mx_mix(h, t->buffer[k].loc->addr), t->buffer[k].version);
        }
        for (int j = 0; j < mx.thread_count && t->op.kind == MX_OP_HEAVY_END; j++) {
            h = mx_mix(h, t->mark[j]);
        }
    }
    if (mx.scenario->preemptions_max != 0) {
        h = mx_mix(mx_mix(h, (uint64_t)(mxs.last + 1)), mxs.preemptions_left);
    }
    return h | 1;
}

#endif
