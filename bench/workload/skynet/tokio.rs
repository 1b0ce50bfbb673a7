// SPDX-License-Identifier: MIT

//! The tree of a million leaves, a task a node, the handles of its children in an array. It does
//! not show what a task costs whose future is large: these are small.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use tokio::task::JoinHandle;

const CHILDREN: u64 = 10;

async fn skynet(number: u64, height: u64) -> u64 {
    if height == 0 {
        return number;
    }
    let children: [JoinHandle<u64>; CHILDREN as usize] =
        std::array::from_fn(|i| skynet_spawned(number * CHILDREN + i as u64, height - 1));
    let mut sum = 0;
    for child in children {
        sum += child.await.unwrap_or(0);
    }
    sum
}

fn skynet_spawned(number: u64, height: u64) -> JoinHandle<u64> {
    tokio::spawn(skynet(number, height))
}

async fn round(levels: u64) -> bench::Round {
    let leaves = CHILDREN.pow(levels as u32);
    let tasks = (0..=levels as u32).map(|level| CHILDREN.pow(level)).sum();
    let sum = skynet(0, levels).await;
    bench::Round::new(if sum == leaves * (leaves - 1) / 2 { tasks } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "skynet", size: 6, is_cold: false }, round);
}
