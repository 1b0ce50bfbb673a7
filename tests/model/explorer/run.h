/* SPDX-License-Identifier: MIT */
/* One execution: the decisions known already, then new ones. */
#ifndef WEFT_MODEL_RUN_H
#define WEFT_MODEL_RUN_H

static struct mx_node *mx_node_add(void)
{
    if (mxs.node_count == mxs.node_room) {
        mxs.node_room = mxs.node_room != 0 ? mxs.node_room * 2 : 256;
        mxs.nodes = mx_must(realloc(mxs.nodes, mxs.node_room * sizeof(*mxs.nodes)));
    }
    struct mx_node *node = &mxs.nodes[mxs.node_count++];
    mxs.depth = mxs.node_count;
    *node = (struct mx_node){.sleep = mxs.sleep};
    return node;
}

static void mx_node_fill(struct mx_node *node, uint64_t options)
{
    for (uint64_t rest = options; rest != 0; rest &= rest - 1) {
        node->options[node->count++] = (uint8_t)__builtin_ctzll(rest);
    }
}

/* A thread stands in model_choose: give it an answer. */
static void mx_run_choice(int thread)
{
    struct mx_op *op = &mx.threads[thread].op;
    struct mx_node *node;
    if (mxs.depth < mxs.node_count) {
        node = &mxs.nodes[mxs.depth++];
    } else {
        node = mx_node_add();
        node->is_choice = true;
        for (uint8_t i = 0; i < op->operand; i++) {
            node->options[node->count++] = i;
        }
    }
    op->result = node->options[node->index];
    mx_thread_step(thread);
    mx_thread_resume(thread);
}

static int mx_choosing_thread(void)
{
    for (int i = 0; i < mx.thread_count; i++) {
        if (!mx.threads[i].ended && mx.threads[i].op.kind == MX_OP_CHOOSE) {
            return i;
        }
    }
    return -1;
}

/* Which of the possible transitions have to be tried at this state; 0 when it is done with. */
static uint64_t mx_node_options(uint64_t possible)
{
    struct mx_known *known = mx_known_get(mx_state_hash());
    uint64_t options = possible & ~mxs.sleep;
    if (mx.scenario->unreduced) {
        return options;
    }
    if (known->hash != 0) {
        options &= known->sleep;
        mxs.sleep &= known->sleep;
    } else {
        known->hash = mx_state_hash();
        mxs.known_count++;
    }
    known->sleep = mxs.sleep;
    return options;
}

/* Make the next transition. Returns false when nothing new can come of this execution. */
static bool mx_run_transition(uint64_t possible)
{
    if ((possible & (possible - 1)) == 0) {
        if ((possible & mxs.sleep) != 0) {
            return false;
        }
        uint32_t id = (uint32_t)__builtin_ctzll(possible);
        mxs.sleep = mx_sleep_after(mxs.sleep, id);
        mx_transition(id);
        return true;
    }
    struct mx_node *node;
    if (mxs.depth < mxs.node_count) {
        node = &mxs.nodes[mxs.depth++];
    } else {
        uint64_t options = (possible & ~mxs.sleep) != 0 ? mx_node_options(possible) : 0;
        if (options == 0) {
            return false;
        }
        node = mx_node_add();
        mx_node_fill(node, options);
    }
    uint32_t id = node->options[node->index];
    bool may_sleep = mx.scenario->preemptions_max == 0 && !mx.scenario->unreduced;
    mxs.sleep = may_sleep ? mx_sleep_after(node->sleep, id) : 0;
    mx_transition(id);
    return true;
}

/* Nothing is possible: the end, or a deadlock. */
static enum mx_outcome mx_run_end(void)
{
    char where[200] = "";
    size_t length = 0;
    for (int i = 0; i < mx.thread_count; i++) {
        const struct mx_thread *t = &mx.threads[i];
        if (!t->ended && length < sizeof(where)) {
            const struct model_place *place = &t->op.place;
            const char *slash = strrchr(place->file, '/');
            length +=
                (size_t)snprintf(where + length, sizeof(where) - length, "; T%d at %s (%s:%d)", i,
                                 place->text, slash != NULL ? slash + 1 : place->file, place->line);
        }
    }
    if (length != 0) {
        model_fail("deadlock%s", where);
    }
    if (mx.scenario->check != NULL) {
        mx.scenario->check();
    }
    return MX_OUTCOME_DONE;
}

static void mx_run_begin(void)
{
    mx.execution++;
    mx.current = -1;
    mx.memory_hash = 0;
    mx.retired_count = 0;
    mx.event_count = 0;
    mx.step_count = 0;
    memset(mx.arena_used, 0, sizeof(mx.arena_used));
    mxs.depth = 0;
    mxs.sleep = 0;
    mxs.last = -1;
    mxs.preemptions_left = mx.scenario->preemptions_max;
    if (mx.scenario->setup != NULL) {
        mx.scenario->setup();
    }
    for (int i = 0; i < mx.thread_count; i++) {
        struct mx_thread *t = &mx.threads[i];
        t->ended = false;
        t->history = mx_mix(1, (uint64_t)i);
        t->clock = (struct mx_clock){{0}};
        t->count = 0;
        t->next_seq = 0;
        t->settled_seq = 0;
        t->read_count = 0;
        t->spins_left = mx.scenario->spins;
        mx_fiber_forget(i);
        mx_fiber_init(i);
    }
    for (int i = 0; i < mx.thread_count && !mx.failed; i++) {
        mx_thread_resume(i);
    }
}

static enum mx_outcome mx_run_execution(void)
{
    if (setjmp(mx.failed_outside) != 0) {
        return MX_OUTCOME_FAILED;
    }
    mx_run_begin();
    for (;;) {
        while (!mx.failed && mx_settle_one()) {
        }
        if (mx.failed) {
            return MX_OUTCOME_FAILED;
        }
        int chooser = mx_choosing_thread();
        if (chooser >= 0) {
            mx_run_choice(chooser);
            continue;
        }
        uint64_t possible = mx_transitions_affordable(mx_transitions_possible());
        if (possible == 0) {
            return mx_run_end();
        }
        if (!mx_run_transition(possible)) {
            return MX_OUTCOME_CUT;
        }
    }
}

#endif
