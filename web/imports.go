package web

import (
	"bytes"
	"context"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/directory"
	"github.com/sealpost/sealpost/enroll"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
	"github.com/sealpost/sealpost/recovery"
	"github.com/sealpost/sealpost/web/signin"
)

func (s *Server) importOperations() {
	register(s, operation{id: "draftImports", method: http.MethodPost, path: "/imports/drafts", tag: tagImports, who: known, large: true,
		summary: "What would become of keys that were kept elsewhere",
		about: "For registrars. Say which certificates the keys have; the answer says of each whose key it is taken for, or why it would be " +
			"refused, and names the exchange certificate and nonce with which the keys are sent. Nothing is kept.",
		faults: []*fault.Error{enroll.ErrNoArchive, enroll.ErrEscrowRefused, audit.ErrRoleRequired, directory.ErrUnavailable},
		body:   api.ImportQuery{Items: []api.ImportSubject{{Certificate: exampleDER}}}, answer: exampleImportDrafts}, s.draftImports)

	register(s, operation{id: "importKey", method: http.MethodPost, path: "/imports", tag: tagImports, who: known, status: http.StatusCreated, lenient: true,
		summary: "Bring a key that was kept elsewhere into the archive",
		about: "For registrars. The key is checked against its certificate, sealed and kept at once; the certificate is kept with it and given out " +
			"when the key is recovered. A key whose certificate allows signing is refused. Sending a key again changes nothing.",
		faults: []*fault.Error{enroll.ErrNoArchive, enroll.ErrForeignCertificate, enroll.ErrForeignUse, enroll.ErrForeignOwner, enroll.ErrForeignName, enroll.ErrOwnImport,
			enroll.ErrEscrowRefused, audit.ErrRoleRequired, archive.ErrKeyFormat, archive.ErrKeyMismatch, archive.ErrKeyWeak, archive.ErrKeyDoesNotWork,
			archive.ErrArchivedTwice, archive.ErrNoRoster, archive.ErrRosterPin, keyuse.ErrInUse, directory.ErrSeveral, directory.ErrUnavailable},
		body: api.ImportRequest{ImportSubject: api.ImportSubject{Certificate: exampleDER}, Chain: [][]byte{exampleDER}, Key: exampleDER}, answer: exampleImported}, s.importKey)

	register(s, operation{id: "listImports", method: http.MethodGet, path: "/imports", tag: tagImports, who: known,
		summary: "Certificates of other authorities whose keys were imported",
		about:   "Your own, or with `person` somebody's, for registrars, auditors and operators. Oldest import first.",
		faults:  []*fault.Error{ErrNotYours}, answer: api.Page[api.ForeignCertificate]{Items: []api.ForeignCertificate{exampleForeign}}}, s.listImports)

	register(s, operation{id: "getCaseCertificates", method: http.MethodGet, path: "/cases/{id}/certificates", tag: tagCases, who: known,
		summary: "The certificates of a case's keys, in its order",
		about:   "This authority's and foreign ones, for whoever may see the case: mail programs find a recovered key by its certificate.",
		faults:  []*fault.Error{ErrNoArchive, archive.ErrUnknownCase}, answer: exampleCaseCertificates}, s.getCaseCertificates)
}

func (s *Server) draftImports(ctx context.Context, by signin.Caller, in *struct{ Body api.ImportQuery }) (*answer[api.ImportDrafts], error) {
	list := make([]enroll.Foreign, len(in.Body.Items))
	for i, item := range in.Body.Items {
		list[i] = foreignOf(item)
	}
	offer, drafts, err := s.Registry.DraftImports(ctx, by.Actor, list)
	if err != nil {
		return nil, err
	}
	out := &answer[api.ImportDrafts]{Body: api.ImportDrafts{Exchange: exchangeOf(offer), Items: make([]api.ImportDraft, len(drafts))}}
	for i, d := range drafts {
		item := api.ImportDraft{State: api.ImportReady, Person: d.Person, Name: d.Name, Mail: d.Mail}
		switch {
		case d.Refused != nil:
			item.State, item.Code, item.Detail = api.ImportRefused, d.Refused.Code, d.Refused.Detail
		case d.Archived:
			item.State = api.ImportArchived
		}
		out.Body.Items[i] = item
	}
	return out, nil
}

func foreignOf(s api.ImportSubject) enroll.Foreign {
	f := enroll.Foreign{Certificate: s.Certificate, Departed: s.Departed}
	if s.Person != nil {
		f.Person = *s.Person
	}
	return f
}

func (s *Server) importKey(ctx context.Context, by signin.Caller, in *struct{ Body api.ImportRequest }) (*answer[api.Imported], error) {
	found, err := s.Registry.Import(ctx, by.Actor, enroll.ForeignKey{Foreign: foreignOf(in.Body.ImportSubject), Chain: in.Body.Chain, Key: in.Body.Key})
	if err != nil {
		return nil, err
	}
	receipt, err := s.receiptOf(found.Receipt)
	if err != nil {
		return nil, err
	}
	out := api.Imported{State: api.ImportedBefore, Person: found.Owner.Person, Name: found.Owner.Name, Mail: found.Owner.Mail, SPKISHA256: receipt.SPKISHA256, Receipt: *receipt}
	switch {
	case found.New:
		out.State = api.ImportedNow
	case found.Added:
		out.State = api.ImportedCertificate
	}
	return &answer[api.Imported]{out}, nil
}

