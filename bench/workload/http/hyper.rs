// SPDX-License-Identifier: MIT

//! Question: what does a small HTTP/1.1 request cost with hyper on Tokio?
//!
//! hyper's server with what its manual advises for small answers: HTTP/1 only, TCP_NODELAY, answers
//! to requests in a row sent together. It does not show the frameworks that stand on hyper, nor
//! hyper 1.0.

use hyper::server::conn::AddrIncoming;
use hyper::service::{make_service_fn, service_fn};
use hyper::{Body, Request, Response, Server, StatusCode};
use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;

async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut response = Response::new(Body::empty());
    if request.uri().path() == "/" {
        let text = hyper::header::HeaderValue::from_static("text/plain");
        response.headers_mut().insert(hyper::header::CONTENT_TYPE, text);
        *response.body_mut() = Body::from("Hello, World!");
    } else {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    Ok(response)
}

async fn serve(port: u16) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut incoming = AddrIncoming::bind(&address).expect("cannot listen");
    incoming.set_nodelay(true);
    println!("listening on {}", incoming.local_addr());
    let _ = std::io::stdout().flush();
    let service = make_service_fn(|_| async { Ok::<_, Infallible>(service_fn(answer)) });
    Server::builder(incoming)
        .http1_only(true)
        .http1_pipeline_flush(true)
        .serve(service)
        .await
        .expect("the server ended");
}

fn main() {
    let mut port = 0;
    let mut workers = 1;
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let number = arguments.next().and_then(|s| s.parse::<usize>().ok()).expect("a number");
        match name.as_str() {
            "--port" => port = number as u16,
            "--workers" => workers = number,
            other => panic!("'{}' is not understood", other),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("no runtime");
    // In a task of its own, so that it runs on a worker.
    let _ = runtime.block_on(runtime.spawn(serve(port)));
}
