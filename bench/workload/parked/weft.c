/* SPDX-License-Identifier: MIT */
/*
 * What does a parked task cost? Parks N tasks in a sleep, reads the process's resident memory and
 * tables, wakes them, and reads both again when all have ended and the stacks have decayed.
 *
 * It does not show what a task with deep frames costs: each of these touches one page of its stack.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/weft.h>

static size_t task_count = 1000000;

/* A figure of /proc/self/status, in KiB. */
static long status_kib(const char *name)
{
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (strncmp(line, name, strlen(name)) == 0) {
            kib = strtol(line + strlen(name) + 1, NULL, 10);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return kib;
}

static void *parked(void *arg)
{
    (void)arg;
    int err = weft_sleep(WEFT_FOREVER);
    return err == -ECANCELED ? NULL : weft_fail(-EPROTO);
}

static void report(const char *when, long rss_before, long pte_before)
{
    long rss = status_kib("VmRSS") - rss_before;
    long pte = status_kib("VmPTE") - pte_before;
    printf("%-22s %10ld KiB resident %8.0f bytes a task, %8ld KiB page tables %6.0f bytes a task\n",
           when, rss, (double)rss * 1024 / (double)task_count, pte,
           (double)pte * 1024 / (double)task_count);
    fflush(stdout);
}

/* Let every task that was spawned reach its sleep. */
static void settle(void)
{
    for (int i = 0; i < 100; i++) {
        weft_sleep(10 * WEFT_MS);
    }
}

static void *main_task(void *arg)
{
    (void)arg;
    weft_task **tasks = malloc(task_count * sizeof(weft_task *));
    if (tasks == NULL) {
        return weft_fail(-ENOMEM);
    }
    memset(tasks, 0, task_count * sizeof(weft_task *));
    long rss = status_kib("VmRSS");
    long pte = status_kib("VmPTE");
    int64_t start = weft_now();
    for (size_t i = 0; i < task_count; i++) {
        tasks[i] = weft_spawn(parked, NULL);
        if (tasks[i] == NULL) {
            fprintf(stderr, "no memory for task %zu\n", i);
            return weft_fail(-ENOMEM);
        }
    }
    report("spawned", rss, pte);
    settle();
    report("parked", rss, pte);
    size_t failed = 0;
    for (size_t i = 0; i < task_count; i++) {
        weft_cancel(tasks[i]);
    }
    for (size_t i = 0; i < task_count; i++) {
        failed += weft_join(tasks[i], NULL) != 0;
    }
    printf("%zu tasks spawned, parked, cancelled and joined in %.2f s, %zu failed\n", task_count,
           (double)(weft_now() - start) / 1e9 - 1.0, failed);
    report("all ended", rss, pte);
    weft_sleep(4 * WEFT_SECOND);
    report("4 seconds later", rss, pte);
    free(tasks);
    return failed == 0 ? NULL : weft_fail(-EPROTO);
}

int main(int argc, char **argv)
{
    if (argc > 1) {
        task_count = strtoull(argv[1], NULL, 10);
    }
    if (argc > 2 || task_count == 0) {
        fprintf(stderr, "usage: macro_parked [TASKS]    (default 1000000)\n");
        return 2;
    }
    int err = weft_run(main_task, NULL, NULL);
    if (err < 0) {
        fprintf(stderr, "macro_parked: %s\n", strerrordesc_np(-err));
    }
    return err < 0;
}
