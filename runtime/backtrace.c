/* SPDX-License-Identifier: MIT */
/*
 * Backtrace of a suspended fiber.
 *
 * The compiler's own unwinder walks it. That can only walk from where it is called; so it is called
 * from a frame whose unwind rules lead to the registers that the fiber left (weft__context_walk).
 * It reads the fiber's stack, which stands still, and the unwind tables; it allocates nothing and
 * takes no lock that a task could have: glibc finds the tables without one (_dl_find_object), or,
 * before 2.35, under one that it lets go of while it runs constructors.
 */
#include <unwind.h>

#include "context.h"
#include "park.h"
#include "view.h"

struct walk {
    void **frames;
    size_t room;
    size_t depth;
    uintptr_t low;
    uintptr_t high;
    bool is_outside; /* of the library's own frames, of which weft__park is the last */
};

static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *arg)
{
    struct walk *walk = arg;
    uintptr_t sp = _Unwind_GetCFA(context);
    uintptr_t pc = _Unwind_GetIP(context);
    if (sp < walk->low || sp > walk->high) {
        return _URC_NO_REASON; /* still the walker's own */
    }
    if (!walk->is_outside) {
        walk->is_outside = _Unwind_GetRegionStart(context) == (uintptr_t)weft__park;
        return _URC_NO_REASON;
    }
    if (pc == 0 || walk->depth == walk->room) {
        return _URC_END_OF_STACK;
    }
    walk->frames[walk->depth++] = (void *)pc;
    return _URC_NO_REASON;
}

static void walk_all(void *arg)
{
    (void)_Unwind_Backtrace(walk_frame, arg);
}

size_t weft__backtrace(const struct fiber *f, void **frames, size_t room)
{
    struct walk walk = {
        .frames = frames,
        .room = room,
        .low = (uintptr_t)f->sp,
        .high = (uintptr_t)f,
    };
    if (room > 0) {
        weft__context_walk(f->sp, walk_all, &walk);
    }
    return walk.depth;
}
