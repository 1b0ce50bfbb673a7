/* SPDX-License-Identifier: MIT */
/* All of Weft's public headers. */
#ifndef WEFT_H
#define WEFT_H

#include <weft/base.h>
#include <weft/blocking.h>
#include <weft/broadcast.h>
#include <weft/channel.h>
#include <weft/connect.h>
#include <weft/debug.h>
#include <weft/file.h>
#include <weft/future.h>
#include <weft/group.h>
#include <weft/io.h>
#include <weft/local.h>
#include <weft/memory_stream.h>
#include <weft/metrics.h>
#include <weft/net.h>
#include <weft/process.h>
#include <weft/process_pool.h>
#include <weft/protocol.h>
#include <weft/queue.h>
#include <weft/race.h>
#include <weft/resolve.h>
#include <weft/runtime.h>
#include <weft/scope.h>
#include <weft/server.h>
#include <weft/signal.h>
#include <weft/simulation.h>
#include <weft/stream.h>
#include <weft/stream_layer.h>
#include <weft/sync.h>
#include <weft/task.h>
#include <weft/timer.h>
#include <weft/tls.h>
#include <weft/udp.h>
#include <weft/version.h>
#include <weft/watch.h>

#endif
