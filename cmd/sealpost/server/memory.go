package server

import (
	"os"
	"runtime"
)

// headroom is how much a server allocates at least between two collections of garbage, beside as much as it holds.
const headroom = 48 << 20

// Headroom lets the process allocate some MiB between two collections however little it holds, until the function that it
// returns is called. A server that has little to do holds some 30 MiB, and would collect all the time; a higher GOGC would
// make it collect rarely when it holds much, too: it would take four times what a thousand connections need.
//
// The memory is never touched, so that the system never provides it; it counts as held, which is all it is for. Where the
// environment says how to collect (GOGC, GOMEMLIMIT), that holds.
func Headroom() (end func()) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	held := make([]byte, headroom)
	return func() { runtime.KeepAlive(held) }
}
