package agent

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/delivery"
	"github.com/sealpost/sealpost/internal/fault"
)

// fetchAtOnce is how many records are put on disk together.
const fetchAtOnce = 500

// receive takes what a case that was approved has: it collects, verifies everything, disputes answers that are wrong, and
// opens the keys if there are enough good ones. It reports whether the case's keys are kept.
func (r *restore) receive(ctx context.Context, k *restoringCase, now api.Case) (kept bool, err error) {
	defer func() {
		if f := fault.Of(err); f != nil && f.Kind != fault.Unavailable { // what came is no good: the next run fetches it again
			if left := os.RemoveAll(r.agent.caseFolder(r.state, k)); left != nil {
				err = errors.Join(err, ErrDisk.Because(left))
			}
		}
	}()
	folder, err := r.fetch(ctx, k)
	if hasCode(err, codeCaseState) {
		r.agent.cfg.Progress("collect", "nothing can be collected yet: "+detail(err))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	to, err := r.state.recipient()
	if err != nil {
		return false, err
	}
	o, err := delivery.NewOpening(folder, delivery.OpeningConfig{Pins: []record.Hash{k.roster.Hash()}, Recipient: to,
		SingleAgentMayOpenAlone: k.roster.Plan.SingleAgentMayOpenAlone, Progress: r.proofs()})
	if err != nil {
		return false, err
	}
	defer o.Wipe()
	if err := r.dispute(ctx, k, o, now); err != nil {
		return false, err
	}
	if n := o.Missing(); n > 0 {
		r.agent.cfg.Progress("collect", fmt.Sprintf("%d more officers must answer before the keys can be opened", n))
		return false, nil
	}
	if err := r.agent.after("restore-collect"); err != nil {
		return false, err
	}
	return true, r.keep(ctx, k, o)
}

// proofs tells how far verifying is, in large cases.
func (r *restore) proofs() func(done, total int) {
	next := 0
	return func(done, total int) {
		if total < 2*fetchAtOnce || done < next {
			return
		}
		next += total / 10
		r.agent.cfg.Progress("verify", fmt.Sprintf("verified %d of %d records", done, total))
	}
}

// fetch brings the case's folder up to date: the records that are not there yet, and all answers.
func (r *restore) fetch(ctx context.Context, k *restoringCase) (delivery.Folder, error) {
	dir := r.agent.caseFolder(r.state, k)
	folder, err := r.fetchInto(ctx, k, dir)
	if errors.Is(err, delivery.ErrFolder) { // a crash of the machine left something that is none: everything can be had again
		if err := os.RemoveAll(dir); err != nil {
			return folder, ErrDisk.Because(err)
		}
		return r.fetchInto(ctx, k, dir)
	}
	return folder, err
}

func (r *restore) fetchInto(ctx context.Context, k *restoringCase, dir string) (delivery.Folder, error) {
	folder, err := delivery.Create(dir, k.signed, k.roster, nil)
	if err != nil {
		return folder, err
	}
	id := k.signed.ID
	if _, err := r.client.CollectCase(ctx, id, 0); err != nil {
		return folder, err
	}
	have := 0
	for _, err := range folder.Records(0) {
		if err != nil {
			return folder, err
		}
		have++
	}
	var batch [][]byte
	for b, err := range r.client.CaseRecords(ctx, id, 0, have) {
		if err != nil {
			return folder, err
		}
		if have++; have > len(k.signed.Deliveries[0].Subjects[0].Records) {
			return folder, ErrCaseAltered.Withf("The server sends more records than the case asks for.")
		}
		if batch = append(batch, b); len(batch) < fetchAtOnce {
			continue
		}
		if err := folder.AddRecords(0, batch...); err != nil {
			return folder, err
		}
		r.agent.cfg.Progress("collect", fmt.Sprintf("fetched %d records", have))
		batch = nil
	}
	if err := folder.AddRecords(0, batch...); err != nil {
		return folder, err
	}
	return folder, r.fetchAnswers(ctx, k, dir, folder)
}

// fetchAnswers puts what the officers sealed into the folder, in place of what is there.
func (r *restore) fetchAnswers(ctx context.Context, k *restoringCase, dir string, folder delivery.Folder) error {
	old, err := filepath.Glob(filepath.Join(dir, "*.answer"))
	if err != nil {
		return ErrDisk.Because(err)
	}
	for _, path := range old {
		if err := remove(path); err != nil {
			return ErrDisk.Because(err)
		}
	}
	sealed, err := r.client.CaseSealed(ctx, k.signed.ID, 0)
	if err != nil {
		return err
	}
	for _, x := range sealed.Items {
		approval, err := record.ParseApproval(x.Approval)
		if err == nil {
			_, err = folder.PutAnswer(&record.Answer{Approval: approval, Sealed: [][]byte{x.Partials}})
		}
		if err != nil { // not what the officer signed: the server's doing, or somebody's on the way
			r.warn("An officer's answer did not come as it was signed, and was left out: %s", detail(err))
		}
	}
	return nil
}

func (r *restore) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.out.Warnings = append(r.out.Warnings, text)
	r.agent.cfg.Progress("warning", "WARNING: "+text)
}

