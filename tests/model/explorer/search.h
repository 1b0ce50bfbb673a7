/* SPDX-License-Identifier: MIT */
/*
 * The search: depth first over the decisions, each execution run from the start.
 *
 * A transition is the step of a thread or the drain of a buffer entry. Where more than one is
 * possible there is a node, with the transitions still to be tried. Three things keep it small.
 *
 *   Known states. A node's state is hashed (histories, buffers, memory, marks, what was read
 *   since the last cpu_relax); an execution that comes to a known one is cut.
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
static bool mx_search_advance(void)
{
    while (mxs.node_count > 0) {
        struct mx_node *node = &mxs.nodes[mxs.node_count - 1];
        if (!node->is_choice) {
            node->sleep |= mx_id_bit(node->options[node->index]);
        }
        if (++node->index < node->count) {
            return true;
        }
        mxs.node_count--;
    }
    return false;
}

static void mx_search_begin(const struct model_scenario *scenario)
{
    uint32_t execution = mx.execution; /* what older executions left behind stays invalid */
    memset(&mx, 0, sizeof(mx));
    mx.execution = execution;
    mx.scenario = scenario;
    mx.buffer_max = scenario->buffer_max != 0 ? scenario->buffer_max : MX_BUFFER_DEFAULT;
    mx.depth_max = scenario->depth_max != 0 ? scenario->depth_max : MX_DEPTH_DEFAULT;
    if (mx.buffer_max > MX_BUFFER_MAX) {
        mx.buffer_max = MX_BUFFER_MAX;
    }
    if (mx.depth_max > MX_DEPTH_MAX) {
        mx.depth_max = MX_DEPTH_MAX;
    }
    while (mx.thread_count < MODEL_THREADS_MAX && scenario->threads[mx.thread_count] != NULL) {
        mx.thread_count++;
    }
    mxs.node_count = 0;
    mxs.executions = 0;
    mx_known_clear();
}

struct model_result model_explore(const struct model_scenario *scenario)
{
#ifdef MODEL_TSAN
    printf("skipped: the explorer's switches of stack are unknown to ThreadSanitizer\n");
    exit(77);
#endif
    mx_search_begin(scenario);
    bool more = true;
    while (more) {
        enum mx_outcome outcome = mx_run_execution();
        mxs.executions++;
        if (outcome == MX_OUTCOME_FAILED) {
            break;
        }
        if (scenario->executions_max != 0 && mxs.executions > scenario->executions_max) {
            mx.failed = true;
            snprintf(mx.rule, sizeof(mx.rule), "more than %llu executions (executions_max)",
                     (unsigned long long)scenario->executions_max);
            break;
        }
        if (mx.must_restart) {
            mx.must_restart = false;
            mxs.node_count = 0;
            mx_known_clear();
            continue;
        }
        more = mx_search_advance();
    }
    struct model_result result = {
        .failed = mx.failed, .executions = mxs.executions, .states = mxs.known_count};
    snprintf(result.rule, sizeof(result.rule), "%s", mx.rule);
    mxs.node_count = 0;
    mx_known_clear();
    (free)(mxs.nodes);
    mxs.nodes = NULL;
    mxs.node_room = 0;
    return result;
}

#endif
