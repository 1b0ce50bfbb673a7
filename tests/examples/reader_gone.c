/* SPDX-License-Identifier: MIT */
/*
 * Writing to a pipe whose reader has gone. A write is taken at once and sent later, so it cannot
 * tell; who never looks writes into the void, without a word, and without filling the memory.
 * weft_stream_drain waits until the bytes are with the kernel, and tells.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

static const char line[] = "is anybody there?\n";

/* A stream to a pipe that nobody reads any more. */
static int open_stream(weft_stream **s)
{
    struct weft_stream_options options = {.drain_all = true};
    int ends[2];
    if (pipe(ends) < 0) {
        return -1;
    }
    (void)close(ends[0]);
    return weft_stream_open(ends[1], &options, s);
}

static void *main_task(void *arg)
{
    weft_stream *s;
    if (open_stream(&s) < 0) {
        return weft_fail(-1);
    }
    for (int i = 0; i < 100000; i++) {
        (void)weft_stream_write(s, line, strlen(line));
    }
    printf("100000 lines written, %s\n",
           weft_stream_pending(s) <= WEFT_STREAM_HIGH_WATER_DEFAULT ? "hardly any in the memory"
                                                                    : "and all in the memory");
    printf("the close tells: %s\n", strerror(-weft_stream_close(s)));

    if (open_stream(&s) < 0) {
        return weft_fail(-1);
    }
    int written = 0;
    int err = 0;
    while (err == 0) {
        written++;
        err = (int)weft_stream_write(s, line, strlen(line));
        err = err < 0 ? err : weft_stream_drain(s);
    }
    printf("%d line written, and drained: %s\n", written, strerror(-err));
    (void)weft_stream_close(s);
    return arg;
}

int main(void)
{
    return weft_run(main_task, NULL, NULL) < 0;
}
