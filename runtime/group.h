/* SPDX-License-Identifier: MIT */
/* Groups, inside: what a spawn does for one; see group.c. */
#ifndef WEFT_GROUP_INSIDE_H
#define WEFT_GROUP_INSIDE_H

#include <weft/group.h>

struct group_child;
struct waiter;
struct worker;

/* The record of a child to be; NULL: no memory. */
struct group_child *weft__group_child_new(struct weft_group *g);

/* The task of the group that is told by that node, when it is one of a child's; else NULL. Caller
 * holds the child's lock, the node is listed. */
weft_task *weft__group_task_of(const struct waiter *node);

/* It is not to be. */
void weft__group_child_drop(struct group_child *c);

/* Free the records that a worker keeps. Context: nobody runs on it any more. */
void weft__group_records_drop(struct worker *w);

/*
 * Make a task that is complete but for its word a child, and publish it with that word. False: the
 * group takes no more, and nothing was done.
 * Context: the spawner.
 */
bool weft__group_add(struct group_child *c, weft_task *t, uint64_t word);

#endif
