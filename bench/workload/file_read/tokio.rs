// SPDX-License-Identifier: MIT

//! 32 tasks, each with a read at a time in spawn_blocking, as Tokio reads files; not tokio::fs,
//! which keeps a position and copies through a buffer of its own. It does not show tokio-uring,
//! which is another runtime.

#[path = "../../bench.rs"]
mod bench;
#[path = "../../bench_jemalloc.rs"]
mod bench_jemalloc;

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BLOCK_BYTES: u64 = 4096;
const DEPTH: u64 = 32;
/// The clock is looked at once in so many reads of a reader.
const READS_A_LOOK: u64 = 16;

/// A buffer that O_DIRECT may read into.
#[repr(C, align(4096))]
struct Block([u64; BLOCK_BYTES as usize / 8]);

impl Block {
    fn bytes(&mut self) -> &mut [u8] {
        // Any bits are a valid u64.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), BLOCK_BYTES as usize) }
    }

    fn is(&self, number: u64) -> bool {
        u64::from_le(self.0[0]) == number && u64::from_le(self.0[self.0.len() - 1]) == number
    }
}

fn open() -> File {
    let flags = std::env::var_os("BENCH_FILE_DIRECT").map_or(0, |_| libc::O_DIRECT);
    let path = std::env::var_os("BENCH_FILE").expect("BENCH_FILE names the file to read");
    std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).expect("BENCH_FILE")
}

/// How many blocks were read; None when one was wrong.
async fn read_blocks(file: Arc<File>, blocks: u64, mut state: u64, end: Instant) -> Option<u64> {
    let mut buffer = Box::new(Block([0; BLOCK_BYTES as usize / 8]));
    let mut reads = 0;
    loop {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let number = state % blocks;
        let file = file.clone();
        buffer = tokio::task::spawn_blocking(move || {
            file.read_exact_at(buffer.bytes(), number * BLOCK_BYTES).map(|_| buffer)
        })
        .await
        .ok()?
        .ok()?;
        if !buffer.is(number) {
            return None;
        }
        reads += 1;
        if reads % READS_A_LOOK == 0 && Instant::now() >= end {
            return Some(reads);
        }
    }
}

async fn round(ms: u64) -> bench::Round {
    let file = Arc::new(open());
    let blocks = file.metadata().expect("BENCH_FILE").len() / BLOCK_BYTES;
    let (cpu, begin) = (bench::cpu(), Instant::now());
    let end = begin + Duration::from_millis(ms);
    let readers: Vec<_> = (1..=DEPTH)
        .map(|i| {
            let seed = i.wrapping_mul(0x9e3779b97f4a7c15);
            tokio::spawn(read_blocks(file.clone(), blocks, seed, end))
        })
        .collect();
    let mut reads = 0;
    for reader in readers {
        match reader.await {
            Ok(Some(n)) => reads += n,
            _ => return bench::Round::new(0),
        }
    }
    let figures = vec![
        ("reads_per_s", reads as f64 / begin.elapsed().as_secs_f64()),
        ("cpu_us_each", (bench::cpu() - cpu).as_secs_f64() * 1e6 / reads as f64),
    ];
    bench::Round { units: reads, figures, ..Default::default() }
}

fn main() {
    bench::main(bench::Spec { workload: "file_read", size: 300, is_cold: false }, round);
}
