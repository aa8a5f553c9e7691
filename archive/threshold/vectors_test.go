package threshold_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/archive/threshold"
)

var update = flag.Bool("update", false, "write the test vectors anew")

const vectorsFile = "testdata/threshold.json"

// vectors is the shared file: every value is the hexadecimal of a canonical encoding. What is named in Inputs is given,
// all the rest follows from it.
type vectors struct {
	Comment         string
	SecondGenerator string
	BadPoints       []string
	BadScalars      []string
	Sharing         sharingVector
	Encapsulation   encapsulationVector
	Partials        []partialVector
	Combine         []combineVector
	Reshare         reshareVector
}

type sharingVector struct {
	Threshold    int
	Coefficients []string // of the one dealer, constant term (x) first
	Commitments  []string
	KeyID        string
	Shares       []shareVector
}

type shareVector struct {
	Agent         uint16
	Share, Public string
}

type encapsulationVector struct {
	R, Info, Binding, Nonce             string // inputs: the scalar r, HKDF info, bound hash, nonce w
	PointR, PointR2, Shared, Key, Proof string
}

type partialVector struct {
	Case       string
	Epoch      uint32
	Agent      uint16
	Nonce      string
	R, D       []string
	Transcript string
	Proof      string
	Public     string
}

type combineVector struct {
	Agents  []uint16
	Lambdas []string
	Shared  []string
}

type reshareVector struct {
	Threshold int
	Dealers   []dealerVector
	Joint     []string // commitments of the new sharing
	Shares    []shareVector
}

type dealerVector struct {
	Dealer       uint16
	Coefficients []string
	Commitments  []string
	SubShares    []string // for agents 1, 2, 3, 4
}

func TestVectors(t *testing.T) {
	t.Parallel()
	got := makeVectors(t)
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
	}
	want, err := os.ReadFile(vectorsFile)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), buf.String()); d != "" {
		t.Errorf("the format has changed, which it never may (-file +now):\n%s", d)
	}
}

func makeVectors(t *testing.T) vectors {
	v := vectors{
		Comment:    "Test vectors of archive/threshold, see docs/archive-format.md. Hexadecimal of canonical encodings.",
		BadPoints:  badPoints,
		BadScalars: badScalars,
	}
	g2, err := threshold.SecondGenerator()
	if err != nil {
		t.Fatal(err)
	}
	v.SecondGenerator = g2.String()
	s := v.Sharing.fill(t)
	e := v.Encapsulation.fill(t, s.key)
	second, err := threshold.EncapsulateWith(s.key, fixed(t, "r of the second record"))
	if err != nil {
		t.Fatal(err)
	}
	rs := []threshold.Point{e.R, second.R}
	for _, share := range s.shares {
		v.Partials = append(v.Partials, makePartial(t, s, share, rs))
	}
	v.Combine = makeCombine(t, s, rs, v.Encapsulation.Shared)
	v.Reshare.fill(t, s)
	return v
}

func (v *sharingVector) fill(t *testing.T) sharing {
	v.Threshold = 2
	cs := []threshold.Scalar{fixed(t, "coefficient 0"), fixed(t, "coefficient 1")}
	v.Coefficients = scalars(cs)
	p, err := threshold.PolynomialOf(cs)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Commit()
	if err != nil {
		t.Fatal(err)
	}
	v.Commitments = points(c)
	id := threshold.KeyID(c[0])
	v.KeyID = hex.EncodeToString(id[:])
	s := sharing{t: 2, key: c[0], commitments: c, public: map[uint16]threshold.Point{}}
	for a := uint16(1); a <= 3; a++ {
		share, err := p.Share(a)
		if err != nil {
			t.Fatal(err)
		}
		s.shares = append(s.shares, share)
		s.public[a] = pointOf(t, share.Scalar)
		v.Shares = append(v.Shares, shareVector{a, hex.EncodeToString(share.Scalar.Bytes()), s.public[a].String()})
	}
	return s
}

