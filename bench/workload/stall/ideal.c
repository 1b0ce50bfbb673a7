/* SPDX-License-Identifier: MIT */
/*
 * Question: what could the neighbours of a stalled request hope for at best?
 *
 * Nothing is run: the plan of the stall workload is followed through a queue with --workers ideal
 * servers. Whoever is free takes the request that came first, out of one queue, at no cost; each
 * takes --service-us, one that stalls its --stall-ms on top. Requests of one connection are
 * answered in their order, so one waits while the one before it is worked on, wherever that is.
 *
 * What it does not show: a server that takes the processor from a request in the middle of its
 * work; that could do better. Nor the load's own share of the cores, which no real run is spared.
 */
#include "plan.h"

#define NOBODY UINT32_MAX

struct ideal {
    const struct plan_options *options;
    struct plan plan;
    bool *is_ready;      /* of each request: it has come, and is the first of its connection */
    uint32_t ready_from; /* no request before this is ready */
    uint32_t arrived;
    uint32_t *working; /* of each server: the request, or NOBODY */
    int64_t *free_ns;  /* of each server: when it will have ended that */
};

/* The request that came first of those that may be taken, or PLAN_NONE. */
static uint32_t ready_take(struct ideal *s)
{
    uint32_t found = s->ready_from;
    while (found < s->arrived && !s->is_ready[found]) {
        found++;
    }
    if (found == s->arrived) {
        return PLAN_NONE;
    }
    s->is_ready[found] = false;
    return found;
}

/* Let every idle server begin what it can at this moment. */
static void begin_all(struct ideal *s, int64_t now_ns)
{
    for (unsigned w = 0; w < s->options->workers; w++) {
        uint32_t i = s->working[w] == NOBODY ? ready_take(s) : PLAN_NONE;
        if (i != PLAN_NONE) {
            double us = s->options->service_us +
                        (s->plan.requests[i].is_stall ? s->options->stall_ms * 1e3 : 0);
            s->working[w] = i;
            s->free_ns[w] = now_ns + (int64_t)(us * 1e3);
        }
    }
}

/* A server has ended its request: the next of that connection may come, if it is there. */
static void end(struct ideal *s, unsigned w)
{
    struct plan_request *r = &s->plan.requests[s->working[w]];
    r->done_ns = s->free_ns[w];
    s->plan.first[r->connection] = r->next;
    if (r->next != PLAN_NONE && r->next < s->arrived) {
        s->is_ready[r->next] = true;
    }
    s->working[w] = NOBODY;
    while (s->ready_from < s->arrived && s->plan.requests[s->ready_from].done_ns >= 0) {
        s->ready_from++;
    }
}

static void arrive(struct ideal *s)
{
    uint32_t i = s->arrived++;
    s->is_ready[i] = s->plan.first[s->plan.requests[i].connection] == i;
}

/* The server that ends next, or NOBODY. */
static unsigned next_end(const struct ideal *s)
{
    unsigned best = NOBODY;
    for (unsigned w = 0; w < s->options->workers; w++) {
        if (s->working[w] != NOBODY && (best == NOBODY || s->free_ns[w] < s->free_ns[best])) {
            best = w;
        }
    }
    return best;
}

static void simulate(struct ideal *s)
{
    for (;;) {
        unsigned w = next_end(s);
        bool is_more = s->arrived < s->plan.count;
        int64_t now_ns;
        if (w == NOBODY && !is_more) {
            return;
        }
        if (w == NOBODY || (is_more && s->plan.requests[s->arrived].due_ns <= s->free_ns[w])) {
            now_ns = s->plan.requests[s->arrived].due_ns;
            arrive(s);
        } else {
            now_ns = s->free_ns[w];
            end(s, w);
        }
        begin_all(s, now_ns);
    }
}

int main(int argc, char **argv)
{
    struct plan_options o = plan_defaults();
    plan_parse(&o, argc, argv, "Simulate the stall workload on ideal servers.");
    struct ideal s = {.options = &o, .plan = plan_make(&o)};
    s.is_ready = calloc(s.plan.count + 1, sizeof *s.is_ready);
    s.working = malloc(o.workers * sizeof *s.working);
    s.free_ns = calloc(o.workers, sizeof *s.free_ns);
    if (s.is_ready == NULL || s.working == NULL || s.free_ns == NULL) {
        errx(1, "no memory");
    }
    for (unsigned w = 0; w < o.workers; w++) {
        s.working[w] = NOBODY;
    }
    simulate(&s);
    printf("{");
    plan_print_latencies(&s.plan, "others", false);
    printf(", ");
    plan_print_latencies(&s.plan, "stalled", true);
    printf(", \"throughput\": %.1f, \"cpu_us_per_request\": %.3f}\n", o.rate, o.service_us);
    return 0;
}
