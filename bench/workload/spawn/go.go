// SPDX-License-Identifier: MIT

// Batches of 1000 goroutines, gathered by a wait group. It does not show waiting for one goroutine
// alone, for which Go has no handle: a channel each would cost an allocation more.
package main

import "sync"

const tasks = 1000

func round(batches uint64) uint64 {
	var results [tasks]uint64
	sum := uint64(0)
	for batch := uint64(0); batch < batches; batch++ {
		var all sync.WaitGroup
		all.Add(tasks)
		for i := uint64(0); i < tasks; i++ {
			go func(i uint64) {
				results[i] = i + 1
				all.Done()
			}(i)
		}
		all.Wait()
		for i := range results {
			sum += results[i]
		}
	}
	if sum != batches*tasks*(tasks+1)/2 {
		return 0
	}
	return batches * tasks
}

func main() {
	benchMain(benchSpec{workload: "spawn", size: 200, sizeOf: "batches", round: round})
}
