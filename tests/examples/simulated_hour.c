/* SPDX-License-Identifier: MIT */
/* A test of what takes an hour, in a moment: a client that tries again and again, each time after a
 * longer pause, and a server that comes back after forty minutes. Every seed is another order. */
#include <inttypes.h>
#include <stdio.h>

#include <weft/weft.h>

static bool server_is_up;

static void *server(void *arg)
{
    (void)arg;
    int err = weft_sleep(40 * WEFT_MINUTE);
    server_is_up = err == 0;
    return NULL;
}

/* Returns how many tries it took. */
static void *client(void *arg)
{
    (void)arg;
    intptr_t tries = 1;
    for (int64_t pause_ns = WEFT_SECOND; !server_is_up; pause_ns *= 2) {
        int err = weft_sleep(pause_ns);
        if (err < 0) {
            return weft_fail(err);
        }
        tries++;
    }
    return (void *)tries;
}

static void *test(void *arg)
{
    (void)arg;
    int64_t begun = weft_now();
    server_is_up = false;
    weft_task *s = weft_spawn(server, NULL);
    weft_task *c = weft_spawn(client, NULL);
    void *tries = NULL;
    int err = weft_join(c, &tries);
    if (err == 0) {
        err = weft_join(s, NULL);
    }
    printf("%d tries in %" PRId64 " seconds\n", (int)(intptr_t)tries,
           (weft_now() - begun) / WEFT_SECOND);
    return err < 0 ? weft_fail(err) : NULL;
}

int main(void)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct weft_options options = {.simulation = true, .seed = seed};
        if (weft_run_with(&options, test, NULL, NULL) < 0) {
            printf("failed with seed %" PRIu64 "\n", seed);
            return 1;
        }
    }
    return 0;
}
