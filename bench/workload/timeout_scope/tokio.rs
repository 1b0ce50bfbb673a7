// SPDX-License-Identifier: MIT

//! tokio::time::timeout round a yield. (Without one the timer would never be armed: what is ready at
//! once needs none.) It does not show a time that runs out.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::time::Duration;

async fn round(size: u64) -> bench::Round {
    let mut left = 0;
    for _ in 0..size {
        let within = tokio::time::timeout(Duration::from_secs(1), tokio::task::yield_now());
        left += u64::from(within.await.is_ok());
    }
    bench::Round::new(if left == size { size } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "timeout_scope", size: 200000, is_cold: false }, round);
}
