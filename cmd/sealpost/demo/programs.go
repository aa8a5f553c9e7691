package demo

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/cmd/sealpost/setup"
)

// programTimeout bounds one run of an independent program.
const programTimeout = time.Minute

// program runs an independent program in the demo's folder and returns what it printed, both channels together.
func (d *Demo) program(ctx context.Context, name string, args ...string) (string, error) {
	return d.programWith(ctx, nil, nil, name, args...)
}

// programWith is program with an environment and standard input.
func (d *Demo) programWith(ctx context.Context, env []string, input []byte, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, clip(string(out)))
	}
	return string(out), nil
}

// refused runs a program that must fail, and say so with the given words.
func (d *Demo) refused(ctx context.Context, words, name string, args ...string) error {
	out, err := d.program(ctx, name, args...)
	if err == nil {
		return fmt.Errorf("%s %s succeeded, and should have failed", name, strings.Join(args, " "))
	}
	if !strings.Contains(out, words) {
		return fmt.Errorf("%s failed, but did not say %q: %s", name, words, clip(out))
	}
	return nil
}

// sealpost runs our own program as an operator does, and returns what it printed.
func (d *Demo) sealpost(ctx context.Context, args ...string) (string, error) {
	return d.program(ctx, d.Program, append(args, "--config", d.path(setup.ConfigFile))...)
}

// clip shortens what a program printed to what fits a message.
func clip(s string) string {
	const most = 400
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}

func (d *Demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// write writes a file of the demo's folder, making folders on the way.
func (d *Demo) write(b []byte, elem ...string) error {
	p := d.path(elem...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		return err
	}
	return os.WriteFile(p, b, 0o644)
}
