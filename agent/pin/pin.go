// Package pin holds the PIN of a device in which a key is: where it comes from, how long it must be, and that a wrong one is
// not tried twice. Devices lock themselves after a few wrong ones.
package pin

import (
	"unicode/utf8"

	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of PINs.
var (
	ErrMissing = fault.New(fault.Malformed, "pin-missing", "The PIN is needed. Give it in a file with --pin-file, or in SEALPOST_PIN.")
	ErrShort   = fault.New(fault.Malformed, "pin-too-short", "The server wants a longer PIN.")
	ErrWrong   = fault.New(fault.Denied, "pin-wrong", "The PIN is wrong. It was tried once and no more, because a device locks itself after a few wrong ones.")
	ErrHeld    = fault.New(fault.Denied, "pin-held-back", "A wrong PIN was given before, so the one in the file or the environment was not tried: it may be that one. "+
		"Run the command once by hand and type the PIN.")
	ErrLocked = fault.New(fault.Denied, "pin-locked", "The PIN is locked after too many wrong ones. Unlock it with the tool of the device's maker, or ask who gave you the device.")
)

// Source is where a PIN comes from. The zero value has none.
type Source struct {
	Given bool                              // it lies ready, in a file or the environment: nobody is asked
	Read  func(what string) (string, error) // reads it, or asks for it
}

// PIN is that of one device, as far as this process knows it. It is not safe for concurrent use.
type PIN struct {
	source Source
	known  string
	wrong  bool
}

// New returns a PIN that comes from a source when it is first wanted.
func New(s Source) *PIN { return &PIN{source: s} }

// Given reports whether the PIN lies ready.
func (p *PIN) Given() bool { return p.source.Given }

// Get returns the PIN. doubted says that the device was given a wrong one before: then only a person is asked.
func (p *PIN) Get(what string, least int, doubted bool) (string, error) {
	switch {
	case p.wrong:
		return "", ErrWrong
	case p.known != "":
		return p.known, atLeast(p.known, least)
	case p.source.Read == nil:
		return "", ErrMissing
	case doubted && p.source.Given:
		return "", ErrHeld
	}
	text, err := p.source.Read(what)
	if err != nil {
		return "", err
	}
	if text == "" {
		return "", ErrMissing
	}
	p.known = text
	return text, atLeast(text, least)
}

// Changed notes that the device has another PIN from now on.
func (p *PIN) Changed(text string) { p.known, p.wrong = text, false }

// Wrong notes that the device refused the PIN, so that it is not tried again, and returns the fault.
func (p *PIN) Wrong() error {
	p.known, p.wrong = "", true
	return ErrWrong
}

func atLeast(text string, least int) error {
	if n := utf8.RuneCountInString(text); n < least {
		return ErrShort.Withf("The server wants a PIN of at least %d characters; this one has %d.", least, n)
	}
	return nil
}
