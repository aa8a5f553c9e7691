package delivery

import (
	"cmp"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"iter"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
)

// Person is one subject of a delivery with all keys of theirs that it has.
type Person struct {
	ID         uuid.UUID // zero in a drill
	Name, Mail string    // as the newest record has them
	Keys       []Key     // the newest first
	Faults     []error   // of records whose key is not what it should be; those keys are left out
}

// Key is an opened key.
type Key struct {
	Private      crypto.PrivateKey
	Header       record.Header
	Certificates []*x509.Certificate // of this key, the newest first; none if none is known
	Chain        []*x509.Certificate // the issuers' of all of them
}

// begins returns when the key came into use: from its certificate, which is older than an imported key's deposit.
func (k Key) begins() time.Time {
	if len(k.Certificates) > 0 {
		return k.Certificates[0].NotBefore
	}
	return k.Header.Time
}

// People opens the delivery, one person after the other: every key is checked against the public key that its record is
// for, and its certificates are found among certs. An error ends it.
func (o *Opening) People(certs Certificates) iter.Seq2[*Person, error] {
	return func(yield func(*Person, error) bool) {
		if o.Missing() > 0 {
			yield(nil, ErrNotEnough.Withf("%d more agents must approve before the keys can be opened.", o.Missing()))
			return
		}
		next, stop := iter.Pull2(o.folder.Records(o.Delivery))
		defer stop()
		for _, s := range o.Case.Deliveries[o.Delivery].Subjects {
			p, err := o.person(s, next, certs)
			if !yield(p, err) || err != nil {
				return
			}
		}
	}
}

func (o *Opening) person(s record.Subject, next func() (*record.InnerRecord, error, bool), certs Certificates) (*Person, error) {
	p := &Person{ID: s.Person}
	var newest time.Time
	for _, h := range s.Records {
		in, err, ok := next()
		if err != nil {
			return nil, err
		}
		if !ok || in.Capsule.Hash() != h {
			return nil, ErrFolder.Withf("The records in %s are not in the order of the case, or were changed while they were read.", o.folder.Path(RecordsFile(o.Delivery)))
		}
		head := in.Capsule.Header
		if p.Name == "" && p.Mail == "" || head.Time.After(newest) {
			p.Name, p.Mail, newest = head.Name, head.Mail, head.Time
		}
		k, err := o.open(in)
		if err != nil {
			p.Faults = append(p.Faults, err)
			continue
		}
		k.Certificates = certs.of(head.SPKI)
		for _, c := range k.Certificates {
			k.Chain = append(k.Chain, certs.chain(c)...)
		}
		p.Keys = append(p.Keys, *k)
	}
	slices.SortStableFunc(p.Keys, func(a, b Key) int {
		return cmp.Or(b.begins().Compare(a.begins()), b.Header.Time.Compare(a.Header.Time))
	})
	return p, nil
}

// open opens one record and checks that it holds the key it is for.
func (o *Opening) open(in *record.InnerRecord) (*Key, error) {
	pkcs8, err := o.opener.Open(in)
	if err != nil {
		return nil, err
	}
	defer clear(pkcs8)
	head := in.Capsule.Header
	bad := ErrKey.Withf("The record %s of %s <%s> holds something else than the %s key that it is for. It was left out.", in.Capsule.Hash(), head.Name, head.Mail, head.Algorithm)
	key, err := x509.ParsePKCS8PrivateKey(pkcs8)
	if err != nil {
		return nil, bad // the cause could have parts of the key in it
	}
	holder, ok := key.(interface{ Public() crypto.PublicKey })
	if !ok {
		return nil, bad
	}
	spki, err := x509.MarshalPKIXPublicKey(holder.Public())
	if err != nil || record.Hash(sha256.Sum256(spki)) != head.SPKI {
		return nil, bad
	}
	return &Key{Private: key, Header: head}, nil
}
