// SPDX-License-Identifier: MIT

//! An empty job in tokio::task::spawn_blocking, one after the other and 64 at a time. It does not
//! show jobs that block, of which 512 may do so at once.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::collections::VecDeque;
use std::time::Instant;
use tokio::task::spawn_blocking;

const AT_A_TIME: usize = 64;

async fn round(size: u64) -> bench::Round {
    let begin = Instant::now();
    let mut right = 0;
    for n in 0..size {
        right += u64::from(spawn_blocking(move || n + 1).await.unwrap_or(0) == n + 1);
    }
    let took = Some(begin.elapsed());

    let begin = Instant::now();
    let mut jobs = VecDeque::with_capacity(AT_A_TIME);
    let mut sum = 0;
    for n in 0..size {
        if jobs.len() == AT_A_TIME {
            let job: tokio::task::JoinHandle<u64> = jobs.pop_front().expect("it is full");
            sum += job.await.unwrap_or(0);
        }
        jobs.push_back(spawn_blocking(move || n + 1));
    }
    for job in jobs {
        sum += job.await.unwrap_or(0);
    }
    let many_ns = begin.elapsed().as_nanos() as f64 / size as f64;
    let units = if right == size && sum == size * (size + 1) / 2 { size } else { 0 };
    bench::Round { units, took, figures: vec![("many_ns", many_ns)], ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "offload", size: 20000, is_cold: false }, round);
}
