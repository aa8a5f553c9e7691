// Package erase runs code that holds other people's private keys in plaintext, and has what it leaves in registers, on the
// stack and on the heap overwritten afterwards, where the toolchain can do that (GOEXPERIMENT=runtimesecret, package
// runtime/secret; amd64 and arm64 on Linux). It owns nothing else: erasing buffers that the code still knows is the
// code's own duty (clear), also where this is not available.
package erase

// After runs fn and erases what it used. What fn returns through captured variables lives on until the garbage collector
// finds it unused, and is erased then. fn must not start goroutines.
func After(fn func()) { do(fn) }

// Available reports whether this program was built so that After erases.
func Available() bool { return available }
