// SPDX-License-Identifier: MIT

// Two goroutines and two channels without room, the usual way. It does not show channels that many
// use at once.
package main

func round(size uint64) uint64 {
	there, back := make(chan uint64), make(chan uint64)
	go func() {
		for n := range there {
			back <- n + 1
		}
		close(back)
	}()
	right := uint64(0)
	for i := uint64(0); i < size; i++ {
		there <- i
		if <-back == i+1 {
			right++
		}
	}
	close(there)
	if right != size {
		return 0
	}
	return size
}

func main() {
	benchMain(benchSpec{workload: "ping_pong", size: 300000, sizeOf: "round trips", round: round})
}
