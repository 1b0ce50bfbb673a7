/* SPDX-License-Identifier: MIT */
/*
 * An empty job in uv_queue_work, one after the other and 64 at a time, from one loop: that is the
 * worker, and more than one is not needed to show what the pool does. Its pool has four threads
 * unless told otherwise. It does not show jobs that block, of which four may do so at once.
 */
#include <err.h>
#include <stdlib.h>
#include <uv.h>

#include "bench.h"

#define AT_A_TIME 64

/* A run of jobs. */
struct jobs {
    uint64_t size;
    uint64_t begun;
    uint64_t sum; /* of what they gave */
};

struct job {
    uv_work_t request;
    struct jobs *jobs;
    uint64_t n;
};

static void work(uv_work_t *request)
{
    struct job *job = request->data;
    job->n++;
}

static void begin_next(struct job *job);

static void on_done(uv_work_t *request, int status)
{
    struct job *job = request->data;
    if (status < 0) {
        errx(1, "a job was cancelled");
    }
    job->jobs->sum += job->n;
    begin_next(job);
}

static void begin_next(struct job *job)
{
    if (job->jobs->begun < job->jobs->size) {
        job->n = job->jobs->begun++;
        job->request.data = job;
        if (uv_queue_work(uv_default_loop(), &job->request, work, on_done) < 0) {
            errx(1, "uv_queue_work");
        }
    }
}

/* Run so many jobs, some of them at a time; how long each took, or -1 when one went wrong. */
static double run(uint64_t size, unsigned at_a_time)
{
    static struct job slots[AT_A_TIME];
    struct jobs jobs = {.size = size};
    int64_t begin_ns = weft_now();
    for (unsigned i = 0; i < at_a_time; i++) {
        slots[i].jobs = &jobs;
        begin_next(&slots[i]);
    }
    if (uv_run(uv_default_loop(), UV_RUN_DEFAULT) != 0 || jobs.sum != size * (size + 1) / 2) {
        return -1;
    }
    return (double)(weft_now() - begin_ns) / (double)size;
}

static uint64_t offload_round(uint64_t size)
{
    double one_ns = run(size, 1);
    double many_ns = run(size, AT_A_TIME);
    if (one_ns < 0 || many_ns < 0) {
        return 0;
    }
    bench_took((int64_t)(one_ns * (double)size));
    bench_figure("many_ns", many_ns);
    return size;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "offload",
        .implementation = "libuv",
        .what = "An empty job in libuv's pool, there and back.",
        .size_of = "jobs",
        .size = 20000,
        .round = offload_round,
        .is_outside = true};
    return bench_main(argc, argv, &spec);
}
