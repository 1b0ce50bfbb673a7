// SPDX-License-Identifier: MIT

// A million goroutines that wait for a channel to be closed. It does not show what they take once
// their stack has grown beyond 2 KiB, nor what is left after minutes, when the runtime has given
// more back.
package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func round(size uint64) uint64 {
	var all sync.WaitGroup
	begun := uint64(0)
	rss := benchStatus("VmRSS")
	end := benchWatch(size)
	open := make(chan bool)
	all.Add(int(size))
	for i := uint64(0); i < size; i++ {
		go func() {
			atomic.AddUint64(&begun, 1)
			<-open
			all.Done()
		}()
	}
	for atomic.LoadUint64(&begun) < size {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	end()
	close(open)
	all.Wait()
	time.Sleep(4 * time.Second)
	benchFigures["rss_left_each"] = (benchStatus("VmRSS") - rss) / float64(size)
	return size
}

func main() {
	benchMain(benchSpec{workload: "parked", size: 1000000, sizeOf: "goroutines", round: round,
		isCold: true})
}
