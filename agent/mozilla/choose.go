package mozilla

import (
	"bytes"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

const (
	prefsFile = "prefs.js" // the program's, which writes it anew whenever it likes
	userFile  = "user.js"  // the person's, which the program reads at its start, after the other
	// backup ends the name of the copy of a file as it was before our last change.
	backup = ".before-sealpost"

	maxPrefs = 16 << 20 // bytes of prefs.js or user.js
)

// ErrProfile says that a profile cannot be read or written.
var ErrProfile = fault.New(fault.Unavailable, "mail-profile", "The mail program's profile cannot be read or written.")

// Choice is what accounts should use.
type Choice struct {
	Addresses  []string          // whose accounts; case does not count
	Signing    *x509.Certificate // nil: none
	Encryption *x509.Certificate
	// Ours are certificates of the person that we know: an account that uses one of them, or another of the same issuers, may be given
	// a newer one. What somebody chose otherwise stays.
	Ours []*x509.Certificate
	// Foreign are those of them whose issuers are not ours.
	Foreign []*x509.Certificate
}

// Chosen is what became of a Choice.
type Chosen struct {
	Accounts []string // addresses of the accounts that use the certificates, or will
	Kept     []string // addresses of those that use certificates of somebody else, which was left so
	Waiting  bool     // the program is running: it will use them when it starts the next time
}

var identityAddress = regexp.MustCompile(`^mail\.identity\.([A-Za-z0-9_]{1,64})\.useremail$`)

// account is an identity in the preferences: what a person sends as.
type account struct{ id, address string }

// accounts returns those with one of the addresses.
func (p prefs) accounts(addresses []string) []account {
	var out []account
	for _, one := range p.list {
		m := identityAddress.FindStringSubmatch(one.name)
		if m == nil || !one.quoted {
			continue
		}
		if last, _ := p.get(one.name); last.start != one.start {
			continue
		}
		if slices.ContainsFunc(addresses, func(a string) bool { return strings.EqualFold(a, one.value) }) {
			out = append(out, account{m[1], one.value})
		}
	}
	return out
}

// HasAccount reports whether a profile has an account with one of the addresses.
func HasAccount(profile string, addresses []string) (bool, error) {
	p, err := readPrefs(filepath.Join(profile, prefsFile))
	return len(p.accounts(addresses)) > 0, err
}

func readPrefs(path string) (prefs, error) {
	text, err := disk.Read(path, maxPrefs)
	if err != nil {
		return prefs{}, ErrProfile.Withf("%s cannot be read.", path).Because(err)
	}
	return newPrefs(string(text)), nil
}

// Choose has the accounts of a profile use the certificates. While the program runs, it would overwrite its preferences: they
// wait in a block of ours in user.js, which the program reads at its next start. A later run takes the block away, once
// they are in.
func Choose(profile string, c Choice) (Chosen, error) {
	p, err := readPrefs(filepath.Join(profile, prefsFile))
	if err != nil {
		return Chosen{}, err
	}
	all, chosen := c.wanted(p)
	if len(all) == 0 {
		return chosen, setBlock(profile, nil)
	}
	running, err := Running(profile)
	if err != nil {
		return chosen, err
	}
	if running {
		return chosen, chosen.wait(profile, p, all)
	}
	if text := p.with(all); text != p.text {
		if err := rewrite(filepath.Join(profile, prefsFile), text); err != nil {
			return chosen, err
		}
	}
	// Whoever started it in this moment read the file from before, and will write that back.
	if running, err = Running(profile); err != nil || running {
		return chosen, errors.Join(err, chosen.wait(profile, p, all))
	}
	return chosen, setBlock(profile, nil)
}

// wait leaves in user.js what is not in the preferences yet.
func (c *Chosen) wait(profile string, p prefs, all []wanted) error {
	if !slices.ContainsFunc(all, func(w wanted) bool { return !w.isIn(p) }) {
		return setBlock(profile, nil)
	}
	c.Waiting = true
	return setBlock(profile, all)
}

// wanted returns the preferences of the accounts.
func (c Choice) wanted(p prefs) (all []wanted, chosen Chosen) {
	for _, a := range p.accounts(c.Addresses) {
		kept := false
		for _, half := range []struct {
			use  string
			cert *x509.Certificate
		}{{"signing", c.Signing}, {"encryption", c.Encryption}} {
			if half.cert == nil {
				continue
			}
			name := "mail.identity." + a.id + "." + half.use + "_cert_"
			old, has := p.get(name + "dbkey")
			has = has && old.value != ""
			if has && !c.ours(old.value) {
				kept = true
				continue
			}
			all = append(all, wantString(name+"name", displayName(half.cert)), wantString(name+"dbkey", DBKey(half.cert)))
			if half.use == "signing" && !has { // at first; who then sends some mail unsigned may do so
				all = append(all, wanted{"mail.identity." + a.id + ".sign_mail", "true"})
			}
		}
		if kept {
			chosen.Kept = append(chosen.Kept, a.address)
		} else {
			chosen.Accounts = append(chosen.Accounts, a.address)
		}
	}
	return all, chosen
}

// ours reports whether the certificate of a DBKey is one that we may replace.
func (c Choice) ours(key string) bool {
	issuer := issuerOf(key)
	return slices.ContainsFunc(c.Ours, func(cert *x509.Certificate) bool { return bytes.Equal(cert.RawIssuer, issuer) }) ||
		slices.ContainsFunc(c.Foreign, func(cert *x509.Certificate) bool { return DBKey(cert) == key })
}

// The block of ours in user.js.
const (
	blockBegin = "// Begin: certificates chosen by sealpost-agent, which takes these lines away once they have been read."
	blockEnd   = "// End: certificates chosen by sealpost-agent."
)

// setBlock puts preferences into the block, in place of those in it; none takes the block away.
func setBlock(profile string, all []wanted) error {
	path := filepath.Join(profile, userFile)
	text, err := disk.Read(path, maxPrefs)
	if err != nil {
		return ErrProfile.Withf("%s cannot be read.", path).Because(err)
	}
	rest := withoutBlock(string(text))
	if len(all) > 0 {
		var b strings.Builder
		b.WriteString(line(rest) + blockBegin + "\n")
		for _, w := range all {
			b.WriteString(w.statement() + "\n")
		}
		rest = b.String() + blockEnd + "\n"
	}
	switch {
	case rest == string(text):
		return nil
	case rest == "": // there was nothing in it but the block
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ErrProfile.Withf("%s cannot be removed.", path).Because(err)
		}
		return nil
	}
	return rewrite(path, rest)
}

