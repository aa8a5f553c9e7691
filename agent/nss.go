package agent

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sealpost/sealpost/internal/fault"
)

const nssPackage = "libnss3-tools"

// NSS is a certificate database of NSS: of a Thunderbird or Firefox profile, or one that several programs share
// (~/.pki/nssdb).
type NSS struct {
	Dir          string `json:"dir"`                     // holds cert9.db; made with an empty password when missing
	PasswordFile string `json:"password_file,omitempty"` // with the database's own password, if it has one
}

// install imports the keys and makes the roots trusted for mail, and for nothing else. Importing again changes nothing.
func (n NSS) install(ctx context.Context, d keyFiles) error {
	if err := n.prepare(ctx); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "sealpost-nss-")
	if err != nil {
		return ErrDisk.Because(err)
	}
	err = n.fill(ctx, d, temp)
	return errors.Join(err, os.RemoveAll(temp))
}

func (n NSS) fill(ctx context.Context, d keyFiles, temp string) error {
	for _, root := range d.roots {
		if err := n.trust(ctx, root, temp); err != nil {
			return err
		}
	}
	if len(d.certificates) == 0 { // all keys are elsewhere
		return nil
	}
	passwordFile := filepath.Join(temp, "p12-password")
	if err := os.WriteFile(passwordFile, []byte(d.password+"\n"), 0o600); err != nil {
		return ErrDisk.Because(err)
	}
	_, err := n.tool("pk12util", "-i", d.file(P12File), "-w", passwordFile).run(ctx)
	return storeFault(err, "The keys could not be imported into the NSS database %s. If it has a password, give it; if a program uses it, close that.", n.Dir)
}

// prepare makes the database where there is none.
func (n NSS) prepare(ctx context.Context) error {
	_, err := os.Stat(filepath.Join(n.Dir, "cert9.db"))
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return ErrStore.Withf("The NSS database %s cannot be read.", n.Dir).Because(err)
	}
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return ErrDisk.Withf("The folder %s cannot be made.", n.Dir).Because(err)
	}
	args := []string{"-N", "-d", "sql:" + n.Dir, "--empty-password"}
	if n.PasswordFile != "" {
		args = []string{"-N", "-d", "sql:" + n.Dir, "-f", n.PasswordFile}
	}
	_, err = program{name: "certutil", packag: nssPackage, args: args}.run(ctx)
	return storeFault(err, "The NSS database %s cannot be made.", n.Dir)
}

// trust imports a root and trusts it as an issuer of mail certificates: the middle one of the three fields.
func (n NSS) trust(ctx context.Context, root *x509.Certificate, temp string) error {
	sum := sha256.Sum256(root.Raw)
	nickname := fmt.Sprintf("%s %x", root.Subject.CommonName, sum[:4]) // two roots may have one name
	file := filepath.Join(temp, fmt.Sprintf("%x.der", sum))
	if err := os.WriteFile(file, root.Raw, 0o600); err != nil {
		return ErrDisk.Because(err)
	}
	_, err := n.tool("certutil", "-A", "-n", nickname, "-t", ",C,", "-i", file).run(ctx)
	return storeFault(err, "The root certificate could not be imported into the NSS database %s.", n.Dir)
}

// tool returns a run of certutil or pk12util on the database.
func (n NSS) tool(name string, args ...string) program {
	args = append(args, "-d", "sql:"+n.Dir)
	if n.PasswordFile != "" {
		flag := "-f"
		if name == "pk12util" {
			flag = "-k"
		}
		args = append(args, flag, n.PasswordFile)
	}
	return program{name: name, packag: nssPackage, args: args}
}

// storeFault explains that a key store's program failed. A fault that explains itself stays.
func storeFault(err error, format string, args ...any) error {
	if err == nil || fault.Of(err) != nil {
		return err
	}
	return ErrStore.Withf(format, args...).Because(err)
}
