// SPDX-License-Identifier: MIT

//! A runtime with 100,000 tasks, 1000 of which yield for ever, is dropped: that stops the workers and
//! drops every task where it waits. It does not show tasks that clean up.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

const YIELDERS: u64 = 1000;

/// Counts that its task has ended, in whatever way.
struct Ended(Arc<AtomicU64>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn round(workers: usize, size: u64) -> bench::Round {
    let begun = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicU64::new(0));
    let runtime = bench::runtime(workers);
    let (counted, counting) = (begun.clone(), ended.clone());
    let spawned = runtime.spawn(async move {
        for i in 0..size {
            let (begun, ended) = (counted.clone(), Ended(counting.clone()));
            tokio::spawn(async move {
                let _ended = ended;
                begun.fetch_add(1, Ordering::Relaxed);
                while i < YIELDERS {
                    tokio::task::yield_now().await;
                }
                tokio::time::sleep(Duration::from_secs(3600)).await;
            });
        }
    });
    runtime.block_on(spawned).expect("the main task failed");
    while begun.load(Ordering::Relaxed) < size {
        std::thread::sleep(Duration::from_millis(1));
    }
    let begin = Instant::now();
    drop(runtime);
    let took = Some(begin.elapsed());
    let units = u64::from(ended.load(Ordering::Relaxed) == size);
    bench::Round { units, took, ..Default::default() }
}

fn main() {
    let spec = bench::Spec { workload: "shutdown", size: 100000, is_cold: false };
    bench::main_outside(spec, round);
}
