// SPDX-License-Identifier: MIT

//! A task a call. The call that is not spawned is boxed, as a recursive future must be: an
//! allocation more than the task. It does not show fork-join as Rust would do it (rayon).

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::future::Future;
use std::pin::Pin;
use tokio::task::JoinHandle;

async fn fib(n: u64) -> u64 {
    if n < 2 {
        return n;
    }
    let a = fib_spawned(n - 1);
    let b = fib_boxed(n - 2).await;
    a.await.unwrap_or(0) + b
}

fn fib_spawned(n: u64) -> JoinHandle<u64> {
    tokio::spawn(fib(n))
}

fn fib_boxed(n: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(fib(n))
}

async fn round(n: u64) -> bench::Round {
    let (mut a, mut b) = (0, 1);
    for _ in 0..n {
        (a, b) = (b, a + b);
    }
    bench::Round::new(if fib(n).await == a { b - 1 } else { 0 })
}

fn main() {
    bench::main(bench::Spec { workload: "fib", size: 27, is_cold: false }, round);
}
