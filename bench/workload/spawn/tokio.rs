// SPDX-License-Identifier: MIT

//! Batches of 1000 tasks, each awaited by its handle. It does not show futures that are joined
//! without being spawned, which cost next to nothing and run on one worker.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

const TASKS: u64 = 1000;

async fn round(batches: u64) -> bench::Round {
    let mut sum = 0;
    let mut tasks = Vec::with_capacity(TASKS as usize);
    for _ in 0..batches {
        tasks.extend((0..TASKS).map(|i| tokio::spawn(async move { i + 1 })));
        for task in tasks.drain(..) {
            sum += task.await.unwrap_or(0);
        }
    }
    let expected = batches * TASKS * (TASKS + 1) / 2;
    bench::Round::new(if sum == expected { batches * TASKS } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "spawn", size: 200, is_cold: false }, round);
}
