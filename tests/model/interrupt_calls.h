/* SPDX-License-Identifier: MIT */
/* For models of tasks in no scope: what interrupt.c calls where there is one. */
#ifndef WEFT_INTERRUPT_CALLS_H
#define WEFT_INTERRUPT_CALLS_H

#include "runtime_object.h"

int64_t weft__runtime_now(weft_runtime *rt)
{
    (void)rt;
    model_fail("no deadline");
}

bool weft__runtime_has_come(weft_runtime *rt, int64_t at_ns)
{
    (void)rt;
    (void)at_ns;
    model_fail("no deadline");
}

int weft__timers_arm(struct timers *t, struct deadline *d, int64_t at_ns)
{
    (void)t;
    (void)d;
    (void)at_ns;
    model_fail("no alarm is set");
}

bool weft__timers_disarm(struct deadline *d)
{
    (void)d;
    model_fail("no alarm is set");
}

#endif
