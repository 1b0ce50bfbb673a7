// SPDX-License-Identifier: MIT

//! A task waits to be notified (tokio::sync::Notify); a plain thread rests, then notifies. It does
//! not show channels, which carry something.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

const REST: Duration = Duration::from_micros(300);
const POLL: Duration = Duration::from_micros(20);

struct Wake {
    notify: Notify,
    waits: AtomicU64, // how many have begun
    begin: Mutex<Instant>,
}

async fn round(size: u64) -> bench::Round {
    let wake = Arc::new(Wake {
        notify: Notify::new(),
        waits: AtomicU64::new(0),
        begin: Mutex::new(Instant::now()),
    });
    let other = wake.clone();
    let thread = std::thread::spawn(move || {
        for i in 1..=size {
            while other.waits.load(Ordering::Acquire) < i {
                std::thread::sleep(POLL);
            }
            std::thread::sleep(REST);
            *other.begin.lock().unwrap() = Instant::now();
            other.notify.notify_one();
        }
    });
    let mut latencies_ns = Vec::new();
    for _ in 0..size {
        wake.waits.fetch_add(1, Ordering::Release);
        wake.notify.notified().await;
        let took = wake.begin.lock().unwrap().elapsed();
        latencies_ns.push(took.as_nanos() as u64);
    }
    thread.join().expect("the thread failed");
    let took = Some(Duration::from_nanos(latencies_ns.iter().sum()));
    bench::Round { units: size, took, latencies_ns, ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "wake_latency", size: 500, is_cold: false }, round);
}
