/* SPDX-License-Identifier: MIT */
/*
 * What the kernel offers and liburing 2.3 does not name.
 *
 * liburing carries its own copy of the kernel's header under the same include guard, so that of the
 * system cannot be used beside it, and opcodes are enumerators, which no #ifdef can test. Hence own
 * names, for good: a newer liburing changes nothing here. Values are kernel ABI.
 * Whether the running kernel has a thing is asked for (features word, probe.h), never inferred.
 */
#ifndef WEFT_KERNEL_H
#define WEFT_KERNEL_H

#include <liburing.h>

/* io_uring_enter flag, 6.15: a thread that waits here does not count as waiting for a disk. */
#define WEFT_ENTER_NO_IOWAIT (1u << 7)

/* Bit of the features word that says so. */
#define WEFT_FEAT_NO_IOWAIT (1u << 17)

/* Opcodes; ask weft__ring_supports. */
#define WEFT_OP_FTRUNCATE 55u /* 6.9; addr 0, off: the new length */

/*
 * The kernel's own "call again" codes, 512 to 516, which no system call shows. A completion may:
 * that of an open in a thread of the kernel which a cancel has interrupted (6.18).
 */
#define WEFT_KERNEL_RESTART_FIRST 512
#define WEFT_KERNEL_RESTART_LAST 516

/* The opcodes that IORING_REGISTER_PROBE can tell of: the count is a byte. */
#define WEFT_OP_COUNT 256u

#endif
