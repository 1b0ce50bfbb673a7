/* SPDX-License-Identifier: MIT */
/* Relief for stuck threads of the kernel; see relief.h. */
#include "relief.h"

bool weft__relief_look(struct relief *r, int64_t now_ns)
{
    if (r->in_flight == 0) {
        bool has_any = r->more != 0;
        r->more = 0;
        r->has_ended = false;
        return has_any;
    }
    if (r->has_ended) {
        r->has_ended = false;
        r->step = RELIEF_STEP_MIN;
        r->pause_ns = RELIEF_PAUSE_MIN_NS;
        r->due_ns = now_ns + r->pause_ns;
    }
    if (r->more == RELIEF_MORE_MAX || now_ns < r->due_ns) {
        return false;
    }
    unsigned room = RELIEF_MORE_MAX - r->more;
    r->more += r->step < room ? r->step : room;
    r->step *= 2;
    r->pause_ns *= 2;
    r->due_ns = now_ns + r->pause_ns;
    return true;
}
