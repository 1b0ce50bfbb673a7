/* SPDX-License-Identifier: MIT */
/*
 * Question: how many blocks of 4 kB can 32 tasks read from random places of a file?
 *
 * Each task is a loop around weft_pread. It does not show reads that follow each other, for which
 * the kernel reads ahead, nor a disk: what is measured is the way to it and back, or with the page
 * cache the copy.
 */
#include "file_read.h"

struct reader {
    uint64_t seed;
    uint64_t reads;
    int64_t end_ns;
};

/* Returns arg, or NULL when a block was wrong. */
static void *read_blocks(void *arg)
{
    struct reader *r = arg;
    uint64_t state = r->seed;
    uint64_t *buffer = file_buffer();
    bool is_right = true;
    do {
        uint64_t block = file_next(&state);
        ssize_t n = weft_pread(file_fd, buffer, BLOCK_BYTES, (off_t)(block * BLOCK_BYTES));
        is_right = file_is_right(n, buffer, block);
    } while (is_right && (++r->reads % READS_A_LOOK != 0 || weft_now() < r->end_ns));
    free(buffer);
    return is_right ? arg : NULL;
}

static uint64_t read_round(uint64_t ms)
{
    struct reader readers[DEPTH];
    weft_task *tasks[DEPTH];
    uint64_t reads = 0;
    bool is_right = true;
    file_open();
    int64_t cpu_ns = bench_cpu_ns();
    int64_t begin_ns = weft_now();
    for (uint64_t i = 0; i < DEPTH; i++) {
        readers[i] = (struct reader){file_seed(i), 0, begin_ns + (int64_t)ms * WEFT_MS};
        tasks[i] = weft_spawn(read_blocks, &readers[i]);
    }
    for (int i = 0; i < DEPTH; i++) {
        void *result = NULL;
        is_right &= weft_join(tasks[i], &result) == 0 && result != NULL;
        reads += readers[i].reads;
    }
    return file_report(is_right ? reads : 0, weft_now() - begin_ns, bench_cpu_ns() - cpu_ns);
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "file_read",
        .what = "32 tasks read blocks of 4 kB from random places of a file.",
        .size_of = "milliseconds of a round",
        .size = ROUND_MS,
        .round = read_round};
    return bench_main(argc, argv, &spec);
}
