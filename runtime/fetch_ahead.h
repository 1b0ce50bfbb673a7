/* SPDX-License-Identifier: MIT */
/*
 * Fetching ahead what a long queue is going to run.
 *
 * A task that waited beside a million others is in no cache: its descriptor, its fiber and its
 * frames are ten lines in three places, each of which says where the next one is, and the page of
 * the stack is in no TLB. Taken one after the other that is most of what it costs to resume it. So
 * the owner of a deque that is longer than what caches hold looks, in each turn of its loop, at
 * all that will run until the next one: the descriptors, then the fibers, then the frames, each
 * lot side by side. It does so with any but a short one when the kernel has been at work since the
 * last turn: echo on 1000 connections spent a third of its time outside the kernel on such misses.
 *
 * The items are looked at without being taken, so there must be no thief meanwhile, who could run
 * and free them: it is done while the deque is owned (ownership.h), and else not.
 *
 * Pairs: none; what an item points to came with the item.
 */
#ifndef WEFT_FETCH_AHEAD_H
#define WEFT_FETCH_AHEAD_H

#include <stdbool.h>

struct worker;

/* Fetch what those items need that are going to run until the next turn, if the deque is long.
 * is_cold: the kernel, or others' completions, had the caches meanwhile.
 * Context: owner, in a turn that has just begun. */
void weft__fetch_ahead(struct worker *w, bool is_cold);

#endif
