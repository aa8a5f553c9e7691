// Package schedule has a person's system run a program by itself: by systemd, by launchd, by Windows' task scheduler, or, on a desktop
// without any of them, when they log in.
//
// It owns what these systems' files say and which of their programs are run to tell them so. It does not know what the program does.
// Files are the person's own, or, for everybody on a machine, the system's; it never asks for other rights than it is run with.
package schedule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults.
var (
	ErrJob     = fault.New(fault.Malformed, "schedule-options", "The schedule is not configured correctly.")
	ErrSystem  = fault.New(fault.Unavailable, "schedule-system", "This system has nothing that runs programs by itself that the agent knows.")
	ErrRefused = fault.New(fault.Unavailable, "schedule-refused", "The system did not take the schedule.")
)

// Job is what is to be run. Program and Args are handed over as they are: no shell reads them.
type Job struct {
	Program string   // absolute path
	Args    []string // for one run, which ends
	Daemon  []string // for a run that goes on until the person logs out, where a system can do no more than start something
	Every   time.Duration
	Spread  time.Duration // runs are moved by up to this, by chance; where the system can
}

const (
	shortest = time.Minute
	longest  = 7 * 24 * time.Hour
	patience = 30 * time.Second // for one of the system's programs
)

func (j Job) check() error {
	if !filepath.IsAbs(j.Program) && !strings.Contains(j.Program, `:\`) {
		return ErrJob.Withf("The program's path must be absolute: %s.", j.Program)
	}
	if j.Every < shortest || j.Every > longest || j.Spread < 0 || j.Spread > j.Every {
		return ErrJob.Withf("A run comes every minute at most and every week at least, and is moved by no more than that.")
	}
	for _, arg := range append([]string{j.Program}, append(j.Args, j.Daemon...)...) {
		if strings.ContainsFunc(arg, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
			return ErrJob.Withf("The path or an option has a character that no schedule can hold: %q.", arg)
		}
	}
	return nil
}

// File is one that a system reads.
type File struct {
	Path string
	Text string
}

// Plan is all that it takes: the files, and the programs that have the system read them. Remove undoes it.
type Plan struct {
	System  string // "systemd", "launchd", "task scheduler", "autostart"
	Files   []File
	Enable  [][]string // run in this order after the files are written
	Disable [][]string // before they are removed; that these fail is no fault
}

// Install writes the files and tells the system. Doing it again changes what has changed.
func (p Plan) Install(ctx context.Context) error {
	for _, f := range p.Files {
		if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
			return disk.Cannot(err, "The folder of %s cannot be made.", f.Path)
		}
		if err := disk.Write(f.Path, []byte(f.Text), 0o644); err != nil {
			return err
		}
	}
	for _, command := range p.Enable {
		if err := run(ctx, command); err != nil {
			return ErrRefused.Withf("The files are written, but the system did not take them: %s failed. Run it yourself to see why.", strings.Join(command, " ")).Because(err)
		}
	}
	return nil
}

// Remove takes the schedule away. Taking away what is not there does nothing.
func (p Plan) Remove(ctx context.Context) error {
	there, err := p.Installed()
	if err != nil || !there {
		return err
	}
	for _, command := range p.Disable {
		if err := run(ctx, command); err != nil && ctx.Err() != nil {
			return err
		}
	}
	for _, f := range p.Files {
		if err := os.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return disk.ErrDisk.Withf("%s cannot be removed.", f.Path).Because(err)
		}
	}
	return nil
}

// Installed reports whether any of the files is there.
func (p Plan) Installed() (bool, error) {
	for _, f := range p.Files {
		_, err := os.Stat(f.Path)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, disk.ErrDisk.Withf("%s cannot be read.", f.Path).Because(err)
		}
	}
	return false, nil
}

// run runs one of the system's programs.
func run(ctx context.Context, command []string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", command[0], err, bytes.TrimSpace(out.Bytes()[:min(out.Len(), 1<<10)]))
	}
	return nil
}
