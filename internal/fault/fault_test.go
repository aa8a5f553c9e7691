package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/sealpost/sealpost/internal/fault"
)

var errKeyInUse = fault.New(fault.Conflict, "key-in-use", "Make a new key.")

func TestIsMatchesCodeKindAndCause(t *testing.T) {
	err := fmt.Errorf("deposit: %w", errKeyInUse.Withf("Key %s is taken.", "ab12").Because(io.ErrUnexpectedEOF))
	for _, target := range []error{errKeyInUse, fault.Conflict, io.ErrUnexpectedEOF} {
		if !errors.Is(err, target) {
			t.Errorf("errors.Is(%v, %v) = false", err, target)
		}
	}
	other := fault.New(fault.Conflict, "other", "")
	for _, target := range []error{other, fault.NotFound, io.EOF} {
		if errors.Is(err, target) {
			t.Errorf("errors.Is(%v, %v) = true", err, target)
		}
	}
}

func TestCopiesLeaveTheSentinelAlone(t *testing.T) {
	_ = errKeyInUse.Withf("changed").Because(io.EOF)
	if errKeyInUse.Detail != "Make a new key." || errKeyInUse.Err != nil {
		t.Errorf("sentinel changed: %+v", errKeyInUse)
	}
}

func TestOf(t *testing.T) {
	if f := fault.Of(io.EOF); f != nil {
		t.Errorf("Of(io.EOF) = %v, want nil", f)
	}
	inner := errKeyInUse.Because(io.EOF)
	if f := fault.Of(fmt.Errorf("x: %w", inner)); f != inner {
		t.Errorf("Of = %v, want %v", f, inner)
	}
	if got, want := inner.Error(), "key-in-use: Make a new key.: EOF"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
