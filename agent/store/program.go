package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/disk"
)

const (
	programTimeout = 2 * time.Minute
	maxOutput      = 64 << 10 // bytes of a program's output that are kept
)

// program is one run of another program. Secrets go through input or files, never through arguments, which every user of
// the machine can read.
type program struct {
	name   string
	packag string // Debian's, for whoever lacks it
	args   []string
	env    []string // added to ours
	input  string
}

// run runs the program and returns what it wrote to both outputs.
func (p program) run(ctx context.Context) (string, error) {
	path, err := exec.LookPath(p.name)
	if err != nil {
		return "", ErrProgram.Withf("The program %s is not installed. It is in the package %s.", p.name, p.packag).Because(err)
	}
	ctx, cancel := context.WithTimeout(ctx, programTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, p.args...)
	cmd.Env = append(os.Environ(), append([]string{"LC_ALL=C.UTF-8"}, p.env...)...)
	cmd.Stdin = strings.NewReader(p.input)
	var out limited
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a daemon that it started may hold the outputs open
	err = cmd.Run()
	text := strings.TrimSpace(strings.ToValidUTF8(out.String(), "?"))
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		err = fmt.Errorf("%s: %w: %s", p.name, err, text)
		if strings.Contains(text, "No space left on device") || strings.Contains(text, "Disk quota exceeded") {
			err = disk.ErrFull.Withf("The disk is full. The program %s cannot write to it. Make room on it and run this again; nothing that was there is lost.", p.name).Because(err)
		}
		return text, err
	}
	return text, nil
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := maxOutput - l.Len(); room > 0 {
		l.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}
