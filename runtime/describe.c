/* SPDX-License-Identifier: MIT */
/* Which task it was: for the overflow handler and for failed checks. */
#include "describe.h"

#include <stdio.h>

#include "runtime_object.h"

bool weft__describe_overflow(const void *fault_address, struct overflow_report *report)
{
    struct worker *w = weft__worker_current();
    if (w == NULL || w->in_loop || w->fiber == NULL ||
        !weft__stack_is_guard(&w->fiber->stack, fault_address)) {
        return false;
    }
    weft_task *t = w->fiber->top;
    report->reserved_bytes = weft__stack_reserved_bytes(&w->fiber->stack);
    if (t != NULL) {
        weft__task_format_name(t, report->task_name, sizeof report->task_name);
        report->task_id = t->id;
        report->promised_bytes = stack_promise_bytes(t->run.stack_class);
    }
    return true;
}

void weft__check_describe_task(char *buf, size_t bytes)
{
    struct fiber *f = weft__fiber_current();
    if (f != NULL && f->top != NULL) {
        weft__task_format_name(f->top, buf, bytes);
    } else {
        snprintf(buf, bytes, "none");
    }
}
