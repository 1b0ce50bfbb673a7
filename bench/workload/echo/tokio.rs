// SPDX-License-Identifier: MIT

//! Question: what does echoing cost on Tokio, as anybody would write it?
//!
//! A task a connection that reads and writes all. The standard scheduler with --workers threads, or
//! with --current-thread the one that never leaves its thread, which Tokio's manual advises for a
//! single core. Accepting is a spawned task too, so that it runs on a worker.
//!
//! What it does not show: Tokio on io_uring (tokio-uring is another runtime, and not packaged);
//! versions after Debian 12's.

use std::io::{self, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// Less than the floors' 16 KiB, which they have once and this once a connection.
const BUFFER_BYTES: usize = 4096;

struct Options {
    port: u16,
    workers: usize,
    is_current_thread: bool,
}

fn parse_options() -> Options {
    let mut options = Options {
        port: 0,
        workers: 1,
        is_current_thread: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut number = || {
            args.next()
                .and_then(|s| s.parse::<usize>().ok())
                .expect("a number")
        };
        match arg.as_str() {
            "--port" => options.port = number() as u16,
            "--workers" => options.workers = number(),
            "--current-thread" => options.is_current_thread = true,
            other => panic!("'{}' is not understood", other),
        }
    }
    options
}

async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..n]).await?;
    }
}

async fn accept_all(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
            Err(error) => eprintln!("accept: {}", error),
        }
    }
}

fn main() -> io::Result<()> {
    let options = parse_options();
    let mut builder = if options.is_current_thread {
        Builder::new_current_thread()
    } else {
        Builder::new_multi_thread()
    };
    let runtime = builder
        .worker_threads(options.workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        println!("listening on {}", listener.local_addr()?);
        io::stdout().flush()?;
        let _ = tokio::spawn(accept_all(listener)).await;
        Ok(())
    })
}
