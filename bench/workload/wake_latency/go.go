// SPDX-License-Identifier: MIT

// A goroutine waits at a channel; one that has a thread of its own (LockOSThread), and rests in the
// kernel as a plain thread would, sends to it. With one worker the sender needs that as well. It does
// not show threads that Go knows nothing of: they would come in by cgo.
package main

import (
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	rest = 300 * time.Microsecond
	poll = 20 * time.Microsecond
)

// In the kernel, not in Go's timers.
func usleep(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	syscall.Nanosleep(&t, nil)
}

func round(size uint64) uint64 {
	wake := make(chan time.Time)
	waits := uint64(0)
	go func() {
		runtime.LockOSThread()
		for i := uint64(1); i <= size; i++ {
			for atomic.LoadUint64(&waits) < i {
				usleep(poll)
			}
			usleep(rest)
			wake <- time.Now()
		}
	}()
	sum := time.Duration(0)
	for i := uint64(0); i < size; i++ {
		atomic.AddUint64(&waits, 1)
		begin := <-wake
		took := time.Since(begin)
		sum += took
		benchLatencies = append(benchLatencies, took.Nanoseconds())
	}
	benchTook = sum
	return size
}

func main() {
	benchMain(benchSpec{workload: "wake_latency", size: 500, sizeOf: "wakes", round: round})
}
