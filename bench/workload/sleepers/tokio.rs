// SPDX-License-Identifier: MIT

//! A million tasks in tokio::time::sleep for one to two seconds, which has a resolution of a
//! millisecond. It does not show tasks whose future is large: these have no more than the sleep.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::time::Duration;

const STEP: u64 = 2654435761;

async fn sleeper(n: u64) -> u64 {
    let spread = Duration::from_nanos(n * STEP % 1_000_000_000);
    tokio::time::sleep(Duration::from_secs(1) + spread).await;
    n
}

async fn round(size: u64) -> bench::Round {
    let mut tasks = Vec::with_capacity(size as usize);
    let watch = bench::Watch::begin();
    let cpu = bench::cpu();
    tasks.extend((1..=size).map(|n| tokio::spawn(sleeper(n))));
    let mut woken = 0;
    for (i, task) in tasks.into_iter().enumerate() {
        woken += u64::from(task.await.unwrap_or(0) == i as u64 + 1);
    }
    let took = Some(bench::cpu() - cpu);
    let units = if woken == size { size } else { 0 };
    bench::Round { units, took, figures: watch.end(size), ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "sleepers", size: 1000000, is_cold: true }, round);
}
