/* SPDX-License-Identifier: MIT */
/*
 * What the stall workload sends when: the same for every server, and for the ideal one.
 *
 * Bursts of a few requests at a fixed rate. Which connection a request takes and whether it stalls
 * is drawn from a seeded generator, one by one: what arrives on a connection, and how stalls
 * cluster, is as random as with many independent users, and yet the same in each run. Or stalls are
 * as regular as clockwork (--stall-every-ms), all on the first connection, which is theirs alone.
 */
#ifndef WEFT_BENCH_PLAN_H
#define WEFT_BENCH_PLAN_H

#include <stdint.h>

#include "../echo/floor.h"
#include "../figures.h"

/* No request: the end of a connection's list. */
#define PLAN_NONE UINT32_MAX

/* What the command line asked for; some of it concerns the load alone, some the ideal alone. */
struct plan_options {
    unsigned short port;
    unsigned connections;
    unsigned workers;
    unsigned burst;
    double rate;
    double stall_percent;
    double stall_every_ms; /* 0: by chance */
    double stall_ms;
    double service_us;
    double seconds;
    double warmup;
    double late_us;
    uint64_t seed;
    int pid; /* 0: none */
    int cpu; /* -1: any */
};

struct plan_request {
    int64_t due_ns; /* from the beginning of the run */
    int64_t sent_ns;
    int64_t done_ns; /* -1: not answered */
    uint32_t connection;
    uint32_t next; /* on the same connection, or PLAN_NONE */
    bool is_stall;
};

struct plan {
    struct plan_request *requests;
    uint32_t *first; /* of each connection, or PLAN_NONE */
    uint32_t count;
    uint32_t measured_from; /* the first that is not warm-up */
};

static inline double plan_positive(const char *option, const char *text, double min)
{
    char *end = NULL;
    double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x >= min && x <= 1e9)) {
        errx(64, "%s takes a number of at least %g, not '%s'", option, min, text);
    }
    return x;
}

/* Returns whether the option was one of the plan's. */
static inline bool plan_option(struct plan_options *o, int key, const char *arg)
{
    switch (key) {
    case 'n':
        o->connections = (unsigned)floor_number("--connections", arg, 1, 100000);
        return true;
    case 'b':
        o->burst = (unsigned)floor_number("--burst", arg, 1, 100000);
        return true;
    case 'r':
        o->rate = plan_positive("--rate", arg, 1);
        return true;
    case 's':
        o->stall_percent = plan_positive("--stall-percent", arg, 0);
        return true;
    case 'e':
        o->stall_every_ms = plan_positive("--stall-every-ms", arg, 0);
        return true;
    case 'm':
        o->stall_ms = plan_positive("--stall-ms", arg, 0);
        return true;
    case 'd':
        o->seconds = plan_positive("--seconds", arg, 0.01);
        return true;
    case 'u':
        o->warmup = plan_positive("--warmup", arg, 0);
        return true;
    case 'S':
        o->seed = (uint64_t)floor_number("--seed", arg, 0, INT32_MAX);
        return true;
    default:
        return false;
    }
}

static inline void plan_parse(struct plan_options *o, int argc, char **argv, const char *what)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},     {"connections", required_argument, NULL, 'n'},
        {"workers", required_argument, NULL, 'w'},  {"burst", required_argument, NULL, 'b'},
        {"rate", required_argument, NULL, 'r'},     {"stall-percent", required_argument, NULL, 's'},
        {"stall-ms", required_argument, NULL, 'm'}, {"service-us", required_argument, NULL, 'v'},
        {"stall-every-ms", required_argument, NULL, 'e'},
        {"seconds", required_argument, NULL, 'd'},  {"warmup", required_argument, NULL, 'u'},
        {"late-us", required_argument, NULL, 'l'},  {"seed", required_argument, NULL, 'S'},
        {"pid", required_argument, NULL, 'P'},      {"cpu", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},           {0}};
    int key;
    while ((key = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (plan_option(o, key, optarg)) {
            continue;
        }
        switch (key) {
        case 'p':
            o->port = (unsigned short)floor_number("--port", optarg, 1, 65535);
            break;
        case 'w':
            o->workers = (unsigned)floor_number("--workers", optarg, 1, FLOOR_WORKERS_MAX);
            break;
        case 'v':
            o->service_us = plan_positive("--service-us", optarg, 0);
            break;
        case 'l':
            o->late_us = plan_positive("--late-us", optarg, 0);
            break;
        case 'P':
            o->pid = (int)floor_number("--pid", optarg, 1, 1 << 22);
            break;
        case 'c':
            o->cpu = (int)floor_number("--cpu", optarg, 0, 1023);
            break;
        case 'h':
            printf("usage: %s [options]\n%s\n", argv[0], what);
            exit(0);
        default:
            exit(64);
        }
    }
}

