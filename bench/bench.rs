// SPDX-License-Identifier: MIT

//! The frame of a workload's program for Tokio; bench.h says what a frame does. The runtime is the
//! multi-threaded one with defaults but for the number of workers, and the rounds run in a task of
//! it, not in block_on, which would be a thread that is no worker.

#![allow(dead_code)] // not every workload uses all of it

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// What is measured.
pub struct Spec {
    pub workload: &'static str,
    pub size: u64, // --size, when it is not given
    pub is_cold: bool, // the first round counts; without it one is run before
}

/// What a round found.
#[derive(Default)]
pub struct Round {
    pub units: u64, // done; 0 when its result was wrong
    pub took: Option<Duration>, // this long, instead of from its begin to its end
    pub latencies_ns: Vec<u64>,
    pub figures: Vec<(&'static str, f64)>, // of several rounds the last one's are shown
}

impl Round {
    pub fn new(units: u64) -> Round {
        Round { units, ..Round::default() }
    }
}

/// The command line.
#[derive(Clone, Copy)]
pub struct Options {
    pub workers: usize,
    pub rounds: usize,
    pub size: u64,
}

pub fn parse(spec: &Spec) -> Options {
    let mut options = Options {
        workers: std::thread::available_parallelism().map_or(1, |n| n.get()),
        rounds: 3,
        size: spec.size,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|text| text.parse::<u64>().ok()).filter(|n| *n > 0);
        match (name.as_str(), value) {
            ("--workers", Some(n)) => options.workers = n as usize,
            ("--rounds", Some(n)) => options.rounds = n as usize,
            ("--size", Some(n)) => options.size = n,
            _ => {
                eprintln!("usage: {} [--workers N] [--rounds N] [--size N]", spec.workload);
                std::process::exit(64);
            }
        }
    }
    options
}

pub fn runtime(workers: usize) -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("no runtime")
}

/// All rounds in a task of a runtime; the program ends here, with status 1 for a wrong result.
pub fn main<F, Fut>(spec: Spec, round: F)
where
    F: Fn(u64) -> Fut + Send + 'static,
    Fut: Future<Output = Round> + Send,
{
    let options = parse(&spec);
    let runtime = runtime(options.workers);
    let line = runtime
        .block_on(runtime.spawn(async move {
            let mut rounds = Rounds::new(&spec, options);
            while let Some(size) = rounds.next() {
                let begin = Instant::now();
                let found = round(size).await;
                rounds.note(begin.elapsed(), found);
            }
            rounds.line()
        }))
        .expect("the main task failed");
    println!("{}", line);
}

/// All rounds on this thread, which is no worker; a round is told how many workers are wanted.
pub fn main_outside(spec: Spec, round: impl Fn(usize, u64) -> Round) {
    let options = parse(&spec);
    let mut rounds = Rounds::new(&spec, options);
    while let Some(size) = rounds.next() {
        let begin = Instant::now();
        let found = round(options.workers, size);
        rounds.note(begin.elapsed(), found);
    }
    println!("{}", rounds.line());
}

/// The rounds so far.
struct Rounds {
    workload: &'static str,
    options: Options,
    warmups: usize,
    begun: usize,
    values: Vec<f64>, // ns a unit
    latencies_ns: Vec<u64>,
    figures: Vec<(&'static str, f64)>,
}

impl Rounds {
    fn new(spec: &Spec, options: Options) -> Rounds {
        Rounds {
            workload: spec.workload,
            options,
            warmups: if spec.is_cold { 0 } else { 1 },
            begun: 0,
            values: Vec::new(),
            latencies_ns: Vec::new(),
            figures: Vec::new(),
        }
    }

    fn next(&mut self) -> Option<u64> {
        self.begun += 1;
        (self.begun <= self.warmups + self.options.rounds).then(|| self.options.size)
    }

    fn note(&mut self, took: Duration, found: Round) {
        if found.units == 0 {
            eprintln!("{}: a round gave a wrong result", self.workload);
            std::process::exit(1);
        }
        if self.begun > self.warmups {
            let took = found.took.unwrap_or(took);
            self.values.push(took.as_nanos() as f64 / found.units as f64);
            self.latencies_ns.extend(found.latencies_ns);
            self.figures = found.figures;
        }
    }

    fn line(&mut self) -> String {
        let values: Vec<String> = self.values.iter().map(|v| format!("{:.3}", v)).collect();
        let mut line = format!(
            "{{\"workload\": \"{}\", \"implementation\": \"tokio\", \"unit\": \"ns\", \
             \"workers\": {}, \"values\": [{}]",
            self.workload,
            self.options.workers,
            values.join(", ")
        );
        self.latencies_ns.sort_unstable();
        if let Some(last) = self.latencies_ns.len().checked_sub(1) {
            for (key, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999)] {
                let at = (last as f64 * share) as usize;
                line += &format!(", \"{}\": {}", key, self.latencies_ns[at]);
            }
        }
        for (key, value) in &self.figures {
            line += &format!(", \"{}\": {:.3}", key, value);
        }
        line + &format!(", \"cpu_s\": {:.3}}}", cpu().as_secs_f64())
    }
}

/// Notes how much memory there is at most. What is more than there was at the begin of the first
/// round becomes the figures rss_each and page_tables_each, for so many units.
pub struct Watch {
    is_ended: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<[f64; 2]>,
}

static WATCH_BEFORE: OnceCell<[f64; 2]> = OnceCell::const_new();

impl Watch {
    pub fn begin() -> Watch {
        let look = || [status_bytes("VmRSS"), status_bytes("VmPTE")];
        let _ = WATCH_BEFORE.set(look());
        let is_ended = Arc::new(AtomicBool::new(false));
        let has_ended = is_ended.clone();
        let thread = std::thread::spawn(move || {
            let mut most = look();
            while !has_ended.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
                let now = look();
                most = [most[0].max(now[0]), most[1].max(now[1])];
            }
            most
        });
        Watch { is_ended, thread }
    }

    pub fn end(self, units: u64) -> Vec<(&'static str, f64)> {
        self.is_ended.store(true, Ordering::Relaxed);
        let most = self.thread.join().expect("the watching thread failed");
        let before = WATCH_BEFORE.get().expect("set by begin");
        let each = |i: usize| (most[i] - before[i]) / units as f64;
        vec![("rss_each", each(0)), ("page_tables_each", each(1))]
    }
}

/// CPU time of the process so far.
pub fn cpu() -> Duration {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    Duration::new(t.tv_sec as u64, t.tv_nsec as u32)
}

/// A figure of /proc/self/status, such as VmRSS, in bytes.
pub fn status_bytes(name: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?.strip_prefix(':')?;
        rest.split_whitespace().next()?.parse::<f64>().ok()
    };
    text.lines().find_map(of).unwrap_or(0.0) * 1024.0
}
