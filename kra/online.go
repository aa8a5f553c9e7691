package kra

import (
	"bytes"
	"context"
	"crypto/x509"
	"iter"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of what a server sends.
var (
	ErrServer = fault.New(fault.Denied, "kra-server", "What the server sent is not what was asked for.")
)

// batch is how many objects are written to a folder at once.
const batch = 500

// Online fills a case's folder from the server, in place of somebody who brings one, and brings back what an officer or
// recipient made of it. Nothing that the server says is believed: the folder is checked as one on a stick is. It is for one
// goroutine.
type Online struct{ *client.Client }

// Fetch fills dir with what officers need of a case. It goes on where an earlier fetch ended. progress, if not nil, hears
// how many of how many records are there.
func (s Online) Fetch(ctx context.Context, id uuid.UUID, dir string, progress func(done, total int)) (delivery.Folder, error) {
	none := delivery.Folder{}
	k, err := s.Case(ctx, id)
	if err != nil {
		return none, err
	}
	c, err := record.ParseCase(k.Signed)
	if err != nil {
		return none, err
	}
	if c.ID != id {
		return none, ErrServer.Withf("The server sent the case %s in place of %s.", c.ID, id)
	}
	if len(k.Roster) == 0 {
		return none, ErrServer.Withf("The officers have changed since this case was opened. It must be opened again.")
	}
	r, err := record.ParseRoster(k.Roster)
	if err != nil {
		return none, err
	}
	between, err := certificates(k.Intermediates)
	if err != nil {
		return none, err
	}
	f, err := delivery.Create(dir, c, r, between)
	if err != nil {
		return none, err
	}
	have, err := count(f.Capsules())
	if err != nil {
		return none, err
	}
	return f, fill(s.CaseCapsules(ctx, id, have), have, k.Records, progress, f.AddCapsules)
}

// FetchLog has the server show that a case is in the audit log, and how the log continues what was seen of it at these
// sizes and what lies in the folder. It is put into the folder, where Examine checks it.
func (s Online) FetchLog(ctx context.Context, id uuid.UUID, f delivery.Folder, seen ...int64) error {
	files, err := f.Checkpoints()
	if err != nil {
		return err
	}
	l, err := s.CaseLog(ctx, id, append(seen, sizesOf(files)...))
	if err != nil {
		return logFault(err)
	}
	return f.PutLog(&l)
}

// sizesOf returns the sizes that checkpoints claim, for whoever is to prove something about them.
func sizesOf(files []delivery.Checkpoint) (out []int64) {
	for _, c := range files {
		if lines := bytes.SplitN(c.Note, []byte("\n"), 3); len(lines) == 3 {
			if n, err := strconv.ParseInt(string(lines[1]), 10, 64); err == nil && n > 0 && len(out) < maxSizes {
				out = append(out, n)
			}
		}
	}
	return out
}

// maxSizes is how many sizes a server is asked about at once.
const maxSizes = 90

// logFault says what it means when the server itself finds its log wrong.
func logFault(err error) error {
	if f := fault.Of(err); f != nil && f.Code == "audit-log-tampered" {
		return ErrLogRewritten.Withf("The server itself finds that its audit log does not agree with what the log's key signed. %s", alarm).Because(err)
	}
	return err
}

// CheckLog has the server show the audit log, verifies it against what this home has seen, what other officers of the
// rosters known here countersigned, and the files given, and remembers it. With unlocked keys it is countersigned too, which
// the server is told.
func (o *Officer) CheckLog(ctx context.Context, s Online, files []delivery.Checkpoint) (*Seen, error) {
	rosters, err := o.Rosters()
	if err != nil {
		return nil, err
	}
	l, err := o.Log()
	if err != nil {
		return nil, err
	}
	shown, err := s.AuditLog(ctx, append(sizesOf(files), l.Size))
	if err != nil {
		return nil, logFault(err)
	}
	var seen *Seen
	signs := o.keys != nil && o.keys.signing != nil
	err = o.home.locked(func() error {
		if l, err = o.Log(); err != nil { // nobody else is at it now
			return err
		}
		if seen, err = l.verify(shown, files, witnesses(rosters...)); err != nil {
			return err
		}
		if err := o.keepLog(l, seen); err != nil || !signs {
			return err
		}
		return o.countersign(l)
	})
	if err != nil || !signs {
		return seen, err
	}
	return seen, s.SendCheckpoint(ctx, l.Note)
}

// SendCheckpoint brings a checkpoint that an officer countersigned to the server. Sending it again changes nothing.
func (s Online) SendCheckpoint(ctx context.Context, note []byte) error {
	_, err := s.CountersignLog(ctx, note)
	if f := fault.Of(err); f != nil && f.Code == "audit-proof-false" {
		return ErrLogRewritten.Withf("The server says that the checkpoint which it had shown is not of its audit log. Tell the other officers and an auditor, not only whoever runs the server.").Because(err)
	}
	return err
}

func certificates(ders [][]byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, ErrServer.Withf("The server sent a certificate that is none.").Because(err)
		}
		out = append(out, c)
	}
	return out, nil
}

