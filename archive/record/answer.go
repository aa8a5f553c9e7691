package record

// maxAnswer is generous: the partials of a case have two megabytes together, and each CMS around them some kilobytes.
const maxAnswer = 1 << 24

// minSealed is less than any CMS has.
const minSealed = 16

// Answer is what an agent sends back: the signed approval and, per delivery, the partials sealed to its recipient.
type Answer struct {
	Approval *SignedApproval
	Sealed   [][]byte // CMS, in the order of the case's deliveries; none in a denial
}

// Encode returns the canonical bytes of an answer: what an agent sends to the server, or puts into the case's folder.
func (a *Answer) Encode() ([]byte, error) {
	if a.Approval == nil {
		return nil, ErrFormat.Withf("The approval of this answer is missing.")
	}
	n := len(a.Approval.raw) + 64
	for _, s := range a.Sealed {
		n += len(s) + 4
	}
	w := newWriterFor(kindAnswer, n)
	w.blob32(a.Approval.raw)
	w.count16(len(a.Sealed))
	for _, s := range a.Sealed {
		w.blob32(s)
	}
	if w.err != nil {
		return nil, w.err
	}
	if _, err := ParseAnswer(w.b); err != nil {
		return nil, err
	}
	return w.b, nil
}

// ParseAnswer reads canonical bytes and checks that the sealed partials are those that the approval names. It does not
// verify the approval.
func ParseAnswer(b []byte) (*Answer, error) {
	r := newReader(b, kindAnswer, maxAnswer)
	approval := r.blob32("approval", maxApproval)
	a := &Answer{}
	for range r.count16("list of sealed partials", MaxDeliveries, 4+minSealed) {
		a.Sealed = append(a.Sealed, append([]byte(nil), r.blob32("sealed partials", MaxSealedPartials)...))
	}
	if err := r.done(); err != nil {
		return nil, err
	}
	var err error
	if a.Approval, err = ParseApproval(approval); err != nil {
		return nil, err
	}
	if len(a.Sealed) != len(a.Approval.Sealings) {
		r.fail("list of sealed partials", "is not the one that the agent signed")
	}
	for i, s := range a.Sealed {
		if r.err == nil && hashOf(s) != a.Approval.Sealings[i].Sealed {
			r.fail("list of sealed partials", "is not the one that the agent signed")
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return a, nil
}
