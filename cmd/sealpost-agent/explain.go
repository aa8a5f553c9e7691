package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/internal/fault"
)

// usageError is a mistake in the command line.
type usageError struct {
	err     error
	command string
}

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

// usageArgs makes mistakes in the arguments usage errors.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{err, c.CommandPath()}
		}
		return nil
	}
}

// explain writes to standard error what went wrong and what to do, and the code that the documentation lists.
func (s *session) explain(err error) {
	code, text, request := "internal", plain(err.Error()), ""
	var usage usageError
	var refusal *client.Refusal
	if errors.As(err, &usage) {
		code, text = "usage", text+". See: "+usage.command+" --help"
	} else if f := fault.Of(err); f != nil {
		code, text = f.Code, plain(f.Detail)
	}
	if errors.As(err, &refusal) {
		request = refusal.Instance
	}
	if s.json {
		data, jsonErr := json.Marshal(map[string]string{"code": code, "detail": text, "request": request})
		if jsonErr == nil {
			fmt.Fprintln(s.stderr, string(data))
			return
		}
	}
	fmt.Fprintf(s.stderr, "sealpost-agent: %s (%s)\n", text, code)
	if request != "" {
		fmt.Fprintf(s.stderr, "  The server's log has it as %s.\n", plain(request))
	}
	if s.verbose {
		fmt.Fprintf(s.stderr, "  cause: %s\n", plain(err.Error()))
	}
}

// plain makes text from outside printable on one line: what a server or a certificate says must not move the cursor.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return '·'
	}, strings.ToValidUTF8(text, "·"))
}
