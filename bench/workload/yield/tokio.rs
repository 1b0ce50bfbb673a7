// SPDX-License-Identifier: MIT

//! 100 tasks yield to each other with tokio::task::yield_now. It does not show a switch of stacks:
//! there are none, the future returns to the worker's loop, which calls the next one.

#[path = "../../bench.rs"]
mod bench;

const TASKS: u64 = 100;

async fn yielder(yields: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..yields {
        tokio::task::yield_now().await;
        sum += 1;
    }
    sum
}

async fn round(size: u64) -> bench::Round {
    let tasks: Vec<_> = (0..TASKS).map(|_| tokio::spawn(yielder(size))).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap_or(0);
    }
    bench::Round::new(if sum == TASKS * size { sum } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "yield", size: 10000, is_cold: false }, round);
}
