// SPDX-License-Identifier: MIT

// 1000 goroutines lock one sync.Mutex, count and unlock. It does not show a lock that is held while
// its holder waits for something.
package main

import "sync"

const tasks = 1000

func round(size uint64) uint64 {
	var mutex sync.Mutex
	var all sync.WaitGroup
	count := uint64(0)
	all.Add(tasks)
	for i := 0; i < tasks; i++ {
		go func() {
			for n := uint64(0); n < size; n++ {
				mutex.Lock()
				count++
				mutex.Unlock()
			}
			all.Done()
		}()
	}
	all.Wait()
	if count != tasks*size {
		return 0
	}
	return count
}

func main() {
	benchMain(benchSpec{workload: "mutex", size: 2000, sizeOf: "locks of each of 1000 goroutines",
		round: round})
}
