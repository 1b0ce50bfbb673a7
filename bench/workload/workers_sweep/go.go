// SPDX-License-Identifier: MIT

// 64 goroutines start a child that computes for about a microsecond, wait for its answer and yield.
// It does not show work of a sensible size.
package main

import "runtime"

const (
	parents = 64
	steps   = 400
)

func child(x uint64, answer chan<- uint64) {
	for i := 0; i < steps; i++ {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	answer <- x
}

func parent(size uint64, done chan<- uint64) {
	right := uint64(0)
	answer := make(chan uint64, 1)
	for i := uint64(0); i < size; i++ {
		go child(i+1, answer)
		if <-answer != 0 {
			right++
		}
		runtime.Gosched()
	}
	done <- right
}

func round(size uint64) uint64 {
	done := make(chan uint64, parents)
	for i := 0; i < parents; i++ {
		go parent(size, done)
	}
	sum := uint64(0)
	for i := 0; i < parents; i++ {
		sum += <-done
	}
	if sum != parents*size {
		return 0
	}
	return sum
}

func main() {
	benchMain(benchSpec{workload: "workers_sweep", size: 2000,
		sizeOf: "children of each of 64 goroutines", round: round})
}
