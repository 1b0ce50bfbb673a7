/* SPDX-License-Identifier: MIT */
/*
 * Question: what does a timeout around an operation cost when the operation is in time?
 *
 * A unit is a scope of a second, entered and left, around a yield that finds nothing else to run;
 * the figure `scope` is what the scope adds to the yield alone. `parking` is what it adds to an
 * operation that has to wait: two tasks hand a token to each other through channels, and each
 * receive has a timeout. Less than nothing, which noise may give, is shown as 0. It does not show a
 * time that runs out; the workload timeout_scope compares with others.
 */
#include <math.h>

#include "bench.h"

#define TIMEOUT WEFT_SECOND

static uint64_t yields(uint64_t n, bool with_timeout)
{
    uint64_t done = 0;
    for (uint64_t i = 0; i < n; i++) {
        if (with_timeout) {
            WEFT_TIMEOUT(TIMEOUT) {
                done += weft_yield() == 0;
            }
        } else {
            done += weft_yield() == 0;
        }
    }
    return done;
}

struct ends {
    weft_channel *in;
    weft_channel *out;
    uint64_t turns;
    bool with_timeout;
};

static int receive(const struct ends *e, char *token)
{
    int err = 0;
    if (!e->with_timeout) {
        return weft_channel_receive(e->in, token);
    }
    WEFT_TIMEOUT(TIMEOUT) {
        err = weft_channel_receive(e->in, token);
    }
    return err;
}

static void *play(void *arg)
{
    struct ends *e = arg;
    char token = 0;
    int err = 0;
    for (uint64_t i = 0; i < e->turns && err == 0; i++) {
        err = receive(e, &token);
        err = err == 0 ? weft_channel_send(e->out, &token) : err;
    }
    return err < 0 ? weft_fail(err) : NULL;
}

/* Nanoseconds that a receive takes; 0: something went wrong. */
static double hand_over_ns(uint64_t turns, bool with_timeout)
{
    weft_channel *a = weft_channel_create(1, 1);
    weft_channel *b = weft_channel_create(1, 1);
    struct ends one = {a, b, turns, with_timeout};
    struct ends other = {b, a, turns, with_timeout};
    char token = 0;
    int64_t begin_ns = weft_now();
    weft_task *t = weft_spawn(play, &one);
    weft_task *u = weft_spawn(play, &other);
    int err = weft_channel_send(a, &token);
    int joined = weft_join(t, NULL);
    err = err < 0 || joined < 0 ? -1 : weft_join(u, NULL);
    int64_t took_ns = weft_now() - begin_ns;
    err = err == 0 ? weft_channel_receive(a, &token) : err;
    weft_channel_destroy(a);
    weft_channel_destroy(b);
    return err < 0 ? 0 : (double)took_ns / (double)(2 * turns);
}

static uint64_t scope_round(uint64_t count)
{
    int64_t begin_ns = weft_now();
    uint64_t done = yields(count, true);
    int64_t middle_ns = weft_now();
    done += yields(count, false);
    int64_t end_ns = weft_now();
    double bare = hand_over_ns(count / 10, false);
    double timed = hand_over_ns(count / 10, true);
    bench_figure("parking", fmax(timed - bare, 0));
    bench_figure("parking_bare", bare);
    double added_ns = (double)(middle_ns - begin_ns - (end_ns - middle_ns));
    bench_figure("scope", fmax(added_ns, 0) / (double)count);
    bench_took(middle_ns - begin_ns);
    return done == 2 * count && bare > 0 && timed > 0 ? count : 0;
}

int main(int argc, char **argv)
{
    static const struct bench_spec spec = {
        .workload = "scope",
        .what = "A timeout is put around operations that are in time.",
        .size_of = "yields",
        .size = 200000,
        .round = scope_round};
    return bench_main(argc, argv, &spec);
}
