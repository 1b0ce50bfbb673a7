// SPDX-License-Identifier: MIT

//! Sleeps that are made in place, polled once, which arms them, and dropped, which cancels them: what
//! tokio::time::timeout does around a request. 10,000 others stand. It does not show resolutions
//! below a millisecond.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::future::{poll_fn, Future};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::time::Sleep;

const STANDING: u64 = 10000;
const BATCH: u64 = 1000;
const STEP: u64 = 2654435761;

fn duration(n: u64) -> Duration {
    Duration::from_secs(1) + Duration::from_nanos(n * STEP % 10_000_000_000)
}

/// Poll once; whether it is pending.
async fn arm(sleep: Pin<&mut Sleep>) -> bool {
    let mut sleep = Some(sleep);
    poll_fn(|cx| Poll::Ready(sleep.take().unwrap().poll(cx).is_pending())).await
}

async fn round(batches: u64) -> bench::Round {
    let mut standing = Vec::new();
    for i in 0..STANDING {
        let mut sleep = Box::pin(tokio::time::sleep(60 * duration(i)));
        arm(sleep.as_mut()).await;
        standing.push(sleep);
    }
    let mut sleeps: Vec<Pin<Box<Option<Sleep>>>> = (0..BATCH).map(|_| Box::pin(None)).collect();
    let mut armed = 0;
    let begin = Instant::now();
    for batch in 0..batches {
        for (i, place) in sleeps.iter_mut().enumerate() {
            let n = batch * BATCH + i as u64;
            place.as_mut().set(Some(tokio::time::sleep(duration(n))));
            armed += u64::from(arm(place.as_mut().as_pin_mut().unwrap()).await);
        }
        for place in sleeps.iter_mut() {
            place.as_mut().set(None);
        }
    }
    let took = Some(begin.elapsed());
    let units = if armed == batches * BATCH { armed } else { 0 };
    bench::Round { units, took, ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "timer_arm_cancel", size: 200, is_cold: false }, round);
}
