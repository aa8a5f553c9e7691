package demo

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/sealpost/sealpost/cmd/sealpost/server"
	"github.com/sealpost/sealpost/cmd/sealpost/setup"
	"github.com/sealpost/sealpost/internal/slapdtest"
)

// What the tour leaves of the directory's repair.
const (
	entriesBefore = "gal/before.ldif" // alice's and bob's entries as others left them
	entriesAfter  = "gal/after.ldif"
	galDiff       = "gal/diff.txt" // what `sealpost gal diff` said before the repair
)

// certificateAttribute is where senders look for certificates.
const certificateAttribute = "userCertificate;binary"

// holding is what certificates an entry is to show.
type holding struct {
	login        string
	ours, others [][]byte
}

// drifted does to two entries what other programs do that just write values. Alice's gets the certificate of her lost laptop
// back, which senders should no longer use, and another authority's; bob's loses the right one to another authority's.
func (d *Demo) drifted(ctx context.Context) (string, error) {
	if err := d.settled(ctx); err != nil {
		return "", err
	}
	var change strings.Builder
	for _, login := range []string{"alice", "bob"} {
		foreign, err := d.foreign(ctx, login)
		if err != nil {
			return "", err
		}
		values := [][]byte{foreign}
		how := "replace"
		if login == "alice" {
			old, err := d.der("people/alice/encryption.pem")
			if err != nil {
				return "", err
			}
			values, how = append(values, old), "add"
		}
		change.WriteString(writing(login, how, values...))
	}
	if _, err := d.ldapmodify(ctx, change.String()); err != nil {
		return "", err
	}
	if err := d.keepEntries(ctx, entriesBefore); err != nil {
		return "", err
	}
	said, err := d.sealpost(ctx, "gal", "diff", "alice", "bob")
	if err != nil {
		return "", err
	}
	if err := d.write([]byte(said), galDiff); err != nil {
		return "", err
	}
	for _, want := range []string{"Alice Anders: 0 missing, 1 stale, 1 of others", "Bob Brown: 1 missing, 0 stale, 1 of others"} {
		if !strings.Contains(said, want) {
			return "", fmt.Errorf("sealpost gal diff does not say %q, but %s", want, clip(said))
		}
	}
	return "ldapmodify writes into the entries, ldapsearch keeps them in " + entriesBefore + "; sealpost gal diff: " + clip(strings.ReplaceAll(strings.TrimSpace(said), "\n", "; ")), nil
}

// repaired puts both entries right. What is ours and current is there, nothing else of ours, and all of others.
func (d *Demo) repaired(ctx context.Context) (string, error) {
	if _, err := d.sealpost(ctx, "gal", "repair", "alice", "bob"); err != nil {
		return "", err
	}
	if err := d.keepEntries(ctx, entriesAfter); err != nil {
		return "", err
	}
	ldif, err := os.ReadFile(d.path(entriesAfter))
	if err != nil {
		return "", err
	}
	for login, current := range map[string]string{"alice": "recovered/laptop/encryption.pem", "bob": "people/bob/encryption.pem"} {
		h := holding{login: login}
		for file, list := range map[string]*[][]byte{current: &h.ours, foreignFile(login): &h.others} {
			der, err := d.der(file)
			if err != nil {
				return "", err
			}
			*list = append(*list, der)
		}
		if err := d.holds(ctx, string(ldif), h); err != nil {
			return "", err
		}
	}
	return "ldapsearch: alice's entry lost the lost laptop's certificate, bob's has his again, and both keep the other authority's; openssl verify tells them apart", nil
}

// holds fails unless an entry in LDIF shows exactly these certificates, and openssl says the same of whose they are.
func (d *Demo) holds(ctx context.Context, ldif string, want holding) error {
	values, err := binaryValues(entryOf(ldif, want.login), certificateAttribute)
	if err != nil {
		return err
	}
	if len(values) != len(want.ours)+len(want.others) {
		return fmt.Errorf("the entry of %s shows %d certificates", want.login, len(values))
	}
	for _, v := range values {
		ours := slices.ContainsFunc(want.ours, func(o []byte) bool { return bytes.Equal(o, v) })
		if !ours && !slices.ContainsFunc(want.others, func(o []byte) bool { return bytes.Equal(o, v) }) {
			return fmt.Errorf("the entry of %s shows a certificate that should not be there", want.login)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: v})
		_, err := d.programWith(ctx, nil, text, "openssl", "verify", "-purpose", "smimeencrypt", "-CAfile", setup.RootCertificate, "-untrusted", setup.IssuingCertificate)
		if ours != (err == nil) {
			return errors.Join(fmt.Errorf("openssl verify should have said of a certificate of %s that it comes from our authority: %t", want.login, ours), err)
		}
	}
	return nil
}

// settled waits until the server is not about to write into entries by itself: what was issued is published, and the sweep
// that it began at its start has ended.
func (d *Demo) settled(ctx context.Context) error {
	return eventually(ctx, func(ctx context.Context) error {
		waiting, err := d.psql(ctx, database, `select (select count(*) from publication.due) + (select count(*) from gal.sweep where ended_at is null)
			+ (select case count(*) when 0 then 1 else 0 end from gal.sweep where number > 0)`)
		if err == nil && waiting != "0" {
			err = errors.New("the server is still at work on the directory")
		}
		return err
	})
}

// keepEntries keeps both people's entries as ldapsearch shows them.
func (d *Demo) keepEntries(ctx context.Context, file string) error {
	ldif, err := d.ldapsearch(ctx, slapdtest.People, "(|(uid=alice)(uid=bob))", "cn", "mail", "userCertificate", "userSMIMECertificate")
	if err != nil {
		return err
	}
	return d.write([]byte(ldif), file)
}

// entryOf returns the part of LDIF that is a person's entry.
func entryOf(ldif, login string) string {
	for entry := range strings.SplitSeq(ldif, "\n\n") {
		if strings.HasPrefix(entry, "dn: "+slapdtest.PersonDN(login)+"\n") {
			return entry
		}
	}
	return ""
}

func foreignFile(login string) string { return "gal/other-authority-" + login + ".pem" }

// foreign has openssl make a certificate that is none of ours.
func (d *Demo) foreign(ctx context.Context, login string) ([]byte, error) {
	if err := d.write(nil, foreignFile(login)); err != nil {
		return nil, err
	}
	_, err := d.program(ctx, "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", d.sockets+"/other-authority.key",
		"-subj", "/O=Another Authority/CN="+login, "-addext", "subjectAltName=email:"+login+"@example.test", "-days", "365", "-out", foreignFile(login))
	if err != nil {
		return nil, err
	}
	return d.der(foreignFile(login))
}

// der reads a file of the demo's folder with one certificate.
func (d *Demo) der(file string) ([]byte, error) {
	list, err := server.ReadCertificates(d.path(file))
	if err != nil {
		return nil, err
	}
	return list[0].Raw, nil
}