type importsInput struct {
	Person uuid.UUID `query:"person" doc:"The person's id."`
	Page
}

func (s *Server) listImports(ctx context.Context, by signin.Caller, in *importsInput) (*answer[api.Page[api.ForeignCertificate]], error) {
	after, err := in.number()
	if err != nil {
		return nil, err
	}
	if in.Person == uuid.Nil {
		in.Person = by.Actor.Person
	}
	if in.Person != by.Actor.Person && !readsAll(by.Actor) {
		return nil, ErrNotYours
	}
	out := &answer[api.Page[api.ForeignCertificate]]{Body: api.Page[api.ForeignCertificate]{Items: []api.ForeignCertificate{}}}
	if s.Archive == nil {
		return out, nil
	}
	found, err := s.Archive.ForeignOf(ctx, in.Person, after, in.Limit)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		out.Body.Items = append(out.Body.Items, api.ForeignCertificate{SPKISHA256: hex.EncodeToString(f.Key[:]), Person: f.Person, Mailboxes: f.Mailboxes,
			ImportedAt: utc(f.At), DER: f.Certificate, Chain: f.Chain})
	}
	if len(found) == in.Limit {
		out.Body.Next = strconv.FormatInt(found[len(found)-1].Number, 10)
	}
	return out, nil
}

// maxCaseCertificates is how many keys' certificates one page has: each may have several, with chains.
const maxCaseCertificates = 100

func (s *Server) getCaseCertificates(ctx context.Context, by signin.Caller, in *capsulesInput) (*answer[api.CaseCertificates], error) {
	in.Limit = min(in.Limit, maxCaseCertificates)
	var keys []keyuse.Hash
	capsules, err := s.blobs(in.Page, func(d *recovery.Desk, from int) ([][]byte, error) {
		return d.Capsules(ctx, by.Actor, in.ID, from, in.Limit)
	})
	if err != nil {
		return nil, err
	}
	for _, raw := range capsules.Body.Items {
		k, err := record.ParseCapsule(raw)
		if err != nil {
			return nil, err
		}
		keys = append(keys, keyuse.Hash(k.Header.SPKI))
	}
	foreign, err := s.Recovery.Archive.ForeignByKey(ctx, keys)
	if err != nil {
		return nil, err
	}
	out := &answer[api.CaseCertificates]{Body: api.CaseCertificates{Items: make([]api.CaseKeyCertificates, len(keys)), Next: capsules.Body.Next}}
	for i, k := range keys {
		if out.Body.Items[i], err = s.keyCertificates(ctx, k, foreign[k]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// keyCertificates puts this authority's and the foreign certificates of a key together.
func (s *Server) keyCertificates(ctx context.Context, k keyuse.Hash, foreign []archive.Foreign) (api.CaseKeyCertificates, error) {
	out := api.CaseKeyCertificates{SPKISHA256: hex.EncodeToString(k[:]), Certificates: [][]byte{}, Issuers: [][]byte{}}
	add := func(list *[][]byte, ders ...[]byte) {
		for _, der := range ders {
			if !slices.ContainsFunc(*list, func(o []byte) bool { return bytes.Equal(o, der) }) {
				*list = append(*list, der)
			}
		}
	}
	ours, err := s.Authority.Find(ctx, ca.Query{Key: &k})
	if err != nil {
		return out, err
	}
	for _, c := range ours {
		add(&out.Certificates, c.DER)
		add(&out.Issuers, s.chainOf(c.Issuer)...)
	}
	for _, f := range foreign {
		add(&out.Certificates, f.Certificate)
		add(&out.Issuers, f.Chain...)
	}
	return out, nil
}

var (
	exampleImportDrafts = api.ImportDrafts{
		Exchange: &api.Exchange{Certificate: exampleDER, Chain: [][]byte{exampleDER}, Nonce: "AAAAAGm5c2A", NonceEnds: exampleTime.Add(time.Hour)},
		Items:    []api.ImportDraft{{State: api.ImportReady, Person: exampleWho, Name: "Alice Anders", Mail: "alice@example.test"}}}
	exampleImported = api.Imported{State: api.ImportedNow, Person: exampleWho, Name: "Alice Anders", Mail: "alice@example.test", SPKISHA256: exampleHash, Receipt: exampleReceipt}
	exampleForeign  = api.ForeignCertificate{SPKISHA256: exampleHash, Person: exampleWho, Mailboxes: []string{"alice@example.test"}, ImportedAt: exampleTime,
		DER: exampleDER, Chain: [][]byte{exampleDER}}
	exampleCaseCertificates = api.CaseCertificates{Items: []api.CaseKeyCertificates{{SPKISHA256: exampleHash, Certificates: [][]byte{exampleDER}, Issuers: [][]byte{exampleDER}}}}
)
