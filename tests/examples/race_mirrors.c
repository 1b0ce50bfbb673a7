/* SPDX-License-Identifier: MIT */
/* Three mirrors: the next is asked when the one before has failed, or takes too long. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

struct mirror {
    const char *name;
    int64_t answers_after_ns;
    int error;
};

static void *ask(void *arg)
{
    struct mirror *m = arg;
    printf("asking %s\n", m->name);
    if (weft_sleep(m->answers_after_ns) < 0) {
        printf("%s is not needed any more\n", m->name);
        return weft_fail(-ECANCELED);
    }
    return m->error < 0 ? weft_fail(m->error) : (void *)m->name;
}

static void *main_task(void *arg)
{
    struct mirror mirrors[] = {
        {"north", 10 * WEFT_MS, -ECONNREFUSED},
        {"east", WEFT_MINUTE, 0},
        {"south", 10 * WEFT_MS, 0},
        {"west", 0, 0},
    };
    void *args[] = {&mirrors[0], &mirrors[1], &mirrors[2], &mirrors[3]};
    struct weft_race race = {.count = 4, .fn = ask, .args = args, .delay_ns = 250 * WEFT_MS};
    void *answer;
    int winner = weft_staggered_race(&race, &answer);
    if (winner < 0) {
        return weft_fail(winner);
    }
    printf("number %d, %s, has answered\n", winner, (const char *)answer);
    return arg;
}

int main(void)
{
    return weft_run(main_task, NULL, NULL) == 0 ? 0 : 1;
}