func (v *encapsulationVector) fill(t *testing.T, key threshold.Point) *threshold.Encapsulation {
	r, w := fixed(t, "r"), fixed(t, "nonce of the ciphertext proof")
	binding := [32]byte(bytes.Repeat([]byte{0xb1}, 32))
	info := []byte("info")
	v.R, v.Nonce = hex.EncodeToString(r.Bytes()), hex.EncodeToString(w.Bytes())
	v.Info, v.Binding = hex.EncodeToString(info), hex.EncodeToString(binding[:])
	e, err := threshold.EncapsulateWith(key, r)
	if err != nil {
		t.Fatal(err)
	}
	k, err := e.Key(info)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := e.ProveWith(binding, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := threshold.VerifyProof(key, e.R, e.R2, binding, proof); err != nil {
		t.Fatal(err)
	}
	z, err := threshold.Decrypt(threshold.Share{Agent: 1, Scalar: fixed(t, "r")}, []threshold.Point{key})
	if err != nil {
		t.Fatal(err)
	}
	v.PointR, v.PointR2, v.Shared = e.R.String(), e.R2.String(), z[0].String()
	v.Key, v.Proof = hex.EncodeToString(k), hex.EncodeToString(proof[:])
	return e
}

func makePartial(t *testing.T, s sharing, share threshold.Share, rs []threshold.Point) partialVector {
	ctx := threshold.Context{Case: [32]byte(bytes.Repeat([]byte{0xca}, 32)), Epoch: 1, Agent: share.Agent, Key: s.key}
	w := fixed(t, "nonce of the partials")
	ds, err := threshold.Decrypt(share, rs)
	if err != nil {
		t.Fatal(err)
	}
	proof, err := threshold.ProvePartialsWith(share, ctx, rs, ds, w)
	if err != nil {
		t.Fatal(err)
	}
	if err := threshold.VerifyPartials(s.public[share.Agent], ctx, rs, ds, proof); err != nil {
		t.Fatal(err)
	}
	transcript := threshold.TranscriptOf(s.public[share.Agent], ctx, rs, ds)
	return partialVector{
		Case: hex.EncodeToString(ctx.Case[:]), Epoch: 1, Agent: share.Agent, Nonce: hex.EncodeToString(w.Bytes()),
		R: points(rs), D: points(ds), Transcript: hex.EncodeToString(transcript[:]),
		Proof: hex.EncodeToString(proof[:]), Public: s.public[share.Agent].String(),
	}
}

func makeCombine(t *testing.T, s sharing, rs []threshold.Point, shared string) []combineVector {
	var out []combineVector
	for _, ids := range [][]uint16{{1, 2}, {1, 3}, {3, 2}} {
		q, err := threshold.NewQuorum(2, ids)
		if err != nil {
			t.Fatal(err)
		}
		v := combineVector{Agents: ids}
		for _, l := range q.Lambdas() {
			v.Lambdas = append(v.Lambdas, hex.EncodeToString(l))
		}
		for _, r := range rs {
			var ds []threshold.Point
			for _, id := range ids {
				d, err := threshold.Decrypt(s.shares[id-1], []threshold.Point{r})
				if err != nil {
					t.Fatal(err)
				}
				ds = append(ds, d[0])
			}
			z, err := q.Combine(ds)
			if err != nil {
				t.Fatal(err)
			}
			v.Shared = append(v.Shared, z.String())
		}
		if v.Shared[0] != shared {
			t.Errorf("agents %v combine to another point", ids)
		}
		out = append(out, v)
	}
	return out
}

// fill reshares from agents 1 and 3 of the sharing to three of four new agents.
func (v *reshareVector) fill(t *testing.T, s sharing) {
	v.Threshold = 3
	var dealings []threshold.Dealing
	var polys []*threshold.Polynomial
	for _, old := range []threshold.Share{s.shares[0], s.shares[2]} {
		name := "reshare " + string(rune('0'+old.Agent))
		cs := []threshold.Scalar{old.Scalar, fixed(t, name+" 1"), fixed(t, name+" 2")}
		p, err := threshold.PolynomialOf(cs)
		if err != nil {
			t.Fatal(err)
		}
		c, err := p.Commit()
		if err != nil {
			t.Fatal(err)
		}
		d := dealerVector{Dealer: old.Agent, Coefficients: scalars(cs), Commitments: points(c)}
		for a := uint16(1); a <= 4; a++ {
			d.SubShares = append(d.SubShares, scalars(subshares(t, []*threshold.Polynomial{p}, a))...)
		}
		v.Dealers = append(v.Dealers, d)
		polys = append(polys, p)
		dealings = append(dealings, threshold.Dealing{Dealer: old.Agent, Commitments: c})
	}
	j, err := threshold.Join(threshold.Size{T: 3, N: 4}, dealings, s.old())
	if err != nil {
		t.Fatal(err)
	}
	v.Joint = points(j.Commitments())
	for a := uint16(1); a <= 4; a++ {
		share, err := j.Share(a, subshares(t, polys, a))
		if err != nil {
			t.Fatal(err)
		}
		v.Shares = append(v.Shares, shareVector{a, hex.EncodeToString(share.Scalar.Bytes()), pointOf(t, share.Scalar).String()})
	}
}

func scalars(in []threshold.Scalar) []string {
	var out []string
	for _, s := range in {
		out = append(out, hex.EncodeToString(s.Bytes()))
	}
	return out
}

func points(in []threshold.Point) []string {
	var out []string
	for _, p := range in {
		out = append(out, p.String())
	}
	return out
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
