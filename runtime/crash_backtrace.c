/* SPDX-License-Identifier: MIT */
/*
 * The backtrace of the thread that crashed.
 *
 * The compiler's unwinder starts here, in the handler or in the check, and walks through the
 * kernel's frame on the signal stack to the frame that was interrupted, by the unwind tables. A
 * task's stack ends at its trampoline (context.h). Of a deep recursion the innermost and the
 * outermost calls are shown.
 *
 * A jump to an address without code, a null pointer mostly, has no tables to go by: what called it
 * is on top of the stack then, or in the link register.
 */
#include <dlfcn.h>
#include <link.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

#include "crash.h"

#define FRAMES_FIRST 40u
#define FRAMES_LAST 8u

/* A frame, or several of the same call in a row. */
struct crash_frame {
    uintptr_t pc;
    uint32_t times;
    bool is_exact; /* the instruction itself, and not where a call returns to */
};

struct crash_walk {
    struct crash_text *text;
    const struct crash_place *place;
    uintptr_t pc;    /* that was interrupted; 0: none was */
    bool is_outside; /* of the frames that report */
    size_t depth;    /* of what follows, the present one included */
    struct crash_frame last[FRAMES_LAST]; /* the depth-th is number depth % FRAMES_LAST */
};

uintptr_t weft__crash_pc(const void *context)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
#else
    return (uintptr_t)c->uc_mcontext.pc;
#endif
}

uintptr_t weft__crash_sp(const void *context)
{
    const ucontext_t *c = context;
#if defined(__x86_64__)
    return (uintptr_t)c->uc_mcontext.gregs[REG_RSP];
#else
    return (uintptr_t)c->uc_mcontext.sp;
#endif
}

/* Who called what is at an address without code. */
static uintptr_t caller_of_nothing(const void *context)
{
#if defined(__x86_64__)
    return *(const uintptr_t *)weft__crash_sp(context);
#else
    const ucontext_t *c = context;
    return (uintptr_t)c->uc_mcontext.regs[30];
#endif
}

static void print_frame(struct crash_text *text, struct crash_frame frame)
{
    Dl_info info;
    struct link_map *map = NULL;
    weft__crash_text_add(text, "  at ");
    if (dladdr1((void *)(frame.pc - !frame.is_exact), &info, (void **)&map, RTLD_DL_LINKMAP) == 0 ||
        info.dli_fname == NULL || map == NULL) {
        weft__crash_text_hex(text, frame.pc);
    } else {
        const char *slash = strrchr(info.dli_fname, '/');
        if (info.dli_sname != NULL) {
            weft__crash_text_add(text, info.dli_sname);
            weft__crash_text_add(text, "+");
            weft__crash_text_hex(text, frame.pc - (uintptr_t)info.dli_saddr);
            weft__crash_text_add(text, " (");
        }
        weft__crash_text_add(text, slash == NULL ? info.dli_fname : slash + 1);
        weft__crash_text_add(text, "+");
        weft__crash_text_hex(text, frame.pc - map->l_addr);
        weft__crash_text_add(text, info.dli_sname != NULL ? ")" : "");
    }
    if (frame.times > 1) {
        weft__crash_text_add(text, ", ");
        weft__crash_text_number(text, frame.times);
        weft__crash_text_add(text, " times");
    }
    weft__crash_text_add(text, "\n");
    weft__crash_text_flush(text);
}

/* The present one is complete, and another one comes. */
static void walk_next(struct crash_walk *walk, struct crash_frame next)
{
    if (walk->depth > 0 && walk->depth <= FRAMES_FIRST) {
        print_frame(walk->text, walk->last[walk->depth % FRAMES_LAST]);
    }
    walk->depth++;
    walk->last[walk->depth % FRAMES_LAST] = next;
}

static _Unwind_Reason_Code walk_frame(struct _Unwind_Context *context, void *arg)
{
    struct crash_walk *walk = arg;
    int is_exact = 0;
    uintptr_t pc = _Unwind_GetIPInfo(context, &is_exact);
    if (!walk->is_outside) {
        walk->is_outside = walk->pc != 0 ? pc == walk->pc
                                         : _Unwind_GetRegionStart(context) == walk->place->above;
        if (!walk->is_outside || walk->pc == 0) {
            return _URC_NO_REASON;
        }
    }
    if (pc == 0) {
        return _URC_END_OF_STACK;
    }
    struct crash_frame *present = &walk->last[walk->depth % FRAMES_LAST];
    if (walk->depth > 0 && present->pc == pc) {
        present->times++;
    } else {
        walk_next(walk, (struct crash_frame){pc, 1, is_exact != 0});
    }
    return _URC_NO_REASON;
}

/* Those that have not been printed: the last ones. */
static void print_rest(struct crash_walk *walk)
{
    size_t from = walk->depth > FRAMES_FIRST ? FRAMES_FIRST + 1 : walk->depth;
    if (walk->depth > FRAMES_FIRST + FRAMES_LAST) {
        from = walk->depth - FRAMES_LAST + 1;
        weft__crash_text_add(walk->text, "  ... ");
        weft__crash_text_number(walk->text, from - FRAMES_FIRST - 1);
        weft__crash_text_add(walk->text, " more, then the outermost:\n");
    }
    for (size_t i = from; i > 0 && i <= walk->depth; i++) {
        print_frame(walk->text, walk->last[i % FRAMES_LAST]);
    }
}

void weft__crash_backtrace(struct crash_text *text, const struct crash_place *place)
{
    struct crash_walk walk = {.text = text, .place = place};
    Dl_info info;
    if (place->context != NULL) {
        walk.pc = weft__crash_pc(place->context);
        if (dladdr((void *)walk.pc, &info) == 0) {
            print_frame(text, (struct crash_frame){walk.pc, 1, true});
            print_frame(text, (struct crash_frame){caller_of_nothing(place->context), 1, false});
            return;
        }
    }
    (void)_Unwind_Backtrace(walk_frame, &walk);
    if (walk.depth == 0 && walk.pc != 0) {
        walk_next(&walk, (struct crash_frame){walk.pc, 1, true}); /* the tables lead nowhere */
    }
    print_rest(&walk);
}
