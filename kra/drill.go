package kra

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/disk"
)

// A drill proves that the officers can still open. An officer makes a key that is nobody's, seals it to the roster as a
// record of purpose drill, and opens a case for it; others approve it as they would any case; the officer opens it. What it
// took is then shown to everybody by a file that only the opened key could sign:
//
//	drill.proof    frames: the key's SubjectPublicKeyInfo; an ECDSA signature over SHA-256(drillLabel ‖ case hash)
const (
	// ProofFile is the name of that file in the case's folder.
	ProofFile = "drill.proof"

	drillLabel = "Sealpost drill passed v1\x00"
	drillDays  = 14
	maxProof   = 1 << 10
)

// NewDrill makes a drill under a roster that was verified in this home, in a new case's folder. The officers who approve
// it are others than this one.
func (o *Officer) NewDrill(ctx context.Context, dir string, r *record.Roster) (*record.SignedCase, error) {
	if o.keys == nil {
		return nil, ErrLocked
	}
	if err := o.knows(r); err != nil {
		return nil, err
	}
	me, err := o.self(r.Plan)
	if err != nil {
		return nil, err
	}
	card, err := o.Card()
	if err != nil {
		return nil, err
	}
	in, err := o.drillRecord(r)
	if err != nil {
		return nil, err
	}
	now := o.now()
	c, err := record.Case{
		ID: uuid.New(), Kind: record.CaseDrill, Roster: r.Hash(), KeyID: r.KeyID(), Epoch: r.Epoch(),
		Requester: record.Requester{Person: me.Person, Name: me.Name, Certificate: me.Signing},
		Reason:    "A drill: can the officers still open?", Opened: now, Deadline: now.AddDate(0, 0, drillDays),
		Deliveries: []record.Delivery{{Recipient: me.Decryption, Subjects: []record.Subject{{Records: []record.Hash{in.Capsule.Hash()}}}}},
	}.Sign(o.keys.signing)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := delivery.Create(dir, c, r, issuers(card.Chain))
	if err != nil {
		return nil, err
	}
	if err := f.AddCapsules(in.Capsule.Bytes()); err != nil {
		return nil, err
	}
	return c, f.AddRecords(0, in.Bytes())
}

// drillRecord seals a new key that nobody keeps. The server's layer has no part in what officers can do.
func (o *Officer) drillRecord(r *record.Roster) (*record.InnerRecord, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	defer clear(pkcs8)
	wrapping, err := record.GenerateWrappingKey()
	if err != nil {
		return nil, err
	}
	rec, err := record.Seal(r.Key(), wrapping.Public(), record.Header{Purpose: record.PurposeDrill, SPKI: sha256.Sum256(spki), Algorithm: "ec-p256", Time: o.now()}, pkcs8)
	if err != nil {
		return nil, err
	}
	return rec.UnwrapOuter(wrapping)
}

// OpenDrill opens a drill that enough others have approved, checks the key, and shows it by the proof. It returns the
// opening, for what was wrong in it.
func (o *Officer) OpenDrill(dir string) (*delivery.Opening, error) {
	op, err := o.Receive(dir, nil)
	if err != nil {
		return nil, err
	}
	defer op.Wipe()
	if op.Case.Kind != record.CaseDrill {
		return op, ErrDrill.Withf("The case in %s is no drill.", dir)
	}
	for p, err := range op.People(delivery.Certificates{}) {
		if err != nil {
			return op, err
		}
		if len(p.Faults) > 0 || len(p.Keys) == 0 {
			return op, ErrDrill.Withf("The officers opened the drill in %s, and it held something else than its key.", dir)
		}
		if err := proveDrill(delivery.Open(dir), op.Case, p.Keys[0].Private); err != nil {
			return op, err
		}
	}
	_, err = PassedDrill(dir, op.Roster)
	return op, err
}

func proveDrill(f delivery.Folder, c *record.SignedCase, key crypto.PrivateKey) error {
	k, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		return ErrDrill.Withf("The key of this drill cannot sign.")
	}
	spki, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return err
	}
	sig, err := k.Sign(rand.Reader, drillDigest(c), crypto.SHA256)
	if err != nil {
		return err
	}
	return disk.Write(f.Path(ProofFile), delivery.AppendFrame(delivery.AppendFrame(nil, spki), sig), 0o644)
}

func drillDigest(c *record.SignedCase) []byte {
	h := c.Hash()
	d := sha256.Sum256(append([]byte(drillLabel), h[:]...))
	return d[:]
}

// PassedDrill verifies, for anybody, that a drill under the roster was passed: enough officers approved it, and whoever
// opened it had its key. It returns when the last of them approved. The roster has been verified.
func PassedDrill(dir string, r *record.Roster) (time.Time, error) {
	f := delivery.Open(dir)
	c, err := f.Case()
	if err != nil {
		return time.Time{}, err
	}
	if c.Kind != record.CaseDrill {
		return time.Time{}, ErrDrill.Withf("The case in %s is no drill.", dir)
	}
	if err := c.CheckRoster(r); err != nil {
		return time.Time{}, err
	}
	answers, err := f.Answers()
	if err != nil {
		return time.Time{}, err
	}
	var agents []uint16
	var last time.Time
	for _, a := range answers {
		if a.Err != nil || a.Approval.Verify(r, c) != nil || a.Approval.Decision != record.Approve || slices.Contains(agents, a.Approval.Agent) {
			continue
		}
		agents = append(agents, a.Approval.Agent)
		if a.Approval.Time.After(last) {
			last = a.Approval.Time
		}
	}
	if len(agents) < int(r.Plan.Threshold) {
		return time.Time{}, ErrDrill.Withf("In %s only %d of %d officers have approved the drill.", dir, len(agents), r.Plan.Threshold)
	}
	return last, verifyProof(f, c)
}

func verifyProof(f delivery.Folder, c *record.SignedCase) error {
	bad := ErrDrill.Withf("%s does not show that the drill's key was opened.", f.Path(ProofFile))
	var parts [][]byte
	for b, err := range delivery.FramesOf(f.Path(ProofFile), maxProof, func(b []byte) ([]byte, error) { return b, nil }) {
		if err != nil {
			return err
		}
		parts = append(parts, b)
	}
	if len(parts) != 2 {
		return ErrDrill.Withf("In %s nobody has opened the drill yet: sealpost-kra drill open", f.Path(ProofFile))
	}
	public, err := x509.ParsePKIXPublicKey(parts[0])
	if err != nil {
		return bad.Because(err)
	}
	k, ok := public.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(k, drillDigest(c), parts[1]) {
		return bad
	}
	for capsule, err := range f.Capsules() {
		if err != nil {
			return err
		}
		if capsule.Hash() == c.Deliveries[0].Subjects[0].Records[0] && capsule.Header.SPKI == record.Hash(sha256.Sum256(parts[0])) {
			return nil
		}
	}
	return bad
}
