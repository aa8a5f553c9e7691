package record_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
)

var update = flag.Bool("update", false, "write the test vectors anew")

const vectorsFile = "testdata/record.json"

// vectors is the shared file. What is random and cannot be fixed (HPKE and CMS) is kept in Given and is an input; all
// else is computed from names, see fixedKey and fixedScalar, and from Given.
type vectors struct {
	Comment  string
	Keys     map[string]string // P-256 private keys, 32 bytes, by name
	Given    givenVector
	Wrapping wrappingVector
	Seal     sealVector
	Ceremony ceremonyVector
	Receipt  signedVector
	Case     caseVector
}

type givenVector struct {
	Outer           string   // of the record
	Reveal          string   // the dealer's message, with sealed sub-shares
	Acknowledgement []string // with sealed shares
	Partials        []string // sealed, of agents 1 and 3
}

type wrappingVector struct{ Seed, Public, ID string }

type sealVector struct {
	PKCS8, DataKey, R, Nonce               string // inputs; the header is a field of its own below
	Header, Inner, InnerHash, Key, Wrapped string
	Binding, Capsule, Hash, HPKEInfo       string
	Record, InnerRecord                    string
}

type ceremonyVector struct {
	Coefficients                   []string // of the dealer's polynomial
	Plan, PlanHash                 string
	Commit, Round1                 string
	Transcript, Core, Roster, Hash string
	Shares                         []string // the plaintexts of the sealed shares
}

type signedVector struct{ Statement, Digest, Signed string }

type caseVector struct {
	Case      signedVector
	Partials  []string // plaintexts
	Nonce     string
	Approvals []signedVector
	Denial    signedVector
	Opened    string
	Answers   []string // of the approvals, then of the denial
	Dispute   signedVector
	Legal     signedVector // another case
	Consent   signedVector // to it
}

func TestVectors(t *testing.T) {
	t.Parallel()
	var old vectors
	raw, err := os.ReadFile(vectorsFile)
	if err != nil && !(*update && errors.Is(err, fs.ErrNotExist)) {
		t.Fatal(err)
	}
	if err == nil {
		if err := json.Unmarshal(raw, &old); err != nil {
			t.Fatal(err)
		}
	}
	v := maker{t: t, given: old.Given}
	got := v.make()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetIndent("", "  ")
	if err := enc.Encode(got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsFile, buf.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		raw = buf.Bytes()
	}
	if d := cmp.Diff(string(raw), buf.String()); d != "" {
		t.Errorf("the format has changed, which it never may (-file +now):\n%s", d)
	}
}

// maker computes the vectors; what is given and still opens is kept, what is missing is made if -update says so.
type maker struct {
	t      *testing.T
	given  givenVector
	people people
	roster *record.Roster
	key    *record.WrappingKey
	rec    *record.Record
}

func (v *maker) make() vectors {
	v.people = agents(v.t, 3)
	out := vectors{
		Comment: "Test vectors of archive/record, see docs/archive-format.md. Hexadecimal. Given is random and an input, all else follows.",
		Keys:    map[string]string{},
	}
	names := []string{"machine", "receipts", "alice signing", "alice decryption", "clerk signing", "auditor signing"}
	for _, p := range v.people {
		names = append(names, p.name+" signing", p.name+" decryption")
	}
	for _, n := range names {
		out.Keys[n] = hex.EncodeToString(must(fixedKey(v.t, n).Bytes())(v.t))
	}
	out.Ceremony = v.ceremony()
	out.Wrapping = v.wrapping()
	out.Seal = v.seal()
	out.Receipt = v.receipt()
	out.Case = v.caseOf()
	out.Given = v.given
	return out
}

// have returns the given bytes, or with -update makes them if there are none.
func (v *maker) have(given *string, make func() []byte) []byte {
	v.t.Helper()
	if *given == "" {
		if !*update {
			v.t.Fatal("a given value is missing: run with -update")
		}
		*given = hex.EncodeToString(make())
	}
	return must(hex.DecodeString(*given))(v.t)
}

