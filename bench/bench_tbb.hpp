// SPDX-License-Identifier: MIT
//
// What the programs for oneTBB share: an arena of as many threads as wanted, the caller one of them.
#ifndef WEFT_BENCH_BENCH_TBB_H
#define WEFT_BENCH_BENCH_TBB_H

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>

#include "bench.hpp"

namespace bench {

template <typename Round> int tbb_main(const spec &what, int argc, char **argv, Round &&round)
{
    options given = parse(what, argc, argv);
    tbb::global_control most(tbb::global_control::max_allowed_parallelism, given.workers);
    tbb::task_arena arena(static_cast<int>(given.workers));
    int status = 1;
    arena.execute([&] { status = rounds_run(what, given, round); });
    return status;
}

} // namespace bench

#endif
