/* SPDX-License-Identifier: MIT */
/*
 * Goal: a runtime without work does nothing: no thread of it runs, makes a system call or is
 * counted as waiting for a disk, whether it has never had work, has just had some, or has tasks
 * that wait.
 *
 * Method: a thread that sleeps in the kernel switches no context. A window of time in which none of
 * the threads did is waited for; a runtime that ticks never has one. That alone is not taken from
 * counters of the library, which are looked at beside.
 */
#include "life_help.h"

#include <sys/socket.h>

#include "ring.h"

#define WINDOW_MS 300
#define WINDOWS 60

/* Whether a thread is a worker; a sanitizer has threads of its own. */
static bool is_worker(const char *tid)
{
    char path[300];
    char name[32] = "";
    snprintf(path, sizeof path, "/proc/self/task/%s/comm", tid);
    FILE *f = fopen(path, "r");
    if (f != NULL) {
        (void)!fgets(name, sizeof name, f);
        fclose(f);
    }
    return strncmp(name, "weft-", 5) == 0;
}

/* Context switches so far of all workers, in sum. */
static uint64_t switch_count(void)
{
    uint64_t sum = 0;
    unsigned workers = 0;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char path[300];
        char line[200];
        if (!is_worker(e->d_name)) {
            continue;
        }
        snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f) != NULL) {
            const char *value = strstr(line, "voluntary_ctxt_switches:");
            sum += value == NULL ? 0 : strtoull(strchr(value, ':') + 1, NULL, 10);
        }
        fclose(f);
        workers++;
    }
    closedir(d);
    assert_true(workers > 0);
    return sum;
}

static struct weft_metrics metrics_of(weft_runtime *rt)
{
    struct weft_metrics m;
    assert_int_equal(weft_metrics(rt, &m), 0);
    return m;
}

/* Nothing happens for a while, at the latest when what idle memory there is has been given back. */
static void assert_falls_silent(weft_runtime *rt)
{
    for (int i = 0; i < WINDOWS; i++) {
        uint64_t switches = switch_count();
        struct weft_metrics before = metrics_of(rt);
        sleep_ms(WINDOW_MS);
        struct weft_metrics after = metrics_of(rt);
        if (switch_count() == switches) {
            assert_memory_equal(&before, &after, sizeof before);
            return;
        }
    }
    fail_msg("no window of %d ms without a context switch in %d", WINDOW_MS, WINDOWS);
}

static void *give_back(void *arg)
{
    return arg;
}

static void a_fresh_runtime_is_silent(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    assert_falls_silent(rt);
    runtime_end(rt);
}

static void *work_hard(void *arg)
{
    weft_task *t[100];
    for (int i = 0; i < 100; i++) {
        t[i] = spawn_must(give_back, NULL);
    }
    for (int i = 0; i < 100; i++) {
        int err = weft_join(t[i], NULL);
        WEFT_ASSERT(err == 0);
    }
    WEFT_ASSERT(weft_sleep(WEFT_MS) == 0);
    return arg;
}

static void a_runtime_after_work_is_silent(void **state)
{
    (void)state;
    weft_runtime *rt = runtime_make(NULL);
    for (int i = 0; i < 20; i++) {
        run_on(rt, work_hard, NULL);
    }
    assert_falls_silent(rt);
    runtime_end(rt);
}

static void *wait_for_data(void *fd)
{
    char byte;
    ssize_t n = weft_recv((int)(intptr_t)fd, &byte, 1, 0);
    return n < 0 ? weft_fail((int)n) : value_of(byte);
}

static void *sleep_long(void *arg)
{
    (void)arg;
    int err = weft_sleep(WEFT_MINUTE);
    return weft_fail(err);
}

static void ignore_callback(void *arg)
{
    (void)arg;
}

static void waiting_tasks_are_silent(void **state)
{
    (void)state;
    int ends[2];
    void *result = NULL;
    weft_timer *timer = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    weft_runtime *rt = runtime_make(NULL);
    weft_task *receiver = spawn_on(rt, wait_for_data, value_of(ends[0]));
    weft_task *sleeper = spawn_on(rt, sleep_long, NULL);
    assert_int_equal(weft_timer_create(&timer, rt, ignore_callback, NULL), 0);
    assert_int_equal(weft_timer_start(timer, WEFT_MINUTE), 0);
    assert_falls_silent(rt);
    assert_int_equal(write(ends[1], "x", 1), 1); /* and they wake */
    assert_int_equal(weft_future_wait_blocking(receiver, WEFT_FOREVER, &result), 0);
    assert_int_equal((intptr_t)result, 'x');
    runtime_end(rt);
    assert_int_equal(wait_on(sleeper), -ECANCELED);
    weft_put(receiver);
    weft_put(sleeper);
    weft_timer_destroy(timer);
    close(ends[0]);
    close(ends[1]);
}

/* --- no processor is said to wait for a disk --- */

static bool kernel_can_wait_without_iowait(void)
{
    struct ring r;
    char why[256];
    struct ring_options options = {.entries = 32};
    if (weft__ring_init(&r, &options, why, sizeof why) < 0) {
        return false;
    }
    bool can = r.features.no_iowait;
    weft__ring_fini(&r);
    return can;
}

/* Threads of the machine that count as waiting for a disk: the fewest seen in a while. */
static unsigned blocked_count(void)
{
    unsigned fewest = UINT32_MAX;
    for (int i = 0; i < 30; i++) {
        char line[4096];
        FILE *f = fopen("/proc/stat", "r");
        assert_non_null(f);
        while (fgets(line, sizeof line, f) != NULL) {
            unsigned now;
            if (sscanf(line, "procs_blocked %u", &now) == 1 && now < fewest) {
                fewest = now;
            }
        }
        fclose(f);
        sleep_ms(3);
    }
    return fewest;
}

static void idle_workers_wait_for_no_disk(void **state)
{
    (void)state;
    if (!kernel_can_wait_without_iowait()) {
        skip();
    }
    unsigned before = blocked_count();
    struct weft_options options = {.workers = 8};
    weft_runtime *rt = runtime_make(&options);
    unsigned now = before + 8;
    for (int i = 0; i < 20 && now > before + 4; i++) { /* others may have begun to, for a while */
        now = blocked_count();
    }
    assert_in_range(now, 0, before + 4);
    runtime_end(rt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_runtime_is_silent),
        cmocka_unit_test(a_runtime_after_work_is_silent),
        cmocka_unit_test(waiting_tasks_are_silent),
        cmocka_unit_test(idle_workers_wait_for_no_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
