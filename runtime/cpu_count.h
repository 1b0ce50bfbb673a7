/* SPDX-License-Identifier: MIT */
/*
 * How many CPUs this process may keep busy: by its affinity mask, and by the CPU quota of the
 * control groups it is in. In a container with half a CPU's quota on a machine with 64, 64 workers
 * would be stopped by the kernel for nearly all of each period.
 */
#ifndef WEFT_CPU_COUNT_H
#define WEFT_CPU_COUNT_H

/*
 * The number of CPUs to use, at least 1. Does not fail: what cannot be read does not limit.
 * Context: any thread, whose affinity mask counts.  Blocks: the thread, for some small files.
 */
unsigned weft__cpu_count(void);

/*
 * The number of the n-th CPU (from 0) of the calling thread's affinity mask; -ENOENT when it has
 * fewer, or what the system said when it did not tell the mask.
 * Context: any thread.  Blocks: nothing.
 */
int weft__cpu_nth(unsigned n);

/*
 * The smallest CPU quota on the way from the process's control group to the root, in CPUs, rounded
 * up; 0: no limit. All paths are looked for under `root`, "" for the real ones.
 * Context: any thread.  Blocks: the thread, for some small files.
 */
unsigned weft__cpu_quota(const char *root);

#endif
