//go:build goexperiment.runtimesecret

package erase

import "runtime/secret"

const available = true

func do(fn func()) { secret.Do(fn) }
