// SPDX-License-Identifier: MIT

//! Each task spawns the next one and ends. It does not show more than the slot a worker keeps for
//! the task that was made last.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use tokio::sync::oneshot;

fn link(left: u64, end: oneshot::Sender<bool>) {
    tokio::spawn(async move {
        if left == 1 {
            let _ = end.send(true);
        } else {
            link(left - 1, end);
        }
    });
}

async fn round(size: u64) -> bench::Round {
    let (sender, receiver) = oneshot::channel();
    link(size, sender);
    bench::Round::new(if receiver.await == Ok(true) { size } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "chained_spawn", size: 500000, is_cold: false }, round);
}
