/* SPDX-License-Identifier: MIT */
/*
 * A managed child process: start it, have a function called for each line that it writes, stop it,
 * wait for its end. One that does not stop when it is asked to is killed.
 */
#include <errno.h>
#include <stdio.h>

#include <weft/weft.h>

struct managed {
    weft_process *process;
    weft_task *reader;
    void (*on_line)(struct managed *m, const char *line, size_t bytes);
    int lines;
};

/* A task: a call for each line, until the child has closed its output. */
static void *read_lines(void *arg)
{
    struct managed *m = arg;
    struct weft_view line;
    ssize_t n;
    while ((n = weft_stream_read_line(weft_process_stdout(m->process), &line)) > 0) {
        size_t bytes = line.data[line.bytes - 1] == '\n' ? line.bytes - 1 : line.bytes;
        m->on_line(m, line.data, bytes);
    }
    return n < 0 ? weft_fail((int)n) : NULL;
}

static int managed_start(struct managed *m, const char *command)
{
    struct weft_process_options options = {
        .in = WEFT_PROCESS_NULL,
        .out = WEFT_PROCESS_PIPE,
        .err = WEFT_PROCESS_STDOUT,
    };
    int err = weft_process_shell(command, &options, &m->process);
    if (err < 0) {
        return err;
    }
    m->reader = weft_spawn(read_lines, m);
    if (m->reader == NULL) {
        (void)weft_process_close(m->process, NULL);
        return -ENOMEM;
    }
    return 0;
}

/* Wait for the end of the output, and of the child. */
static int managed_wait(struct managed *m, int *status)
{
    int err = weft_join(m->reader, NULL);
    int ended = weft_process_close(m->process, status);
    return err < 0 ? err : ended;
}

/* Ask it to end, and wait for that; after some time it is not asked any more. */
static int managed_stop(struct managed *m, int64_t for_ns, int *status)
{
    (void)weft_process_terminate(m->process);
    int err = 0;
    WEFT_TIMEOUT(for_ns) {
        err = weft_process_wait(m->process, NULL);
    }
    if (err == -ETIMEDOUT) {
        (void)weft_process_kill(m->process);
    }
    return managed_wait(m, status);
}

static void print_line(struct managed *m, const char *line, size_t bytes)
{
    m->lines++;
    printf("line %d: %.*s\n", m->lines, (int)bytes, line);
}

static void *run(void *arg)
{
    int status = 0;
    struct managed m = {.on_line = print_line};
    (void)arg;
    if (managed_start(&m, "echo one; echo two >&2; printf three; exit 4") == 0 &&
        managed_wait(&m, &status) == 0) {
        printf("exited with %d\n", status);
    }
    struct managed busy = {.on_line = print_line};
    if (managed_start(&busy, "echo at work; exec sleep 1000") == 0) {
        while (busy.lines == 0) {
            (void)weft_yield(); /* until it is at work */
        }
        if (managed_stop(&busy, WEFT_MINUTE, &status) == 0) {
            printf("stopped by signal %d\n", -status);
        }
    }
    return NULL;
}

int main(void)
{
    struct weft_options one = {.workers = 1}; /* so that `lines` needs no lock */
    return weft_run_with(&one, run, NULL, NULL) < 0;
}
