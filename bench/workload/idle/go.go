// SPDX-License-Identifier: MIT

// A program that sleeps, then one whose only goroutine naps for a millisecond and has another do
// nothing. It does not show wake-ups by descriptors.
package main

import (
	"syscall"
	"time"
)

func switches() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return float64(used.Nvcsw + used.Nivcsw)
}

func round(ms uint64) uint64 {
	half := time.Duration(ms) * time.Millisecond
	time.Sleep(100 * time.Millisecond)
	before := switches()
	time.Sleep(half)
	benchFigures["idle_per_s"] = (switches() - before) / half.Seconds()

	wakes, answered := uint64(0), uint64(0)
	answer := make(chan uint64)
	end, cpu := time.Now().Add(half), benchCPU()
	before = switches()
	for time.Now().Before(end) {
		time.Sleep(time.Millisecond)
		wakes++
		go func() { answer <- wakes }()
		if <-answer == wakes {
			answered++
		}
	}
	benchTook = benchCPU() - cpu
	benchFigures["switches_each"] = (switches() - before) / float64(wakes)
	if answered != wakes {
		return 0
	}
	return wakes
}

func main() {
	benchMain(benchSpec{workload: "idle", size: 500, sizeOf: "milliseconds of each half of a round",
		round: round, isCold: true})
}
