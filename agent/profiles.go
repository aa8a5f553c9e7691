package agent

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/agent/mozilla"
	"github.com/sealpost/sealpost/agent/store"
	"github.com/sealpost/sealpost/internal/disk"
)

// Profiles are those of Thunderbird or Firefox, which the agent looks for each time that it fills stores: each has a database
// of NSS.
type Profiles struct {
	PasswordFile string `json:"password_file,omitempty"` // with their primary password, if they have one
}

// find returns the stores of an identity: those that are named and those that are found on the machine now. What was looked
// for and is not there, or cannot be looked at, comes back as filled, with the reason.
func (a *Agent) find(id *Identity) (found []store.Store, missing []Filled) {
	s := id.Stores
	for _, n := range s.NSS {
		found = append(found, n)
	}
	add := func(n store.NSS) {
		if !slices.ContainsFunc(found, n.Same) {
			found = append(found, n)
		}
	}
	if s.Thunderbird != nil || s.Auto {
		dirs, err := a.thunderbirds(id)
		for _, dir := range dirs {
			add(store.NSS{Dir: dir, PasswordFile: passwordFile(s.Thunderbird)})
		}
		if err != nil || len(dirs) == 0 && s.Thunderbird != nil {
			note := fmt.Sprintf("No profile of Thunderbird has an account with one of your addresses (%s) yet.", strings.Join(id.Person.Mailboxes, ", "))
			missing = append(missing, filled("thunderbird", "", store.Outcome{Notes: noteIf(err == nil, note)}, err))
		}
	}
	if s.Firefox != nil {
		dirs, err := a.firefoxes()
		for _, dir := range dirs {
			add(store.NSS{Dir: dir, PasswordFile: passwordFile(s.Firefox)})
		}
		if err != nil || len(dirs) == 0 {
			missing = append(missing, filled("firefox", "", store.Outcome{Notes: noteIf(err == nil, "There is no profile of Firefox yet.")}, err))
		}
	}
	gpgsm := s.GPGSM
	if s.Auto {
		if shared := filepath.Join(a.cfg.Home, ".pki", "nssdb"); disk.IsThere(filepath.Join(shared, "cert9.db")) {
			add(store.NSS{Dir: shared})
		}
		if gpgsm == nil && disk.IsThere(filepath.Join(a.cfg.Home, ".gnupg", "pubring.kbx")) && installed("gpgsm") {
			gpgsm = &store.GPGSM{}
		}
	}
	if gpgsm != nil {
		found = append(found, *gpgsm)
	}
	if s.Keychain != nil {
		found = append(found, *s.Keychain)
	} else if s.Auto && runtime.GOOS == "darwin" {
		found = append(found, store.Keychain{})
	}
	if s.Windows != nil || s.Auto && runtime.GOOS == "windows" {
		found = append(found, store.Windows{})
	}
	return found, missing
}

func passwordFile(p *Profiles) string {
	if p == nil {
		return ""
	}
	return p.PasswordFile
}

// installed reports whether a program is there.
func installed(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

func noteIf(so bool, note string) []string {
	if !so {
		return nil
	}
	return []string{note}
}

// system is where the person's profiles are.
func (a *Agent) system() mozilla.System {
	s := mozilla.System{GOOS: runtime.GOOS, Home: a.cfg.Home}
	if usual, err := os.UserHomeDir(); err == nil && usual == s.Home && runtime.GOOS != "darwin" {
		if config, err := os.UserConfigDir(); err == nil {
			s.Config = config
		}
	}
	return s
}

// thunderbirds returns Thunderbird's profiles with an account that has one of the person's addresses.
func (a *Agent) thunderbirds(id *Identity) (out []string, err error) {
	dirs, err := a.system().Profiles(mozilla.Thunderbird)
	for _, dir := range dirs {
		has, broken := mozilla.HasAccount(dir, id.Person.Mailboxes)
		err = errors.Join(err, broken)
		if has {
			out = append(out, dir)
		}
	}
	return out, err
}

// firefoxes returns Firefox's profiles that were used.
func (a *Agent) firefoxes() (out []string, err error) {
	dirs, err := a.system().Profiles(mozilla.Firefox)
	for _, dir := range dirs {
		if disk.IsThere(filepath.Join(dir, "cert9.db")) {
			out = append(out, dir)
		}
	}
	return out, err
}

// choice returns what the accounts of mail programs should use.
func (id *Identity) choice() (mozilla.Choice, error) {
	c := mozilla.Choice{Addresses: id.Person.Mailboxes}
	for _, h := range id.held() {
		leaf, err := h.Leaf()
		if err != nil {
			return c, err
		}
		if h.Foreign {
			c.Foreign = append(c.Foreign, leaf)
			continue
		}
		c.Ours = append(c.Ours, leaf)
		// What is in a token, a program finds only with the token's module, which is for people to load.
		if h == id.Signing() && h.Key.Place() == PlaceSoftware {
			c.Signing = leaf
		}
		if h == id.Encryption() {
			c.Encryption = leaf
		}
	}
	// Where there is one certificate for both, it is the one or the other.
	switch {
	case c.Encryption == nil && c.Signing != nil && c.Signing.KeyUsage&encipherUsage != 0:
		c.Encryption = c.Signing
	case c.Signing == nil && c.Encryption != nil && c.Encryption.KeyUsage&signingUsage != 0:
		c.Signing = c.Encryption
	}
	return c, nil
}
