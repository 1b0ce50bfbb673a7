/* SPDX-License-Identifier: MIT */
/* Reader-writer lock: what others may ask of it; see rwlock.c. */
#ifndef WEFT_RWLOCK_OBJECT_H
#define WEFT_RWLOCK_OBJECT_H

#include <weft/sync.h>

/* The task that has it for writing, to be compared only; NULL: none. Context: who knows that l is
 * there. */
const weft_task *weft__rwlock_writer(const struct weft_rwlock *l);

#endif
