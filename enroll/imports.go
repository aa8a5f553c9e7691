package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/internal/audit"
	"github.com/sealpost/sealpost/internal/fault"
	"github.com/sealpost/sealpost/internal/keyuse"
)

// Faults of imports, beside those of archive.Import.
var (
	ErrForeignCertificate = fault.New(fault.Malformed, "import-certificate", "The foreign certificate cannot be read.")
	ErrForeignUse         = fault.New(fault.Denied, "import-signing-key", "The certificate is for signing. A key that signs is never archived.")
	ErrForeignOwner       = fault.New(fault.Conflict, "import-person", "It is not certain whose key this is. Name the person by id.")
	ErrForeignName        = fault.New(fault.Conflict, "import-name", "The name in the certificate is another than that of the person who has the address now. Name the person by id.")
	ErrOwnImport          = fault.New(fault.Denied, "import-own", "Another registrar must say that this key is yours.")
	ErrNoArchive          = fault.New(fault.NotFound, "import-no-archive", "This installation archives no keys.")
)

// Foreign is the certificate of a key that was kept elsewhere, with what the registrar who imports it says of its owner.
type Foreign struct {
	Certificate []byte    // DER
	Person      uuid.UUID // the zero UUID: whose the certificate's address is
	Departed    bool      // the person is in the directory no longer
}

// ForeignKey is such a key on its way into the archive.
type ForeignKey struct {
	Foreign
	Chain [][]byte // above the certificate, DER
	Key   []byte   // CMS to the exchange certificate; never stored, never logged
}

// Owner is whose an imported key is.
type Owner struct {
	Person     uuid.UUID
	Name, Mail string // of today, or of the certificate for somebody who left
}

// ImportDraft is what would become of a key.
type ImportDraft struct {
	Owner
	Archived bool         // it is, with this certificate
	Refused  *fault.Error // nil if it would be taken
}

// Imported is what became of a key.
type Imported struct {
	*archive.Imported
	Owner Owner
}

// DraftImports says what would become of keys, and how to send them. It keeps nothing. It returns audit.ErrRoleRequired,
// ErrNoArchive, and directory.ErrUnavailable; what speaks against one key is in its draft.
func (r *Registry) DraftImports(ctx context.Context, by audit.Actor, list []Foreign) (Offer, []ImportDraft, error) {
	if err := r.mayImport(by); err != nil {
		return Offer{}, nil, err
	}
	offer, err := r.offer(ctx, by.Person)
	if err != nil {
		return offer, nil, err
	}
	out := make([]ImportDraft, len(list))
	for i, f := range list {
		out[i], err = r.draftImport(ctx, by, f)
		if refused := fault.Of(err); refused != nil && !errors.Is(err, fault.Unavailable) {
			out[i].Refused = refused
		} else if err != nil {
			return offer, nil, err
		}
	}
	return offer, out, nil
}

func (r *Registry) mayImport(by audit.Actor) error {
	if r.Archive == nil {
		return ErrNoArchive
	}
	return by.Require(audit.Registrar)
}

func (r *Registry) draftImport(ctx context.Context, by audit.Actor, f Foreign) (ImportDraft, error) {
	certificate, err := parseForeign(f.Certificate)
	if err != nil {
		return ImportDraft{}, err
	}
	owner, err := r.ownerOf(ctx, by, certificate, f)
	if err != nil {
		return ImportDraft{}, err
	}
	draft := ImportDraft{Owner: owner}
	person, imported, err := r.Archive.Owner(ctx, keyuse.HashOf(certificate.RawSubjectPublicKeyInfo), f.Certificate)
	switch {
	case errors.Is(err, archive.ErrUnknownReceipt):
		return draft, nil
	case err == nil && person != owner.Person:
		return draft, errForeignInUse
	}
	draft.Archived = imported
	return draft, err
}

// Import opens a key that was kept elsewhere, checks it against its certificate and archives it. Repeating it changes
// nothing and returns the same receipt.
//
// It returns audit.ErrRoleRequired, ErrNoArchive, ErrForeignCertificate, ErrForeignUse, ErrForeignOwner, ErrForeignName,
// ErrOwnImport, ErrEscrowRefused, the faults of archive.Import, and directory.ErrUnavailable. After any of them nothing
// is kept.
func (r *Registry) Import(ctx context.Context, by audit.Actor, f ForeignKey) (*Imported, error) {
	out, err := r.importKey(ctx, by, f)
	if err != nil {
		return nil, r.refusedImport(ctx, by, f, err)
	}
	return out, nil
}

