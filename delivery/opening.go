package delivery

import (
	"crypto"
	"crypto/x509"
	"errors"
	"slices"
	"time"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

// OpeningConfig says who opens what.
type OpeningConfig struct {
	Pins      []record.Hash // of rosters that the recipient trusts; a requester names the roster in the case that it signs
	Recipient cms.Recipient // one of the case's recipients, with its key

	// SingleAgentMayOpenAlone accepts a roster with a threshold of one.
	SingleAgentMayOpenAlone bool
	// Progress, if not nil, is told how many proofs have been verified of how many.
	Progress func(done, total int)
}

// Opening is one delivery of a case, verified, with the agents' answers to it.
type Opening struct {
	Case     *record.SignedCase
	Roster   *record.Roster
	Delivery int      // its number in the case
	Good     []uint16 // agents whose partials are right; as many as are needed, in the order of their ids
	Denied   []uint16 // agents who denied
	Wrong    []Wrong  // answers that do not count

	folder Folder
	opener *record.Opener
}

// Wrong is an answer that does not count.
type Wrong struct {
	Agent uint16      // 0 where not even that is certain
	Name  string      // of the agent in the roster
	File  string      // where the answer lies
	Err   error       // why
	Said  record.Hash // of the sealed partials, if the agent signed for them: then it can be disputed
}

// Disputable reports whether the agent really sent something wrong. Otherwise somebody between it and us may have.
func (w Wrong) Disputable() bool { return !w.Said.IsZero() }

// NewOpening reads a case's folder as a recipient: it verifies the case, the roster against the pins, and every record's
// proof, and takes the agents' answers until enough are right. Those that are wrong are named and do no harm. That too
// few have answered is told by [Opening.Missing].
func NewOpening(f Folder, conf OpeningConfig) (*Opening, error) {
	c, err := f.Case()
	if err != nil {
		return nil, err
	}
	r, err := f.Roster()
	if err != nil {
		return nil, err
	}
	if err := r.Verify(record.VerifyOptions{Pins: conf.Pins, SingleAgentMayOpenAlone: conf.SingleAgentMayOpenAlone}); err != nil {
		return nil, inFile(f.Path(RosterFile), err)
	}
	o := &Opening{Case: c, Roster: r, folder: f}
	o.Delivery = slices.IndexFunc(c.Deliveries, func(d record.Delivery) bool { return d.Recipient.Equal(conf.Recipient.Certificate) })
	if o.Delivery < 0 {
		return nil, ErrRecipient.Withf("The case in %s delivers nothing to the certificate %s.", f.dir, record.Fingerprint(conf.Recipient.Certificate))
	}
	b, err := o.bundle(conf.Progress)
	if err != nil {
		return nil, err
	}
	o.opener = record.NewOpener(b)
	return o, o.collect(conf.Recipient)
}

// bundle verifies the records of the delivery.
func (o *Opening) bundle(progress func(done, total int)) (*record.Bundle, error) {
	var capsules []*record.Capsule
	for in, err := range o.folder.Records(o.Delivery) {
		if err != nil {
			return nil, err
		}
		if len(capsules) == record.MaxRecords {
			return nil, ErrFolder.Withf("There are more records in %s than a case can have.", o.folder.Path(RecordsFile(o.Delivery)))
		}
		capsules = append(capsules, in.Capsule)
	}
	if want := count(o.Case.Deliveries[o.Delivery]); len(capsules) < want {
		return nil, ErrIncomplete.Withf("%s has %d of %d records. The server gives them out once enough agents have approved; go on fetching them.",
			o.folder.Path(RecordsFile(o.Delivery)), len(capsules), want)
	}
	var report func(int)
	if progress != nil {
		report = func(done int) { progress(done, len(capsules)) }
	}
	return record.NewBundle(o.Roster, o.Case, o.Delivery, capsules, report)
}

func count(d record.Delivery) (n int) {
	for _, s := range d.Subjects {
		n += len(s.Records)
	}
	return n
}

// collect takes answers until there are enough.
func (o *Opening) collect(key cms.Recipient) error {
	answers, err := o.folder.answersTo(o.Delivery)
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Err != nil {
			o.Wrong = append(o.Wrong, Wrong{File: a.File, Err: a.Err})
			continue
		}
		o.take(a, key)
	}
	return nil
}

func (o *Opening) take(a Answer, key cms.Recipient) {
	w := Wrong{Agent: a.Approval.Agent, File: a.File}
	if x, ok := o.Roster.Plan.Agent(w.Agent); ok {
		w.Name = x.Name
	}
	if w.Err = a.Approval.Verify(o.Roster, o.Case); w.Err != nil {
		o.Wrong = append(o.Wrong, w)
		return
	}
	if a.Approval.Decision == record.Deny {
		o.Denied = append(o.Denied, w.Agent)
		return
	}
	if o.opener.Missing() == 0 {
		return // enough: the rest is neither needed nor judged
	}
	w.Err = o.opener.Add(a.Approval, a.Sealed[o.Delivery], key)
	switch {
	case w.Err == nil:
		o.Good = append(o.Good, w.Agent)
	case errors.Is(w.Err, record.ErrPartials):
		w.Said = a.Approval.Sealings[o.Delivery].Sealed
		fallthrough
	default:
		o.Wrong = append(o.Wrong, w)
	}
}

// Missing returns how many more agents must answer.
func (o *Opening) Missing() int { return o.opener.Missing() }

// Dispute says, signed, that an agent's answer is wrong, so that others see it and another agent is asked. certificate is
// the requester's in a restore or drill, and otherwise one with which the recipient's person signs; the signer is its key.
func (o *Opening) Dispute(w Wrong, certificate *x509.Certificate, signer crypto.Signer, now time.Time) (*record.SignedDispute, error) {
	if !w.Disputable() {
		return nil, record.ErrDispute.Withf("The answer in %s was not signed by the agent as it is: there is nothing to hold against the agent.", w.File)
	}
	reason := "It does not open, or is wrong."
	if f := fault.Of(w.Err); f != nil {
		reason = f.Detail
	}
	d, err := record.Dispute{
		Case: o.Case.Hash(), Roster: o.Roster.Hash(), Agent: w.Agent, Recipient: record.Fingerprint(o.Case.Deliveries[o.Delivery].Recipient),
		Sealed: w.Said, Time: now, Reason: record.Line(reason, record.MaxDisputeReason), Certificate: certificate,
	}.Sign(signer)
	if err != nil {
		return nil, err
	}
	return d, d.Verify(o.Roster, o.Case)
}

// Wipe erases what the agents sent.
func (o *Opening) Wipe() { o.opener.Wipe() }
