/* SPDX-License-Identifier: MIT */
/* Steps that leave the workers: jobs on the blocking pool, files, child processes. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "soak.h"

struct job {
    atomic_uint runs;
    int64_t for_ns;
};

static void *block(void *arg)
{
    struct job *j = arg;
    struct timespec t = {.tv_nsec = j->for_ns};
    nanosleep(&t, NULL);
    atomic_fetch_add_explicit(&j->runs, 1, memory_order_relaxed); /* ORD none: awaited */
    return NULL;
}

/* A job, waited for, or cancelled in line or while it runs. */
void soak_step_blocking(struct soak_actor *a)
{
    struct job j = {.for_ns = (int64_t)soak_below(&a->random, 2000) * WEFT_US};
    weft_future *f = weft_submit_blocking(NULL, block, &j);
    if (f != NULL && soak_below(&a->random, 3) == 0) {
        (void)weft_cancel(f);
    }
    int err = weft_await(f, NULL);
    /* ORD none: the await has ordered it. */
    unsigned runs = atomic_load_explicit(&j.runs, memory_order_relaxed);
    if (runs > 1 || (err == 0 && runs != 1) || (err < 0 && !soak_excused(a->round, err))) {
        soak_broken("round %u: a job ran %u times, and ended with %d", a->round->number, runs, err);
    }
    weft_put(f);
    (void)weft_yield();
}

enum { CONTENTS = 20000 };

/* A file, written, read and removed; whatever is cancelled in between, it is closed. */
void soak_step_file(struct soak_actor *a)
{
    struct soak_round *r = a->round;
    char path[256];
    uint64_t seed = soak_random(&a->random);
    size_t n = 1 + soak_below(&a->random, CONTENTS);
    unsigned char *data = malloc(n);
    void *back = NULL;
    size_t bytes = 0;
    if (data == NULL) {
        return;
    }
    snprintf(path, sizeof path, "%s/file-%u", r->folder, a->number);
    soak_fill(seed, 0, data, n);
    int fd = weft_openat(AT_FDCWD, path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
    int err = fd < 0 ? fd : 0;
    if (fd >= 0) {
        size_t half = n / 2;
        ssize_t second = weft_pwrite(fd, data + half, n - half, (off_t)half);
        ssize_t first = weft_pwrite(fd, data, half, 0);
        err = second < 0 ? (int)second : first < 0 ? (int)first : 0;
        (void)weft_close(fd);
    }
    if (err == 0) {
        err = weft_file_read(AT_FDCWD, path, &back, &bytes);
    }
    if (err == 0 && (bytes != n || memcmp(back, data, n) != 0)) {
        soak_broken("round %u: a file of %zu bytes has other contents, or %zu", r->number, n,
                    bytes);
    }
    free(back);
    free(data);
    (void)weft_unlinkat(AT_FDCWD, path, 0);
    if (err < 0 && !soak_excused(r, err)) {
        soak_broken("round %u: file: %s", r->number, strerrordesc_np(-err));
    }
}

/* What goes through cat comes out of it. */
static int through_cat(struct soak_actor *a, weft_process *p)
{
    unsigned char data[2000];
    size_t n = 1 + soak_below(&a->random, sizeof data);
    uint64_t seed = soak_random(&a->random);
    struct weft_process_output output;
    soak_fill(seed, 0, data, n);
    int err = weft_process_communicate(p, data, n, &output);
    if (err == 0 && (output.out_bytes != n || memcmp(output.out, data, n) != 0)) {
        soak_broken("round %u: cat gave back something else", a->round->number);
    }
    weft_process_output_fini(&output);
    return err;
}

enum { CAT, TRUE, KILLED, PROGRAMS };

void soak_step_process(struct soak_actor *a)
{
    static char *const argvs[PROGRAMS][3] = {{"cat"}, {"true"}, {"sleep", "1000"}};
    static const int wanted[PROGRAMS] = {0, 0, -SIGKILL};
    unsigned which = (unsigned)soak_below(&a->random, PROGRAMS);
    struct weft_process_options o = {
        .argv = argvs[which],
        .in = which == CAT ? WEFT_PROCESS_PIPE : WEFT_PROCESS_NULL,
        .out = which == CAT ? WEFT_PROCESS_PIPE : WEFT_PROCESS_NULL,
    };
    weft_process *p;
    int status = 0;
    int err = weft_process_spawn(&o, &p);
    if (err == 0) {
        soak_in(a->round, SOAK_PROCESSES, 1);
        if (which == CAT) {
            err = through_cat(a, p);
        } else if (which == KILLED) {
            (void)weft_sleep((int64_t)soak_below(&a->random, 3000) * WEFT_US);
            err = weft_process_kill(p);
        }
        err = err == 0 ? weft_process_wait(p, &status) : err;
        if (err == 0 && status != wanted[which]) {
            soak_broken("round %u: %s ended with %d", a->round->number, argvs[which][0], status);
        }
        int end = weft_process_close(p, NULL); /* kills what a cancel has left */
        soak_out(a->round, SOAK_PROCESSES, end == 0);
    }
    if (err < 0 && !soak_excused(a->round, err)) {
        soak_broken("round %u: %s: %s", a->round->number, argvs[which][0], strerrordesc_np(-err));
    }
    (void)weft_sleep((int64_t)soak_below(&a->random, 20) * WEFT_MS);
}
