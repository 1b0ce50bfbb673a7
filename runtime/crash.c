/* SPDX-License-Identifier: MIT */
/* The crash report: who writes it, and what about; see crash.h. */
#include "crash.h"

#include <errno.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "atomic.h"
#include "crash_facts.h"
#include "job.h"
#include "pool.h"
#include "runtime_object.h"

/* How long a thread sleeps between two looks whether the one that reports has gone on. */
#define WAIT_NS (1 * WEFT_MS)

/* The report's state, below the reporter's thread id. */
enum report_state {
    REPORT_NONE,
    REPORT_OPEN, /* it is being written */
    REPORT_LAST, /* it is written, and the process about to end */
};

/* What is reported. */
struct report {
    const char *rule; /* that was broken; NULL: a signal */
    const char *advice;
    const char *file;
    int line;
    int sig;
    const siginfo_t *info;
    bool is_overflow;
    struct worker *w; /* NULL: none */
    struct job *job;  /* of a pool's thread; NULL: none */
    struct crash_place place;
};

#define STATE_BITS 2
#define STATE_MASK (((uint64_t)1 << STATE_BITS) - 1)

static const char advice_at_end[] =
    "next: `addr2line -fe FILE OFFSET` tells the function and the line of a frame. If it is not\n"
    "explained by the program, report it as a defect of weft, with all of this text.\n";

static _Atomic(uint64_t) reporter; /* thread << STATE_BITS | state */
/* the reporter's */
static struct crash_text text;
static sigjmp_buf next_section;

static uint64_t this_thread(void)
{
    return (uint64_t)syscall(SYS_gettid) << STATE_BITS;
}

/* The state of the report that this thread writes or has written last. */
static enum report_state own_state(void)
{
    uint64_t now = atomic_load_relaxed(&reporter); /* ORD none: this thread's, or nobody's */
    return (now & ~STATE_MASK) == this_thread() ? (enum report_state)(now & STATE_MASK)
                                                : REPORT_NONE;
}

/* Become the one who reports. A thread that cannot, since another one ends the process, stays. */
static void report_begin(void)
{
    uint64_t now = atomic_load_relaxed(&reporter); /* ORD none: looked at again */
    for (;;) {
        if ((now & STATE_MASK) != REPORT_NONE && (now & ~STATE_MASK) != this_thread()) {
            struct timespec t = {0, WAIT_NS};
            (void)nanosleep(&t, NULL);
            now = atomic_load_relaxed(&reporter); /* ORD none: looked at again */
            /* ORD P1 (crash.h): the text is free. */
        } else if (atomic_cas_acquire(&reporter, &now, this_thread() | REPORT_OPEN)) {
            return;
        }
    }
}

/* Let a fault in the midst of the report get to the handler, and nothing else. */
static void allow_faults(sigset_t *before)
{
    sigset_t set;
    sigfillset(&set);
    sigdelset(&set, SIGSEGV);
    sigdelset(&set, SIGBUS);
    pthread_sigmask(SIG_SETMASK, &set, before);
}

static void tell_rule(const struct report *r)
{
    weft__crash_text_add(&text, "weft: broken rule: ");
    weft__crash_text_add(&text, r->rule);
    weft__crash_text_add(&text, "\nweft:   at ");
    weft__crash_text_add(&text, r->file);
    weft__crash_text_add(&text, ":");
    weft__crash_text_number(&text, (unsigned)r->line);
    weft__crash_text_add(&text, "\n");
    if (r->advice != NULL) {
        weft__crash_text_add(&text, "weft:   ");
        weft__crash_text_add(&text, r->advice);
        weft__crash_text_add(&text, "\n");
    }
}

static void tell_overflow_of_job(const struct report *r)
{
    weft__crash_text_add(&text, "weft: stack overflow in a job on a thread of a pool (fault at ");
    weft__crash_text_hex(&text, (uintptr_t)r->info->si_addr);
    weft__crash_text_add(&text, "): it has used up all of the ");
    weft__crash_text_number(&text, r->job->slot->stack_bytes / 1024);
    weft__crash_text_add(&text, " KiB that threads have here by default; raise the limit "
                                "(ulimit -s), or have it use less\n");
}

static void tell_overflow(const struct report *r)
{
    if (r->w == NULL) {
        tell_overflow_of_job(r);
        return;
    }
    const weft_task *t = r->w->fiber->top;
    const struct stack *s = &r->w->fiber->stack;
    char name[WEFT_CRASH_NAME_BYTES];
    weft__crash_task_name(r->w, name, sizeof name);
    weft__crash_text_add(&text, "weft: stack overflow in task '");
    weft__crash_text_add(&text, name);
    weft__crash_text_add(&text, "' (id ");
    weft__crash_text_number(&text, t == NULL ? 0 : t->id);
    weft__crash_text_add(&text, ", fault at ");
    weft__crash_text_hex(&text, (uintptr_t)r->info->si_addr);
    weft__crash_text_add(&text, "): it may rely on ");
    weft__crash_text_number(&text, t == NULL ? 0 : stack_promise_bytes(t->run.stack_class) / 1024);
    weft__crash_text_add(&text, " KiB of stack and has used up all of the ");
    weft__crash_text_number(&text, weft__stack_reserved_bytes(s) / 1024);
    weft__crash_text_add(&text, " KiB reserved; spawn it with a larger "
                                "weft_spawn_options.stack_bytes\n");
}

