/* SPDX-License-Identifier: MIT */
/* Debug mode as the scheduler sees it: a flag, looked at where a step ends and the next begins. */
#ifndef WEFT_DEBUG_SWITCH_H
#define WEFT_DEBUG_SWITCH_H

#include "worker.h"

/* Whether a switch is no more than a switch: nobody is in a C++ exception, and no steps are noted.
 * One look for both, as it is on the path of every switch: at the exception state of this thread,
 * or at two words in its place, not 0 in debug mode. Context: owner. */
static inline bool switch_is_usual(struct worker *w)
{
    /* ORD none: what is behind it is constant, or this thread's. */
    const struct cxx_state *s = atomic_load_relaxed(&w->unusual);
    return WEFT_LIKELY((s->word[0] | s->word[1]) == 0);
}

/* Whether steps are to be noted. Context: owner. */
static inline bool debug_is_on(struct worker *w)
{
    return WEFT_UNLIKELY(atomic_load_relaxed(&w->debug_mode) != 0); /* ORD none: sooner or later */
}

/* The current fiber is about to be left. Context: owner. */
__attribute__((cold)) void weft__debug_leave(struct worker *w, enum leave_action leave);

/* weft__debug_switch, when the mode is on. */
static inline void debug_switch(struct worker *w, weft_task *next)
{
    if (debug_is_on(w)) {
        weft__debug_switch(w, next);
    }
}

#endif
