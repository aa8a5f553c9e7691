//go:build !race

package crl_test

const raced = false
