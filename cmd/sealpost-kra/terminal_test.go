package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealpost/sealpost/archive/record"
)

// typist sits at a terminal and answers what a program asks.
type typist struct {
	passphrases []string           // one after the other; the last for every further question
	heard       func() record.Hash // what another officer reads aloud
}

var (
	asksPassphrase = regexp.MustCompile(`(?:passphrase.*|Once more|dealing machine): $`)
	asksWords      = regexp.MustCompile(`(?:type|read) the words number ([0-9, ]+)(?:, as you heard them| from THEIR screen\.\s+Type them as you heard them, or nothing to stop): $`)
)

// answer returns what is typed at the end of what the terminal shows; "" is nothing yet.
func (p *typist) answer(t *testing.T, shown []byte) string {
	if m := asksWords.FindSubmatch(shown); m != nil {
		words := p.heard().Words()
		var out []string
		for number := range strings.SplitSeq(string(m[1]), ", ") {
			n, err := strconv.Atoi(number)
			must(t, err)
			out = append(out, words[n-1])
		}
		return strings.Join(out, " ") + "\n"
	}
	if bytes.HasSuffix(shown, []byte("type approve: ")) {
		return "approve\n"
	}
	if asksPassphrase.Match(shown) {
		next := p.passphrases[0]
		if len(p.passphrases) > 1 {
			p.passphrases = p.passphrases[1:]
		}
		return next + "\n"
	}
	return ""
}

// run runs a command on a terminal of its own and returns all that the terminal showed.
func (p *typist) run(t *testing.T, c *exec.Cmd) (string, error) {
	t.Helper()
	master, slave, err := openTerminal()
	must(t, err)
	defer master.Close()
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	err = c.Start()
	must(t, errors.Join(err, slave.Close()))
	var all, line bytes.Buffer
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		all.Write(buf[:n])
		line.Write(buf[:n])
		if typed := p.answer(t, line.Bytes()); typed != "" {
			if asksPassphrase.Match(line.Bytes()) {
				waitForSilence(t, master)
			}
			line.Reset()
			if _, err := io.WriteString(master, typed); err != nil {
				t.Error(err)
			}
		}
		if err != nil { // EIO: the last process has left the terminal
			return strings.ReplaceAll(all.String(), "\r\n", "\n"), c.Wait()
		}
	}
}

// waitForSilence waits until the terminal does not show what is typed: a passphrase must never be seen.
func waitForSilence(t *testing.T, terminal *os.File) {
	t.Helper()
	for range 500 {
		mode, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		must(t, err)
		if mode.Lflag&unix.ECHO == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("a passphrase is asked for, and the terminal would show it")
}

// openTerminal makes a pair of pseudo-terminals.
func openTerminal() (master, slave *os.File, err error) {
	if master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, errors.Join(err, master.Close())
	}
	return master, slave, nil
}
