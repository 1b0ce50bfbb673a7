/* SPDX-License-Identifier: MIT */
/* Three mirrors are asked, the first answer is taken, the others are called off. */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

enum { MIRRORS = 3 };

struct mirror {
    const char *name;
    int64_t answers_after;
};

static void *ask(void *arg)
{
    const struct mirror *m = arg;
    int err = weft_sleep(m->answers_after);
    return err < 0 ? weft_fail(err) : (void *)(uintptr_t)m->name;
}

static void *start(void *arg)
{
    static struct mirror mirrors[MIRRORS] = {
        {"one", WEFT_MINUTE}, {"two", 200 * WEFT_MS}, {"three", WEFT_MINUTE}};
    weft_task *tasks[MIRRORS];
    for (int i = 0; i < MIRRORS; i++) {
        tasks[i] = weft_spawn(ask, &mirrors[i]);
    }
    int count = weft_wait(MIRRORS, tasks, WEFT_FIRST_COMPLETED);
    printf("%d of %d answered\n", count, MIRRORS);
    for (int i = 0; i < MIRRORS; i++) {
        void *name;
        int err = weft_cancel_and_join(tasks[i], &name);
        printf("%s: %s\n", mirrors[i].name, err == 0             ? "the answer"
                                            : err == -ECANCELED ? "called off"
                                                                : "failed");
    }
    return count < 0 ? weft_fail(count) : arg;
}

int main(void)
{
    return weft_run(start, NULL, NULL) < 0;
}
