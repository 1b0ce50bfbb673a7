/* SPDX-License-Identifier: MIT */
/*
 * 32 threads in pread(2), whatever the number of workers: what there was before io_uring. It does
 * not show what the threads cost when there are more of them.
 */
#include <pthread.h>

#include "file_read.h"

struct reader {
    uint64_t seed;
    uint64_t reads;
    int64_t end_ns;
    bool is_right;
};

static void *read_blocks(void *arg)
{
    struct reader *r = arg;
    uint64_t state = r->seed;
    uint64_t *buffer = file_buffer();
    do {
        uint64_t block = file_next(&state);
        ssize_t n = pread(file_fd, buffer, BLOCK_BYTES, (off_t)(block * BLOCK_BYTES));
        r->is_right = file_is_right(n, buffer, block);
    } while (r->is_right && (++r->reads % READS_A_LOOK != 0 || weft_now() < r->end_ns));
    free(buffer);
    return NULL;
}

static uint64_t read_round(uint64_t ms)
{
    struct reader readers[DEPTH];
    pthread_t threads[DEPTH];
    uint64_t reads = 0;
    bool is_right = true;
    file_open();
    int64_t cpu_ns = bench_cpu_ns();
    int64_t begin_ns = weft_now();
    for (uint64_t i = 0; i < DEPTH; i++) {
        readers[i] = (struct reader){file_seed(i), 0, begin_ns + (int64_t)ms * WEFT_MS, false};
        if (pthread_create(&threads[i], NULL, read_blocks, &readers[i]) != 0) {
            errx(1, "no thread");
        }
    }
    for (int i = 0; i < DEPTH; i++) {
        pthread_join(threads[i], NULL);
        is_right &= readers[i].is_right;
        reads += readers[i].reads;
    }
    return file_report(is_right ? reads : 0, weft_now() - begin_ns, bench_cpu_ns() - cpu_ns);
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "file_read",
        .implementation = "threads",
        .what = "32 threads read blocks of 4 kB from random places of a file.",
        .size_of = "milliseconds of a round",
        .size = ROUND_MS,
        .round = read_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
