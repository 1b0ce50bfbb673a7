/* SPDX-License-Identifier: MIT */
/* The state of the search, and the states that are known. */
#ifndef WEFT_MODEL_KNOWN_H
#define WEFT_MODEL_KNOWN_H

enum { ID_BITS = 16, OPTIONS_MAX = 64 };

/* Transition id: thread * 16 for its step, + 1 + seq % 15 for the drain of that entry. */
static uint32_t id_step(int thread)
{
    return (uint32_t)thread * ID_BITS;
}

static uint32_t id_drain(int thread, const struct entry *e)
{
    return (uint32_t)thread * ID_BITS + 1 + e->seq % (ID_BITS - 1);
}

static uint64_t id_bit(uint32_t id)
{
    return UINT64_C(1) << id;
}

struct node {
    uint64_t sleep;
    uint8_t options[OPTIONS_MAX];
    uint8_t count;
    uint8_t index;
    bool is_choice; /* of model_choose */
};

struct known {
    uint64_t hash; /* 0: free */
    uint64_t sleep;
};

enum outcome { OUTCOME_DONE, OUTCOME_CUT, OUTCOME_FAILED };

static struct {
    struct node *nodes;
    size_t node_count;
    size_t node_room;
    size_t depth; /* nodes passed in this execution */
    struct known *known;
    size_t known_count;
    size_t known_room;
    uint64_t sleep;
    int last; /* thread that made the last step, or -1 */
    uint32_t preemptions_left;
    uint64_t executions;
} s;

static struct known *known_slot(uint64_t hash)
{
    size_t i = (size_t)hash & (s.known_room - 1);
    while (s.known[i].hash != 0 && s.known[i].hash != hash) {
        i = (i + 1) & (s.known_room - 1);
    }
    return &s.known[i];
}

static void *must(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "model: out of memory\n");
        abort();
    }
    return memory;
}

static struct known *known_get(uint64_t hash)
{
    if (s.known_count * 2 >= s.known_room) {
        struct known *old = s.known;
        size_t old_room = s.known_room;
        s.known_room = old_room != 0 ? old_room * 2 : 1024;
        s.known = must((calloc)(s.known_room, sizeof(*s.known)));
        for (size_t i = 0; i < old_room; i++) {
            if (old[i].hash != 0) {
                *known_slot(old[i].hash) = old[i];
            }
        }
        (free)(old);
    }
    return known_slot(hash);
}

static void known_clear(void)
{
    (free)(s.known);
    s.known = NULL;
    s.known_room = 0;
    s.known_count = 0;
}

static uint64_t state_hash(void)
{
    uint64_t h = mix(0x77656674, m.memory_hash);
    for (int i = 0; i < m.thread_count; i++) {
        const struct thread *t = &m.threads[i];
        h = mix(h, t->history);
        h = mix(h, t->count);
        for (uint32_t k = 0; k < t->count; k++) {
            h = mix(mix(h, t->buffer[k].loc->addr), t->buffer[k].version);
        }
        for (int j = 0; j < m.thread_count && t->op.kind == OP_HEAVY_END; j++) {
            h = mix(h, t->mark[j]);
        }
    }
    if (m.scenario->preemptions_max != 0) {
        h = mix(mix(h, (uint64_t)(s.last + 1)), s.preemptions_left);
    }
    return h | 1;
}

#endif
