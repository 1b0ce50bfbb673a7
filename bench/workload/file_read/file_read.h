/* SPDX-License-Identifier: MIT */
/*
 * What the programs in C that read a file at random have in common.
 *
 * tools/bench makes the file and names it in BENCH_FILE: blocks of 4 kB, each full of its own
 * number in words of 64 bits, by which a reader sees that it got what it asked for. With
 * BENCH_FILE_DIRECT it is read past the page cache. A round reads for --size milliseconds, 32 reads
 * at a time, which the workers share.
 */
#ifndef WEFT_BENCH_FILE_READ_H
#define WEFT_BENCH_FILE_READ_H

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

#define BLOCK_BYTES 4096
#define DEPTH 32
#define ROUND_MS 300
/* The clock is looked at once in so many reads of a reader: 50 us when they are fastest. */
#define READS_A_LOOK 16

/* The file. */
static int file_fd = -1;
static uint64_t file_blocks;

/* Open it, once; ends the program when it cannot. */
static inline void file_open(void)
{
    struct stat status;
    const char *path = getenv("BENCH_FILE");
    if (file_fd >= 0) {
        return;
    }
    if (path == NULL) {
        errx(64, "BENCH_FILE must name the file to read; tools/bench makes it");
    }
    file_fd = open(path, O_RDONLY | O_CLOEXEC | (getenv("BENCH_FILE_DIRECT") ? O_DIRECT : 0));
    if (file_fd < 0 || fstat(file_fd, &status) < 0 || status.st_size < BLOCK_BYTES) {
        err(1, "%s", path);
    }
    file_blocks = (uint64_t)status.st_size / BLOCK_BYTES;
}

/* A buffer that O_DIRECT may read into. */
static inline uint64_t *file_buffer(void)
{
    void *buffer = aligned_alloc(BLOCK_BYTES, BLOCK_BYTES);
    if (buffer == NULL) {
        errx(1, "no memory for a block");
    }
    return buffer;
}

/* The number of the block to read next: Marsaglia's xorshift from a seed that is not 0. */
static inline uint64_t file_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state % file_blocks;
}

/* A seed of the reader's own. */
static inline uint64_t file_seed(uint64_t reader)
{
    return (reader + 1) * UINT64_C(0x9e3779b97f4a7c15);
}

/* Whether a read brought the whole of the block. */
static inline bool file_is_right(int64_t got, const uint64_t *buffer, uint64_t block)
{
    return got == BLOCK_BYTES && buffer[0] == block &&
           buffer[BLOCK_BYTES / sizeof *buffer - 1] == block;
}

/* The figures of a round that has just ended; returns what the round has to. */
static inline uint64_t file_report(uint64_t reads, int64_t took_ns, int64_t cpu_ns)
{
    if (reads > 0) {
        bench_figure("reads_per_s", (double)reads * 1e9 / (double)took_ns);
        bench_figure("cpu_us_each", (double)cpu_ns / 1e3 / (double)reads);
    }
    return reads;
}

#endif
