/* SPDX-License-Identifier: MIT */
/*
 * Five calls that block for two seconds each, side by side on threads of the runtime's pool: two
 * seconds in all. What each returns is had in the order of the calls.
 */
#include <stdio.h>
#include <unistd.h>

#include <weft/weft.h>

enum { CALLS = 5 };

static int64_t begun;

/* Seconds since the start. */
static int elapsed(void)
{
    return (int)((weft_now() - begun) / WEFT_SECOND);
}

struct call {
    int number;
    int done_at;
};

static void *sleep_for_two(void *arg)
{
    struct call *c = arg;
    (void)sleep(2); /* it would block a worker */
    c->done_at = elapsed();
    return c;
}

static void *run(void *arg)
{
    struct call calls[CALLS];
    weft_future *futures[CALLS];
    void *results[CALLS];
    (void)arg;
    begun = weft_now();
    printf("+%d start\n", elapsed());
    for (int i = 0; i < CALLS; i++) {
        calls[i].number = i;
        futures[i] = weft_submit_blocking(NULL, sleep_for_two, &calls[i]);
    }
    int err = weft_gather(CALLS, futures, results, NULL);
    for (int i = 0; i < CALLS; i++) {
        (void)weft_await(futures[i], NULL); /* where one has failed the others still use `calls` */
        weft_put(futures[i]);
    }
    if (err < 0) {
        return weft_fail(err);
    }
    for (int i = 0; i < CALLS; i++) {
        const struct call *c = results[i];
        printf("+%d %d\n", c->done_at, c->number);
    }
    printf("+%d end\n", elapsed());
    return NULL;
}

int main(void)
{
    return weft_run(run, NULL, NULL) < 0;
}
