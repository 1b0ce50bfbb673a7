/* SPDX-License-Identifier: MIT */
/*
 * Five calls that block, side by side on threads of the runtime's pool: together they take as long
 * as one. What each returns is had in the order of the calls.
 */
#include <stdio.h>
#include <unistd.h>

#include <weft/weft.h>

enum { CALLS = 5 };

static void *sleep_for_some(void *arg)
{
    (void)usleep(200000); /* it would block a worker */
    return arg;
}

static void *run(void *arg)
{
    int numbers[CALLS];
    weft_future *futures[CALLS];
    void *results[CALLS];
    (void)arg;
    printf("start\n");
    for (int i = 0; i < CALLS; i++) {
        numbers[i] = i;
        futures[i] = weft_submit_blocking(NULL, sleep_for_some, &numbers[i]);
    }
    int err = weft_gather(CALLS, futures, results, NULL);
    for (int i = 0; i < CALLS; i++) {
        (void)weft_await(futures[i], NULL); /* where one has failed, others still use `numbers` */
        weft_put(futures[i]);
    }
    if (err < 0) {
        return weft_fail(err);
    }
    for (int i = 0; i < CALLS; i++) {
        printf("%d\n", *(const int *)results[i]);
    }
    printf("end\n");
    return NULL;
}

int main(void)
{
    return weft_run(run, NULL, NULL) < 0;
}
