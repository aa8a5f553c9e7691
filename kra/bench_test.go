package kra_test

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

const (
	benchPeople = 1_000
	benchEach   = 10
)

// BenchmarkBulk is a case of 1,000 people with ten keys each, RSA-3072, from the folder to the files: what an officer waits
// for, and what a recipient does. Run it with -benchtime 1x -v.
func BenchmarkBulk(b *testing.B) {
	v, manager, card := office(b)
	clerk := v.device("clerk")
	dir := v.bulk(clerk, card.Certificate)
	for b.Loop() {
		start := time.Now()
		lap := func(what string) {
			b.ReportMetric(time.Since(start).Seconds(), what+"-s")
			start = time.Now()
		}
		for i, o := range v.officers[:2] {
			x := o.examine(b, dir)
			must(b, x.Refusal())
			if i == 0 {
				lap("examine")
			}
			if _, err := o.Approve(b.Context(), x, kra.Heard{}, ""); err != nil {
				b.Fatal(err)
			}
			if i == 0 {
				lap("approve")
			}
		}
		start = time.Now()
		op, err := manager.Receive(dir, nil)
		must(b, err)
		lap("verify-answers")
		n := 0
		must(b, op.Deliver(b.Context(), b.TempDir(), delivery.Certificates{}, delivery.FileOptions{Now: time.Now()}, func(d delivery.Delivered) { n += d.Files.Keys }))
		lap("open-and-write")
		if n != benchPeople*benchEach {
			b.Errorf("%d keys", n)
		}
	}
}

// bulk puts a large business case into a folder.
func (v *vault) bulk(clerk *device, to *x509.Certificate) string {
	v.t.Helper()
	var pkcs8, spki [benchEach][]byte
	for i := range benchEach {
		var key crypto.Signer = pkitest.RSAKey(v.t, ca.RSA3072, i)
		var err error
		pkcs8[i], err = x509.MarshalPKCS8PrivateKey(key)
		must(v.t, err)
		spki[i] = pkitest.SPKI(key.Public())
	}
	c := v.restore(clerk)
	c.Kind = record.CaseBusiness
	c.Deliveries = []record.Delivery{{Recipient: to}}
	byHash := map[record.Hash]*record.InnerRecord{}
	for i := range benchPeople {
		s := record.Subject{Person: uuid.New()}
		for k := range benchEach {
			rec, err := record.Seal(v.roster.Key(), v.wrapping.Public(), record.Header{Purpose: record.PurposeKey, SPKI: sha256.Sum256(spki[k]), Algorithm: "rsa-3072",
				Person: s.Person, Name: fmt.Sprintf("Person %d", i), Mail: fmt.Sprintf("p%d@example.test", i), Time: lastYear.AddDate(0, k, 0)}, pkcs8[k])
			must(v.t, err)
			in, err := rec.UnwrapOuter(v.wrapping)
			must(v.t, err)
			byHash[in.Capsule.Hash()] = in
			s.Records = append(s.Records, in.Capsule.Hash())
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, s)
	}
	signed, err := c.Sign(clerk.SigningKey)
	must(v.t, err)
	dir := filepath.Join(v.t.TempDir(), "case")
	f, err := delivery.Create(dir, signed, v.roster, v.Chain()[:1])
	must(v.t, err)
	var capsules, records [][]byte
	for _, s := range signed.Deliveries[0].Subjects {
		for _, h := range s.Records {
			capsules, records = append(capsules, byHash[h].Capsule.Bytes()), append(records, byHash[h].Bytes())
		}
	}
	must(v.t, f.AddCapsules(capsules...))
	must(v.t, f.AddRecords(0, records...))
	v.recorded(dir, signed)
	return dir
}
