// SPDX-License-Identifier: MIT

//! A million tasks that wait to be notified. It does not show tasks that hold something while they
//! wait: the size of a future is what it holds.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

async fn round(size: u64) -> bench::Round {
    let rss = bench::status_bytes("VmRSS");
    let mut tasks = Vec::with_capacity(size as usize);
    let watch = bench::Watch::begin();
    let begun = Arc::new(AtomicU64::new(0));
    let notify = Arc::new(Notify::new());
    for n in 1..=size {
        let (begun, notify) = (begun.clone(), notify.clone());
        tasks.push(tokio::spawn(async move {
            let notified = notify.notified();
            begun.fetch_add(1, Ordering::Relaxed);
            notified.await;
            n
        }));
    }
    while begun.load(Ordering::Relaxed) < size {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    let mut figures = watch.end(size);
    notify.notify_waiters();
    let mut right = 0;
    for (i, task) in tasks.into_iter().enumerate() {
        right += u64::from(task.await.unwrap_or(0) == i as u64 + 1);
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    figures.push(("rss_left_each", (bench::status_bytes("VmRSS") - rss) / size as f64));
    let units = if right == size { size } else { 0 };
    bench::Round { units, figures, ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "parked", size: 1000000, is_cold: true }, round);
}
