/* SPDX-License-Identifier: MIT */
/* Refusal; see refusal.h. */
#include "refusal.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/seccomp.h>

#include "atomic.h"

/* Of children without SIGCHLD, too; the name that headers have begins with an underscore. */
#define CLONED 0x40000000

enum { NOT_TRIED, TRIED_FINE, TRIED_DEADLY };

static _Atomic(uint32_t) tried;

/* The child: make each call of io_uring so that nothing comes of it. A handler of SIGSYS would be
 * the program's, and might go on with that. */
static void try_calls(void)
{
    static const unsigned long as_usual[8]; /* SIG_DFL, no flags, no mask, as the kernel has it */
    (void)syscall(SYS_rt_sigaction, SIGSYS, as_usual, NULL, (size_t)(_NSIG / 8));
    (void)syscall(SYS_prctl, PR_SET_DUMPABLE, 0UL, 0UL, 0UL, 0UL); /* no core, if it is killed */
    (void)syscall(SYS_io_uring_setup, 0, NULL);
    (void)syscall(SYS_io_uring_enter, -1, 0, 0, 0, NULL, (size_t)0);
    (void)syscall(SYS_io_uring_register, -1, 0, NULL, 0);
    (void)syscall(SYS_exit_group, 0);
}

/* Not fork(3), whose handlers are the program's; and no SIGCHLD for it. */
static bool child_is_killed(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, 0UL, NULL, NULL, NULL, 0UL);
    if (pid == 0) {
        try_calls();
    }
    int status = 0;
    pid_t ended = -1;
    while (pid > 0 && (ended = waitpid(pid, &status, CLONED)) < 0 && errno == EINTR) {
    }
    return ended > 0 && WIFSIGNALED(status);
}

static bool kills(void)
{
    if (prctl(PR_GET_SECCOMP) != SECCOMP_MODE_FILTER) {
        return false; /* filters can be added later: asked anew each time */
    }
    uint32_t known = atomic_load_relaxed(&tried); /* ORD none: all that was found is the value */
    if (known == NOT_TRIED) {
        known = child_is_killed() ? TRIED_DEADLY : TRIED_FINE;
        atomic_store_relaxed(&tried, known); /* ORD none: whoever tries finds the same */
    }
    return known == TRIED_DEADLY;
}

bool weft__uring_kills(char *why, size_t why_bytes)
{
    bool is_deadly = kills();
    if (is_deadly) {
        (void)snprintf(why, why_bytes,
                       "io_uring is deadly here (a seccomp filter kills who calls it, SIGSYS): "
                       "allow io_uring_setup, io_uring_enter and io_uring_register in it");
    }
    return is_deadly;
}
