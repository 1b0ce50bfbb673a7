// SPDX-License-Identifier: MIT

// 100 goroutines yield to each other with runtime.Gosched, which puts the caller on the global
// queue. It does not show the switch alone: blocking on a channel, the usual way to switch in Go,
// takes the local queue.
package main

import "runtime"

const tasks = 100

func yielder(yields uint64, done chan<- uint64) {
	sum := uint64(0)
	for i := uint64(0); i < yields; i++ {
		runtime.Gosched()
		sum++
	}
	done <- sum
}

func round(size uint64) uint64 {
	done := make(chan uint64, tasks)
	for i := 0; i < tasks; i++ {
		go yielder(size, done)
	}
	sum := uint64(0)
	for i := 0; i < tasks; i++ {
		sum += <-done
	}
	if sum != tasks*size {
		return 0
	}
	return sum
}

func main() {
	benchMain(benchSpec{workload: "yield", size: 10000, sizeOf: "yields of each goroutine",
		round: round})
}
