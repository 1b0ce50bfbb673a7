// SPDX-License-Identifier: MIT

// 1000 goroutines that each leave a result at its place, and a sync.WaitGroup. It does not show
// errors, for which golang.org/x/sync/errgroup is used.
package main

import "sync"

const tasks = 1000

func round(batches uint64) uint64 {
	var results [tasks]uint64
	sum := uint64(0)
	for batch := uint64(0); batch < batches; batch++ {
		var all sync.WaitGroup
		all.Add(tasks)
		for i := range results {
			go func(i int) {
				results[i] = uint64(i) + 1
				all.Done()
			}(i)
		}
		all.Wait()
		for _, result := range results {
			sum += result
		}
	}
	if sum != batches*tasks*(tasks+1)/2 {
		return 0
	}
	return batches * tasks
}

func main() {
	benchMain(benchSpec{workload: "gather", size: 200, sizeOf: "batches", round: round})
}
