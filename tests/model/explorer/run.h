/* SPDX-License-Identifier: MIT */
/* One execution: the decisions known already, then new ones. */
#ifndef WEFT_MODEL_RUN_H
#define WEFT_MODEL_RUN_H

static struct node *node_add(void)
{
    if (s.node_count == s.node_room) {
        s.node_room = s.node_room != 0 ? s.node_room * 2 : 256;
        s.nodes = must(realloc(s.nodes, s.node_room * sizeof(*s.nodes)));
    }
    struct node *node = &s.nodes[s.node_count++];
    s.depth = s.node_count;
    *node = (struct node){.sleep = s.sleep};
    return node;
}

static void node_fill(struct node *node, uint64_t options)
{
    for (uint64_t rest = options; rest != 0; rest &= rest - 1) {
        node->options[node->count++] = (uint8_t)__builtin_ctzll(rest);
    }
}

/* A thread stands in model_choose: give it an answer. */
static void run_choice(int thread)
{
    struct op *op = &m.threads[thread].op;
    struct node *node;
    if (s.depth < s.node_count) {
        node = &s.nodes[s.depth++];
    } else {
        node = node_add();
        node->is_choice = true;
        for (uint8_t i = 0; i < op->operand; i++) {
            node->options[node->count++] = i;
        }
    }
    op->result = node->options[node->index];
    thread_step(thread);
    thread_resume(thread);
}

static int choosing_thread(void)
{
    for (int i = 0; i < m.thread_count; i++) {
        if (!m.threads[i].ended && m.threads[i].op.kind == OP_CHOOSE) {
            return i;
        }
    }
    return -1;
}

/* Which of the possible transitions have to be tried at this state; 0 when it is done with. */
static uint64_t node_options(uint64_t possible)
{
    struct known *known = known_get(state_hash());
    uint64_t options = possible & ~s.sleep;
    if (m.scenario->unreduced) {
        return options;
    }
    if (known->hash != 0) {
        options &= known->sleep;
        s.sleep &= known->sleep;
    } else {
        known->hash = state_hash();
        s.known_count++;
    }
    known->sleep = s.sleep;
    return options;
}

/* Make the next transition. Returns false when nothing new can come of this execution. */
static bool run_transition(uint64_t possible)
{
    if ((possible & (possible - 1)) == 0) {
        if ((possible & s.sleep) != 0) {
            return false;
        }
        uint32_t id = (uint32_t)__builtin_ctzll(possible);
        s.sleep = sleep_after(s.sleep, id);
        transition(id);
        return true;
    }
    struct node *node;
    if (s.depth < s.node_count) {
        node = &s.nodes[s.depth++];
    } else {
        uint64_t options = (possible & ~s.sleep) != 0 ? node_options(possible) : 0;
        if (options == 0) {
            return false;
        }
        node = node_add();
        node_fill(node, options);
    }
    uint32_t id = node->options[node->index];
    bool may_sleep = m.scenario->preemptions_max == 0 && !m.scenario->unreduced;
    s.sleep = may_sleep ? sleep_after(node->sleep, id) : 0;
    transition(id);
    return true;
}

/* Nothing is possible: the end, or a deadlock. */
static enum outcome run_end(void)
{
    char where[200] = "";
    size_t length = 0;
    for (int i = 0; i < m.thread_count; i++) {
        const struct thread *t = &m.threads[i];
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
    if (m.scenario->check != NULL) {
        m.scenario->check();
    }
    return OUTCOME_DONE;
}

static void run_begin(void)
{
    m.execution++;
    m.current = -1;
    m.memory_hash = 0;
    m.retired_count = 0;
    m.event_count = 0;
    m.step_count = 0;
    memset(m.arena_used, 0, sizeof(m.arena_used));
    s.depth = 0;
    s.sleep = 0;
    s.last = -1;
    s.preemptions_left = m.scenario->preemptions_max;
    if (m.scenario->setup != NULL) {
        m.scenario->setup();
    }
    for (int i = 0; i < m.thread_count; i++) {
        struct thread *t = &m.threads[i];
        t->ended = false;
        t->history = mix(1, (uint64_t)i);
        t->clock = (struct clock){{0}};
        t->count = 0;
        t->next_seq = 0;
        t->read_count = 0;
        t->spins_left = m.scenario->spins;
        fiber_forget(i);
        fiber_init(i);
    }
    for (int i = 0; i < m.thread_count && !m.failed; i++) {
        thread_resume(i);
    }
}

static enum outcome run_execution(void)
{
    if (setjmp(m.failed_outside) != 0) {
        return OUTCOME_FAILED;
    }
    run_begin();
    for (;;) {
        while (!m.failed && settle_one()) {
        }
        if (m.failed) {
            return OUTCOME_FAILED;
        }
        int chooser = choosing_thread();
        if (chooser >= 0) {
            run_choice(chooser);
            continue;
        }
        uint64_t possible = transitions_affordable(transitions_possible());
        if (possible == 0) {
            return run_end();
        }
        if (!run_transition(possible)) {
            return OUTCOME_CUT;
        }
    }
}

#endif