func (r *Registry) importKey(ctx context.Context, by audit.Actor, f ForeignKey) (*Imported, error) {
	if err := r.mayImport(by); err != nil {
		return nil, err
	}
	certificate, err := parseForeign(f.Certificate)
	if err != nil {
		return nil, err
	}
	if err := checkChain(f.Chain); err != nil {
		return nil, err
	}
	owner, err := r.ownerOf(ctx, by, certificate, f.Foreign)
	if err != nil {
		return nil, err
	}
	key, err := r.exchange.open(ctx, binding{f.Key, by.Person, api.ImportNonce, func(nonce string) string {
		return api.ImportIdentifier(owner.Person, f.Certificate, nonce)
	}})
	if err != nil {
		return nil, err
	}
	defer clear(key)
	mailboxes := mailboxesOf(certificate)
	imported, err := r.Archive.Import(ctx, by, archive.Import{
		Deposit:     archive.Deposit{Person: owner.Person, Name: owner.Name, Mail: owner.Mail, PublicKey: certificate.RawSubjectPublicKeyInfo, Key: key},
		Certificate: f.Certificate, Chain: f.Chain, Mailboxes: mailboxes,
		Data: map[string]any{"issuer": record.Line(certificate.Issuer.String(), 500), "serial": certificate.SerialNumber.Text(16), "mailboxes": mailboxes,
			"named": f.Person != uuid.Nil, "departed": f.Departed},
	})
	if err != nil {
		return nil, inForeignWords(err)
	}
	return &Imported{imported, owner}, nil
}

// errForeignInUse is keyuse.ErrInUse for who cannot make another key.
var errForeignInUse = keyuse.ErrInUse.Withf("This key serves another purpose here, such as signing, or belongs to another person.")

// inForeignWords puts the archive's faults, which speak to who makes keys, into words for who has them.
func inForeignWords(err error) error {
	switch {
	case errors.Is(err, archive.ErrKeyMismatch):
		return archive.ErrKeyMismatch.Withf("The private key does not belong to the certificate.")
	case errors.Is(err, archive.ErrKeyDoesNotWork):
		return archive.ErrKeyDoesNotWork.Withf("The private key does not decrypt what its public key encrypts.")
	case errors.Is(err, keyuse.ErrInUse):
		return errForeignInUse
	}
	return err
}

// refusedImport records that a key was not taken.
func (r *Registry) refusedImport(ctx context.Context, by audit.Actor, f ForeignKey, cause error) error {
	known := fault.Of(cause)
	if known == nil || errors.Is(known, fault.Unavailable) {
		return cause
	}
	e := audit.Event{Kind: "import.refused", Person: f.Person, Data: map[string]any{"code": known.Code}}
	if c, err := parseForeign(f.Certificate); err == nil || errors.Is(err, ErrForeignUse) {
		e.Subject = "key:" + record.Hash(keyuse.HashOf(c.RawSubjectPublicKeyInfo)).String()
	}
	if _, err := r.Audit.Record(ctx, by, e); err != nil {
		return errors.Join(cause, err)
	}
	return cause
}

// parseForeign reads a foreign certificate and refuses one whose key must not be archived. Beside ErrForeignUse it
// returns the certificate. That it has expired, or of which authority it is, does not matter: old mail is to be read.
func parseForeign(der []byte) (*x509.Certificate, error) {
	if len(der) > api.MaxForeignCertificate {
		return nil, ErrForeignCertificate.Withf("The certificate has %d bytes; at most %d are taken.", len(der), api.MaxForeignCertificate)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, ErrForeignCertificate.Because(err)
	}
	if why, ok := api.MayBeArchived(c); !ok {
		return c, ErrForeignUse.Withf("%s", why)
	}
	return c, nil
}

// checkChain refuses what are no authorities' certificates. Whether they are above the certificate is not looked at: they are
// handed on to who gets the key, whose programs do.
func checkChain(chain [][]byte) error {
	if len(chain) > api.MaxForeignChain {
		return ErrForeignCertificate.Withf("The chain has %d certificates; at most %d are taken.", len(chain), api.MaxForeignChain)
	}
	for i, der := range chain {
		if len(der) > api.MaxForeignCertificate {
			return ErrForeignCertificate.Withf("Certificate %d of the chain has %d bytes; at most %d are taken.", i+1, len(der), api.MaxForeignCertificate)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return ErrForeignCertificate.Withf("Certificate %d of the chain cannot be read.", i+1).Because(err)
		}
		// Roots of X.509 version 1 say nothing of what they are.
		if !c.IsCA && c.Version >= 3 || slices.ContainsFunc(chain[:i], func(o []byte) bool { return string(o) == string(der) }) {
			return ErrForeignCertificate.Withf("Certificate %d of the chain is not that of an authority, or is there twice.", i+1)
		}
	}
	return nil
}
