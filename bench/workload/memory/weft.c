/* SPDX-License-Identifier: MIT */
/*
 * Does memory stay flat? Spawns, runs and ends N tasks, a thousand at a time, each of which
 * suspends once, and prints time and resident memory every tenth of the way.
 *
 * It does not show fragmentation by tasks of mixed stack sizes.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <weft/weft.h>

#define BATCH 1000
#define STEPS 10

static size_t task_count = 10000000;

static long resident_kib(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f != NULL) {
        int got = fscanf(f, "%*d %ld", &pages);
        pages = got == 1 ? pages : 0;
        fclose(f);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void *run_once(void *arg)
{
    int err = weft_yield();
    return err < 0 ? weft_fail(err) : arg;
}

/* Returns how many did not end as they should. */
static size_t churn(size_t count)
{
    weft_task *tasks[BATCH];
    size_t failed = 0;
    for (size_t done = 0; done < count; done += BATCH) {
        for (intptr_t i = 0; i < BATCH; i++) {
            tasks[i] = weft_spawn(run_once, (void *)i);
        }
        for (intptr_t i = 0; i < BATCH; i++) {
            void *value = NULL;
            failed += weft_join(tasks[i], &value) != 0 || value != (void *)i;
        }
    }
    return failed;
}

static void *main_task(void *arg)
{
    (void)arg;
    size_t failed = 0;
    int64_t start = weft_now();
    printf("%12s %10s %14s\n", "tasks", "seconds", "resident KiB");
    for (int step = 1; step <= STEPS; step++) {
        failed += churn(task_count / STEPS);
        printf("%12zu %10.2f %14ld\n", task_count / STEPS * (size_t)step,
               (double)(weft_now() - start) / 1e9, resident_kib());
        fflush(stdout);
    }
    return failed == 0 ? NULL : weft_fail(-EPROTO);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        task_count = strtoull(argv[1], NULL, 10);
    }
    if (argc > 2 || task_count < STEPS * BATCH) {
        fprintf(stderr, "usage: macro_churn [TASKS]    (default 10000000, at least 10000)\n");
        return 2;
    }
    int err = weft_run(main_task, NULL, NULL);
    if (err < 0) {
        fprintf(stderr, "macro_churn: %s\n", strerrordesc_np(-err));
    }
    return err < 0;
}
