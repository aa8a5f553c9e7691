package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/agent/mozilla"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

// NSS is a certificate database of NSS: of a Thunderbird or Firefox profile, or one that several programs share
// (~/.pki/nssdb). In a profile of Thunderbird, the person's accounts are told to use the certificates.
type NSS struct {
	Dir          string `json:"dir"`                     // holds cert9.db; made with an empty password when missing
	PasswordFile string `json:"password_file,omitempty"` // with the database's own password, if it has one
}

// Databases are several, each folder once.
type Databases []NSS

// UnmarshalJSON reads a list, or one alone, as agents wrote it that knew no more.
func (d *Databases) UnmarshalJSON(data []byte) error {
	if data = bytes.TrimSpace(data); len(data) > 0 && data[0] == '{' {
		var one NSS
		if err := decodeState(data, &one); err != nil {
			return err
		}
		*d = Databases{one}
		return nil
	}
	var list []NSS
	err := decodeState(data, &list)
	*d = list
	return err
}

var _ json.Unmarshaler = (*Databases)(nil)

// with returns the databases, those of other taking the place of ours of the same folder.
func (d Databases) with(other Databases) Databases {
	out := slices.Clone(d)
	for _, n := range other {
		if i := slices.IndexFunc(out, func(have NSS) bool { return filepath.Clean(have.Dir) == filepath.Clean(n.Dir) }); i >= 0 {
			out[i] = n
		} else {
			out = append(out, n)
		}
	}
	return out
}

func (n NSS) name() (kind, place string) { return "nss", n.Dir }

// same reports whether a store is this database by perhaps another name.
func (n NSS) same(other store) bool {
	o, ok := other.(NSS)
	if !ok {
		return false
	}
	a, err1 := os.Stat(n.Dir)
	b, err2 := os.Stat(o.Dir)
	return o.Dir == n.Dir || err1 == nil && err2 == nil && os.SameFile(a, b)
}

// install imports the keys, makes the roots trusted for mail, and for nothing else, and has the accounts of a Thunderbird
// profile use the certificates.
func (n NSS) install(ctx context.Context, d keyFiles) (out outcome, err error) {
	temp, err := os.MkdirTemp("", "sealpost-nss-")
	if err != nil {
		return out, disk.Cannot(err, "No folder can be made in %s.", os.TempDir())
	}
	err = n.fill(ctx, d, temp, &out)
	return out, errors.Join(err, os.RemoveAll(temp))
}

func (n NSS) fill(ctx context.Context, d keyFiles, temp string, out *outcome) error {
	empty := filepath.Join(temp, "no-password") // so that no tool asks at the terminal
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		return disk.Cannot(err, "%s cannot be written.", empty)
	}
	t := nssTools{NSS: n, temp: temp, passwordFile: empty}
	if n.PasswordFile != "" {
		t.passwordFile = n.PasswordFile
	}
	if err := t.prepare(ctx); err != nil {
		return err
	}
	for _, root := range d.roots {
		note, err := t.trust(ctx, root)
		if err != nil {
			return err
		}
		out.notes = append(out.notes, noteIf(note != "", note)...)
	}
	if len(d.certificates) == 0 { // all keys are elsewhere
		return nil
	}
	passwordFile := filepath.Join(temp, "p12-password")
	if err := os.WriteFile(passwordFile, []byte(d.password+"\n"), 0o600); err != nil {
		return disk.Cannot(err, "%s cannot be written.", passwordFile)
	}
	if _, err := t.run(ctx, "pk12util", "-i", d.file(P12File), "-w", passwordFile); err != nil {
		return err
	}
	return n.choose(d.choice, out)
}

// choose has accounts use the certificates, now that they are in.
func (n NSS) choose(c mozilla.Choice, out *outcome) error {
	chosen, err := mozilla.Choose(n.Dir, c)
	if err != nil {
		return err
	}
	if chosen.Waiting {
		out.again = true
		out.notes = append(out.notes, fmt.Sprintf("Thunderbird is running. Restart it: %s will use the new certificates from then on.", strings.Join(chosen.Accounts, ", ")))
	}
	for _, address := range chosen.Kept {
		out.notes = append(out.notes, fmt.Sprintf("%s uses a certificate that somebody else chose in Thunderbird; it was left so. "+
			"To change it: Account Settings, End-To-End Encryption, S/MIME.", address))
	}
	return nil
}

// prepare makes the database where there is none.
func (t nssTools) prepare(ctx context.Context) error {
	if runtime.GOOS == "windows" { // whose own certutil is another program
		return ErrProgram.Withf("NSS's programs are not there for Windows. Use the Windows certificate store: --windows-store. " +
			"Thunderbird uses its keys once security.osclientcerts.autoload is true in its settings.")
	}
	_, err := os.Stat(filepath.Join(t.Dir, "cert9.db"))
	if err == nil {
		return t.ofSQLite()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return ErrStore.Withf("The NSS database %s cannot be read.", t.Dir).Because(err)
	}
	if isThere(filepath.Join(t.Dir, "cert8.db")) {
		return ErrNSSOld.Withf("The NSS database %s is of the old kind (cert8.db), which no program of today writes. "+
			"Start a newer Thunderbird or Firefox with it once, and it will convert it.", t.Dir)
	}
	if err := os.MkdirAll(t.Dir, 0o700); err != nil {
		return disk.Cannot(err, "The folder %s cannot be made.", t.Dir)
	}
	args := []string{"-N", "-d", "sql:" + t.Dir, "--empty-password"}
	if t.PasswordFile != "" {
		args = []string{"-N", "-d", "sql:" + t.Dir, "-f", t.PasswordFile}
	}
	var made []string
	for _, name := range []string{"cert9.db", "key4.db", "pkcs11.txt"} {
		if path := filepath.Join(t.Dir, name); !isThere(path) {
			made = append(made, path)
		}
	}
	_, err = program{name: "certutil", packag: nssPackage, args: args}.run(ctx)
	if err = t.explain(err); errors.Is(err, ErrFull) { // half of a database is worse than none: it looks damaged
		for _, path := range made {
			err = errors.Join(err, remove(path), remove(path+"-journal"))
		}
	}
	return err
}

// storeFault explains that a key store's program failed. A fault that explains itself stays.
func storeFault(err error, format string, args ...any) error {
	if err == nil || fault.Of(err) != nil {
		return err
	}
	return ErrStore.Withf(format, args...).Because(err)
}
