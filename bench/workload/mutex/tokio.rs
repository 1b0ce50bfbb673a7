// SPDX-License-Identifier: MIT

//! 1000 tasks lock one tokio::sync::Mutex, count and unlock. It does not show std::sync::Mutex, which
//! is advised where nothing is awaited under the lock, and which blocks the worker.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::sync::Arc;
use tokio::sync::Mutex;

const TASKS: u64 = 1000;

async fn round(size: u64) -> bench::Round {
    let count = Arc::new(Mutex::new(0));
    let mut tasks = Vec::new();
    for _ in 0..TASKS {
        let count = count.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..size {
                *count.lock().await += 1;
            }
        }));
    }
    for task in tasks {
        let _ = task.await;
    }
    let sum = *count.lock().await;
    bench::Round::new(if sum == TASKS * size { sum } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "mutex", size: 1000, is_cold: false }, round);
}
