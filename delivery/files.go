package delivery

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/pkcs12"
)

// GPGSMFolder holds 01.p12, 02.p12 …: one key each, the newest first, in the older protection that gpgsm 2.2 reads.
const GPGSMFolder = "gpgsm"

const maxPassword = 1024 // bytes of a password file

// FileOptions say how a person's keys are written.
type FileOptions struct {
	// Password protects the files. If it is empty, one is made and written beside them, into NAME.password; one that was
	// made there earlier is kept.
	Password string
	// GPGSM writes gpgsm/NN.p12 too. That costs a tenth of a second for each key.
	GPGSM bool
	Now   time.Time
}

// Files are what was written for one person.
type Files struct {
	P12      string   `json:"p12"`
	Password string   `json:"password_file,omitempty"` // if it was made
	GPGSM    []string `json:"gpgsm,omitempty"`
	Keys     int      `json:"keys"`
	// Uncertified are how many of the keys are of no known certificate. They lie in the file under a certificate that is
	// made for that purpose alone: mail programs match mail to keys by certificate, so fetch the real ones.
	Uncertified int `json:"uncertified,omitempty"`
}

// Write writes all keys of the person into one PKCS #12 file, dir/NAME.p12, the newest key first and marked, every known
// certificate and issuer in it. It makes the folder, which nobody else may read.
func (p *Person) Write(dir, name string, opt FileOptions) (*Files, error) {
	if len(p.Keys) == 0 {
		return nil, ErrKey.Withf("None of the keys of %s <%s> is what it should be: there is nothing to write.", p.Name, p.Mail)
	}
	if name == "" || name != FileName(name) {
		return nil, ErrOutput.Withf("%q is no name for a file.", name)
	}
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	out := &Files{P12: filepath.Join(dir, name+".p12"), Keys: len(p.Keys)}
	entries, chain, err := p.entries(out, opt.Now)
	if err != nil {
		return nil, err
	}
	password, profile := opt.Password, pkcs12.Modern
	if password == "" {
		// It goes first: a file that nobody can open is worse than a password without its file.
		out.Password = filepath.Join(dir, name+".password")
		if password, err = settlePassword(out.Password); err != nil {
			return nil, err
		}
		profile = pkcs12.ModernGenerated
	}
	file, err := pkcs12.Encode(entries, chain, password, profile)
	if err != nil {
		return nil, err
	}
	if err := disk.Write(out.P12, file, 0o600); err != nil {
		return nil, err
	}
	if !opt.GPGSM {
		return out, nil
	}
	return out, out.writeGPGSM(filepath.Join(dir, GPGSMFolder), entries, chain, password)
}

func (f *Files) writeGPGSM(dir string, entries []pkcs12.Entry, chain []*x509.Certificate, password string) error {
	if err := makeFolder(dir); err != nil {
		return err
	}
	for i, e := range entries {
		file, err := pkcs12.Encode([]pkcs12.Entry{e}, chain, password, pkcs12.Compatibility)
		if err != nil {
			return err
		}
		path := filepath.Join(dir, fmt.Sprintf("%02d.p12", i+1))
		if err := disk.Write(path, file, 0o600); err != nil {
			return err
		}
		f.GPGSM = append(f.GPGSM, path)
	}
	return nil
}

// entries names the keys so that people can tell the newest from the history.
func (p *Person) entries(f *Files, now time.Time) ([]pkcs12.Entry, []*x509.Certificate, error) {
	var entries []pkcs12.Entry
	var chain []*x509.Certificate
	who := p.Name
	if who == "" {
		who = p.Mail
	}
	for i, k := range p.Keys {
		e := pkcs12.Entry{Key: k.Private, Name: fmt.Sprintf("%s (old encryption, from %s)", who, k.begins().Format(time.DateOnly))}
		if i == 0 {
			e.Name = who + " (encryption)"
		}
		if len(k.Certificates) > 0 {
			e.Certificate = k.Certificates[0]
			chain = append(append(chain, k.Certificates[1:]...), k.Chain...)
		} else {
			var err error
			if e.Certificate, err = standIn(k, who, now); err != nil {
				return nil, nil, err
			}
			e.Name += ", certificate unknown"
			f.Uncertified++
		}
		entries = append(entries, e)
	}
	return entries, chain, nil
}

// settlePassword returns the password of a file that was made earlier, or makes one.
func settlePassword(path string) (string, error) {
	b, err := disk.Read(path, maxPassword)
	if err != nil {
		return "", err
	}
	if p := strings.TrimRight(string(b), "\r\n"); p != "" {
		return p, nil
	}
	p, err := pkcs12.GeneratePassphrase()
	if err != nil {
		return "", err
	}
	return p, disk.Write(path, []byte(p+"\n"), 0o600)
}

func makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return ErrOutput.Withf("The folder %s cannot be made.", dir).Because(err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return ErrOutput.Withf("The folder %s cannot be read.", dir).Because(err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return ErrOutput.Withf("Other users may write to the folder %s, where keys are to be put. Close it: chmod 700 %s", dir, dir)
	}
	return nil
}

// FileName makes of a person's mail address or name one for a file: what stands before the @, in letters, digits, dots,
// hyphens and underscores.
func FileName(s string) string {
	s, _, _ = strings.Cut(s, "@")
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, s)
	return strings.TrimLeft(s, ".-")
}

// Names gives every person of a delivery a different name for files. It is for one goroutine.
type Names map[string]bool

// For returns the person's.
func (n Names) For(p *Person) string {
	name := FileName(p.Mail)
	if name == "" {
		name = FileName(p.Name)
	}
	if name == "" || n[strings.ToLower(name)] {
		name = strings.TrimLeft(name+"-"+p.ID.String()[:8], "-")
	}
	for n[strings.ToLower(name)] {
		name += "-2"
	}
	n[strings.ToLower(name)] = true
	return name
}
