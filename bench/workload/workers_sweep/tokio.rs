// SPDX-License-Identifier: MIT

//! 64 tasks spawn a child that computes for about a microsecond, await it and yield. It does not show
//! work of a sensible size.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

const PARENTS: u64 = 64;
const STEPS: u64 = 400;

async fn child(mut x: u64) -> u64 {
    for _ in 0..STEPS {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
    }
    x
}

async fn parent(size: u64) -> u64 {
    let mut right = 0;
    for i in 0..size {
        right += u64::from(tokio::spawn(child(i + 1)).await.unwrap_or(0) != 0);
        tokio::task::yield_now().await;
    }
    right
}

async fn round(size: u64) -> bench::Round {
    let tasks: Vec<_> = (0..PARENTS).map(|_| tokio::spawn(parent(size))).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await.unwrap_or(0);
    }
    bench::Round::new(if sum == PARENTS * size { sum } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "workers_sweep", size: 2000, is_cold: false }, round);
}
