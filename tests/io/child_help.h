/* SPDX-License-Identifier: MIT */
/*
 * For tests that change what their process may do: run it in a child, refuse it a system call. In
 * the child a check that fails is printed, and the child ends with status 1.
 */
#ifndef WEFT_CHILD_HELP_H
#define WEFT_CHILD_HELP_H

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_SKIPPED 77

#define CHILD_CHECK(claim) \
    do { \
        if (!(claim)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #claim); \
            _exit(1); \
        } \
    } while (0)

#define CHILD_EQUAL(got, want) \
    do { \
        long long child_got = (long long)(got); \
        long long child_want = (long long)(want); \
        if (child_got != child_want) { \
            fprintf(stderr, "%s:%d: not so: %s: %lld is not %lld\n", __FILE__, __LINE__, \
                    #got " == " #want, child_got, child_want); \
            _exit(1); \
        } \
    } while (0)

/* The status of a child that calls fn; what it prints is not lost. -1: ended by a signal. */
static inline int in_child(int (*fn)(const void *arg), const void *arg)
{
    int status = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        int ret = fn(arg);
        fflush(NULL);
        _exit(ret);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) {
        return -1;
    }
    return WEXITSTATUS(status);
}

/* From now on a filter meets one system call with an action, SECCOMP_RET_... False: this cannot be
 * arranged here. */
static inline bool filter_syscall(long number, uint32_t action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* From now on this process gets -err from one system call. */
static inline bool refuse_syscall(long number, int err)
{
    return filter_syscall(number, SECCOMP_RET_ERRNO | (uint32_t)err);
}

#endif
