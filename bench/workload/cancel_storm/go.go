// SPDX-License-Identifier: MIT

// A million goroutines that wait for a timer or for one context to be cancelled, whichever comes
// first: Go cannot cancel a goroutine that does not ask. It does not show a context each.
package main

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

func round(size uint64) uint64 {
	var all sync.WaitGroup
	begun, cancelled := uint64(0), uint64(0)
	ctx, cancel := context.WithCancel(context.Background())
	all.Add(int(size))
	for i := uint64(0); i < size; i++ {
		go func() {
			timer := time.NewTimer(time.Hour)
			atomic.AddUint64(&begun, 1)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				atomic.AddUint64(&cancelled, 1)
			}
			all.Done()
		}()
	}
	for atomic.LoadUint64(&begun) < size {
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(20 * time.Millisecond)
	begin := time.Now()
	cancel()
	all.Wait()
	benchTook = time.Since(begin)
	if cancelled != size {
		return 0
	}
	return size
}

func main() {
	benchMain(benchSpec{workload: "cancel_storm", size: 1000000, sizeOf: "goroutines",
		round: round, isCold: true})
}
