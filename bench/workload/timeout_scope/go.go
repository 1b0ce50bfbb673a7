// SPDX-License-Identifier: MIT

// context.WithTimeout round a yield, and its cancel. It does not show a time that runs out.
package main

import (
	"context"
	"runtime"
	"time"
)

func round(size uint64) uint64 {
	left := uint64(0)
	for i := uint64(0); i < size; i++ {
		within, cancel := context.WithTimeout(context.Background(), time.Second)
		runtime.Gosched()
		if within.Err() == nil {
			left++
		}
		cancel()
	}
	if left != size {
		return 0
	}
	return size
}

func main() {
	benchMain(benchSpec{workload: "timeout_scope", size: 200000, sizeOf: "scopes", round: round})
}
