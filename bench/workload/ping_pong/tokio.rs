// SPDX-License-Identifier: MIT

//! Two tasks and two channels (tokio::sync::mpsc) with room for one. It does not show oneshot
//! channels, which are quicker and are used once.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use tokio::sync::mpsc;

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
            right += u64::from(at_home.recv().await == Some(i + 1));
        }
    }
    bench::Round::new(if right == size { size } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "ping_pong", size: 300000, is_cold: false }, round);
}
