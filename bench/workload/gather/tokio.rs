// SPDX-License-Identifier: MIT

//! 1000 tasks in a JoinSet, each of which comes back with its number, by which the results are put
//! in order. It does not show join_all of futures that are no tasks, which one worker alone polls.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use tokio::task::JoinSet;

const TASKS: usize = 1000;

async fn round(batches: u64) -> bench::Round {
    let mut sum = 0;
    for _ in 0..batches {
        let mut all = JoinSet::new();
        for i in 0..TASKS {
            all.spawn(async move { (i, i as u64 + 1) });
        }
        let mut results = vec![0; TASKS];
        while let Some(Ok((i, result))) = all.join_next().await {
            results[i] = result;
        }
        sum += results.iter().sum::<u64>();
    }
    let tasks = TASKS as u64;
    bench::Round::new(if sum == batches * tasks * (tasks + 1) / 2 { batches * tasks } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "gather", size: 200, is_cold: false }, round);
}
