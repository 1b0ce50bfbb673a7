// SPDX-License-Identifier: MIT

//! The round trip of ping_pong, each answer awaited in tokio::time::timeout. It does not show a time
//! that runs out.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

async fn round(size: u64) -> bench::Round {
    let (there, mut at_other) = mpsc::channel(1);
    let (back, mut at_home) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(n) = at_other.recv().await {
            if back.send(n + 1).await.is_err() {
                break;
            }
        }
    });
    let mut right = 0;
    for i in 0..size {
        if there.send(i).await.is_ok() {
            let answer = timeout(Duration::from_secs(1), at_home.recv()).await;
            right += u64::from(answer == Ok(Some(i + 1)));
        }
    }
    bench::Round::new(if right == size { size } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "timeout_scope", size: 200000, is_cold: false }, round);
}
