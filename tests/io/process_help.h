/* SPDX-License-Identifier: MIT */
/* For tests of weft/process.h: children by a line of shell, cases that leave none behind. */
#ifndef WEFT_PROCESS_HELP_H
#define WEFT_PROCESS_HELP_H

#include "io_help.h"

#include <sys/wait.h>

#define IN_OUT_ERR \
    (&(struct weft_process_options){.in = WEFT_PROCESS_PIPE, \
                                    .out = WEFT_PROCESS_PIPE, \
                                    .err = WEFT_PROCESS_PIPE})

#define OUT_ONLY (&(struct weft_process_options){.out = WEFT_PROCESS_PIPE})

#define IN_OUT \
    (&(struct weft_process_options){.in = WEFT_PROCESS_PIPE, .out = WEFT_PROCESS_PIPE})

static inline weft_process *shell(const char *command, const struct weft_process_options *options)
{
    weft_process *p = NULL;
    CHECK_EQUAL(weft_process_shell(command, options, &p), 0);
    CHECK(p != NULL);
    return p;
}

/* How it ends. */
static inline int waited(weft_process *p)
{
    int status = 12345;
    CHECK_EQUAL(weft_process_wait(p, &status), 0);
    return status;
}

/* Run a line of shell to its end. */
static inline int status_of(const char *command)
{
    weft_process *p = shell(command, NULL);
    int status = waited(p);
    weft_process_put(p);
    return status;
}

/* The next line of its output is that. */
static inline void expect_line(weft_process *p, const char *line)
{
    struct weft_view view;
    ssize_t n = weft_stream_read_line(weft_process_stdout(p), &view);
    CHECK_EQUAL(n, strlen(line));
    CHECK_EQUAL(memcmp(view.data, line, strlen(line)), 0);
}

static inline void expect_end(weft_process *p)
{
    struct weft_view view;
    CHECK_EQUAL(weft_stream_read_line(weft_process_stdout(p), &view), 0);
}

/* On a plain thread: no child is left, and none becomes a zombie for long. */
static inline void await_no_children(void)
{
    siginfo_t info;
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0) {
        sched_yield();
    }
    CHECK_EQUAL(errno, ECHILD);
}

/* As run_io; the children must have ended and been waited for, too. */
static inline void run_process(weft_fn fn, void *arg)
{
    int before = fd_count();
    run_case(fn, arg);
    await_no_children();
    while (fd_count() != before) {
        sched_yield(); /* of those that were left alone the descriptors go a moment later */
    }
}

#endif
