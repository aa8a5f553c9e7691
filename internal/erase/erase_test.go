package erase_test

import (
	"testing"

	"github.com/sealpost/sealpost/internal/erase"
)

func TestAfterRunsAndReturns(t *testing.T) {
	var got int
	erase.After(func() { got = 42 })
	if got != 42 {
		t.Errorf("got %d", got)
	}
}
