// SPDX-License-Identifier: MIT

//! Plain threads spawn by a runtime's handle, and wait by Handle::block_on. It does not show
//! spawn_blocking, the other way round.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

const THREADS: u64 = 2;
const TRIPS: usize = 500;
const REST: Duration = Duration::from_micros(200);

static RAN: AtomicU64 = AtomicU64::new(0);

async fn add_one() {
    RAN.fetch_add(1, Ordering::Relaxed);
}

fn round_trips(handle: &Handle) -> Vec<u64> {
    let trip = |_| {
        std::thread::sleep(REST);
        let begin = Instant::now();
        handle.block_on(handle.spawn(add_one())).expect("the task failed");
        begin.elapsed().as_nanos() as u64
    };
    (0..TRIPS).map(trip).collect()
}

fn spawn_many(handle: &Handle, size: u64) -> Duration {
    RAN.store(0, Ordering::Relaxed);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..size {
                    handle.spawn(add_one());
                }
            });
        }
    });
    while RAN.load(Ordering::Relaxed) < THREADS * size {
        std::thread::sleep(Duration::from_micros(50));
    }
    begin.elapsed()
}

fn round(workers: usize, size: u64) -> bench::Round {
    let runtime = bench::runtime(workers);
    let latencies_ns = round_trips(runtime.handle());
    let took = Some(spawn_many(runtime.handle(), size));
    bench::Round { units: THREADS * size, took, latencies_ns, ..Default::default() }
}

fn main() {
    let spec = bench::Spec { workload: "remote_spawn", size: 100000, is_cold: false };
    bench::main_outside(spec, round);
}
