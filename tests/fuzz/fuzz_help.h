/* SPDX-License-Identifier: MIT */
/*
 * For targets of libFuzzer: input that is taken from the front, and a runtime in a simulation.
 *
 * A target is a function that is called with all kinds of bytes, and ends the process (CHECK) when
 * what follows is wrong. It has to do the same for the same bytes.
 */
#ifndef WEFT_FUZZ_HELP_H
#define WEFT_FUZZ_HELP_H

#include "task_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

struct fuzz_input {
    const uint8_t *data;
    size_t bytes; /* left */
};

/* The next byte; 0 when none is left. */
static inline uint32_t fuzz_byte(struct fuzz_input *in)
{
    if (in->bytes == 0) {
        return 0;
    }
    in->bytes--;
    return *in->data++;
}

/* A number from 0 to most, of one byte or two. */
static inline uint32_t fuzz_number(struct fuzz_input *in, uint32_t most)
{
    uint32_t n = fuzz_byte(in);
    n = most > 255 ? n * 256 + fuzz_byte(in) : n;
    return n % (most + 1);
}

/* Run fn(arg) in a simulation, whose order the seed decides, and check that nothing is left. */
__attribute__((unused)) static void fuzz_simulate(uint64_t seed, weft_fn fn, void *arg)
{
    struct weft_options options = {.simulation = true, .seed = seed + 1, .overflow_report = -1};
    weft_runtime *rt = create_runtime(&options);
    CHECK_EQUAL(weft_runtime_run(rt, fn, arg, NULL), 0);
    CHECK_EQUAL(weft_runtime_close(rt), 0);
    CHECK_EQUAL(tasks_live(rt), 0);
    CHECK_EQUAL(weft_runtime_destroy(rt), 0);
}

#endif
