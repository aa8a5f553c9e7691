package bench

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
)

// archivist seals keys for a large case and certifies them, as the years before the case would have done.
type archivist struct {
	office    *office
	key       func() (crypto.Signer, error) // a new one
	wrapping  *record.WrappingKey
	issuer    *x509.Certificate
	issuerKey *ecdsa.PrivateKey
	ids       []uuid.UUID // of the people
	people    [][]kept    // what each has
}

// kept is one archived key of a case.
type kept struct {
	inner       *record.InnerRecord
	certificate *x509.Certificate
}

// makeCase seals the keys of many people and puts a business case for all of them into a folder. Each key is another one,
// and has a certificate.
func (b *bench) makeCase(o *office, kind string) (string, error) {
	b.say("sealing %d keys (%s) of %d people for a case", b.CasePeople*b.CaseEach, kind, b.CasePeople)
	a, err := newArchivist(o)
	if err != nil {
		return "", err
	}
	a.key = func() (crypto.Signer, error) { return b.encryptionKey(kind) }
	a.people, a.ids = make([][]kept, b.CasePeople), make([]uuid.UUID, b.CasePeople)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range a.people {
		g.Go(func() (err error) {
			a.ids[i] = uuid.New()
			a.people[i], err = a.keep(i, b.CaseEach)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	return a.folder(filepath.Join(o.dir, "folder"))
}

func newArchivist(o *office) (*archivist, error) {
	a := &archivist{office: o}
	var err error
	if a.wrapping, err = record.GenerateWrappingKey(); err != nil {
		return nil, err
	}
	if a.issuerKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Issuer of former years"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().AddDate(-20, 0, 0), NotAfter: time.Now().AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign}
	a.issuer, err = certify(t, t, a.issuerKey.Public(), a.issuerKey)
	return a, err
}

func certify(t, by *x509.Certificate, public any, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, by, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// keep makes, seals and certifies all keys of the i-th person.
func (a *archivist) keep(i, n int) ([]kept, error) {
	out := make([]kept, n)
	for k := range out {
		key, err := a.key()
		if err != nil {
			return nil, err
		}
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		h, err := headerOf(key)
		if err != nil {
			return nil, err
		}
		h.Person, h.Name, h.Mail = a.ids[i], fmt.Sprintf("Person %05d", i), login(i)+"@example.test"
		h.Time = time.Now().UTC().Truncate(time.Second).AddDate(0, -k, 0)
		rec, err := record.Seal(a.office.roster.Key(), a.wrapping.Public(), h, pkcs8)
		if err != nil {
			return nil, err
		}
		if out[k].inner, err = rec.UnwrapOuter(a.wrapping); err != nil {
			return nil, err
		}
		out[k].certificate, err = certify(&x509.Certificate{SerialNumber: big.NewInt(int64(2 + i*n + k)), Subject: pkix.Name{CommonName: h.Name}, EmailAddresses: []string{h.Mail},
			NotBefore: h.Time, NotAfter: h.Time.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageKeyEncipherment, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}},
			a.issuer, key.Public(), a.issuerKey)
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// folder puts the case into a folder, signed, with all that officers and recipient need.
func (a *archivist) folder(dir string) (string, error) {
	o, now := a.office, time.Now().Add(-time.Minute)
	c := record.Case{ID: uuid.New(), Kind: record.CaseBusiness, Roster: o.roster.Hash(), KeyID: o.roster.KeyID(), Epoch: o.roster.Epoch(), Requester: o.requester,
		Reason: "A department was sold, and its mail goes with it.", Reference: "LEGAL-17", Opened: now, Deadline: now.Add(72 * time.Hour),
		Deliveries: []record.Delivery{{Recipient: o.roster.Plan.Recipients[0].Certificate}}}
	certificates, byHash := []*x509.Certificate{a.issuer}, map[record.Hash]*record.InnerRecord{}
	for i, list := range a.people {
		s := record.Subject{Person: a.ids[i]}
		for _, k := range list {
			h := k.inner.Capsule.Hash()
			byHash[h] = k.inner
			s.Records = append(s.Records, h)
			certificates = append(certificates, k.certificate)
		}
		c.Deliveries[0].Subjects = append(c.Deliveries[0].Subjects, s)
	}
	signed, err := c.Sign(o.signer)
	if err != nil {
		return "", err
	}
	f, err := delivery.Create(dir, signed, o.roster, o.chain)
	if err != nil {
		return "", err
	}
	var capsules, records [][]byte
	for _, s := range signed.Deliveries[0].Subjects {
		for _, h := range s.Records {
			capsules, records = append(capsules, byHash[h].Capsule.Bytes()), append(records, byHash[h].Bytes())
		}
	}
	if err := f.AddCapsules(capsules...); err != nil {
		return "", err
	}
	if err := f.AddRecords(0, records...); err != nil {
		return "", err
	}
	if err := f.PutCertificates(certificates); err != nil {
		return "", err
	}
	seen := o.log.Size()
	if err := o.log.Open(signed.ID, signed.Hash()); err != nil {
		return "", err
	}
	shown, err := o.log.Case(signed.ID, seen)
	if err != nil {
		return "", err
	}
	return dir, f.PutLog(shown)
}
