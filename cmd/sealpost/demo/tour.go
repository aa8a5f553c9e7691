// Package demo is the tour: it starts a private PostgreSQL, a private OpenLDAP with a small company and a private FTP server,
// makes a new installation, and does the main job in front of the reader, each step checked by a program that is not ours.
// It is what `make demo` runs; everything lies in one folder, and nothing is left running.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Step is one line of tour.json.
type Step struct {
	Name    string  `json:"name"` // kebab-case; stable
	OK      bool    `json:"ok"`
	Seconds float64 `json:"seconds"`
	Detail  string  `json:"detail"` // what checked it, or why it failed
}

// tour runs steps, shows them and keeps the list.
type tour struct {
	dir   string
	out   io.Writer
	steps []Step
}

// step runs one step. fn returns what checked it.
func (t *tour) step(ctx context.Context, name, title string, fn func(context.Context) (string, error)) error {
	fmt.Fprintf(t.out, "%2d  %-58s ", len(t.steps)+1, title)
	start := time.Now()
	detail, err := fn(ctx)
	s := Step{Name: name, OK: err == nil, Seconds: time.Since(start).Round(time.Millisecond).Seconds(), Detail: detail}
	if err != nil {
		s.Detail = err.Error()
	}
	t.steps = append(t.steps, s)
	mark := "ok"
	if err != nil {
		mark = "FAILED"
	}
	fmt.Fprintf(t.out, "%-6s %6.2f s\n      %s\n", mark, s.Seconds, s.Detail)
	if err := errors.Join(err, t.write()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// write replaces tour.json in one step.
func (t *tour) write() error {
	b, err := json.MarshalIndent(t.steps, "", "  ")
	if err != nil {
		return err
	}
	return replace(filepath.Join(t.dir, "tour.json"), append(b, '\n'))
}

// replace writes a file so that a reader sees the old content or the new.
func replace(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
