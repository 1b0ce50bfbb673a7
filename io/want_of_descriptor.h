/* SPDX-License-Identifier: MIT */
/* Why a descriptor could not be had, in a line for people, with what helps against that. */
#ifndef WEFT_WANT_OF_DESCRIPTOR_H
#define WEFT_WANT_OF_DESCRIPTOR_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* what: the thing there is none of. Context: any thread */
static inline void explain_want_of_descriptor(const char *what, int err, char *why,
                                              size_t why_bytes)
{
    const char *advice = "";
    if (err == -EMFILE) {
        advice = "; raise the limit with 'ulimit -n'";
    } else if (err == -ENFILE) {
        advice = "; raise the limit with 'sysctl fs.file-max'";
    } else if (err == -ENOSPC) {
        advice = "; raise the limit with 'sysctl fs.epoll.max_user_watches'";
    }
    (void)snprintf(why, why_bytes, "no %s (%s)%s", what, strerrordesc_np(-err), advice);
}

#endif
