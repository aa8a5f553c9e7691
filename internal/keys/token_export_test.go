//go:build cgo

package keys

// Disconnect ends the process's connections to tokens, so that another test begins without them.
func Disconnect() {
	connected.Lock()
	defer connected.Unlock()
	for t, c := range connected.tokens {
		if err := c.keys.Close(); err != nil {
			panic(err)
		}
		delete(connected.tokens, t)
	}
}
