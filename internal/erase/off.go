//go:build !goexperiment.runtimesecret

package erase

const available = false

func do(fn func()) { fn() }
