package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/sealpost/sealpost/agent/mozilla"
	"github.com/sealpost/sealpost/internal/disk"
)

// NSS is a certificate database of NSS: of a Thunderbird or Firefox profile, or one that several programs share
// (~/.pki/nssdb). In a profile of Thunderbird, the person's accounts are told to use the certificates.
type NSS struct {
	Dir          string `json:"dir"`                     // holds cert9.db; made with an empty password when missing
	PasswordFile string `json:"password_file,omitempty"` // with the database's own password, if it has one
}

// Name returns the kind of store and its folder.
func (n NSS) Name() (kind, place string) { return "nss", n.Dir }

// Same reports whether a store is this database by perhaps another name.
func (n NSS) Same(other Store) bool {
	o, ok := other.(NSS)
	if !ok {
		return false
	}
	a, err1 := os.Stat(n.Dir)
	b, err2 := os.Stat(o.Dir)
	return o.Dir == n.Dir || err1 == nil && err2 == nil && os.SameFile(a, b)
}

// Install imports the keys, makes the roots trusted for mail, and for nothing else, and has the accounts of a Thunderbird
// profile use the certificates.
func (n NSS) Install(ctx context.Context, d Keys) (out Outcome, err error) {
	temp, err := os.MkdirTemp("", "sealpost-nss-")
	if err != nil {
		return out, disk.Cannot(err, "No folder can be made in %s.", os.TempDir())
	}
	err = n.fill(ctx, d, temp, &out)
	return out, errors.Join(err, os.RemoveAll(temp))
}

func (n NSS) fill(ctx context.Context, d Keys, temp string, out *Outcome) error {
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
	for _, root := range d.Roots {
		note, err := t.trust(ctx, root)
		if err != nil {
			return err
		}
		if note != "" {
			out.Notes = append(out.Notes, note)
		}
	}
	if len(d.Certificates) == 0 { // all keys are elsewhere
		return nil
	}
	t.input = d.Password + "\n" // on no disk: whoever is killed here would leave it there
	if _, err := t.run(ctx, "pk12util", "-i", d.All, "-w", "/dev/stdin"); err != nil {
		return err
	}
	return n.choose(d.Choice, out)
}

// choose has accounts use the certificates, now that they are in.
func (n NSS) choose(c mozilla.Choice, out *Outcome) error {
	chosen, err := mozilla.Choose(n.Dir, c)
	if err != nil {
		return err
	}
	if chosen.Waiting {
		out.Again = true
		out.Notes = append(out.Notes, fmt.Sprintf("Thunderbird is running. Restart it: %s will use the new certificates from then on.", strings.Join(chosen.Accounts, ", ")))
	}
	for _, address := range chosen.Kept {
		out.Notes = append(out.Notes, fmt.Sprintf("%s uses a certificate that somebody else chose in Thunderbird; it was left so. "+
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
	if disk.IsThere(filepath.Join(t.Dir, "cert8.db")) {
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
		if path := filepath.Join(t.Dir, name); !disk.IsThere(path) {
			made = append(made, path)
		}
	}
	_, err = program{name: "certutil", packag: nssPackage, args: args}.run(ctx)
	if err = t.explain(err); errors.Is(err, disk.ErrFull) { // half of a database is worse than none: it looks damaged
		for _, path := range made {
			err = errors.Join(err, os.RemoveAll(path), os.RemoveAll(path+"-journal"))
		}
	}
	return err
}
