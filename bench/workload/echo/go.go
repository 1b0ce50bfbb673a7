// SPDX-License-Identifier: MIT

// Question: what does echoing cost in Go, as anybody would write it?
//
// A goroutine a connection that reads and writes; --workers is GOMAXPROCS. TCP_NODELAY is Go's
// standard. io.Copy is left out on purpose: between two sockets it splices through a pipe, which
// costs more for small messages.
//
// What it does not show: the garbage collector, for nothing is allocated after a connection's
// buffer; nor the runtime's own threads, which GOMAXPROCS does not count.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"runtime"
)

// Less than the floors' 16 KiB, which they have once and this once a connection.
const bufferBytes = 4096

func serve(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, bufferBytes)
	for {
		n, err := conn.Read(buffer)
		if n > 0 {
			if _, err := conn.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
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