// dispute names the officers whose answers are wrong, and tells the server, so that others are asked.
func (r *restore) dispute(ctx context.Context, k *restoringCase, o *delivery.Opening, now api.Case) error {
	r.out.Wrong = nil
	for _, w := range o.Wrong {
		x := WrongAnswer{Agent: w.Agent, Name: w.Name, Reason: detail(w.Err)}
		r.agent.cfg.Progress("warning", fmt.Sprintf("WARNING: the answer of officer %d (%s) is wrong and does not count: %s", w.Agent, w.Name, x.Reason))
		if w.Disputable() {
			var err error
			if x.Told, err = r.tellDispute(ctx, k, o, w, now); err != nil {
				return err
			}
		}
		r.out.Wrong = append(r.out.Wrong, x)
	}
	return nil
}

func (r *restore) tellDispute(ctx context.Context, k *restoringCase, o *delivery.Opening, w delivery.Wrong, now api.Case) (bool, error) {
	for _, x := range now.Answers {
		if x.Agent == int(w.Agent) && x.Disputed {
			return true, nil
		}
	}
	signer := r.id.keyOf(k.signed.Requester.Certificate.Raw)
	if signer == nil { // renewed in between: the officer is named here all the same
		r.warn("The signing key that opened the case is gone, so the wrong answer of %s could not be reported. Tell the other officers.", w.Name)
		return false, nil
	}
	d, err := o.Dispute(w, k.signed.Requester.Certificate, signer, r.agent.cfg.Now())
	if err != nil {
		return false, err
	}
	if _, err := r.client.DisputeCase(ctx, k.signed.ID, d.Bytes()); err != nil {
		return false, err
	}
	return true, nil
}

// keep opens the keys, checks each against its record and its certificate, and writes identity.json with them.
func (r *restore) keep(ctx context.Context, k *restoringCase, o *delivery.Opening) error {
	certs, err := r.ownCertificates(ctx)
	if err != nil {
		return err
	}
	known, err := r.caseCertificates(ctx, k)
	if err != nil {
		return err
	}
	believed := r.agent.certified(r.id, certs)
	for person, err := range o.People(delivery.NewCertificates(known)) {
		if err != nil {
			return err
		}
		if err := r.keepPerson(k, person, believed); err != nil {
			return err
		}
	}
	r.out.Unavailable = 0
	for spki, c := range believed {
		if r.id.holdsKey(spki) == nil && c.leaf.KeyUsage&signingUsage == 0 {
			r.out.Unavailable++
		}
	}
	if err := r.agent.saveIdentity(r.agent.folder(r.id.Person.ID), r.id); err != nil {
		return err
	}
	if err := r.agent.after("restore-keep"); err != nil {
		return err
	}
	k.Kept = true
	r.agent.cfg.Progress("open", fmt.Sprintf("opened %d keys, of which %d were not on this machine; every one is the key of its record and certificate", r.out.Keys, r.out.New))
	return r.agent.saveRestoring(r.state)
}

