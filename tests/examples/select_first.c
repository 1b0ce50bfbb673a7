/* SPDX-License-Identifier: MIT */
/* A task that serves two channels, and ends when both are closed. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

static void *count_up(void *arg)
{
    weft_channel *numbers = arg;
    int err = 0;
    for (int n = 1; err == 0 && n <= 3; n++) {
        err = weft_channel_send(numbers, &n);
    }
    weft_channel_close(numbers);
    return err < 0 ? weft_fail(err) : NULL;
}

static void *start(void *arg)
{
    weft_channel *channels[2] = {weft_channel_create(sizeof(int), 0),
                                 weft_channel_create(sizeof(int), 0)};
    weft_task *tasks[2] = {weft_spawn(count_up, channels[0]), weft_spawn(count_up, channels[1])};
    int sums[2] = {0, 0};
    int n;
    struct weft_select_case cases[2] = {
        {.kind = WEFT_SELECT_RECEIVE, .channel = channels[0], .element = &n},
        {.kind = WEFT_SELECT_RECEIVE, .channel = channels[1], .element = &n}};
    while (cases[0].channel != NULL || cases[1].channel != NULL) {
        int i = weft_select(cases, 2);
        if (i < 0) {
            return weft_fail(i);
        }
        if (cases[i].error == -EPIPE) {
            cases[i].channel = NULL; /* never ready from now on */
        } else {
            sums[i] += n;
        }
    }
    printf("%d and %d\n", sums[0], sums[1]);
    for (int i = 0; i < 2; i++) {
        (void)weft_join(tasks[i], NULL);
        weft_channel_destroy(channels[i]);
    }
    return arg;
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
