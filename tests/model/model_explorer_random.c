/* SPDX-License-Identifier: MIT */
/*
 * The model explorer: do its reductions leave nothing out?
 *
 * Random small programs are explored with them and without: both must see the same set of outcomes,
 * or both a deadlock.
 */
#include "explorer/model.h"

#include "atomic.h"
#include "barrier.h"

static _Atomic(int) x;
static _Atomic(int) y;
static _Atomic(int) z;

enum { STEPS_MAX = 4, OUTCOMES_MAX = 4096 };

struct step {
    int what;
    int word;
    int value;
};

static struct step program[3][STEPS_MAX];
static int program_steps;
static uint64_t outcome[3];
static uint64_t outcomes[OUTCOMES_MAX];
static size_t outcome_count;

static void run_step(const struct step *step, uint64_t *history)
{
    _Atomic(int) *const words[3] = {&x, &y, &z};
    _Atomic(int) *p = words[step->word];
    int got = 0;
    switch (step->what) {
    case 0:
        atomic_store_relaxed(p, step->value);
        break;
    case 1:
        atomic_store_release(p, step->value);
        break;
    case 2:
        atomic_store_seq_cst(p, step->value);
        break;
    case 3:
        got = atomic_exchange_seq_cst(p, step->value);
        break;
    case 4:
        got = atomic_add_relaxed(p, step->value);
        break;
    case 5:
        got = atomic_exchange_acq_rel(p, step->value);
        break;
    case 6:
        got = step->value - 1;
        got = atomic_cas_acquire(p, &got, step->value) ? -1 : got;
        break;
    case 7:
        model_barrier_heavy();
        break;
    case 8:
        model_wait_until((got = atomic_load_relaxed(p)) != 0);
        break;
    default:
        got = atomic_load_relaxed(p);
        break;
    }
    *history = mx_mix(*history, (uint64_t)got);
}

static void program_thread(void)
{
    int self = model_self();
    for (int i = 0; i < program_steps; i++) {
        run_step(&program[self][i], &outcome[self]);
    }
}

static void program_setup(void)
{
    atomic_store_relaxed(&x, 0);
    atomic_store_relaxed(&y, 0);
    atomic_store_relaxed(&z, 0);
    memset(outcome, 0, sizeof(outcome));
}

static void program_check(void)
{
    uint64_t h = mx_mix(mx_mix(outcome[0], outcome[1]), outcome[2]);
    h = mx_mix(h, (uint64_t)atomic_load_relaxed(&x));
    h = mx_mix(h, (uint64_t)atomic_load_relaxed(&y));
    h = mx_mix(h, (uint64_t)atomic_load_relaxed(&z));
    size_t i = 0;
    while (i < outcome_count && outcomes[i] != h) {
        i++;
    }
    model_assert(i < OUTCOMES_MAX);
    outcomes[i] = h;
    outcome_count += i == outcome_count;
}

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return *state >> 33;
}

static void program_make(uint64_t *random, int threads, int steps)
{
    int whats = random_next(random) % 4 == 0 ? 12 : 7; /* seldom with heavy barriers and waits */
    int words = 1 + (int)(random_next(random) % 3);
    program_steps = steps;
    for (int t = 0; t < threads; t++) {
        for (int i = 0; i < steps; i++) {
            int what = (int)(random_next(random) % (uint64_t)(whats + 5));
            program[t][i] =
                (struct step){what < whats ? what : 9, (int)(random_next(random) % (uint64_t)words),
                              1 + (int)(random_next(random) % 2)};
        }
    }
}

static bool program_agrees(struct model_scenario *scenario)
{
    outcome_count = 0;
    scenario->unreduced = false;
    struct model_result reduced = model_explore(scenario);
    size_t reduced_count = outcome_count;
    scenario->unreduced = true;
    scenario->value_states = false;
    struct model_result full = model_explore(scenario);
    return reduced.failed == full.failed && (full.failed || outcome_count == reduced_count);
}

int main(void)
{
    const char *given = getenv("WEFT_TEST_SEED");
    uint64_t random = given != NULL ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    const char *rounds_given = getenv("WEFT_TEST_ROUNDS");
    int rounds = rounds_given != NULL ? atoi(rounds_given) : 300;
    printf("seed: WEFT_TEST_SEED=%llu\n", (unsigned long long)random);
    uint64_t outcomes_total = 0;
    for (int round = 0; round < rounds; round++) {
        int threads = round % 3 == 0 ? 3 : 2;
        struct model_scenario scenario = {
            .name = "random",
            .setup = program_setup,
            .check = program_check,
            .threads = {program_thread, program_thread, threads == 3 ? program_thread : NULL},
            .memory = (enum model_memory)(round / 3 % 3),
            .value_states = round % 2 == 0};
        program_make(&random, threads, threads == 3 ? 2 : 3);
        if (!program_agrees(&scenario)) {
            printf("FAILED: random program %d: the reductions left something out\n", round);
            return 1;
        }
        outcomes_total += outcome_count;
    }
    printf("random programs: %d, %llu outcomes, the same with and without reductions\n", rounds,
           (unsigned long long)outcomes_total);
    return 0;
}
