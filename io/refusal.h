/* SPDX-License-Identifier: MIT */
/*
 * Refusal: whether to ask for io_uring may end the process.
 *
 * Container profiles answer its calls with an error. Other filters (systemd's SystemCallFilter= by
 * default) kill who makes a call that is not on their list, with SIGSYS; so a runtime that tries
 * io_uring, to fall back on epoll, would not get there. Where the thread has a filter at all, a
 * child process tries first, once for the process.
 */
#ifndef WEFT_REFUSAL_H
#define WEFT_REFUSAL_H

#include <stdbool.h>
#include <stddef.h>

/* Why goes to `why`, a line for people.
 * Context: any thread     Blocks: the thread, until a child has ended; without a filter, and from
 * the second call on, nothing */
bool weft__uring_kills(char *why, size_t why_bytes);

#endif
