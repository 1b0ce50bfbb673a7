// SPDX-License-Identifier: MIT

// Question: what does a small HTTP/1.1 request cost with Go's net/http?
//
// The server of the standard library and its multiplexer; --workers is GOMAXPROCS. It does not show
// fasthttp and its like, which are not in Debian and keep less of HTTP.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"runtime"
)

var answer = []byte("Hello, World!")

func main() {
	port := flag.Int("port", 0, "listen on 127.0.0.1:PORT; 0: any free one, which is printed")
	workers := flag.Int("workers", 1, "GOMAXPROCS")
	flag.Parse()
	runtime.GOMAXPROCS(*workers)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(answer)
	})
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	log.Fatal(http.Serve(listener, nil))
}