// fill adds what comes to a file of frames, in batches.
func fill(from iter.Seq2[[]byte, error], done, total int, progress func(done, total int), add func(...[]byte) error) error {
	var held [][]byte
	flush := func() error {
		if len(held) == 0 {
			return nil
		}
		if err := add(held...); err != nil {
			return err
		}
		done += len(held)
		held = held[:0]
		if progress != nil {
			progress(done, total)
		}
		return nil
	}
	for b, err := range from {
		if err != nil {
			return err
		}
		if held = append(held, b); len(held) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// Send brings an officer's answer to the server. Sending it again changes nothing.
func (s Online) Send(ctx context.Context, id uuid.UUID, a *record.Answer) (api.Case, error) {
	raw, err := a.Encode()
	if err != nil {
		return api.Case{}, err
	}
	return s.AnswerCase(ctx, id, raw)
}

// Collect has the server release one delivery of a case to its recipient, and fills the folder, which Fetch has begun,
// with what they need. It goes on where an earlier one ended.
func (s Online) Collect(ctx context.Context, id uuid.UUID, n int, f delivery.Folder, progress func(done, total int)) error {
	k, err := s.CollectCase(ctx, id, n)
	if err != nil {
		return err
	}
	if n >= len(k.Deliveries) {
		return ErrServer.Withf("The server says that the case has %d deliveries.", len(k.Deliveries))
	}
	sealed, err := s.CaseSealed(ctx, id, n)
	if err != nil {
		return err
	}
	for _, x := range sealed.Items {
		approval, err := record.ParseApproval(x.Approval)
		if err != nil {
			return err
		}
		if _, err := f.PutSealed(n, approval, x.Partials); err != nil {
			return err
		}
	}
	have, err := count(f.Records(n))
	if err != nil {
		return err
	}
	err = fill(s.CaseRecords(ctx, id, n, have), have, k.Deliveries[n].Records, progress, func(b ...[]byte) error { return f.AddRecords(n, b...) })
	if err != nil {
		return err
	}
	return s.certificates(ctx, id, f)
}

// certificates puts the certificates of the case's keys and their issuers into the folder.
func (s Online) certificates(ctx context.Context, id uuid.UUID, f delivery.Folder) error {
	var ders [][]byte
	for k, err := range s.CaseCertificates(ctx, id) {
		if err != nil {
			return err
		}
		ders = append(append(ders, k.Certificates...), k.Issuers...)
	}
	slices.SortFunc(ders, slices.Compare[[]byte])
	known, err := certificates(slices.CompactFunc(ders, slices.Equal[[]byte]))
	if err != nil || len(known) == 0 {
		return err
	}
	return f.PutCertificates(known)
}
