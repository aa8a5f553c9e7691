//go:build !windows

package kerberos

func openSystem() (*System, error) { return nil, ErrNoSystem }
