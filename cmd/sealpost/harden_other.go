//go:build !linux

package main

// harden does nothing here: the server runs on Linux, its tools anywhere.
func harden() error { return nil }
