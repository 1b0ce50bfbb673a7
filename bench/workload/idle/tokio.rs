// SPDX-License-Identifier: MIT

//! A runtime that sleeps, then one whose only task naps for a millisecond, which is the shortest
//! that Tokio can, and has another do nothing. It does not show wake-ups by descriptors.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::time::{Duration, Instant};

fn switches() -> f64 {
    let used = unsafe {
        let mut used: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut used);
        used
    };
    (used.ru_nvcsw + used.ru_nivcsw) as f64
}

async fn round(ms: u64) -> bench::Round {
    let half = Duration::from_millis(ms);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let before = switches();
    tokio::time::sleep(half).await;
    let idle = (switches() - before) / half.as_secs_f64();

    let (mut wakes, mut answered) = (0, 0);
    let (end, cpu, before) = (Instant::now() + half, bench::cpu(), switches());
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(1)).await;
        wakes += 1;
        answered += u64::from(tokio::spawn(async move { wakes }).await.unwrap_or(0) == wakes);
    }
    let took = Some(bench::cpu() - cpu);
    let each = (switches() - before) / wakes as f64;
    let units = if answered == wakes { wakes } else { 0 };
    let figures = vec![("idle_per_s", idle), ("switches_each", each)];
    bench::Round { units, took, figures, ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "idle", size: 500, is_cold: true }, round);
}
