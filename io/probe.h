/* SPDX-License-Identifier: MIT */
/*
 * What the running kernel can do, found by asking and by trying, never by its version.
 *
 * Opcodes are asked for. What no call tells of (does a multishot poll stay armed, does a cancel by
 * descriptor find anything) is tried on sockets of the probe's own. Once for a process is enough:
 *
 *     weft__ring_init(&first, &(struct ring_options){0}, why, sizeof(why));
 *     weft__probe(&first, why, sizeof(why));
 *     weft__ring_init(&second, &(struct ring_options){.probed = &first.features}, ...);
 *
 *     feature            without it                            since
 *     required opcodes   no backend (-ENOSYS)                   5.15 has them all
 *     timed wait         no backend (-ENOSYS)                   5.11
 *     receive, cancel    no backend (-ENOSYS)                   5.5
 *     no_iowait          parked workers show as iowait           6.15
 *     cqe_skip           completions nobody waits for are reaped  5.17
 *     multishot_poll     a poll is armed again after each event   5.13
 *     multishot_accept   an accept for each connection             5.19
 *     multishot_recv     an idle connection pins a buffer         6.0
 *     cancel_fd          operations in flight are cancelled singly 5.19
 */
#ifndef WEFT_PROBE_H
#define WEFT_PROBE_H

#include "ring.h"

/*
 * Fill in the probed part of r->features, but for what the ring's options have disabled.
 * The ring must be idle: nothing in flight, nothing to reap. It is idle again afterwards; its
 * counters have moved on. Takes about 0.1 ms, and up to 3 descriptors meanwhile.
 * Context: owner   Blocks: the thread, for seconds if the kernel loses what it is asked to do
 * why: as of weft__ring_init.
 * Returns 0; -ENOSYS: something that cannot be done without is missing, or does not work; -EMFILE,
 *         -ENFILE, -ENOMEM: could not try. On failure the ring is only good for weft__ring_fini.
 */
WEFT_MUST_CHECK int weft__probe(struct ring *r, char *why, size_t why_bytes);

#endif
