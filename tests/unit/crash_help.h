/* SPDX-License-Identifier: MIT */
/* A child process that crashes, and what it left behind. */
#ifndef WEFT_CRASH_HELP_H
#define WEFT_CRASH_HELP_H

#include "test.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child_text.h"

struct outcome {
    int status;
    char text[32768]; /* of its standard error */
};

/* Run something in a child that has no handlers but the library's, and leaves no core. */
static inline void in_child(struct outcome *out, void (*run)(void))
{
    static const int fatal[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        alarm(60);
        for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++) {
            (void)signal(fatal[i], SIG_DFL);
        }
        dup2(ends[1], STDERR_FILENO);
        run();
        _exit(0);
    }
    close(ends[1]);
    child_text_read(ends[0], out->text, sizeof out->text);
    assert_int_equal(waitpid(child, &out->status, 0), child);
}

/* Show what there is before a failure. */
static inline void outcome_expect(const struct outcome *out, bool is_as_expected, const char *what)
{
    if (!is_as_expected) {
        fprintf(stderr, "expected: %s\nstatus %#x, standard error:\n%s\n", what,
                (unsigned)out->status, out->text);
    }
    assert_true(is_as_expected);
}

static inline void expect_killed(const struct outcome *out, int sig)
{
    outcome_expect(out, WIFSIGNALED(out->status) && WTERMSIG(out->status) == sig, strsignal(sig));
}

static inline void expect_exit(const struct outcome *out, int code)
{
    outcome_expect(out, WIFEXITED(out->status) && WEXITSTATUS(out->status) == code, "its exit");
}

static inline void expect_text(const struct outcome *out, const char *text)
{
    outcome_expect(out, strstr(out->text, text) != NULL, text);
}

static inline void expect_no_text(const struct outcome *out, const char *text)
{
    outcome_expect(out, strstr(out->text, text) == NULL, text);
}

/* One report, whole, from the first byte to the last. */
static inline void expect_report(const struct outcome *out)
{
    static const char begin[] = "--- weft crash report ---\n";
    static const char end[] = "--- end of weft crash report ---\n";
    const char *ends = strstr(out->text, end);
    outcome_expect(out, strncmp(out->text, begin, sizeof begin - 1) == 0, begin);
    outcome_expect(out, strstr(out->text + 1, begin) == NULL, "one report");
    outcome_expect(out, ends != NULL && ends[sizeof end - 1] == '\0', end);
    expect_text(out, "\nbacktrace:\n  at ");
    expect_text(out, "\nkernel: Linux ");
    expect_text(out, "\nweft ");
}

#endif