// withoutBlock returns the text without our lines. Where the end is missing, our own statements alone go.
func withoutBlock(text string) string {
	var b strings.Builder
	in := false
	for l := range strings.Lines(text) {
		switch trimmed := strings.TrimSpace(l); {
		case trimmed == blockBegin:
			in = true
		case in && trimmed == blockEnd:
			in = false
		case in && strings.HasPrefix(trimmed, `user_pref("mail.identity.`):
		default:
			in = false
			b.WriteString(l)
		}
	}
	return b.String()
}

// rewrite replaces a file whole, and keeps it as it was before beside it. It writes to where a link leads.
func rewrite(path, text string) error {
	mode := fs.FileMode(0o600)
	real, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		real = path
	case err != nil:
		return ErrProfile.Withf("%s cannot be read.", path).Because(err)
	default:
		if err := keepCopy(real, &mode); err != nil {
			return err
		}
	}
	return disk.Write(real, []byte(text), mode)
}

func keepCopy(path string, mode *fs.FileMode) error {
	info, err := os.Stat(path)
	if err != nil {
		return ErrProfile.Withf("%s cannot be read.", path).Because(err)
	}
	*mode = info.Mode().Perm()
	old, err := disk.Read(path, maxPrefs)
	if err != nil {
		return err
	}
	return disk.Write(path+backup, old, *mode)
}
