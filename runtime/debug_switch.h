/* SPDX-License-Identifier: MIT */
/* Debug mode as the scheduler sees it: a flag, looked at where a step ends and the next begins. */
#ifndef WEFT_DEBUG_SWITCH_H
#define WEFT_DEBUG_SWITCH_H

#include "worker.h"

/* Whether steps are to be noted. Context: owner. */
static inline bool debug_is_on(struct worker *w)
{
    return WEFT_UNLIKELY(atomic_load_relaxed(&w->debug_mode) != 0); /* ORD none: sooner or later */
}

/* weft__debug_switch, when the mode is on. */
static inline void debug_switch(struct worker *w, weft_task *next)
{
    if (debug_is_on(w)) {
        weft__debug_switch(w, next);
    }
}

#endif
