package threshold

import (
	"crypto"
	"crypto/sha256"
	"encoding/binary"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/zk/dleq"

	"github.com/sealpost/sealpost/internal/fault"
)

// MaxBatch is how many ciphertexts one proof may cover: circl's batch index has 16 bits.
const MaxBatch = 1 << 16

// ErrBatch is returned for an empty batch, one that is too large, or lists of different lengths.
var ErrBatch = fault.New(fault.Malformed, "threshold-batch", "A batch has between 1 and 65,536 ciphertexts and one partial decryption for each.")

// Context is what a batch of partial decryptions is for. It enters the proof, so that partials made for one case, epoch
// or agent prove nothing for another.
type Context struct {
	Case  [32]byte // hash of the case statement
	Epoch uint32   // of the roster
	Agent uint16   // who decrypts
	Key   Point    // the archive key Y
}

// Share is an agent's part of the secret key.
type Share struct {
	Agent  uint16 // 1..65535
	Scalar Scalar // x_i
}

// Decrypt returns the agent's partial decryptions D_j = x_i·R_j, in the order of rs. The caller has verified the proof
// of every ciphertext and has decided that this case may be opened: there is no way back.
func Decrypt(share Share, rs []Point) ([]Point, error) {
	if err := checkBatch(len(rs), len(rs)); err != nil {
		return nil, err
	}
	if err := share.Scalar.check(); err != nil {
		return nil, err
	}
	ds := make([]Point, len(rs))
	for j, r := range rs {
		e, err := r.element()
		if err != nil {
			return nil, err
		}
		if ds[j], err = pointOf(e.Mul(e, share.Scalar.s)); err != nil {
			return nil, err
		}
	}
	return ds, nil
}

// ProvePartials proves that all ds are x_i·rs with the x_i of the agent's public share.
func ProvePartials(share Share, ctx Context, rs, ds []Point) (Proof, error) {
	b, err := newBatch(share, ctx, rs, ds)
	if err != nil {
		return Proof{}, err
	}
	w := nonce(share.Scalar, b.transcript[:])
	defer w.Wipe()
	return b.prove(share, w)
}

// ProvePartialsWith is ProvePartials with a given nonce. It exists for test vectors: a nonce used twice reveals x_i.
func ProvePartialsWith(share Share, ctx Context, rs, ds []Point, w Scalar) (Proof, error) {
	b, err := newBatch(share, ctx, rs, ds)
	if err != nil {
		return Proof{}, err
	}
	if err := w.check(); err != nil {
		return Proof{}, err
	}
	return b.prove(share, w)
}

// VerifyPartials checks a batch against the public share of the agent that ctx names.
func VerifyPartials(public Point, ctx Context, rs, ds []Point, p Proof) error {
	b, err := batchOf(public, ctx, rs, ds)
	if err != nil {
		return err
	}
	if _, _, err := p.scalars(); err != nil {
		return err
	}
	var proof dleq.Proof
	if err := proof.UnmarshalBinary(curve, p[:]); err != nil {
		return ErrEncoding.Because(err)
	}
	v := dleq.Verifier{Params: b.params()}
	if !v.VerifyBatch(curve.Generator(), b.public, b.rs, b.ds, &proof) {
		return ErrProof.Withf("The partial decryptions of agent %d are wrong or belong to another case.", ctx.Agent)
	}
	return nil
}

// batch is a checked statement: D_j = x·R_j for all j, where public = x·G.
type batch struct {
	public     group.Element
	rs, ds     []group.Element
	transcript [32]byte
}

func newBatch(share Share, ctx Context, rs, ds []Point) (*batch, error) {
	if share.Agent != ctx.Agent {
		return nil, ErrBatch.Withf("Agent %d cannot prove partial decryptions of agent %d.", share.Agent, ctx.Agent)
	}
	public, err := share.Scalar.Point()
	if err != nil {
		return nil, err
	}
	return batchOf(public, ctx, rs, ds)
}

func batchOf(public Point, ctx Context, rs, ds []Point) (*batch, error) {
	if err := checkBatch(len(rs), len(ds)); err != nil {
		return nil, err
	}
	if ctx.Agent == 0 || !ctx.Key.ok {
		return nil, ErrBatch.Withf("The agent or the archive key of this batch is missing.")
	}
	b := &batch{transcript: transcriptOf(public, ctx, rs, ds)}
	var err error
	if b.public, err = public.element(); err != nil {
		return nil, err
	}
	if b.rs, err = elements(rs); err != nil {
		return nil, err
	}
	b.ds, err = elements(ds)
	return b, err
}

// transcriptOf binds everything: circl derives each coefficient from its own pair alone, so that a prover who may choose
// the pairs could make errors cancel. With this hash in the tag, all coefficients depend on all pairs.
func transcriptOf(public Point, ctx Context, rs, ds []Point) [32]byte {
	h := sha256.New()
	head := append([]byte(labelPartials), 0)
	head = append(head, ctx.Case[:]...)
	head = binary.BigEndian.AppendUint32(head, ctx.Epoch)
	head = binary.BigEndian.AppendUint16(head, ctx.Agent)
	head = append(append(head, ctx.Key.enc[:]...), public.enc[:]...)
	head = binary.BigEndian.AppendUint32(head, uint32(len(rs)))
	h.Write(head)
	for _, list := range [][]Point{rs, ds} {
		for _, p := range list {
			h.Write(p.enc[:])
		}
	}
	return [32]byte(h.Sum(nil))
}

func (b *batch) params() dleq.Params {
	return dleq.Params{G: curve, H: crypto.SHA256, DST: append(append([]byte(labelPartials), 0), b.transcript[:]...)}
}

func (b *batch) prove(share Share, w Scalar) (Proof, error) {
	p := dleq.Prover{Params: b.params()}
	proof, err := p.ProveBatchWithRandomness(share.Scalar.s, curve.Generator(), b.public, b.rs, b.ds, w.s)
	if err != nil {
		return Proof{}, ErrBatch.Because(err)
	}
	raw, err := proof.MarshalBinary()
	if err != nil {
		return Proof{}, ErrBatch.Because(err)
	}
	return Proof(raw), nil
}

func elements(points []Point) ([]group.Element, error) {
	out := make([]group.Element, len(points))
	for i, p := range points {
		e, err := p.element()
		if err != nil {
			return nil, err
		}
		out[i] = e
	}
	return out, nil
}

func checkBatch(rs, ds int) error {
	if rs == 0 || rs > MaxBatch || rs != ds {
		return ErrBatch
	}
	return nil
}