static void tell_signal(const struct report *r)
{
    const char *name = sigabbrev_np(r->sig);
    weft__crash_text_add(&text, "weft: SIG");
    weft__crash_text_add(&text, name == NULL ? "?" : name);
    if (r->info->si_code > 0) {
        weft__crash_text_add(&text, " at address ");
        weft__crash_text_hex(&text, (uintptr_t)r->info->si_addr);
    }
    weft__crash_text_add(&text, "\n");
}

static void tell_task(const struct report *r)
{
    if (r->job != NULL) {
        weft__crash_job(&text, r->job);
        return;
    }
    const void *context = r->place.context;
    uintptr_t sp = context != NULL ? weft__crash_sp(context)
                                   : (uintptr_t)__builtin_frame_address(0);
    weft__crash_task(&text, r->w, sp);
}

static void tell_worker(const struct report *r)
{
    weft__crash_worker(&text, r->w);
}

static void tell_versions(const struct report *r)
{
    weft__crash_versions(&text, r->w);
}

static void tell_backtrace(const struct report *r)
{
    weft__crash_text_add(&text, "backtrace:\n");
    weft__crash_text_flush(&text);
    weft__crash_backtrace(&text, &r->place);
}

/* A part of the report; what it reads may be damaged. */
static void report_section(void (*tell)(const struct report *r), const struct report *r)
{
    if (sigsetjmp(next_section, 1) == 0) {
        tell(r);
    } else {
        weft__crash_text_add(&text, "(the rest of this cannot be read)\n");
    }
    weft__crash_text_flush(&text);
}

/* state: what comes then. */
static void report_write(const struct report *r, enum report_state state)
{
    sigset_t before;
    report_begin();
    allow_faults(&before);
    weft__crash_text_add(&text, "--- weft crash report ---\n");
    report_section(r->rule != NULL ? tell_rule : r->is_overflow ? tell_overflow : tell_signal, r);
    report_section(tell_task, r);
    report_section(tell_worker, r);
    report_section(tell_versions, r);
    report_section(tell_backtrace, r);
    weft__crash_text_add(&text, advice_at_end);
    weft__crash_text_add(&text, "--- end of weft crash report ---\n");
    weft__crash_text_flush(&text);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    atomic_store_release(&reporter, this_thread() | state); /* ORD P1 (crash.h): the text is free */
}

void weft__check_failed(const char *rule, const char *advice, const char *file, int line)
{
    struct report r = {
        .rule = rule,
        .advice = advice,
        .file = file,
        .line = line,
        .w = weft__worker_current(),
        .job = weft__job_current(),
        .place.above = (uintptr_t)weft__check_failed,
    };
    if (own_state() == REPORT_OPEN) {
        siglongjmp(next_section, 1); /* what the report looks at is damaged */
    }
    report_write(&r, REPORT_LAST);
    abort();
}

/* Whether an address is in the guard below the stack of a pool's thread. */
static bool is_guard_of_thread(const struct pool_slot *slot, const void *address)
{
    uintptr_t below = (uintptr_t)slot->stack_low - (uintptr_t)address;
    return slot->stack_low != NULL && below - 1 < slot->guard_bytes;
}

/* Whether a fault is an overflow of the stack that the worker's task, or the job, runs on. */
static bool is_overflow(const struct report *r)
{
    if ((r->sig != SIGSEGV && r->sig != SIGBUS) || r->info->si_code <= 0) {
        return false;
    }
    if (r->w == NULL) {
        return r->job->slot != NULL && is_guard_of_thread(r->job->slot, r->info->si_addr);
    }
    return !r->w->in_loop && r->w->fiber != NULL &&
           weft__stack_is_guard(&r->w->fiber->stack, r->info->si_addr);
}

/* Whether a signal is what the thread itself has done, and not one that somebody sent. */
static bool is_own(int sig, const siginfo_t *info)
{
    return info->si_code > 0 || (sig == SIGABRT && info->si_pid == getpid());
}

/* Whether a fatal signal that is no overflow is to be told of. */
static bool is_wanted(const struct report *r)
{
    bool is_told = r->sig == SIGABRT && own_state() == REPORT_LAST; /* of a broken check */
    bool is_asked_for = r->w != NULL ? r->w->rt->options.crash_report : r->job->tells_crash;
    return is_asked_for && is_own(r->sig, r->info) && !is_told;
}

enum fatal_answer weft__crash_tell(int sig, siginfo_t *info, void *context)
{
    if (own_state() == REPORT_OPEN && (sig == SIGSEGV || sig == SIGBUS)) {
        siglongjmp(next_section, 1);
    }
    struct report r = {
        .sig = sig,
        .info = info,
        .w = weft__worker_current(),
        .job = weft__job_current(),
        .place.context = context,
    };
    if (r.w == NULL && r.job == NULL) {
        return FATAL_PASSED;
    }
    r.is_overflow = is_overflow(&r);
    if (r.is_overflow || is_wanted(&r)) {
        report_write(&r, r.is_overflow ? REPORT_LAST : REPORT_NONE);
    }
    return r.is_overflow ? FATAL_ENDS : FATAL_PASSED;
}
