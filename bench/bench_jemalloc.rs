// SPDX-License-Identifier: MIT

//! Weft's allocator for Tokio too, where it made things quicker (everywhere but in yield).

#[link(name = "jemalloc")]
extern "C" {}