func (v *maker) ceremony() ceremonyVector {
	t := v.t
	plan := newPlan(t, dealerPlan(t, 2, v.people))
	c := newCeremony(t, plan, nil)
	cs := []threshold.Scalar{fixedScalar(t, "coefficient 0"), fixedScalar(t, "coefficient 1")}
	out := ceremonyVector{Plan: hex.EncodeToString(plan.Bytes()), PlanHash: plan.Hash().String()}
	for _, s := range cs {
		out.Coefficients = append(out.Coefficients, hex.EncodeToString(s.Bytes()))
	}
	machine := fixedKey(t, "machine")
	commit := must(c.CommitWith(0, must(threshold.PolynomialOf(cs))(t), machine))(t)
	out.Commit, out.Round1 = hex.EncodeToString(commit), must(c.Round1())(t).String()
	add(t, c, v.have(&v.given.Reveal, func() []byte { return must(c.Reveal(machine))(t) }))
	for len(v.given.Acknowledgement) < 3 {
		v.given.Acknowledgement = append(v.given.Acknowledgement, "")
	}
	for i := range v.given.Acknowledgement {
		id := uint16(i + 1)
		add(t, c, v.have(&v.given.Acknowledgement[i], func() []byte {
			return must(c.Acknowledge(id, v.people[id].key(), v.people[id].signKey))(t)
		}))
	}
	v.roster = must(c.Roster())(t)
	out.Transcript, out.Core = v.roster.Transcript.String(), v.roster.Core().String()
	out.Roster, out.Hash = hex.EncodeToString(v.roster.Bytes()), v.roster.Hash().String()
	for i, m := range v.roster.Members {
		id := uint16(i + 1)
		openShare(t, v.roster, id, v.people)
		out.Shares = append(out.Shares, hex.EncodeToString(must(record.Opened(m.Sealed, v.people[id].key()))(t)))
	}
	return out
}

func (v *maker) wrapping() wrappingVector {
	v.key = newWrappingKey(v.t, "wrapping")
	return wrappingVector{
		Seed: hex.EncodeToString(must(v.key.Seed())(v.t)), Public: hex.EncodeToString(v.key.Public().Bytes()), ID: v.key.ID().String(),
	}
}

func (v *maker) seal() sealVector {
	t := v.t
	r, w := fixedScalar(t, "r"), fixedScalar(t, "nonce of the ciphertext proof")
	dataKey, pkcs8 := sha256.Sum256([]byte("data key")), pkcs8Of("alice")
	out := sealVector{
		PKCS8: hex.EncodeToString(pkcs8), DataKey: hex.EncodeToString(dataKey[:]), R: hex.EncodeToString(r.Bytes()), Nonce: hex.EncodeToString(w.Bytes()),
	}
	e := must(threshold.EncapsulateWith(v.roster.Key(), fixedScalar(t, "r")))(t)
	header := must(headerOf("alice").Encode())(t)
	out.Key = hex.EncodeToString(must(e.Key(header))(t))
	made := must(record.SealWith(v.roster.Key(), v.key.Public(), headerOf("alice"), pkcs8, dataKey[:], r, w))(t)
	c := made.Capsule
	outer := v.have(&v.given.Outer, func() []byte { return made.Outer })
	v.rec = must(record.RecordWith(c, v.key.ID(), outer))(t)
	in := unwrap(t, v.rec, v.key)
	mustOpen(t, v.roster, in, pkcs8, openShare(t, v.roster, 1, v.people), openShare(t, v.roster, 2, v.people))
	out.Header, out.Inner, out.InnerHash = hex.EncodeToString(header), hex.EncodeToString(in.Inner), c.InnerHash.String()
	out.Wrapped, out.Binding = hex.EncodeToString(c.Wrapped[:]), c.Binding().String()
	out.Capsule, out.Hash = hex.EncodeToString(c.Bytes()), c.Hash().String()
	out.HPKEInfo = v.rec.Info().String()
	out.Record, out.InnerRecord = hex.EncodeToString(v.rec.Bytes()), hex.EncodeToString(in.Bytes())
	return out
}

func (v *maker) receipt() signedVector {
	s := must(receiptOf(v.rec).Sign(fixedKey(v.t, "receipts")))(v.t)
	return signedOf(s.Bytes(), s.Signature, s.Hash())
}

