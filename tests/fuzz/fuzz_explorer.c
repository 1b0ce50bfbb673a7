/* SPDX-License-Identifier: MIT */
/*
 * Programs against the scheduler and what tasks wait for (tests/sim/sim_explorer.c), which the
 * input makes up: it throws the dice of all actors, in the order in which they ask, and then they
 * throw their own. The first two bytes are the seed of the simulation.
 */
#include <stdint.h>

struct actor;
static uint32_t explorer_throw(struct actor *a);
#define EXPLORER_THROW(a) explorer_throw(a)

int sim_explorer_main(int argc, char **argv);
#define main sim_explorer_main
#include "sim/sim_explorer.c"
#undef main

#include "fuzz_help.h"

static struct fuzz_input dice_input;

static uint32_t explorer_throw(struct actor *a)
{
    return dice_input.bytes > 0 ? fuzz_byte(&dice_input) : (uint32_t)(test_random(&a->dice) >> 33);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    dice_input = (struct fuzz_input){data, bytes};
    uint64_t seed = 1 + fuzz_number(&dice_input, 65535);
    actor_count = 0;
    fuzz_simulate(seed, play, &seed);
    return 0;
}
