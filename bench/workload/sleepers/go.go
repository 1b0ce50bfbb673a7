// SPDX-License-Identifier: MIT

// A million goroutines in time.Sleep for one to two seconds; the second round has the stacks of the
// first. It does not show how late they wake.
package main

import (
	"sync"
	"sync/atomic"
	"time"
)

const step = 2654435761

func round(size uint64) uint64 {
	var all sync.WaitGroup
	woken := uint64(0)
	end := benchWatch(size)
	begin := benchCPU()
	all.Add(int(size))
	for i := uint64(1); i <= size; i++ {
		go func(n uint64) {
			time.Sleep(time.Second + time.Duration(n*step%uint64(time.Second)))
			atomic.AddUint64(&woken, 1)
			all.Done()
		}(i)
	}
	all.Wait()
	benchTook = benchCPU() - begin
	end()
	if woken != size {
		return 0
	}
	return size
}

func main() {
	benchMain(benchSpec{workload: "sleepers", size: 1000000, sizeOf: "goroutines", round: round,
		isCold: true})
}
