// SPDX-License-Identifier: MIT

//! A million tasks that sleep for an hour, each aborted by its handle and awaited. It does not show
//! tasks that clean up: an aborted one is dropped where it waits.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn round(size: u64) -> bench::Round {
    let begun = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::with_capacity(size as usize);
    for _ in 0..size {
        let begun = begun.clone();
        tasks.push(tokio::spawn(async move {
            begun.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(3600)).await;
        }));
    }
    while begun.load(Ordering::Relaxed) < size {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let begin = Instant::now();
    for task in &tasks {
        task.abort();
    }
    let mut cancelled = 0;
    for task in tasks {
        cancelled += u64::from(task.await.map_or_else(|error| error.is_cancelled(), |_| false));
    }
    let took = Some(begin.elapsed());
    let units = if cancelled == size { size } else { 0 };
    bench::Round { units, took, ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "cancel_storm", size: 1000000, is_cold: true }, round);
}
