package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sealpost/sealpost/internal/fault"
)

func TestExplain(t *testing.T) {
	t.Parallel()
	away := fault.New(fault.Unavailable, "away", "It is away. Try again.")
	cause := errors.New("dial: refused")
	for want, err := range map[string]error{
		"plain":                               errors.New("plain"),
		"It is away. Try again. (away)":       away,
		"part: It is away. Try again. (away)": fmt.Errorf("part: %w", away),
		"It is away. Try again. (away)\n  cause: dial: refused":       away.Because(cause),
		"part: It is away. Try again. (away)\n  cause: dial: refused": fmt.Errorf("part: %w", away.Because(cause)),
		away.Error() + "\nand: plain":                                 errors.Join(away, fmt.Errorf("and: %w", errors.New("plain"))),
	} {
		if got := explain(err); got != want {
			t.Errorf("%#v: %q, want %q", err, got, want)
		}
	}
}
