// SPDX-License-Identifier: MIT

// Each goroutine starts the next one and ends. It does not show goroutines that need more than the
// smallest stack.
package main

func link(left uint64, end chan<- bool) {
	if left == 1 {
		end <- true
		return
	}
	go link(left-1, end)
}

func round(size uint64) uint64 {
	end := make(chan bool)
	go link(size, end)
	if !<-end {
		return 0
	}
	return size
}

func main() {
	benchMain(benchSpec{workload: "chained_spawn", size: 500000, sizeOf: "goroutines",
		round: round})
}
