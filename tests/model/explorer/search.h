/* SPDX-License-Identifier: MIT */
/*
 * The search: depth first over the decisions, each execution run from the start.
 *
 * A transition is the step of a thread or the drain of a buffer entry. Where more than one is
 * possible there is a node, with the transitions still to be tried. Three things keep it small.
 *
 *   Known states. A node's state is hashed (histories, buffers, memory, marks); an execution that
 *   comes to a known one is cut.
 *   Sleep sets. After transition a was tried at a node, trying b there need not be followed by a at
 *   once if the two commute: a sleeps in b's branch until something dependent on it is done. Both
 *   together as in P. Godefroid, Partial-Order Methods for the Verification of Concurrent Systems
 *   (1996), 5.2: a known state keeps the sleep set that it was explored with, and if it is
 *   reached with a smaller one the difference is explored.
 *   Local steps. Accesses to a location that one thread alone uses are made at once. That it is so
 *   is a guess: when a second user shows up the search starts again with what has been learnt.
 *
 * With a bound on preemptions there are no sleep sets, and the state includes who ran last and what
 * is left of the bound.
 */
#ifndef WEFT_MODEL_SEARCH_H
#define WEFT_MODEL_SEARCH_H

/* Go to the next decision that has not been tried. Returns false when there is none. */
static bool search_advance(void)
{
    while (s.node_count > 0) {
        struct node *node = &s.nodes[s.node_count - 1];
        if (!node->is_choice) {
            node->sleep |= id_bit(node->options[node->index]);
        }
        if (++node->index < node->count) {
            return true;
        }
        s.node_count--;
    }
    return false;
}

static void search_begin(const struct model_scenario *scenario)
{
    uint32_t execution = m.execution; /* what older executions left behind stays invalid */
    memset(&m, 0, sizeof(m));
    m.execution = execution;
    m.scenario = scenario;
    m.buffer_max = scenario->buffer_max != 0 ? scenario->buffer_max : BUFFER_DEFAULT;
    m.depth_max = scenario->depth_max != 0 ? scenario->depth_max : DEPTH_DEFAULT;
    if (m.buffer_max > BUFFER_MAX) {
        m.buffer_max = BUFFER_MAX;
    }
    if (m.depth_max > DEPTH_MAX) {
        m.depth_max = DEPTH_MAX;
    }
    while (m.thread_count < MODEL_THREADS_MAX && scenario->threads[m.thread_count] != NULL) {
        m.thread_count++;
    }
    s.node_count = 0;
    s.executions = 0;
    known_clear();
}

struct model_result model_explore(const struct model_scenario *scenario)
{
#ifdef MODEL_TSAN
    printf("skipped: the explorer's switches of stack are unknown to ThreadSanitizer\n");
    exit(77);
#endif
    search_begin(scenario);
    bool more = true;
    while (more) {
        enum outcome outcome = run_execution();
        s.executions++;
        if (outcome == OUTCOME_FAILED) {
            break;
        }
        if (scenario->executions_max != 0 && s.executions > scenario->executions_max) {
            m.failed = true;
            snprintf(m.rule, sizeof(m.rule), "more than %llu executions (executions_max)",
                     (unsigned long long)scenario->executions_max);
            break;
        }
        if (m.must_restart) {
            m.must_restart = false;
            s.node_count = 0;
            known_clear();
            continue;
        }
        more = search_advance();
    }
    struct model_result result = {
        .failed = m.failed, .executions = s.executions, .states = s.known_count};
    snprintf(result.rule, sizeof(result.rule), "%s", m.rule);
    s.node_count = 0;
    known_clear();
    (free)(s.nodes);
    s.nodes = NULL;
    s.node_room = 0;
    return result;
}

#endif
