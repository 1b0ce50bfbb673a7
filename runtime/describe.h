/* SPDX-License-Identifier: MIT */
/* Whose stack has overflowed. */
#ifndef WEFT_DESCRIBE_H
#define WEFT_DESCRIBE_H

#include "overflow.h"

/* An overflow_describe_fn. Context: async-signal, on a worker. */
bool weft__describe_overflow(const void *fault_address, struct overflow_report *report);

#endif
