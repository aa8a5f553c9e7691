package kra

import (
	"bytes"
	"context"
	"iter"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/archive/threshold"
	"github.com/sealpost/sealpost/delivery"
)

// Files in a folder for rekeying. All hold what is public.
//
//	capsules.bin    frames: the capsules of all records under the old archive key, from the server, in its order
//	rekeyed.bin     frames: for each of them, in the same order, the capsule under the new key, for the server
const (
	RekeyFrom = delivery.CapsulesFile
	RekeyTo   = "rekeyed.bin"

	maxCapsule = 1 << 12
	rekeyBatch = 256 // capsules between two writes to the disk
)

// Rekey moves records to another archive key, on a ceremony machine: as many officers as the old roster's threshold bring
// their homes to it, unlocked. Both rosters must have been verified in every one of the homes, so that nobody can have
// records moved to a key of their own. Data keys are opened in memory, one after the other; the encrypted keys are neither
// needed nor there. Whatever holds the shares of that many officers at once can open everything: use a machine
// without a network, and wipe it.
//
// It goes on where an earlier run ended, and returns how many of how many records are moved now. progress, if not nil,
// is told the same as it goes.
func Rekey(ctx context.Context, dir string, from, to *record.Roster, officers []*Officer, progress func(done, total int)) (int, error) {
	r := &rekeying{from: from.Key(), to: to.Key(), path: filepath.Join(dir, RekeyTo)}
	if from.KeyID() == to.KeyID() {
		return 0, ErrRekey.Withf("Both rosters have the same archive key. To change officers, reshare.")
	}
	defer r.wipe()
	if err := r.gather(from, to, officers); err != nil {
		return 0, err
	}
	total, err := count(delivery.FramesOf(filepath.Join(dir, RekeyFrom), maxCapsule, record.ParseCapsule))
	if err != nil {
		return 0, err
	}
	if total == 0 {
		return 0, ErrRekey.Withf("There are no records in %s.", filepath.Join(dir, RekeyFrom))
	}
	next, stop := iter.Pull2(delivery.FramesOf(filepath.Join(dir, RekeyFrom), maxCapsule, record.ParseCapsule))
	defer stop()
	done, err := r.resume(next)
	for err == nil && done < total {
		if err = ctx.Err(); err != nil {
			break
		}
		var n int
		n, err = r.batch(next, min(rekeyBatch, total-done))
		done += n
		if progress != nil {
			progress(done, total)
		}
	}
	return done, err
}

func count[T any](all iter.Seq2[T, error]) (n int, err error) {
	for _, err := range all {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// rekeying holds what opens everything for as long as it runs.
type rekeying struct {
	from, to threshold.Point
	path     string
	shares   []threshold.Share
	quorum   *threshold.Quorum
}

func (r *rekeying) wipe() {
	for i := range r.shares {
		r.shares[i].Scalar.Wipe()
	}
}

func (r *rekeying) gather(from, to *record.Roster, officers []*Officer) error {
	if len(officers) != int(from.Plan.Threshold) {
		return ErrRekey.Withf("%d officers together move records from this key; %d are here.", from.Plan.Threshold, len(officers))
	}
	var ids []uint16
	for _, o := range officers {
		if o.keys == nil {
			return ErrLocked
		}
		for _, roster := range []*record.Roster{from, to} {
			if err := o.knows(roster); err != nil {
				return err
			}
		}
		a, err := o.self(from.Plan)
		if err != nil {
			return err
		}
		share, err := from.OpenShare(a.ID, o.keys.recipient(a.Decryption))
		if err != nil {
			return err
		}
		r.shares, ids = append(r.shares, share), append(ids, a.ID)
	}
	var err error
	if r.quorum, err = threshold.NewQuorum(len(ids), ids); err != nil {
		return err
	}
	order := r.quorum.Agents()
	slices.SortFunc(r.shares, func(a, b threshold.Share) int { return slices.Index(order, a.Agent) - slices.Index(order, b.Agent) })
	return nil
}

type nextCapsule func() (*record.Capsule, error, bool)

// resume checks what an earlier run has written against what it was made of, and returns how many are done.
func (r *rekeying) resume(next nextCapsule) (int, error) {
	done := 0
	for made, err := range delivery.FramesOf(r.path, maxCapsule, record.ParseCapsule) {
		if err != nil {
			return done, err
		}
		old, err, ok := next()
		if err != nil {
			return done, err
		}
		if !ok || !sameRecord(old, made) || made.VerifyProof(r.to) != nil {
			return done, ErrRekey.Withf("%s was not made from these records and for this key, from number %d on. Move it away to begin anew.", r.path, done+1)
		}
		done++
	}
	return done, nil
}

// sameRecord reports whether two capsules are of the same encrypted key.
func sameRecord(a, b *record.Capsule) bool {
	ha, errA := a.Header.Encode()
	hb, errB := b.Header.Encode()
	return errA == nil && errB == nil && bytes.Equal(ha, hb) && a.InnerHash == b.InnerHash
}

// batch moves the next n records, on all processors, and writes them down.
func (r *rekeying) batch(next nextCapsule, n int) (int, error) {
	olds, made, errs := make([]*record.Capsule, n), make([][]byte, n), make([]error, n)
	for i := range n {
		old, err, ok := next()
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, ErrRekey.Withf("The records changed while they were read.")
		}
		olds[i] = old
	}
	var wait sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		wait.Go(func() {
			for i := w; i < n; i += workers {
				made[i], errs[i] = r.move(olds[i])
			}
		})
	}
	wait.Wait()
	for i, err := range errs {
		if err != nil {
			return 0, inFile("record "+olds[i].Hash().String(), err)
		}
	}
	return n, delivery.AppendFrames(r.path, made, maxCapsule)
}

func (r *rekeying) move(old *record.Capsule) ([]byte, error) {
	var ds []threshold.Point // they stay here; Capsule.Rekey verifies the proof

	for _, s := range r.shares {
		d, err := threshold.Decrypt(s, []threshold.Point{old.R})
		if err != nil {
			return nil, err
		}
		ds = append(ds, d[0])
	}
	z, err := r.quorum.Combine(ds)
	if err != nil {
		return nil, err
	}
	defer z.Wipe()
	made, err := old.Rekey(z, r.from, r.to)
	if err != nil {
		return nil, err
	}
	return made.Bytes(), nil
}