func signedOf(b []byte, s record.Signature, digest record.Hash) signedVector {
	return signedVector{
		Statement: hex.EncodeToString(b[:len(b)-3-len(s.Value)]), Digest: digest.String(), Signed: hex.EncodeToString(b),
	}
}

// silence is a legal case like c, and an auditor's consent to it.
func (v *maker) silence(c record.Case) (legal, consent signedVector) {
	t, clerk := v.t, newPerson(v.t, "clerk")
	c.ID, c.Kind = uuid.NewSHA1(uuid.NameSpaceURL, []byte("legal case")), record.CaseLegal
	c.Requester = record.Requester{Person: clerk.id, Name: clerk.name, Certificate: clerk.signing}
	c.Deliveries = []record.Delivery{{Recipient: counsel(t).decryption, Subjects: c.Deliveries[0].Subjects}}
	s := signCase(t, c, clerk)
	x := must(consentTo(t, s).Sign(newPerson(t, "auditor").signKey))(t)
	return signedOf(s.Bytes(), s.Signature, s.Hash()), signedOf(x.Bytes(), x.Signature, x.Hash())
}

func (v *maker) caseOf() caseVector {
	t := v.t
	a := &archive{roster: v.roster, people: v.people, key: v.key, records: map[string]*record.Record{"alice": v.rec}}
	alice := device(t)
	c := record.Case{
		ID: uuid.NewSHA1(uuid.NameSpaceURL, []byte("case")), Kind: record.CaseRestore,
		Roster: v.roster.Hash(), KeyID: v.roster.KeyID(), Epoch: v.roster.Epoch(),
		Requester: record.Requester{Person: alice.id, Name: alice.name, Certificate: alice.signing},
		Reason:    "Laptop lost on a train.\nReported to the help desk.", Reference: "HD-4711", Opened: day, Deadline: deadline,
		Deliveries: []record.Delivery{{Recipient: alice.decryption, Subjects: []record.Subject{a.subject(alice.id, "alice")}}},
	}
	s := signCase(t, c, alice)
	out := caseVector{Case: signedOf(s.Bytes(), s.Signature, s.Hash())}
	b := a.bundle(t, s, "alice")
	o := record.NewOpener(b)
	nonce := fixedScalar(t, "nonce of the partials")
	out.Nonce = hex.EncodeToString(nonce.Bytes())
	for len(v.given.Partials) < 2 {
		v.given.Partials = append(v.given.Partials, "")
	}
	for i, id := range []uint16{1, 3} {
		raw := must(b.PartialsWith(openShare(t, v.roster, id, v.people), nonce))(t)
		sealed := v.have(&v.given.Partials[i], func() []byte { return must(record.SealTo(raw, alice.decryption))(t) })
		x := must(record.SignApproval(record.Approval{
			Case: s.Hash(), Roster: s.Roster, Epoch: s.Epoch, Agent: id, Decision: record.Approve, Time: day, Comment: "Spoke with alice.",
			Sealings: []record.Sealing{{Recipient: record.Fingerprint(alice.decryption), Sealed: hashOf(sealed), Partials: hashOf(raw)}},
		}, v.people[id].signKey))(t)
		if err := o.Add(x, sealed, alice.key()); err != nil {
			t.Fatal(err)
		}
		out.Partials = append(out.Partials, hex.EncodeToString(raw))
		out.Approvals = append(out.Approvals, signedOf(x.Bytes(), x.Signature, x.Hash()))
		answer := &record.Answer{Approval: x, Sealed: [][]byte{sealed}}
		out.Answers = append(out.Answers, hex.EncodeToString(encoded(t, answer)))
		dispute := must(a.dispute(t, s, answer).Sign(alice.signKey))(t)
		out.Dispute = signedOf(dispute.Bytes(), dispute.Signature, dispute.Hash())
	}
	d := must(record.NewDenial(v.roster, s, 2, v.people[2].signKey, day, "No.\nCall me first."))(t)
	out.Denial = signedOf(d.Bytes(), d.Signature, d.Hash())
	out.Answers = append(out.Answers, hex.EncodeToString(encoded(t, &record.Answer{Approval: d})))
	out.Legal, out.Consent = v.silence(c)
	out.Opened = hex.EncodeToString(must(o.Open(unwrap(t, v.rec, v.key)))(t))
	return out
}
