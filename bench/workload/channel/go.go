// SPDX-License-Identifier: MIT

// Four goroutines send to a channel with room for 128, four receive from it. It does not show
// select.
package main

const (
	sides    = 4
	capacity = 128
)

func round(size uint64) uint64 {
	items := make(chan uint64, capacity)
	sums := make(chan uint64, sides)
	sent := make(chan bool, sides)
	for i := 0; i < sides; i++ {
		go func() {
			for n := uint64(1); n <= size; n++ {
				items <- n
			}
			sent <- true
		}()
		go func() {
			sum := uint64(0)
			for n := range items {
				sum += n
			}
			sums <- sum
		}()
	}
	for i := 0; i < sides; i++ {
		<-sent
	}
	close(items)
	sum := uint64(0)
	for i := 0; i < sides; i++ {
		sum += <-sums
	}
	if sum != sides*size*(size+1)/2 {
		return 0
	}
	return sides * size
}

func main() {
	benchMain(benchSpec{workload: "channel", size: 250000, sizeOf: "items of each of 4 senders",
		round: round})
}
