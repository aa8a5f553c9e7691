package kra_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/pkitest"
	"github.com/sealpost/sealpost/kra"
)

// TestRogueServer: whoever fills the folder cannot have officers open what they do not see. In every case nothing is
// answered, and the subjects are not shown as if they were certain.
func TestRogueServer(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice := v.device("alice")
	victim := v.keep("victim", pkitest.NewKey(t, ca.P256), lastMonth).record.Capsule
	mine := v.kept["alice"][0].record.Capsule
	for name, forge := range map[string]func() []byte{
		// alice's header before the victim's key
		"another's record behind a harmless header": func() []byte {
			b := victim.Bytes()
			head, own := headerBytes(b), headerBytes(mine.Bytes())
			return bytes.Join([][]byte{{1, 2, byte(len(own) >> 8), byte(len(own))}, own, b[4+len(head):]}, nil)
		},
		// the victim's R, R₂ in alice's record
		"another's point in a harmless record": func() []byte {
			b, from := bytes.Clone(mine.Bytes()), victim.Bytes()
			copy(b[len(b)-128:len(b)-64], from[len(from)-128:len(from)-64])
			return b
		},
		"another's point with its proof": func() []byte {
			b, from := bytes.Clone(mine.Bytes()), victim.Bytes()
			copy(b[len(b)-128:], from[len(from)-128:])
			return b
		},
		// R' = k·R of the victim's in alice's record: whoever has x·R' has x·R
		"another's point, blinded": func() []byte {
			b, from := bytes.Clone(mine.Bytes()), victim.Bytes()
			var points []threshold.Point
			for at := len(from) - 128; at < len(from)-64; at += 32 {
				p, err := threshold.ParsePoint(from[at : at+32])
				must(t, err)
				points = append(points, p)
			}
			blinded, err := threshold.Decrypt(threshold.Share{Agent: 1, Scalar: threshold.RandomScalar()}, points)
			must(t, err)
			copy(b[len(b)-128:], slices.Concat(blinded[0].Bytes(), blinded[1].Bytes(), from[len(from)-64:]))
			return b
		},
		"a proof that does not hold": func() []byte { return alter(mine.Bytes(), len(mine.Bytes())-1) },
	} {
		forged, err := record.ParseCapsule(forge())
		must(t, err)
		c := v.restore(alice)
		c.Deliveries[0].Subjects[0].Records = []record.Hash{forged.Hash()}
		s, err := c.Sign(alice.SigningKey)
		must(t, err)
		dir := filepath.Join(t.TempDir(), "case")
		f, err := delivery.Create(dir, s, v.roster, v.Chain()[:1])
		must(t, err)
		must(t, f.AddCapsules(forged.Bytes()))
		v.recorded(dir, s)
		x := v.officers[0].examine(t, dir)
		uses := v.officers[0].Count()
		_, err = v.officers[0].Approve(t.Context(), x, heard(t, s.Deliveries[0].Recipient), "")
		refused(t, name, err, record.ErrRecord, "proof")
		if len(x.Subjects) != 0 || uses.Decryptions+uses.Signatures != 0 {
			t.Errorf("%s: subjects %+v, %+v", name, x.Subjects, *uses)
		}
	}
}

func headerBytes(capsule []byte) []byte {
	n := int(capsule[2])<<8 | int(capsule[3])
	return capsule[4 : 4+n]
}

// TestSwappedRosterAndRecipient: the folder's other files.
func TestSwappedRosterAndRecipient(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice, mallory := v.device("alice"), v.device("mallory")

	// The server's own officers, under the same names.
	foreign := v.strangers(t)
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	write(t, foreign.Bytes(), dir, delivery.RosterFile)
	x := v.officers[0].examine(t, dir)
	if !errorIn(x, &errorText{kra.ErrRosterUnknown, ""}) {
		t.Errorf("another roster: %v", x.Refusal())
	}

	// The recipient is somebody else's device: alice's own words do not fit.
	c := v.restore(alice)
	c.Deliveries[0].Recipient = mallory.recipient(t).Certificate
	dir, _ = v.folder(c, alice.SigningKey)
	_, err := v.officers[0].Approve(t.Context(), v.officers[0].examine(t, dir), heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "another recipient", err, kra.ErrHeard, "another recipient")

	// The case is altered after it was signed.
	dir, s = v.folder(v.restore(alice), alice.SigningKey)
	b := s.Bytes()
	at := bytes.Index(b, []byte("Laptop lost"))
	write(t, alter(b, at), dir, delivery.CaseFile)
	_, err = v.officers[0].Approve(t.Context(), v.officers[0].examine(t, dir), heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "an altered case", err, record.ErrCase, "signature of the requester")

	// An answer from another case under this one's name is not taken, and an officer's own is not overwritten.
	other, so := v.folder(v.restore(alice), alice.SigningKey)
	approve(t, other, so, v.officers[1])
	dir, s = v.folder(v.restore(alice), alice.SigningKey)
	must(t, os.Link(filepath.Join(other, delivery.AnswerFile(2)), filepath.Join(dir, delivery.AnswerFile(2))))
	op := receive(t, dir, alice.recipient(t))
	if len(op.Wrong) != 1 || op.Wrong[0].Disputable() || op.Missing() != 2 {
		t.Errorf("a replayed answer: %+v", op.Wrong)
	}
	_, err = v.officers[1].Approve(t.Context(), v.officers[1].examine(t, dir), heard(t, s.Deliveries[0].Recipient), "")
	refused(t, "a file in the way", err, delivery.ErrFolder, "02-agent.answer")
}

// TestHomesKeepNoSecretsOfCases: neither the folder nor the homes have a key's or a share's bytes in them.
func TestHomesKeepNoSecretsOfCases(t *testing.T) {
	t.Parallel()
	v := alices(t)
	alice := v.device("alice")
	dir, s := v.folder(v.restore(alice), alice.SigningKey)
	approve(t, dir, s, v.officers[0], v.officers[1])
	secrets := [][]byte{}
	for _, k := range v.kept["alice"] {
		pkcs8 := pkcs8Of(t, k.key)
		secrets = append(secrets, pkcs8[len(pkcs8)/2:])
	}
	for _, o := range v.officers[:2] {
		secrets = append(secrets, o.share(t, v.roster).Scalar.Bytes())
	}
	out := filepath.Join(t.TempDir(), "out")
	for p, err := range receive(t, dir, alice.recipient(t)).People(delivery.Certificates{}) {
		must(t, err)
		_, err = p.Write(out, "alice", delivery.FileOptions{GPGSM: true, Now: lastYear})
		must(t, err)
	}
	for _, place := range []string{dir, v.officers[0].home, v.officers[1].home, out} {
		if found := leaks(t, place, secrets...); len(found) != 0 {
			t.Errorf("secrets in %v", found)
		}
	}
	for _, o := range v.officers[:2] {
		list, err := o.Rosters()
		if must(t, err); len(list) != 1 || list[0].Hash() != v.roster.Hash() {
			t.Errorf("%d rosters", len(list))
		}
	}
}
