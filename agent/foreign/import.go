package foreign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/agent"
	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

// Options say how keys are imported.
type Options struct {
	Client  *client.Client
	Anchors *x509.CertPool // the exchange certificate chains to one of them

	List     *List                  // passwords and owners by file; nil means none
	Password func() (string, error) // for files that the list does not name; asked at most once, nil means none
	Agents   []cms.Recipient        // recovery agents' keys that open blobs
	Departed bool                   // people to whom no address in the directory leads have left
	DryRun   bool                   // read and check everything, ask the server, send no key

	Progress func(string)     // nil: nobody is told
	Now      func() time.Time // nil means time.Now
}

// Import brings the keys of a source into the archive. What becomes of each is in the report, which is returned beside an
// error too: that of a server that is away or refuses who asks, or of a context that ended. Then the rest was not tried, and
// running again goes on.
func Import(ctx context.Context, s *Source, opt Options) (*Report, error) {
	if opt.Progress == nil {
		opt.Progress = func(string) {}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	r := &run{opt: opt, source: s, pool: newPool(), seen: map[string]string{}, report: &Report{Started: opt.Now().UTC(), DryRun: opt.DryRun}}
	err := r.all(ctx)
	for _, c := range r.batch {
		clear(c.pkcs8)
	}
	r.report.Ended = opt.Now().UTC()
	r.report.count()
	return r.report, err
}

// run is one import.
type run struct {
	opt      Options
	source   *Source
	pool     *pool
	seen     map[string]string // key and certificate, to the file they were in first
	batch    []*candidate
	report   *Report
	password *string // for files that the list does not name
	done     int     // files
}

// candidate is a key with one certificate, ready to be sent.
type candidate struct {
	item  *Item
	row   Row
	pkcs8 []byte
	cert  *x509.Certificate
	chain [][]byte
}

func (r *run) all(ctx context.Context) error {
	for _, i := range r.source.refused {
		r.report.Items = append(r.report.Items, &i)
	}
	for _, name := range r.opt.List.missing(r.source.files) {
		i := refusedItem(name, ErrFile.Withf("The password list names this file, and it is not there."))
		r.report.Items = append(r.report.Items, &i)
	}
	if err := r.gather(ctx); err != nil {
		return err
	}
	for n, f := range r.source.files {
		err := ctx.Err()
		if err == nil {
			err = r.file(f)
		}
		if err == nil && len(r.batch) >= api.MaxImportDrafts {
			err = r.flush(ctx)
		}
		if err != nil {
			return r.stop(err, r.source.files[n+1:])
		}
		r.done++
	}
	if err := r.flush(ctx); err != nil {
		return r.stop(err, nil)
	}
	return nil
}

// stop writes down what was not tried.
func (r *run) stop(err error, rest []file) error {
	for _, f := range rest {
		r.report.Items = append(r.report.Items, &Item{File: f.name, State: Untried})
	}
	for _, i := range r.report.Items {
		if i.State == "" {
			i.State = Untried
		}
	}
	if fault.Of(err) == nil {
		return ErrStopped.Because(err)
	}
	return err
}

// gather reads the certificates that lie among the files.
func (r *run) gather(ctx context.Context) error {
	left := r.source.left
	for _, f := range r.source.files {
		if ctx.Err() != nil {
			return ErrStopped.Because(ctx.Err())
		}
		if !mayBeCertificates(f.name) {
			continue
		}
		if b, err := r.source.read(f); err == nil && len(b) <= maxCertificate {
			certs, _ := certificatesIn(b)
			r.pool.add(certs...)
		}
	}
	r.source.left = left // they are read again
	return nil
}

// file reads one file and puts its keys into the batch.
func (r *run) file(f file) error {
	note := func(err error) {
		i := refusedItem(f.name, err)
		r.report.Items = append(r.report.Items, &i)
	}
	row, listed := r.opt.List.row(f.name)
	b, err := r.source.read(f)
	if err != nil {
		note(err)
		return nil
	}
	keys, err := r.keysIn(b, func() (string, error) {
		if listed {
			return row.Password, nil
		}
		return r.commonPassword()
	})
	switch {
	case errors.Is(err, errNoFile) && !listed && !isNamedForKeys(f.name):
		r.report.Items = append(r.report.Items, &Item{File: f.name, State: Skipped})
	case errors.Is(err, errNoFile):
		note(ErrFormat)
	case errors.Is(err, errAsking):
		return err
	case err != nil:
		note(err)
	}
	for _, k := range keys {
		r.candidates(f.name, row, k)
	}
	return nil
}

// errAsking means that the password could not be asked for.
var errAsking = errors.New("no password was given")

func (r *run) commonPassword() (string, error) {
	if r.password == nil {
		if r.opt.Password == nil {
			return "", ErrPassword.Withf("The password list does not name this file, and there is no password for all.")
		}
		p, err := r.opt.Password()
		if err != nil {
			return "", errors.Join(errAsking, err)
		}
		r.password = &p
	}
	return *r.password, nil
}

// candidates puts a key into the batch with each of its certificates, unless something speaks against it. The key is erased when
// its last candidate was sent.
func (r *run) candidates(name string, row Row, k found) {
	defer clear(k.pkcs8) // every candidate has a copy
	certs := k.certificates
	for _, c := range r.pool.byKey[string(k.public)] {
		if len(k.certificates) == 0 {
			certs = append(certs, c)
		}
	}
	if len(certs) == 0 {
		i := refusedItem(name, ErrCertificate)
		if len(k.near) > 0 {
			i.Detail = "The certificates in the file belong to other keys. " + i.Detail
		}
		r.report.Items = append(r.report.Items, &i)
		return
	}
	for _, c := range certs {
		i := &Item{File: name, Certificate: named(c)}
		r.report.Items = append(r.report.Items, i)
		if why := r.judge(c, k.public); why != nil {
			i.refuse(why)
			continue
		}
		if first, ok := r.seen[string(c.Raw)]; ok {
			i.State, i.Detail = Duplicate, fmt.Sprintf("The same key and certificate are in %s.", first)
			continue
		}
		r.seen[string(c.Raw)] = name
		r.batch = append(r.batch, &candidate{item: i, row: row, pkcs8: bytes.Clone(k.pkcs8), cert: c, chain: r.pool.chain(c, k.near)})
	}
}

// judge returns what speaks against a key before the server is asked.
func (r *run) judge(c *x509.Certificate, public []byte) error {
	if len(c.Raw) > api.MaxForeignCertificate {
		return ErrCertificate.Withf("The certificate has %d bytes; at most %d are taken.", len(c.Raw), api.MaxForeignCertificate)
	}
	if !bytes.Equal(c.RawSubjectPublicKeyInfo, public) {
		return ErrCertificate.Withf("The certificate belongs to another key, or writes its key in an unusual way.")
	}
	if why, ok := api.MayBeArchived(c); !ok {
		return ErrUse.Withf("%s", why)
	}
	return nil
}

// flush asks the server about the batch, sends what it takes, and erases the keys.
func (r *run) flush(ctx context.Context) error {
	if len(r.batch) == 0 {
		return nil
	}
	for len(r.batch) > 0 {
		n := min(len(r.batch), api.MaxImportDrafts)
		if err := r.send(ctx, r.batch[:n]); err != nil {
			return err
		}
		r.batch = r.batch[n:]
	}
	r.report.count()
	r.opt.Progress(fmt.Sprintf("%d of %d files: %d keys archived, %d archived before, %d refused", r.done, len(r.source.files),
		r.report.Counts[Archived]+r.report.Counts[CertificateAdded]+r.report.Counts[Ready], r.report.Counts[ArchivedBefore], r.report.Counts[Refused]))
	return nil
}

func (r *run) send(ctx context.Context, list []*candidate) error {
	drafts, err := r.draft(ctx, list)
	if err != nil {
		return err
	}
	if err := r.draftDeparted(ctx, list, drafts.Items); err != nil {
		return err
	}
	exchange, err := agent.CheckExchange(drafts.Exchange, r.opt.Anchors, r.opt.Now())
	if err != nil {
		return err
	}
	for i, c := range list {
		d := drafts.Items[i]
		if d.Person != uuid.Nil {
			c.item.Person, c.item.Name, c.item.Mail = &d.Person, d.Name, d.Mail
		}
		switch {
		case d.State == api.ImportArchived:
			c.item.State = ArchivedBefore
		case d.State != api.ImportReady || d.Person == uuid.Nil:
			c.item.State, c.item.Code, c.item.Detail = Refused, d.Code, d.Detail
		case r.opt.DryRun:
			c.item.State = Ready
		default:
			if err := r.sendOne(ctx, c, exchange, drafts.Exchange.Nonce, d.Person); err != nil {
				return err
			}
		}
		clear(c.pkcs8)
	}
	return nil
}

// draft asks the server whose the keys are, and whether it takes them.
func (r *run) draft(ctx context.Context, list []*candidate) (api.ImportDrafts, error) {
	q := api.ImportQuery{}
	for _, c := range list {
		q.Items = append(q.Items, c.subject())
	}
	drafts, err := r.opt.Client.DraftImports(ctx, q)
	if err == nil && len(drafts.Items) != len(list) {
		err = ErrAnswer
	}
	return drafts, err
}

// draftDeparted asks again about keys whose owner was not found, if those people have left.
func (r *run) draftDeparted(ctx context.Context, list []*candidate, items []api.ImportDraft) error {
	var again []*candidate
	var at []int
	for i, c := range list {
		if r.opt.Departed && c.row == (Row{Password: c.row.Password}) && items[i].State == api.ImportRefused && items[i].Code == codeNobody {
			c.row.Departed = true
			again, at = append(again, c), append(at, i)
		}
	}
	if len(again) == 0 {
		return nil
	}
	drafts, err := r.draft(ctx, again)
	for n, i := range at {
		if err == nil {
			items[i] = drafts.Items[n]
		}
	}
	return err
}

// codeNobody is the server's code where it is not certain whose a key is.
const codeNobody = "import-person"

func (c *candidate) subject() api.ImportSubject {
	s := api.ImportSubject{Certificate: c.cert.Raw, Departed: c.row.Departed}
	if c.row.Person != uuid.Nil {
		s.Person = &c.row.Person
	}
	return s
}

// sendOne sends one key. An error means that no others need be tried.
func (r *run) sendOne(ctx context.Context, c *candidate, exchange *x509.Certificate, nonce string, person uuid.UUID) error {
	message, err := seal(c.pkcs8, exchange, api.ImportIdentifier(person, c.cert.Raw, nonce))
	if err != nil {
		return err
	}
	out, err := r.opt.Client.ImportKey(ctx, api.ImportRequest{ImportSubject: c.subject(), Chain: c.chain, Key: message})
	switch f := fault.Of(err); {
	case err != nil && (f == nil || ctx.Err() != nil || errors.Is(err, fault.Unavailable)):
		return err
	case err != nil:
		c.item.refuse(f)
		return nil
	}
	if err := checkReceipt(out, c.cert); err != nil {
		return err
	}
	c.item.Receipt = &out.Receipt.ID
	switch out.State {
	case api.ImportedNow:
		c.item.State = Archived
	case api.ImportedCertificate:
		c.item.State = CertificateAdded
	case api.ImportedBefore:
		c.item.State = ArchivedBefore
	default:
		return ErrAnswer
	}
	return nil
}

// seal encrypts a private key to the exchange certificate.
func seal(pkcs8 []byte, exchange *x509.Certificate, identifier string) ([]byte, error) {
	content, err := cms.EncKeyWithID{PrivateKey: pkcs8, Identifier: identifier}.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	defer clear(content)
	return cms.Seal(content, []*x509.Certificate{exchange}, cms.SealOptions{ContentType: cms.OIDEncKeyWithID})
}

// checkReceipt checks that the archive signed for this very key.
func checkReceipt(out api.Imported, c *x509.Certificate) error {
	signed, err := record.ParseReceipt(out.Receipt.Signed)
	if err != nil {
		return ErrAnswer.Withf("The archive's receipt cannot be read.").Because(err)
	}
	if signed.SPKI != record.Hash(sha256.Sum256(c.RawSubjectPublicKeyInfo)) {
		return ErrAnswer.Withf("The archive's receipt is for another key.")
	}
	if len(out.Receipt.Signer) == 0 { // signed before the archive's key changed
		return nil
	}
	signer, err := x509.ParsePKIXPublicKey(out.Receipt.Signer)
	if err != nil {
		return ErrAnswer.Withf("The archive's receipt key cannot be read.").Because(err)
	}
	if err := signed.Verify(signer); err != nil {
		return ErrAnswer.Withf("The signature of the archive's receipt does not hold.").Because(err)
	}
	return nil
}