// ownCertificates returns the person's certificates that encrypt, with chains.
func (r *restore) ownCertificates(ctx context.Context) ([]api.Certificate, error) {
	issuers, err := r.client.Issuers(ctx)
	if err != nil {
		return nil, err
	}
	chains := map[string][][]byte{}
	for _, i := range issuers.Items {
		chains[i.ID] = append([][]byte{i.Certificate}, i.Chain...)
	}
	var out []api.Certificate
	for c, err := range r.client.AllCertificates(ctx, client.CertificateQuery{Person: r.id.Person.ID}) {
		if err != nil {
			return nil, err
		}
		if c.Use != "encryption" && c.Use != "single" {
			continue
		}
		c.Chain = chains[c.Issuer] // lists come without
		out = append(out, c)
	}
	return out, nil
}

// caseCertificates returns all certificates that the server knows of the case's keys, foreign ones too, and their issuers'.
// They are put beside keys that the identity cannot hold; nothing trusts them.
func (r *restore) caseCertificates(ctx context.Context, k *restoringCase) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for c, err := range r.client.CaseCertificates(ctx, k.signed.ID) {
		if err != nil {
			return nil, err
		}
		for _, der := range append(slices.Clone(c.Certificates), c.Issuers...) {
			if cert, err := x509.ParseCertificate(der); err == nil {
				out = append(out, cert)
			}
		}
	}
	return out, nil
}

// keepPerson takes the opened keys into the identity. Those that it cannot hold go into a file of their own.
func (r *restore) keepPerson(k *restoringCase, person *delivery.Person, believed map[record.Hash]known) error {
	var loose []delivery.Key
	for _, key := range person.Keys {
		r.out.Keys++
		pkcs8, err := encodeKey(key.Private)
		c, ok := believed[key.Header.SPKI]
		if !ok && len(key.Certificates) > 0 {
			c.held, ok = foreign(key), true
		}
		if err != nil || !ok {
			loose = append(loose, key)
			continue
		}
		held, err := c.held.withKey(pkcs8)
		if err != nil {
			return err
		}
		added, err := r.id.addHistory(held)
		if err != nil {
			return err
		}
		if added {
			r.out.New++
		}
	}
	for _, err := range person.Faults {
		r.out.Faults = append(r.out.Faults, detail(err))
	}
	if len(loose) == 0 {
		return nil
	}
	person.Keys = loose
	var err error
	r.out.Loose, err = person.Write(filepath.Join(r.id.Folder, "without-certificate-"+k.signed.ID.String()[:8]), "keys",
		delivery.FileOptions{Password: r.opt.Password, GPGSM: true, Now: r.agent.cfg.Now()})
	return err
}

// foreign keeps the certificate of a key that the roots do not vouch for: the key itself is the archive's.
func foreign(key delivery.Key) Held {
	cert := key.Certificates[0]
	h := Held{Serial: cert.SerialNumber.Text(16), Certificate: cert.Raw, Foreign: true}
	for _, issuer := range key.Chain[:min(len(key.Chain), maxChain)] {
		h.Chain = append(h.Chain, issuer.Raw)
	}
	return h
}

// keyOf returns the signing key of a certificate, if it is here still.
func (id *Identity) keyOf(certificate []byte) crypto.Signer {
	for _, h := range id.held() {
		if string(h.Certificate) == string(certificate) && !h.Key.IsZero() {
			if key, err := h.Key.Signer(); err == nil {
				return key
			}
		}
	}
	return nil
}

// detail is what a person may read of an error.
func detail(err error) string {
	if f := fault.Of(err); f != nil {
		return f.Detail
	}
	return err.Error()
}
