// SPDX-License-Identifier: MIT

// Question: what does echoing over TLS cost in Go, as anybody would write it?
//
// The server of echo/go.go with crypto/tls around the connections, as its documentation has it.
//
// What it does not show: the same cipher on both sides of the comparison. Go prefers AES-128-GCM,
// where OpenSSL prefers AES-256-GCM; of a message of 64 bytes that is a small part.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"runtime"
)

// As in echo/go.go.
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
	chain := flag.String("certificate", "", "PEM file")
	key := flag.String("key", "", "PEM file")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)
	pair, err := tls.LoadX509KeyPair(*chain, *key)
	if err != nil {
		log.Fatal(err)
	}
	plain, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	listener := tls.NewListener(plain, &tls.Config{Certificates: []tls.Certificate{pair}})
	fmt.Printf("listening on %s\n", plain.Addr())
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Print(err)
			continue
		}
		go serve(conn)
	}
}
