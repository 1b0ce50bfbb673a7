/* SPDX-License-Identifier: MIT */
/*
 * A loop a worker, and its part of the 32 reads as uv_fs_read. libuv reads in a pool of threads,
 * which all loops share; it has 32 of them here instead of 4, as its manual advises for work that
 * waits. It does not show libuv from 1.45 on, which can read with io_uring.
 */
#include <pthread.h>
#include <uv.h>

#include "file_read.h"

struct loop {
    pthread_t thread;
    uv_loop_t uv;
    uint64_t state;
    unsigned depth;
    int64_t end_ns;
    uint64_t reads;
    bool is_right;
    bool is_over;
};

struct slot {
    uv_fs_t request;
    struct loop *loop;
    uint64_t *buffer;
    uint64_t block;
};

static void begin_read(struct slot *s);

static void on_read(uv_fs_t *request)
{
    struct slot *s = request->data;
    struct loop *l = s->loop;
    l->is_right &= file_is_right(request->result, s->buffer, s->block);
    l->reads++;
    uv_fs_req_cleanup(request);
    if (l->reads % READS_A_LOOK == 0) {
        l->is_over = weft_now() >= l->end_ns;
    }
    if (l->is_right && !l->is_over) {
        begin_read(s);
    } else {
        free(s->buffer);
    }
}

static void begin_read(struct slot *s)
{
    uv_buf_t buffer = uv_buf_init((char *)s->buffer, BLOCK_BYTES);
    s->block = file_next(&s->loop->state);
    s->request.data = s;
    if (uv_fs_read(&s->loop->uv, &s->request, file_fd, &buffer, 1,
                   (int64_t)(s->block * BLOCK_BYTES), on_read) < 0) {
        errx(1, "uv_fs_read");
    }
}

static void *loop_run(void *arg)
{
    struct loop *l = arg;
    struct slot slots[DEPTH];
    if (uv_loop_init(&l->uv) < 0) {
        errx(1, "uv_loop_init");
    }
    for (unsigned i = 0; i < l->depth; i++) {
        slots[i].loop = l;
        slots[i].buffer = file_buffer();
        begin_read(&slots[i]);
    }
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    (void)uv_loop_close(&l->uv);
    return NULL;
}

static uint64_t read_round(uint64_t ms)
{
    static struct loop loops[DEPTH];
    unsigned count = bench_workers() < DEPTH ? bench_workers() : DEPTH;
    uint64_t reads = 0;
    bool is_right = true;
    file_open();
    int64_t cpu_ns = bench_cpu_ns();
    int64_t begin_ns = weft_now();
    for (unsigned i = 0; i < count; i++) {
        loops[i] = (struct loop){.state = file_seed(i),
                                 .depth = DEPTH / count,
                                 .end_ns = begin_ns + (int64_t)ms * WEFT_MS,
                                 .is_right = true};
        if (pthread_create(&loops[i].thread, NULL, loop_run, &loops[i]) != 0) {
            errx(1, "no thread");
        }
    }
    for (unsigned i = 0; i < count; i++) {
        pthread_join(loops[i].thread, NULL);
        is_right &= loops[i].is_right;
        reads += loops[i].reads;
    }
    return file_report(is_right ? reads : 0, weft_now() - begin_ns, bench_cpu_ns() - cpu_ns);
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "file_read",
        .implementation = "libuv",
        .what = "32 reads of 4 kB at a time in libuv's pool, from random places of a file.",
        .size_of = "milliseconds of a round",
        .size = ROUND_MS,
        .round = read_round,
        .is_outside = true};
    (void)setenv("UV_THREADPOOL_SIZE", "32", 1);
    return bench_main(argc, argv, &spec);
}
