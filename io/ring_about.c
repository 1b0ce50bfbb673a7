/* SPDX-License-Identifier: MIT */
/* What a crash report says of a ring. */
#include "crash_text.h"
#include "ring.h"

void weft__ring_about(const struct ring *r, struct crash_text *text)
{
    const struct ring_features *f = &r->features;
    const struct {
        bool is_there;
        const char *name;
    } features[] = {
        {f->defer_taskrun, " defer_taskrun"},       {f->coop_taskrun, " coop_taskrun"},
        {f->taskrun_flag, " taskrun_flag"},         {f->submit_all, " submit_all"},
        {f->registered_fd, " registered_fd"},       {f->no_iowait, " no_iowait"},
        {f->cqe_skip, " cqe_skip"},                 {f->multishot_poll, " multishot_poll"},
        {f->multishot_accept, " multishot_accept"}, {f->multishot_recv, " multishot_recv"},
        {f->cancel_fd, " cancel_fd"},               {f->restricted, " restrictions"},
    };

    weft__crash_text_add(text, ", liburing " WEFT_LIBURING_VERSION ", ");
    weft__crash_text_number(text, r->sq_entries);
    weft__crash_text_add(text, " SQEs, ");
    weft__crash_text_number(text, r->cq_entries);
    weft__crash_text_add(text, " CQEs,");
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        weft__crash_text_add(text, features[i].is_there ? features[i].name : "");
    }
}
