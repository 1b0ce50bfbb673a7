/* SPDX-License-Identifier: MIT */
/*
 * Reports: what becomes of errors that nobody retrieved.
 *
 * Without a handler one line is printed, there and then. With one, a callback is queued on the
 * future's runtime: the last reference may go anywhere, in the middle of the library and under its
 * locks, where no code of the program could run. The callback has the locals of the task that
 * failed. A report that comes while the runtime closes is a queued callback like others, which the
 * close waits for. Afterwards there are no workers, and the handler is called by the thread that
 * let go.
 *
 * The reference that was the last one is the report's: until the handler has returned the future is
 * whole, and it may take another.
 */
#include "report.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/task.h>

#include "locals.h"
#include "program_call.h"
#include "runtime_object.h"

struct report {
    struct callback callback;
    weft_runtime *rt; /* its memory is held */
    weft_future *f;   /* a reference, or NULL */
    struct local_set *locals;
    enum report_kind kind;
    int error;
};

struct error_handler {
    weft_error_handler_fn fn;
    void *arg;
};

static struct error_handler handler_of(weft_runtime *rt)
{
    struct error_handler h = {NULL, NULL};
    if (rt != NULL) {
        pthread_mutex_lock(&rt->handler_lock);
        h = (struct error_handler){rt->options.error_handler, rt->options.error_handler_arg};
        pthread_mutex_unlock(&rt->handler_lock);
    }
    return h;
}

void weft_set_error_handler(weft_runtime *rt, weft_error_handler_fn fn, void *arg)
{
    if (rt != NULL && !weft__runtime_is_parents(rt)) {
        pthread_mutex_lock(&rt->handler_lock);
        rt->options.error_handler = fn;
        rt->options.error_handler_arg = arg;
        pthread_mutex_unlock(&rt->handler_lock);
    }
}

/* What is told where there is no handler. */
static void report_print(const weft_future *f, enum report_kind kind, int error)
{
    char name[64] = "";
    bool is_task = f != NULL && f->fn != NULL;
    bool is_job = f != NULL && !is_task && f->job != NULL;
    if (is_task || is_job) {
        weft__task_format_name(f, name, sizeof name);
    }
    const char *what = f == NULL ? "a callback" : is_task ? "task " : is_job ? "job " : "a promise";
    if (kind == REPORT_DROPPED) {
        fprintf(stderr, "weft: held task %s was dropped before weft_start; it never ran\n", name);
    } else {
        fprintf(stderr, "weft: %s%s failed with %d (%s)%s\n", what, name, error,
                strerrordesc_np(-error),
                kind == REPORT_UNSEEN ? ", and nobody looked at its outcome" : "");
    }
}

static void report_tell(const struct report *r)
{
    struct error_handler h = handler_of(r->rt);
    if (h.fn != NULL) {
        h.fn(r->rt, r->f, r->error, h.arg);
    } else {
        report_print(r->f, r->kind, r->error); /* it was taken back meanwhile */
    }
}

static void report_free(struct report *r)
{
    weft_put(r->f);
    weft__runtime_release(r->rt);
    free(r);
}

static void report_invoke(struct callback *c)
{
    struct report *r = WEFT_CONTAINER(c, struct report, callback);
    struct callback_frame frame;
    callback_begin(&frame, r->locals, (uintptr_t)report_invoke);
    report_tell(r);
    callback_end(&frame);
    report_free(r);
}

/* There are no workers any more. */
static void report_here(struct report *r)
{
    struct program_call call;
    program_call_begin(&call, &r->locals);
    report_tell(r);
    program_call_end(&call);
    weft__locals_drop(r->locals);
    report_free(r);
}

/* Tell the handler of rt, which has one. The reference to f, if any, and the locals are the
 * report's. False: no memory, and they are not. */
static bool report_queue(weft_runtime *rt, weft_future *f, struct local_set *locals,
                         enum report_kind kind, int error)
{
    struct report *r = malloc(sizeof *r);
    if (r == NULL) {
        return false;
    }
    weft__runtime_hold(rt);
    *r = (struct report){
        .callback.invoke = report_invoke,
        .rt = rt,
        .f = f,
        .locals = locals,
        .kind = kind,
        .error = error,
    };
    if (weft__runtime_enter(rt, RUNTIME_STOPPING) == 0) {
        weft__callback_queue(rt, &r->callback);
        weft__runtime_exit(rt);
    } else {
        report_here(r);
    }
    return true;
}

bool weft__report_future(weft_future *f, enum report_kind kind, int error)
{
    struct local_set *locals = NULL;
    if (handler_of(f->rt).fn != NULL) {
        /* ORD none: whoever holds f looks at it in vain from now on. */
        atomic_store_relaxed(&f->seen, 1);
        (void)weft__locals_take_all(f, &locals); /* without memory: without locals */
        if (report_queue(f->rt, f, locals, kind, error)) {
            return true;
        }
        weft__locals_drop(locals);
    }
    report_print(f, kind, error);
    return false;
}

void weft_report_error(weft_runtime *rt, weft_future *f, int error)
{
    WEFT_REQUIRE(error < 0 && error > -4096, "weft_report_error takes a negative errno value");
    struct local_set *locals = NULL;
    rt = rt == NULL ? weft_runtime_current() : rt;
    if (rt != NULL && weft__runtime_is_parents(rt)) {
        rt = NULL;
    }
    if (handler_of(rt).fn != NULL) {
        (void)weft__locals_capture(&locals); /* as above */
        if (report_queue(rt, weft_get(f), locals, REPORT_CALLED, error)) {
            return;
        }
        weft_put(f);
        weft__locals_drop(locals);
    }
    report_print(f, REPORT_CALLED, error);
}
