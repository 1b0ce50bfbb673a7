// SPDX-License-Identifier: MIT

// An empty job in a goroutine of its own, which is all that Go asks for: a call that blocks takes
// its thread with it. So this does not show a change of threads, which Go makes only for calls that
// block for more than 20 us, and then without a limit to their number.
package main

import "time"

const atATime = 64

func job(n uint64, done chan<- uint64) {
	done <- n + 1
}

// One after the other: how many were right.
func oneByOne(size uint64) (right uint64) {
	done := make(chan uint64)
	for n := uint64(0); n < size; n++ {
		go job(n, done)
		if <-done == n+1 {
			right++
		}
	}
	return right
}

// Many at a time: the sum of what they gave.
func many(size uint64) (sum uint64) {
	done := make(chan uint64, atATime)
	for n := uint64(0); n < size+atATime; n++ {
		if n >= atATime {
			sum += <-done
		}
		if n < size {
			go job(n, done)
		}
	}
	return sum
}

func round(size uint64) uint64 {
	begin := time.Now()
	right := oneByOne(size)
	benchTook = time.Since(begin)
	begin = time.Now()
	sum := many(size)
	benchFigures["many_ns"] = float64(time.Since(begin)) / float64(size)
	if right != size || sum != size*(size+1)/2 {
		return 0
	}
	return size
}

func main() {
	benchMain(benchSpec{workload: "offload", size: 20000, sizeOf: "jobs", round: round})
}
