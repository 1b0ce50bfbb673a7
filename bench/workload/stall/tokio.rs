// SPDX-License-Identifier: MIT

//! Question: what do the neighbours of a stalled request feel on Tokio?
//!
//! A task a connection: read a message, work, write the reply (the protocol is in stall.h). A
//! request that burns CPU burns it in its task. With --block-in-place a request that says it will
//! burn does so within block_in_place, which gives the worker's tasks to another thread meanwhile:
//! what Tokio advises where the code is known to be slow, and there is no more to be had.
//!
//! What it does not show: versions after Debian 12's.

use std::io::{self, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

const MESSAGE_BYTES: usize = 64;

#[derive(Clone, Copy)]
struct Options {
    port: u16,
    workers: usize,
    is_block_in_place: bool,
}

fn parse_options() -> Options {
    let mut options = Options {
        port: 0,
        workers: 1,
        is_block_in_place: false,
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
            "--block-in-place" => options.is_block_in_place = true,
            other => panic!("'{}' is not understood", other),
        }
    }
    options
}

fn work(steps: u64, mut value: u64) -> u64 {
    for _ in 0..steps {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
    }
    value
}

fn word(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

async fn serve(mut stream: TcpStream, is_block_in_place: bool) -> io::Result<()> {
    let mut message = [0u8; MESSAGE_BYTES];
    loop {
        stream.read_exact(&mut message).await?;
        let (steps, value) = (word(&message), word(&message[8..]));
        let value = if steps > 0 && is_block_in_place {
            tokio::task::block_in_place(|| work(steps, value))
        } else {
            work(steps, value)
        };
        message[8..16].copy_from_slice(&value.to_le_bytes());
        stream.write_all(&message).await?;
    }
}

async fn accept_all(listener: TcpListener, is_block_in_place: bool) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, is_block_in_place));
            }
            Err(error) => eprintln!("accept: {}", error),
        }
    }
}

fn main() -> io::Result<()> {
    let options = parse_options();
    let runtime = Builder::new_multi_thread()
        .worker_threads(options.workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        println!("listening on {}", listener.local_addr()?);
        io::stdout().flush()?;
        let _ = tokio::spawn(accept_all(listener, options.is_block_in_place)).await;
        Ok(())
    })
}
