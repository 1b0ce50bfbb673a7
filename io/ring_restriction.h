/* SPDX-License-Identifier: MIT */
/*
 * What a ring lets through: the opcodes, the flags and the calls that this library makes, for good.
 * Who gets to write to a ring's memory, or to call on its descriptor, can have no more of it.
 *
 * The kernel takes restrictions only from a ring that was set up disabled and has not been enabled
 * yet; whoever enables it becomes its owner. A new opcode in the library needs its line in
 * ring_restriction.c, or it ends with -EACCES.
 */
#ifndef WEFT_RING_RESTRICTION_H
#define WEFT_RING_RESTRICTION_H

#include "ring.h"

/*
 * Restrict a ring, and enable it; features.restricted tells whether the kernel took the first.
 * Context: owner, of a ring set up with IORING_SETUP_R_DISABLED
 * Returns 0, or why it cannot be enabled: then it is of no use.
 */
WEFT_MUST_CHECK int weft__ring_restrict(struct ring *r);

#endif
