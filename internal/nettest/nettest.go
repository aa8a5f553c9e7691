// Package nettest makes addresses on the network at which things go wrong. It is imported by tests only.
package nettest

import (
	"net"
	"testing"
)

// Silent returns the address (host:port) of a server that takes connections and never says a word, until the test ends.
func Silent(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
		}
	}()
	return l.Addr().String()
}
