/* SPDX-License-Identifier: MIT */
/*
 * The two halves of weft_close, for who has to end what is in flight on a descriptor some time
 * before it may close it.
 */
#ifndef WEFT_CLOSE_H
#define WEFT_CLOSE_H

/*
 * Refuse calls on fd from now on (-EBADF), and end those that are in: with -ECANCELED, or what they
 * completed.
 * Context: task     Blocks: task, and no cancel cuts it short
 * Returns 0: the caller owes weft__close_end; -EBADF: it is no descriptor, or somebody else closes
 * it; -ENOMEM: no call has ever been made on it. After an error there is nothing to end.
 */
int weft__close_begin(int fd);

/* Close it. Context: task; who began     Returns 0 or close(2)'s error; it is closed. */
int weft__close_end(int fd);

#endif
