/* SPDX-License-Identifier: MIT */
/*
 * A step of a process pool: a pool of its own does some jobs, which answer, fail, crash or are
 * cancelled. A crash takes nothing with it but the job that the worker was at.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "soak.h"

enum { JOBS = 6, BYTES_MAX = 3000 };

enum way { ANSWERS, FAILS, CRASHES, WAYS };

/* What a job is given, and answers: its bytes, each of them the opposite. */
struct order {
    uint64_t way;
    unsigned char data[BYTES_MAX];
};

struct work {
    weft_future *future;
    struct order order;
    size_t bytes; /* of the data */
    bool is_cancelled;
};

static int do_order(const void *in, size_t n, struct weft_process_reply *reply)
{
    const struct order *order = in;
    unsigned char answer[BYTES_MAX];
    size_t bytes = n - offsetof(struct order, data);
    if (order->way == CRASHES) {
        (void)raise(SIGKILL);
    }
    for (size_t i = 0; i < bytes; i++) {
        answer[i] = (unsigned char)(0xff - order->data[i]);
    }
    int err = weft_process_reply_add(reply, answer, bytes);
    return err == 0 && order->way == FAILS ? -EDOM : err;
}

void soak_farm_begin(int argc, char **argv)
{
    if (weft_process_register("soak", do_order) < 0) {
        abort();
    }
    weft_process_main(argc, argv);
}

static void submit(struct soak_actor *a, weft_process_pool *pool, struct work *w)
{
    unsigned way = (unsigned)soak_below(&a->random, 8);
    w->order.way = way == 0 ? CRASHES : way == 1 ? FAILS : ANSWERS;
    w->bytes = 1 + soak_below(&a->random, BYTES_MAX);
    soak_fill(soak_random(&a->random), 0, w->order.data, w->bytes);
    w->future = weft_submit_process(pool, "soak", &w->order,
                                    offsetof(struct order, data) + w->bytes);
    soak_in(a->round, SOAK_JOBS, w->future != NULL);
}

static bool is_answer(const struct work *w)
{
    const void *data;
    size_t bytes;
    (void)weft_process_result(w->future, &data, &bytes);
    const unsigned char *answer = data;
    bool is_same = bytes == w->bytes;
    for (size_t i = 0; is_same && i < bytes; i++) {
        is_same = answer[i] + w->order.data[i] == 0xff;
    }
    return is_same;
}

/* What came of it is what it was to come to; a cancel may be too late for that to matter. */
static void settle(struct soak_actor *a, struct work *w)
{
    static const int wanted[WAYS] = {[ANSWERS] = 0, [FAILS] = -EDOM, [CRASHES] = -EPIPE};
    struct soak_round *r = a->round;
    int err = weft_await(w->future, NULL);
    bool is_excused = err == -ECANCELED && w->is_cancelled;
    if (err != wanted[w->order.way] && !is_excused && weft_scope_error() == 0 &&
        !soak_is_closing(r)) {
        soak_broken("round %u: job %llu of a process pool ended with %d", r->number,
                    (unsigned long long)w->order.way, err);
    } else if (err == 0 && !is_answer(w)) {
        soak_broken("round %u: a job of a process pool has answered something else", r->number);
    }
    soak_out(r, SOAK_JOBS, 1);
    weft_put(w->future);
}

void soak_step_farm(struct soak_actor *a)
{
    struct weft_process_pool_options o = {.workers = 1 + (unsigned)soak_below(&a->random, 2),
                                          .jobs_max = (unsigned)soak_below(&a->random, 4)};
    unsigned count = 1 + (unsigned)soak_below(&a->random, JOBS);
    struct work *all = calloc(JOBS, sizeof *all);
    weft_process_pool *pool;
    int err = all == NULL ? -ENOMEM : weft_process_pool_create(&o, &pool);
    if (err == 0) {
        for (unsigned i = 0; i < count; i++) {
            submit(a, pool, &all[i]);
        }
        unsigned cancelled = (unsigned)soak_below(&a->random, 2 * JOBS);
        if (cancelled < count && all[cancelled].future != NULL) {
            (void)weft_sleep((int64_t)soak_below(&a->random, 3000) * WEFT_US);
            all[cancelled].is_cancelled = true;
            (void)weft_cancel(all[cancelled].future);
        }
        for (unsigned i = 0; i < count; i++) {
            if (all[i].future != NULL) {
                settle(a, &all[i]);
            }
        }
        err = weft_process_pool_close(pool);
    }
    free(all);
    if (err < 0 && !soak_excused(a->round, err)) {
        soak_broken("round %u: a process pool: %s", a->round->number, strerrordesc_np(-err));
    }
    (void)weft_sleep((int64_t)soak_below(&a->random, 50) * WEFT_MS);
}
