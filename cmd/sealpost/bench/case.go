package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/kra"
)

// openings is how often the recipient opens the case.
const openings = 3

// measureCase has officers approve one case for all keys of many people, its recipient open it, and the officers pass
// the archive's key on. Approving and opening are done by the officers' own tool, sealpost-kra, as a process.
func (b *bench) measureCase(ctx context.Context, s *server.Server) error {
	o, err := b.newOffice(ctx, s)
	if err != nil {
		return err
	}
	kind := b.Keys[len(b.Keys)-1]
	folder, err := b.makeCase(o, kind)
	if err != nil {
		return fmt.Errorf("case: %w", err)
	}
	c := &Case{Key: kind, People: b.CasePeople, Each: b.CaseEach}
	var runs []work
	for i, login := range officersBefore {
		w, _, err := b.kra(ctx, o, login, "approve", folder, "--yes")
		if err != nil {
			return err
		}
		b.say("officer %d of %d approved %d keys in %.1f s", i+1, len(officersBefore), c.keys(), w.wall.Seconds())
		runs = append(runs, w)
	}
	c.Approve = effort(runs)
	for _, p := range b.report.Archive.Officer {
		c.ApproveCryptography += p.MS.Min * float64(c.keys()) / 1000
	}
	// As many answers as it takes are there when a recipient opens.
	if err := os.Remove(filepath.Join(folder, delivery.AnswerFile(uint16(len(officersBefore))))); err != nil {
		return err
	}
	runs = nil
	for i := range openings {
		w, err := b.open(ctx, o, folder, c)
		if err != nil {
			return err
		}
		b.say("opened and wrote %d keys in %.1f s (%d of %d)", c.keys(), w.wall.Seconds(), i+1, openings)
		runs = append(runs, w)
	}
	c.Open = effort(runs)
	b.report.Archive.Case = c
	return b.measureReshare(ctx, o)
}

// kra runs sealpost-kra as the owner of a home, and returns what it printed.
func (b *bench) kra(ctx context.Context, o *office, login string, args ...string) (work, []byte, error) {
	args = append([]string{"--home", o.home(login), "--passphrase-file", o.passphraseFile(login)}, append(args, "--json")...)
	cmd := exec.CommandContext(ctx, b.KRA, args...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return work{}, nil, err
	}
	peak := watchMemory(cmd.Process.Pid)
	err := cmd.Wait()
	w := work{wall: time.Since(begun), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), peak: peak()}
	if err != nil {
		return w, nil, fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said.Bytes())
	}
	return w, out.Bytes(), nil
}

// open opens the case as its recipient, and looks at what was written.
func (b *bench) open(ctx context.Context, o *office, folder string, c *Case) (work, error) {
	to := filepath.Join(o.dir, "recovered")
	w, out, err := b.kra(ctx, o, recipientLogin, "open", folder, "--out", to)
	if err != nil {
		return w, err
	}
	var opened struct {
		People []struct {
			Files  delivery.Files
			Faults []string
		}
	}
	if err := json.Unmarshal(out, &opened); err != nil {
		return w, err
	}
	keys, uncertified := 0, 0
	for _, p := range opened.People {
		if len(p.Faults) > 0 {
			return w, fmt.Errorf("opened with faults: %v", p.Faults)
		}
		keys, uncertified = keys+p.Files.Keys, uncertified+p.Files.Uncertified
	}
	files, err := count(to, ".p12")
	if err != nil {
		return w, err
	}
	if keys != c.keys() || uncertified > 0 || files != c.People {
		return w, fmt.Errorf("%d keys in %d files, %d without a certificate", keys, files, uncertified)
	}
	return w, os.RemoveAll(to)
}

func count(dir, ending string) (n int, err error) {
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ending) {
			n++
		}
		return err
	})
	return n, err
}

// measureReshare has three officers become five. It is done anew from the same three each time.
func (b *bench) measureReshare(ctx context.Context, o *office) error {
	var runs []work
	for n := range b.Rounds {
		folder := filepath.Join(o.dir, fmt.Sprintf("reshare-%d", n+1))
		w, err := timeHere(func() error { return o.reshare(ctx, folder) })
		if err != nil {
			return fmt.Errorf("reshare: %w", err)
		}
		runs = append(runs, w)
	}
	b.report.Archive.Reshare = &Reshare{From: len(officersBefore), To: len(officersAfter), Effort: effort(runs)}
	return nil
}

// reshare is everything that all officers together do: the plan, agreeing to it, dealing, checking, the roster, and each
// new officer's check of their share.
func (o *office) reshare(ctx context.Context, folder string) error {
	dealers := officersBefore[:thresholdBefore]
	conf := kra.PlanConfig{Threshold: thresholdAfter, Agents: o.cardsOf(officersAfter), Previous: o.roster, Roots: o.roots}
	for i := range dealers {
		conf.Dealers = append(conf.Dealers, uint16(i+1))
	}
	plan, err := kra.WritePlan(folder, conf)
	if err != nil {
		return err
	}
	for _, login := range officersAfter {
		if _, err := o.officers[login].Agree(folder, kra.Agreement{Hash: plan.Hash()}); err != nil {
			return err
		}
	}
	for _, step := range []struct {
		who []string
		do  func(*kra.Officer) (kra.Sent, error)
	}{
		{dealers, func(k *kra.Officer) (kra.Sent, error) { return k.Commit(ctx, folder) }},
		{dealers, func(k *kra.Officer) (kra.Sent, error) { return k.Reveal(ctx, folder) }},
		{officersAfter, func(k *kra.Officer) (kra.Sent, error) { return k.Acknowledge(ctx, folder) }},
	} {
		for _, login := range step.who {
			if _, err := step.do(o.officers[login]); err != nil {
				return fmt.Errorf("%s: %w", login, err)
			}
		}
	}
	var next *record.Roster
	if next, err = o.officers[officersAfter[0]].Finish(folder); err != nil {
		return err
	}
	for _, login := range officersAfter {
		if _, err := o.officers[login].VerifyShare(next, next.Hash()); err != nil {
			return err
		}
	}
	return nil
}
