// SPDX-License-Identifier: MIT

// Question: what do the neighbours of a stalled request feel in Go?
//
// A goroutine a connection: read a message, work, write the reply (the protocol is in stall.h). A
// request that burns CPU burns it in its goroutine; the runtime takes the processor from it after
// 10 ms, and another processor may steal what waits behind it, but for the network poller's news.
//
// What it does not show: the garbage collector, for nothing is allocated.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"runtime"
)

const messageBytes = 64

func work(steps, value uint64) uint64 {
	for ; steps > 0; steps-- {
		value ^= value << 13
		value ^= value >> 7
		value ^= value << 17
	}
	return value
}

func serve(conn net.Conn) {
	defer conn.Close()
	message := make([]byte, messageBytes)
	for {
		if _, err := io.ReadFull(conn, message); err != nil {
			return
		}
		steps := binary.LittleEndian.Uint64(message)
		value := binary.LittleEndian.Uint64(message[8:])
		binary.LittleEndian.PutUint64(message[8:], work(steps, value))
		if _, err := conn.Write(message); err != nil {
			return
		}
	}
}

func main() {
	port := flag.Int("port", 0, "listen on 127.0.0.1:PORT; 0: any free one, which is printed")
	workers := flag.Int("workers", 1, "GOMAXPROCS")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Print(err)
			continue
		}
		go serve(conn)
	}
}
