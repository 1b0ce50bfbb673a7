// SPDX-License-Identifier: MIT

//! Question: what does echoing over TLS cost on Tokio with rustls, as anybody would write it?
//!
//! The server of echo/tokio.rs with tokio-rustls around the connections, as its examples have it.
//!
//! What it does not show: Tokio with OpenSSL; versions after Debian 12's.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio_rustls::rustls::{Certificate, PrivateKey, ServerConfig};
use tokio_rustls::TlsAcceptor;

/// As in echo/tokio.rs.
const BUFFER_BYTES: usize = 4096;

struct Options {
    port: u16,
    workers: usize,
    certificate: String,
    key: String,
}

fn parse_options() -> Options {
    let mut options = Options {
        port: 0,
        workers: 1,
        certificate: String::new(),
        key: String::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().expect("a value");
        match arg.as_str() {
            "--port" => options.port = value.parse().expect("a number"),
            "--workers" => options.workers = value.parse().expect("a number"),
            "--certificate" => options.certificate = value,
            "--key" => options.key = value,
            other => panic!("'{}' is not understood", other),
        }
    }
    options
}

fn acceptor(options: &Options) -> io::Result<TlsAcceptor> {
    let chain = rustls_pemfile::certs(&mut BufReader::new(File::open(&options.certificate)?))?;
    let keys =
        rustls_pemfile::pkcs8_private_keys(&mut BufReader::new(File::open(&options.key)?))?;
    let config = ServerConfig::builder()
        .with_safe_defaults()
        .with_no_client_auth()
        .with_single_cert(
            chain.into_iter().map(Certificate).collect(),
            PrivateKey(keys.into_iter().next().expect("a key")),
        )
        .expect("a certificate");
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(plain: TcpStream, acceptor: TlsAcceptor) -> io::Result<()> {
    let mut stream = acceptor.accept(plain).await?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..n]).await?;
        stream.flush().await?;
    }
}

async fn accept_all(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream, acceptor.clone()));
            }
            Err(error) => eprintln!("accept: {}", error),
        }
    }
}

fn main() -> io::Result<()> {
    let options = parse_options();
    let acceptor = acceptor(&options)?;
    let runtime = Builder::new_multi_thread()
        .worker_threads(options.workers)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", options.port)).await?;
        println!("listening on {}", listener.local_addr()?);
        io::stdout().flush()?;
        let _ = tokio::spawn(accept_all(listener, acceptor)).await;
        Ok(())
    })
}