static inline struct plan_options plan_defaults(void)
{
    return (struct plan_options){.connections = 64,
                                 .workers = 2,
                                 .burst = 4,
                                 .rate = 20000,
                                 .stall_ms = 1,
                                 .service_us = 5,
                                 .seconds = 1,
                                 .warmup = 0.3,
                                 .late_us = 100,
                                 .seed = 1,
                                 .cpu = -1};
}

/* The next number of Steele, Lea and Flood's splitmix64. */
static inline uint64_t plan_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* A number from 0 up to, but not, 1. */
static inline double plan_random_unit(uint64_t *state)
{
    return (double)(plan_random(state) >> 11) * 0x1p-53;
}

/* Draw whether a request stalls, and its connection. previous_ns: when the one before was due. */
static inline void plan_draw(const struct plan_options *o, uint64_t *state,
                             struct plan_request *r, int64_t previous_ns)
{
    double connection = plan_random_unit(state);
    if (o->stall_every_ms > 0) {
        double every_ns = o->stall_every_ms * 1e6;
        r->is_stall = (int64_t)((double)r->due_ns / every_ns) !=
                      (int64_t)((double)previous_ns / every_ns);
        r->connection = r->is_stall ? 0 : 1 + (uint32_t)(connection * (o->connections - 1));
        return;
    }
    r->connection = (uint32_t)(connection * o->connections);
    r->is_stall = plan_random_unit(state) * 100 < o->stall_percent;
}

/* Draw all requests of a run. Ends the program when memory is short. */
static inline struct plan plan_make(const struct plan_options *o)
{
    uint64_t state = o->seed;
    struct plan p = {.count = (uint32_t)((o->warmup + o->seconds) * o->rate)};
    uint32_t *last = calloc(o->connections, sizeof *last);
    p.requests = calloc(p.count + 1, sizeof *p.requests);
    p.first = calloc(o->connections, sizeof *p.first);
    if (p.requests == NULL || p.first == NULL || last == NULL) {
        errx(1, "no memory for %u requests", p.count);
    }
    for (unsigned i = 0; i < o->connections; i++) {
        p.first[i] = last[i] = PLAN_NONE;
    }
    p.measured_from = (uint32_t)(o->warmup * o->rate);
    for (uint32_t i = 0; i < p.count; i++) {
        struct plan_request *r = &p.requests[i];
        r->due_ns = (int64_t)((double)(i / o->burst * o->burst) * 1e9 / o->rate);
        plan_draw(o, &state, r, i == 0 ? 0 : p.requests[i - 1].due_ns);
        r->next = PLAN_NONE;
        r->done_ns = -1;
        uint32_t *link = last[r->connection] == PLAN_NONE ? &p.first[r->connection]
                                                          : &p.requests[last[r->connection]].next;
        *link = i;
        last[r->connection] = i;
    }
    free(last);
    return p;
}

/* --- figures ---------------------------------------------------------------------------------- */

/* Print the latencies of those that stall, or of the others, counted from when each was due. */
static inline void plan_print_latencies(const struct plan *p, const char *name, bool is_stall)
{
    int64_t *values = calloc(p->count + 1, sizeof *values);
    size_t n = 0;
    if (values == NULL) {
        errx(1, "no memory for the figures");
    }
    for (uint32_t i = p->measured_from; i < p->count; i++) {
        if (p->requests[i].is_stall == is_stall) {
            values[n++] = p->requests[i].done_ns - p->requests[i].due_ns;
        }
    }
    figures_print(name, values, n);
    free(values);
}

#endif
