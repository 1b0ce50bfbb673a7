/* SPDX-License-Identifier: MIT */
/*
 * Failures on purpose: the n-th call of a kind fails.
 *
 *     inject_arm(INJECT_MEMORY, 3, ENOMEM, 1);    the third allocation from now on finds nothing
 *     err = weft_channel_create(...);
 *     if (inject_disarm() == 0) { it made fewer than three }
 *
 * The linker puts the functions of injection.c in the place of the C library's and liburing's, for
 * the library (which is linked in statically) and for the test: --wrap=<name> for each that is in a
 * WRAP or is called __wrap_<name> there; see tests/CMakeLists.txt. What other libraries call for
 * themselves is out of reach; but what the kernel answers inside a ring is not: an operation can be
 * made one that ends with an error, or one that asks for less.
 *
 * One failure is armed at a time, for the whole process; calls of all threads count. Between them
 * these are counted too: blocks of memory and bytes of mappings that were not given back.
 */
#ifndef WEFT_INJECTION_H
#define WEFT_INJECTION_H

#include <stdbool.h>
#include <stddef.h>

enum inject_kind {
    INJECT_NOTHING,
    INJECT_MEMORY,     /* malloc, calloc, realloc, aligned_alloc, strdup, ... */
    INJECT_MAP,        /* mmap */
    INJECT_ADVICE,     /* mprotect, madvise, process_madvise, sigaltstack */
    INJECT_THREAD,     /* pthread_create */
    INJECT_RING,       /* io_uring_queue_init_params */
    INJECT_REGISTER,   /* io_uring_register_... */
    INJECT_ENTER,      /* io_uring_enter2; error 0: it submits one, and does not wait. With epoll
                          a wait that is interrupted, whatever the error; but ENOSYS: there is no
                          epoll_pwait2 */
    INJECT_OPERATION,  /* one that a ring was given, see inject_opcode; error 0: it asks for less */
    INJECT_CANCEL,     /* a request to a ring to end an operation */
    INJECT_TIMER,      /* timer_create, timer_settime */
    INJECT_DESCRIPTOR, /* whatever makes a descriptor, but rings */
    INJECT_ACCEPT,     /* accept4 */
    INJECT_SEND,       /* send, sendmsg, sendmmsg; error 0: one byte of a stream */
    INJECT_RECEIVE,    /* recv, recvmsg, recvmmsg, preadv2; error 0: one byte of a stream
                          or a pipe */
    INJECT_WRITE,      /* pwritev2; error 0: one byte, but not of a file */
    INJECT_CONNECT,    /* connect */
    INJECT_CONTROL,    /* bind, listen, names, options, fcntl, epoll_ctl, ftruncate */
    INJECT_SPAWN,      /* posix_spawnp and what prepares it */
    INJECT_RESOLVE,    /* getaddrinfo, getnameinfo: with an EAI_... as the error */
    INJECT_SIGNAL,     /* sigaction */
    INJECT_KERNEL,     /* registering for membarrier, sched_getaffinity, sched_setaffinity */
    INJECT_BARRIER,    /* membarrier */
    INJECT_WAITID,     /* waitid by a process descriptor */
    INJECT_OPENSSL,    /* an allocation of OpenSSL's, by the test's hooks */
    INJECT_KINDS,
};

/*
 * Of the calls of this kind from now on, `times` from the n-th (1: the next) fail.
 * error: an errno, positive; 0: where the kind has a meaning for it
 */
void inject_arm(enum inject_kind kind, unsigned n, int error, unsigned times);

/* No call fails any more. Returns how many have. */
unsigned inject_disarm(void);

/* What a test does for itself between these neither fails nor counts. */
enum inject_kind inject_pause(void);
void inject_resume(enum inject_kind kind);

/* Count a call, of a test's own, too. Returns whether it is to fail; errno is set then. */
bool inject_fails(enum inject_kind kind);

/* INJECT_OPERATION counts only those with this opcode; -1: all. */
void inject_opcode(int opcode);

/* Whether the kernel can be made to answer in a ring what is asked for (Linux 6.10). */
bool inject_has_operations(void);

/* Blocks that were allocated and not freed, bytes that were mapped and not unmapped. */
long inject_blocks(void);
long inject_mapped(void);

const char *inject_name(enum inject_kind kind);

/* Of syscall(number, command, ...); INJECT_KINDS: of none. */
enum inject_kind inject_kind_of_syscall(long number, long command);

#endif
