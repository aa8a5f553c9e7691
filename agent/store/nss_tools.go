package store

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/sealpost/sealpost/agent/mozilla"
	"github.com/sealpost/sealpost/internal/disk"
	"github.com/sealpost/sealpost/internal/fault"
)

const (
	nssPackage = "libnss3-tools"

	nssTries = 6           // while another program writes; each waits for some seconds in itself
	nssPause = time.Second // before the second; the others wait longer

	journalRoom = 256 << 10 // bytes that a database's journal may take
)

// Faults of NSS databases.
var (
	ErrNSSPassword = fault.New(fault.Denied, "nss-password", "The NSS database has a password.")
	ErrNSSBusy     = fault.New(fault.Unavailable, "nss-busy", "Another program is writing to the NSS database.")
	ErrNSSOld      = fault.New(fault.Malformed, "nss-old", "The NSS database is of the old kind.")
	ErrNSSDamaged  = fault.New(fault.Malformed, "nss-damaged", "The NSS database is damaged.")
)

// nssTools runs certutil and pk12util on a database.
type nssTools struct {
	NSS
	temp         string // folder for files that they read
	passwordFile string // always one: without it they ask at the terminal
	input        string // what a program reads
}

// run runs a program on the database, and again for as long as another program is writing.
func (t nssTools) run(ctx context.Context, name string, args ...string) (string, error) {
	flag := "-f"
	if name == "pk12util" {
		flag = "-k"
	}
	p := program{name: name, packag: nssPackage, args: append(args, "-d", "sql:"+t.Dir, flag, t.passwordFile), input: t.input}
	for try, pause := 1, nssPause; ; try, pause = try+1, pause+nssPause {
		out, err := p.run(ctx)
		if err == nil || try == nssTries || !strings.Contains(err.Error(), "SEC_ERROR_PKCS11_GENERAL_ERROR") || disk.Room(t.Dir, journalRoom) != nil {
			return out, t.explain(err)
		}
		select {
		case <-ctx.Done():
			return out, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// explain says what NSS's error means, and what to do.
func (t nssTools) explain(err error) error {
	if err == nil || fault.Of(err) != nil {
		return err
	}
	text, room := err.Error(), disk.Room(t.Dir, journalRoom)
	switch {
	case disk.Full(room): // of which NSS says that the password is wrong, or the database damaged
		return disk.Cannot(errors.Join(room, err), "Nothing can be written into the NSS database %s.", t.Dir)
	case strings.Contains(text, "SEC_ERROR_BAD_PASSWORD") && t.PasswordFile == "":
		return ErrNSSPassword.Withf("The NSS database %s has a password (Thunderbird: Primary Password). Put it into a file that only you can read "+
			"and name that with --nss-password-file.", t.Dir).Because(err)
	case strings.Contains(text, "SEC_ERROR_BAD_PASSWORD"):
		return ErrNSSPassword.Withf("The password in %s is not that of the NSS database %s.", t.PasswordFile, t.Dir).Because(err)
	case t.locked():
		return ErrNSSBusy.Withf("Another program is writing to the NSS database %s. Wait until it is done, or close it, and run this again.", t.Dir).Because(err)
	case strings.Contains(text, "SEC_ERROR_BAD_DATABASE"), strings.Contains(text, "SEC_ERROR_LEGACY_DATABASE"):
		return ErrNSSDamaged.Withf("The NSS database %s cannot be read; it is damaged or of another kind. Nothing was changed in it.", t.Dir).Because(err)
	case room != nil:
		return disk.ErrDisk.Withf("Nothing can be written into the NSS database %s. What was in it is still there.", t.Dir).Because(errors.Join(room, err))
	}
	return ErrStore.Withf("The keys could not be imported into the NSS database %s.", t.Dir).Because(err)
}

// ofSQLite refuses what is no database at all, of which NSS says the same as of one that is busy.
func (t nssTools) ofSQLite() error {
	const begin = "SQLite format 3\x00"
	for _, name := range []string{"cert9.db", "key4.db"} {
		f, err := disk.Open(filepath.Join(t.Dir, name))
		if err != nil {
			return err
		}
		if f == nil {
			continue
		}
		head := make([]byte, len(begin))
		n, err := io.ReadFull(f, head)
		if closeErr := f.Close(); closeErr != nil || err != nil && n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) {
			return disk.ErrDisk.Withf("%s cannot be read.", name).Because(errors.Join(err, closeErr))
		}
		if n > 0 && string(head) != begin {
			return ErrNSSDamaged.Withf("%s is no database; it is damaged. Nothing was changed.", filepath.Join(t.Dir, name))
		}
	}
	return nil
}

// locked reports whether another program has one of the database's files locked, as far as can be seen.
func (t nssTools) locked() bool {
	return slices.ContainsFunc([]string{"cert9.db", "key4.db"}, func(name string) bool {
		held, err := mozilla.Locked(filepath.Join(t.Dir, name))
		return held && err == nil
	})
}

// listLine is a certificate in the list of certutil: its name, and the trust for servers, mail and code.
var listLine = regexp.MustCompile(`(?m)^(\S.*?) +([a-zA-Z]*),([a-zA-Z]*),([a-zA-Z]*) *$`)

// trust imports a root and trusts it as an issuer of mail certificates: the middle one of the three fields. What somebody has
// trusted it for otherwise stays; that somebody has forbidden it, too, which is a note.
func (t nssTools) trust(ctx context.Context, root *x509.Certificate) (note string, err error) {
	ssl, code := "", ""
	have, err := t.trusted(ctx, root)
	if err != nil {
		return "", err
	}
	switch {
	case have == nil:
	case strings.Contains(have[1], "p"):
		return fmt.Sprintf("The root %s is marked as not to be trusted in %s; it was left so.", plainName(root), t.Dir), nil
	case strings.Contains(have[1], "C"):
		return "", nil
	default:
		ssl, code = have[0], have[2]
	}
	sum := sha256.Sum256(root.Raw)
	name := strings.ReplaceAll(root.Subject.CommonName, ":", " ")      // what is before a colon would be a token
	nickname := strings.TrimSpace(fmt.Sprintf("%s %x", name, sum[:4])) // two roots may have one name
	file := filepath.Join(t.temp, fmt.Sprintf("%x.der", sum))
	if err := os.WriteFile(file, root.Raw, 0o600); err != nil {
		return "", disk.Cannot(err, "%s cannot be written.", file)
	}
	_, err = t.run(ctx, "certutil", "-A", "-n", nickname, "-t", ssl+",C,"+code, "-i", file)
	return "", err
}

// trusted returns for what a certificate is trusted; nil if it is not there or trusted for nothing.
func (t nssTools) trusted(ctx context.Context, cert *x509.Certificate) ([]string, error) {
	// -X: what reads only finds a database damaged in which somebody was stopped while writing; SQLite mends it at the next writing.
	list, err := t.run(ctx, "certutil", "-L", "-X")
	if err != nil {
		return nil, err
	}
	for _, m := range listLine.FindAllStringSubmatch(list, -1) {
		if !strings.ContainsAny(m[2]+m[3]+m[4], "CTPp") {
			continue
		}
		out, err := t.run(ctx, "certutil", "-L", "-X", "-n", m[1], "-a")
		if err != nil {
			continue // of a token that has gone, or a name that cannot be asked for
		}
		for rest := []byte(out); ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				break
			}
			if string(block.Bytes) == string(cert.Raw) {
				return m[2:], nil
			}
		}
	}
	return nil, nil
}
