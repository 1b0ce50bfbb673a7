// SPDX-License-Identifier: MIT

// The round trip of ping_pong, each answer awaited in a select with a context that has a timeout of
// its own. It does not show a time that runs out.
package main

import (
	"context"
	"time"
)

// An answer, or nothing when it took longer than a second.
func receive(back <-chan uint64) (n uint64, isThere bool) {
	within, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	select {
	case n := <-back:
		return n, true
	case <-within.Done():
		return 0, false
	}
}

func round(size uint64) uint64 {
	there, back := make(chan uint64), make(chan uint64)
	go func() {
		for n := range there {
			back <- n + 1
		}
		close(back)
	}()
	right := uint64(0)
	for i := uint64(0); i < size; i++ {
		there <- i
		if n, isThere := receive(back); isThere && n == i+1 {
			right++
		}
	}
	close(there)
	if right != size {
		return 0
	}
	return size
}

func main() {
	benchMain(benchSpec{workload: "timeout_scope", size: 200000, sizeOf: "round trips",
		round: round})
}
