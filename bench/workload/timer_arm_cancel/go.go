// SPDX-License-Identifier: MIT

// Timers that are made once, then set by Reset and stopped by Stop, beside 10,000 that stand. It
// does not show contexts with a deadline, which allocate.
package main

import "time"

const (
	standing = 10000
	batch    = 1000
	step     = 2654435761
)

func duration(n uint64) time.Duration {
	return time.Second + time.Duration(n*step%uint64(10*time.Second))
}

func round(batches uint64) uint64 {
	never := func() {}
	var stand [standing]*time.Timer
	for i := range stand {
		stand[i] = time.AfterFunc(60*duration(uint64(i)), never)
	}
	var timers [batch]*time.Timer
	for i := range timers {
		timers[i] = time.AfterFunc(time.Hour, never)
		timers[i].Stop()
	}
	begin := time.Now()
	stopped := uint64(0)
	for b := uint64(0); b < batches; b++ {
		for i, timer := range timers {
			timer.Reset(duration(b*batch + uint64(i)))
		}
		for _, timer := range timers {
			if timer.Stop() {
				stopped++
			}
		}
	}
	benchTook = time.Since(begin)
	for _, timer := range stand {
		timer.Stop()
	}
	if stopped != batches*batch {
		return 0
	}
	return stopped
}

func main() {
	benchMain(benchSpec{workload: "timer_arm_cancel", size: 200, sizeOf: "batches of 1000",
		round: round})
}
