/* SPDX-License-Identifier: MIT */
/*
 * A ring a worker, and its part of the 32 reads in flight on it: the least that a runtime on
 * io_uring can take. A completion is followed by the next read at once; what has gathered is
 * submitted with the wait for more. It does not show registered files and buffers, which spare a
 * little and are not for buffers of the caller's choice.
 */
#include <liburing.h>
#include <pthread.h>
#include <string.h>

#include "file_read.h"

struct slot {
    uint64_t *buffer;
    uint64_t block;
};

struct worker {
    pthread_t thread;
    uint64_t state;
    unsigned depth;
    int64_t end_ns;
    uint64_t reads;
    bool is_right;
};

static void begin_read(struct io_uring *ring, struct slot *s, uint64_t *state)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    s->block = file_next(state);
    io_uring_prep_read(sqe, file_fd, s->buffer, BLOCK_BYTES, s->block * BLOCK_BYTES);
    io_uring_sqe_set_data(sqe, s);
}

/* Take what has completed, and follow each with another read while there is time. Returns how many
 * there were. */
static unsigned reap(struct io_uring *ring, struct worker *w, bool is_going_on)
{
    struct io_uring_cqe *cqe;
    unsigned head;
    unsigned count = 0;
    io_uring_for_each_cqe(ring, head, cqe) {
        struct slot *s = io_uring_cqe_get_data(cqe);
        w->is_right &= file_is_right(cqe->res, s->buffer, s->block);
        w->reads++;
        count++;
        if (is_going_on && w->is_right) {
            begin_read(ring, s, &w->state);
        }
    }
    io_uring_cq_advance(ring, count);
    return count;
}

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    struct io_uring ring;
    struct slot slots[DEPTH];
    int error = io_uring_queue_init(DEPTH, &ring,
                                    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    if (error < 0) {
        errx(1, "io_uring_queue_init: %s", strerror(-error));
    }
    for (unsigned i = 0; i < w->depth; i++) {
        slots[i].buffer = file_buffer();
        begin_read(&ring, &slots[i], &w->state);
    }
    for (unsigned in_flight = w->depth; in_flight > 0;) {
        error = io_uring_submit_and_wait(&ring, 1);
        if (error < 0) {
            errx(1, "io_uring_submit_and_wait: %s", strerror(-error));
        }
        bool is_going_on = w->is_right && weft_now() < w->end_ns;
        unsigned count = reap(&ring, w, is_going_on);
        in_flight -= is_going_on && w->is_right ? 0 : count;
    }
    for (unsigned i = 0; i < w->depth; i++) {
        free(slots[i].buffer);
    }
    io_uring_queue_exit(&ring);
    return NULL;
}

static uint64_t read_round(uint64_t ms)
{
    struct worker workers[DEPTH];
    unsigned count = bench_workers() < DEPTH ? bench_workers() : DEPTH;
    uint64_t reads = 0;
    bool is_right = true;
    file_open();
    int64_t cpu_ns = bench_cpu_ns();
    int64_t begin_ns = weft_now();
    for (unsigned i = 0; i < count; i++) {
        workers[i] = (struct worker){.state = file_seed(i),
                                     .depth = DEPTH / count,
                                     .end_ns = begin_ns + (int64_t)ms * WEFT_MS,
                                     .is_right = true};
        if (pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]) != 0) {
            errx(1, "no thread");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(workers[i].thread, NULL);
        is_right &= workers[i].is_right;
        reads += workers[i].reads;
    }
    return file_report(is_right ? reads : 0, weft_now() - begin_ns, bench_cpu_ns() - cpu_ns);
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "file_read",
        .implementation = "ring",
        .what = "32 reads of 4 kB in flight on bare rings, from random places of a file.",
        .size_of = "milliseconds of a round",
        .size = ROUND_MS,
        .round = read_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
