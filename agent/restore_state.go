package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/cms"
)

const (
	restoreFile   = "restore.json" // in the person's folder
	restoreFolder = "restore"      // beside it: a folder for each case, with what came from the server
)

// recipientLife is how long a restore's own certificate is valid: longer than any case may last.
const recipientLife = 60 * 24 * time.Hour

// restoring is a restore that was begun: all that is needed to go on with it, and the key that its answers are sealed to.
type restoring struct {
	Version   int             `json:"version"`
	Server    string          `json:"server"`
	Person    uuid.UUID       `json:"person"`
	BegunAt   time.Time       `json:"begun_at"`
	Reason    string          `json:"reason"`
	Reference string          `json:"reference,omitempty"`
	Lasts     time.Duration   `json:"lasts"`
	Key       Secret          `json:"key"`       // PKCS#8, P-256
	Recipient []byte          `json:"recipient"` // certificate, signed by itself
	Cases     []restoringCase `json:"cases"`     // one for each archive key
	Warnings  []string        `json:"warnings,omitempty"`
}

// restoringCase is one of its cases. What was done of it only grows.
type restoringCase struct {
	Signed        []byte   `json:"signed"` // record.SignedCase
	Roster        []byte   `json:"roster"`
	Intermediates [][]byte `json:"intermediates,omitempty"`
	Sent          bool     `json:"sent,omitempty"`  // the server has it
	Kept          bool     `json:"kept,omitempty"`  // its keys are in identity.json
	Ended         string   `json:"ended,omitempty"` // why nothing more will come of it

	signed *record.SignedCase
	roster *record.Roster
}

func decodeRestoring(data []byte) (*restoring, error) {
	r := &restoring{}
	if err := decodeState(data, r); err != nil {
		return nil, err
	}
	return r, r.check()
}

func (r *restoring) check() error {
	if r.Version != stateVersion {
		return versionFault(r.Version)
	}
	damaged := ErrState.Withf("The restore in the agent's folder is not complete.")
	if r.Person == uuid.Nil || r.Server == "" || len(r.Cases) == 0 {
		return damaged
	}
	if _, err := r.recipient(); err != nil {
		return err
	}
	for i := range r.Cases {
		k := &r.Cases[i]
		var err error
		if k.signed, err = record.ParseCase(k.Signed); err != nil {
			return damaged.Because(err)
		}
		if k.roster, err = record.ParseRoster(k.Roster); err != nil {
			return damaged.Because(err)
		}
		if err := k.signed.CheckRoster(k.roster); err != nil {
			return damaged.Because(err)
		}
	}
	return nil
}

// recipient returns the key that the officers' answers are sealed to.
func (r *restoring) recipient() (cms.Recipient, error) {
	leaf, err := x509.ParseCertificate(r.Recipient)
	if err != nil {
		return cms.Recipient{}, ErrState.Because(err)
	}
	key, err := x509.ParsePKCS8PrivateKey(r.Key)
	if err != nil {
		return cms.Recipient{}, ErrState.Withf("The key of the restore in the agent's folder cannot be read.").Because(err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || !ec.PublicKey.Equal(leaf.PublicKey) {
		return cms.Recipient{}, ErrState.Withf("The key of the restore in the agent's folder is not its certificate's.")
	}
	return cms.Recipient{Certificate: leaf, Key: ec}, nil
}

// Fingerprint is what the officers must hear.
func (r *restoring) fingerprint() (record.Hash, error) {
	to, err := r.recipient()
	if err != nil {
		return record.Hash{}, err
	}
	return record.Fingerprint(to.Certificate), nil
}

// makeRecipient makes the key of a new device, with a certificate that it signs itself: nobody certifies it but the
// person's own voice.
func makeRecipient(name string, now time.Time) (Secret, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make recipient key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, fmt.Errorf("make recipient key: %w", err)
	}
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: record.Line("New device of "+name, maxCommonName)},
		KeyUsage: x509.KeyUsageKeyAgreement, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(recipientLife)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, fmt.Errorf("certify recipient key: %w", err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode recipient key: %w", err)
	}
	return pkcs8, der, nil
}

func (a *Agent) loadRestoring(id *Identity) (*restoring, error) {
	return load(a.folder(id.Person.ID), restoreFile, decodeRestoring)
}

func (a *Agent) saveRestoring(r *restoring) error {
	return save(a.folder(r.Person), restoreFile, r)
}

// forgetRestoring removes a restore with its key. What came from the server goes first: without the key it is of no use.
func (a *Agent) forgetRestoring(r *restoring) error {
	dir := a.folder(r.Person)
	if err := os.RemoveAll(filepath.Join(dir, restoreFolder)); err != nil {
		return ErrDisk.Because(err)
	}
	clear(r.Key)
	return forget(dir, restoreFile)
}

func (a *Agent) caseFolder(r *restoring, k *restoringCase) string {
	return filepath.Join(a.folder(r.Person), restoreFolder, k.signed.ID.String())
}
