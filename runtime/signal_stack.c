/* SPDX-License-Identifier: MIT */
/* Signal stack; see signal_stack.h. */
#include "signal_stack.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

/* From Linux 5.14; older headers lack it. */
#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

/* On top of what the kernel needs for the registers. Touched page by page, so the size is free. */
#define SIGNAL_STACK_ROOM ((size_t)64 * 1024)

/* A thread's signal stack. Owner: the thread. */
static _Thread_local struct {
    char *mapping; /* NULL: none */
    size_t bytes;
    stack_t before;
} signal_stack;

int weft__signal_stack_begin(void)
{
    WEFT_ASSERT(signal_stack.mapping == NULL);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = getauxval(AT_MINSIGSTKSZ) + SIGNAL_STACK_ROOM;
    room = (room + page - 1) / page * page;
    char *p = mmap(NULL, page + room, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (p == MAP_FAILED) {
        return -ENOMEM;
    }
    stack_t ours;
    memset(&ours, 0, sizeof(ours));
    ours.ss_sp = p + page;
    ours.ss_size = room;
    if (mprotect(p, page, PROT_NONE) != 0 || sigaltstack(&ours, &signal_stack.before) != 0) {
        munmap(p, page + room);
        return -ENOMEM;
    }
    signal_stack.mapping = p;
    signal_stack.bytes = page + room;
    return 0;
}

void weft__signal_stack_end(void)
{
    if (signal_stack.mapping == NULL) {
        return;
    }
    stack_t now;
    const char *ours = signal_stack.mapping;
    int rc = sigaltstack(NULL, &now);
    WEFT_ASSERT(rc == 0);
    const char *at = now.ss_sp;
    /* If a task has installed another one for its thread, that is not ours to take away. */
    if ((now.ss_flags & SS_DISABLE) == 0 && at > ours && at < ours + signal_stack.bytes) {
        sigaltstack(&signal_stack.before, NULL);
    }
    munmap(signal_stack.mapping, signal_stack.bytes);
    signal_stack.mapping = NULL;
}
