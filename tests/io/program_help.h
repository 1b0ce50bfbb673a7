/* SPDX-License-Identifier: MIT */
/*
 * For tests that run programs as people do: as processes, with arguments, signals and limits.
 *
 * Those of tools/ are found in WEFT_TOOLS_DIR. Every process gets a time after which it is killed
 * and the test fails, so a hang cannot outlive the test.
 */
#ifndef WEFT_PROGRAM_HELP_H
#define WEFT_PROGRAM_HELP_H

#include "test.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROCESS_SECONDS 40
#define SKIPPED 77

/* A program that was started; what it wrote is in a file. */
struct process {
    pid_t pid;
    int out; /* standard output and error */
    char text[16384];
};

static inline const char *tools_dir(void)
{
    return getenv("WEFT_TOOLS_DIR");
}

/* Start a program. descriptors: its limit, soft and hard; 0: ours. */
static inline void process_start_with(struct process *p, const char *path, rlim_t descriptors,
                                      char *const argv[])
{
    char name[] = "/tmp/weft_program.XXXXXX";
    p->out = mkostemp(name, O_CLOEXEC | O_APPEND);
    assert_true(p->out >= 0);
    assert_int_equal(unlink(name), 0);
    p->pid = fork();
    assert_true(p->pid >= 0);
    if (p->pid == 0) {
        struct rlimit limit = {.rlim_cur = descriptors, .rlim_max = descriptors};
        if (descriptors > 0 && setrlimit(RLIMIT_NOFILE, &limit) < 0) {
            _exit(126);
        }
        dup2(p->out, STDOUT_FILENO);
        dup2(p->out, STDERR_FILENO);
        execv(path, argv);
        _exit(127);
    }
}

static inline void process_start_at(struct process *p, const char *path, char *const argv[])
{
    process_start_with(p, path, 0, argv);
}

/* Start a program of tools/. */
static inline void process_start(struct process *p, rlim_t descriptors, char *const argv[])
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", tools_dir(), argv[0]);
    process_start_with(p, path, descriptors, argv);
}

/* What the program has written so far. */
static inline const char *process_text(struct process *p)
{
    ssize_t n = pread(p->out, p->text, sizeof p->text - 1, 0);
    assert_true(n >= 0);
    p->text[n] = '\0';
    return p->text;
}

/* Wait until the program has written something. */
static inline void process_expect(struct process *p, const char *what)
{
    for (int ms = 0; ms < PROCESS_SECONDS * 1000; ms += 5) {
        if (strstr(process_text(p), what) != NULL) {
            return;
        }
        (void)poll(NULL, 0, 5);
    }
    fail_msg("no '%s' in: %s", what, process_text(p));
}

/* Wait for the end. Returns the exit status; a signal or the end of patience fails the test. */
static inline int process_wait(struct process *p)
{
    int status = 0;
    pid_t ended = 0;
    for (int ms = 0; ms < PROCESS_SECONDS * 1000 && ended == 0; ms += 5) {
        ended = waitpid(p->pid, &status, WNOHANG);
        (void)poll(NULL, 0, ended == 0 ? 5 : 0);
    }
    if (ended == 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, &status, 0);
    }
    p->pid = 0;
    const char *text = process_text(p);
    close(p->out);
    if (ended == 0 || !WIFEXITED(status)) {
        fail_msg("%s, having written: %s", ended == 0 ? "did not end" : "killed by a signal", text);
    }
    return WEXITSTATUS(status);
}

/* Start a program and wait for its end. */
static inline int process_run(struct process *p, char *const argv[])
{
    process_start(p, 0, argv);
    return process_wait(p);
}

#define ARGV(...) \
    (char *[]) \
    { \
        __VA_ARGS__, NULL \
    }

/* A number of the JSON that a program has written. */
static inline double process_number(struct process *p, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(p->text, quoted);
    if (at == NULL) {
        fail_msg("no %s in: %s", quoted, p->text);
        return 0;
    }
    return strtod(at + strlen(quoted), NULL);
}

/* Run weft-load for a short time, or longer: a busy machine may not come to do anything. The last
 * argument before the NULL is "--duration", followed by room for its value. Without an error. */
static inline void load_something(struct process *p, char *argv[])
{
    static char *const durations[] = {"0.2", "1", "5"};
    size_t n = 0;
    while (argv[n] != NULL) {
        n++;
    }
    for (size_t i = 0; i < 3 && (i == 0 || process_number(p, "requests") < 1); i++) {
        argv[n] = durations[i];
        int status = process_run(p, argv);
        if (status != 0 && process_number(p, "requests") >= 1) {
            fail_msg("status %d: %s", status, p->text);
        }
    }
    if (process_number(p, "requests") < 1 || strstr(p->text, "\"errors\":{}") == NULL) {
        fail_msg("errors, or nothing done: %s", p->text);
    }
}

/* Kill one that a failed test left running. */
static inline void process_kill(struct process *p)
{
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        p->pid = 0;
        close(p->out);
    }
}

/* Whether a command is installed. */
static inline bool has_command(const char *name)
{
    char line[128];
    snprintf(line, sizeof line, "command -v %s >/dev/null 2>&1", name);
    return system(line) == 0; /* NOLINT(concurrency-mt-unsafe) */
}

/* Run a line of the shell, which bounds the time of what it runs. Returns its status. */
__attribute__((format(printf, 1, 2))) static inline int shell(const char *format, ...)
{
    char line[2048];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    assert_true(n > 0 && (size_t)n < sizeof line);
    int status = system(line); /* NOLINT(concurrency-mt-unsafe) */
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
