// SPDX-License-Identifier: MIT

//! 100 tasks in tokio::time::sleep, beside another process that burns CPU, then beside a task that
//! does. It does not show spawn_blocking or block_in_place, with which a task that knows that it
//! will burn says so; nor less than a millisecond, which is what Tokio's timers round up to.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

const SLEEPERS: u64 = 100;
const BURN: Duration = Duration::from_millis(50);
const BURNER: &str = "BENCH_BURNER"; // in the environment: burn, and do nothing else

fn burn() {
    let end = Instant::now() + BURN;
    let mut x = 1u64;
    while Instant::now() < end {
        for _ in 0..1000 {
            x = black_box(x.wrapping_mul(3).wrapping_add(1));
        }
    }
}

/// How late it woke, each time, in nanoseconds; below 0: early.
async fn sleeper(mut state: u64, end: Instant) -> Vec<i64> {
    let mut late = Vec::new();
    while Instant::now() < end {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let length = Duration::from_nanos(1_000_000 + (state >> 33) % 9_000_000);
        let due = Instant::now() + length;
        tokio::time::sleep(length).await;
        let now = Instant::now();
        late.push(match now.checked_duration_since(due) {
            Some(late) => late.as_nanos() as i64,
            None => -1,
        });
    }
    late
}

/// Those of all, in order.
async fn sleep_all(end: Instant) -> Vec<i64> {
    let all: Vec<_> = (0..SLEEPERS).map(|i| tokio::spawn(sleeper(i, end))).collect();
    let mut late = Vec::new();
    for one in all {
        late.extend(one.await.unwrap_or_default());
    }
    late.sort_unstable();
    late
}

async fn burner(end: Instant) {
    while Instant::now() < end {
        burn();
        tokio::time::sleep(BURN).await;
    }
}

async fn round(ms: u64) -> bench::Round {
    let half = Duration::from_millis(ms);
    let p99 = |sorted: &[i64]| sorted[(sorted.len() - 1) * 99 / 100] as f64;
    let mut other = Command::new("/proc/self/exe").env(BURNER, "1").spawn().expect("no process");
    let apart = sleep_all(Instant::now() + half).await;
    let _ = other.kill();
    let _ = other.wait();

    let end = Instant::now() + half;
    let task = tokio::spawn(burner(end));
    let late = sleep_all(end).await;
    let is_early = |sorted: &[i64]| sorted.first().map_or(true, |ns| *ns < 0);
    if task.await.is_err() || is_early(&apart) || is_early(&late) {
        return bench::Round::new(0);
    }
    let figures = vec![("apart_p99", p99(&apart)), ("times_apart", p99(&late) / p99(&apart))];
    let latencies_ns: Vec<u64> = late.iter().map(|ns| *ns as u64).collect();
    let took = Some(Duration::from_nanos(latencies_ns.iter().sum()));
    bench::Round { units: late.len() as u64, took, latencies_ns, figures }
}

fn main() {
    if std::env::var_os(BURNER).is_some() {
        loop {
            burn();
            std::thread::sleep(BURN);
        }
    }
    bench::main(bench::Spec { workload: "burner_sleepers", size: 1000, is_cold: true }, round);
}
