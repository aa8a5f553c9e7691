package record

import (
	"crypto/x509"

	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

// ErrShare is returned when a sealed share or sub-share is not what it should be.
var ErrShare = fault.New(fault.Denied, "share-invalid", "This share does not belong here.")

const maxShare = 128

// openSealed opens CMS that this package made: authenticated, with nothing else allowed.
func openSealed(der []byte, to cms.Recipient, max int) ([]byte, error) {
	o, err := cms.Open(der, to, cms.OpenOptions{MaxSize: max})
	if err != nil {
		return nil, err
	}
	return o.Content, nil
}

func sealTo(content []byte, to *x509.Certificate) ([]byte, error) {
	return cms.Seal(content, []*x509.Certificate{to}, cms.SealOptions{})
}

// sealShare seals a secret scalar that belongs to a context (a roster's core or a plan) and to certain ids.
func sealShare(k kind, context Hash, ids []uint16, s threshold.Scalar, to *x509.Certificate) ([]byte, error) {
	w := newWriterFor(k, maxShare)
	w.raw(context[:])
	for _, id := range ids {
		w.u16(id)
	}
	b := s.Bytes()
	w.raw(b)
	defer clear(b)
	defer clear(w.b)
	return sealTo(w.b, to)
}

// openShare is the inverse of sealShare; all but the scalar must be as expected.
func openShare(k kind, context Hash, ids []uint16, der []byte, to cms.Recipient) (threshold.Scalar, error) {
	b, err := openSealed(der, to, maxSealed)
	if err != nil {
		return threshold.Scalar{}, err
	}
	defer clear(b)
	return parseShare(k, context, ids, b)
}

func parseShare(k kind, context Hash, ids []uint16, b []byte) (threshold.Scalar, error) {
	r := newReader(b, k, maxShare)
	same := r.hash("context") == context
	for _, id := range ids {
		same = r.u16("id") == id && same
	}
	s := r.scalar("secret")
	if err := r.done(); err != nil {
		return threshold.Scalar{}, err
	}
	if !same {
		s.Wipe()
		return threshold.Scalar{}, ErrShare.Withf("This %s was made for another ceremony, dealer or agent.", kindNames[k])
	}
	return s, nil
}

// OpenShare opens an agent's own share with its decryption key and checks it against the roster, which must have been
// verified. The caller erases the share.
func (r *Roster) OpenShare(agent uint16, to cms.Recipient) (threshold.Share, error) {
	for i, a := range r.Plan.Agents {
		if a.ID != agent {
			continue
		}
		core := r.core()
		if core.err != nil {
			return threshold.Share{}, core.err
		}
		s, err := openShare(kindShare, hashOf(core.b), []uint16{agent}, r.Members[i].Sealed, to)
		if err != nil {
			return threshold.Share{}, err
		}
		if y, err := s.Point(); err != nil || y != r.Members[i].Public {
			s.Wipe()
			return threshold.Share{}, ErrShare.Withf("The sealed share of agent %d does not match its public share.", agent)
		}
		return threshold.Share{Agent: agent, Scalar: s}, nil
	}
	return threshold.Share{}, ErrShare.Withf("There is no agent %d in this roster.", agent)
}
