/* SPDX-License-Identifier: MIT */
/* A promise, and a callback that is called with it when it is done. */
#include <stdio.h>

#include <weft/weft.h>

static weft_future *over;

static void print(weft_future *f, void *label)
{
    void *result = NULL;
    int err = weft_result(f, &result);
    printf("%s done=%d error=%d result=%s\n", (char *)label, weft_done(f), err, (char *)result);
    (void)weft_future_set_result(over, NULL);
}

static void *start(void *arg)
{
    weft_future *f = weft_future_create();
    over = weft_future_create();
    int err = weft_on_done(f, print, "Future:");
    if (err == 0) {
        (void)weft_future_set_result(f, "hello");
        puts("it is set");
        err = weft_await(over, NULL);
    }
    weft_put(f);
    weft_put(over);
    return err < 0 ? weft_fail(err) : arg;
}

int main(void)
{
    struct weft_options one = {.workers = 1};
    return weft_run_with(&one, start, NULL, NULL) < 0;
}
