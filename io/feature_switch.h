/* SPDX-License-Identifier: MIT */
/*
 * Feature switch: WEFT_URING_DISABLE=name,name has a program do without features of the kernel's
 * io_uring that it would use, to find out whether one of them is at fault.
 *
 *     defer_taskrun coop_taskrun taskrun_flag submit_all registered_fd no_iowait
 *                                                                     ring_features.h
 *     cqe_skip multishot_poll multishot_accept multishot_recv cancel_fd
 *                                                                     probe.h
 *     ftruncate                                                       the operation; a thread of
 *                                                                     ours makes the call instead
 */
#ifndef WEFT_FEATURE_SWITCH_H
#define WEFT_FEATURE_SWITCH_H

#include <stddef.h>
#include <stdint.h>

struct feature_switch {
    unsigned disable; /* of enum ring_without */
    uint64_t ops;     /* of the operations below 64, those that are said to be missing */
};

/*
 * What the environment says.
 * Returns 0, or -EINVAL with the reason in `why`: a name that there is none of.
 */
int weft__feature_switch(struct feature_switch *out, char *why, size_t why_bytes);

#endif
