// SPDX-License-Identifier: MIT

// The tree of a million leaves, each node with a wait group and a place for what its ten children
// found, which is quicker than the usual channel for ten. It does not show what the garbage
// collector does in a program with a large heap.
package main

import "sync"

const children = 10

type node struct {
	all   sync.WaitGroup
	parts [children]uint64
}

func (n *node) runChild(i, number, height uint64) {
	n.parts[i] = skynet(number, height)
	n.all.Done()
}

func skynet(number, height uint64) uint64 {
	if height == 0 {
		return number
	}
	n := new(node)
	n.all.Add(children)
	for i := uint64(0); i < children; i++ {
		go n.runChild(i, number*children+i, height-1)
	}
	n.all.Wait()
	sum := uint64(0)
	for _, part := range n.parts {
		sum += part
	}
	return sum
}

func round(levels uint64) uint64 {
	leaves, tasks := uint64(1), uint64(1)
	for i := uint64(0); i < levels; i++ {
		leaves *= children
		tasks += leaves
	}
	if skynet(0, levels) != leaves*(leaves-1)/2 {
		return 0
	}
	return tasks
}

func main() {
	benchMain(benchSpec{workload: "skynet", size: 6, sizeOf: "levels below the root", round: round})
}
