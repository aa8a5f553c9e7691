package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/internal/disk"
)

// The agent's folder:
//
//	settings.json              which server, which roots
//	machine.json               the folder's own id
//	runs.json                  when to run by itself again, and what the last runs came to
//	failures.json              what went wrong lately, until it has been told
//	status.json                what the program last said of its state
//	behalf.json                for whom a registrar began an enrolment here, with which token; see EnrolFor
//	lock                       held while an agent is at work
//	PERSON/policy.json         what the server last said that the person should have
//	PERSON/pending.json        a request that was begun, with its keys
//	PERSON/identity.json       what was issued, with the keys: the one source of all files below
//	PERSON/set-aside-….json    requests that came to nothing
//	PERSON/places.json         keys in tokens; see leftFile
//	PERSON/passphrase-change…  what a change of the passphrase has not put in its place yet
//	PERSON/identity.p12 …      for mail programs; see Identity.Folder
//
// PERSON is the person's id. All private keys in it are protected by the folder's mode alone, as ~/.ssh is.
const (
	lockFile     = "lock"
	machineFile  = "machine.json"
	runsFile     = "runs.json"
	policyFile   = "policy.json"
	pendingFile  = "pending.json"
	identityFile = "identity.json"

	stateVersion = 1
	maxStateFile = 32 << 20 // bytes; some thousand pairs
)

// pending is a request that was begun: all that is needed to send it again and to use the answer.
type pending struct {
	Version     int       `json:"version"`
	Server      string    `json:"server"`
	As          string    `json:"as"`   // see Agent.as
	Name        string    `json:"name"` // api.IdempotencyHeader
	BegunAt     time.Time `json:"begun_at"`
	Person      Person    `json:"person"`
	RenewAfter  float64   `json:"renew_after"`
	KeepSigning bool      `json:"keep_signing,omitempty"` // the signing keys that this one takes the place of stay
	Folder      string    `json:"folder"`
	OwnPassword bool      `json:"own_password,omitempty"`
	Passphrase  int       `json:"passphrase,omitempty"` // least length of that, if keys are kept under it; 0: they are not
	Stores      Stores    `json:"stores"`
	Prefer      Prefer    `json:"prefer"`

	Enrolment     string    `json:"enrolment"`
	SigningKey    Key       `json:"signing_key,omitzero"` // absent where the enrolment has no such certificate
	SigningCSR    []byte    `json:"signing_csr,omitempty"`
	EncryptionKey Key       `json:"encryption_key,omitzero"` // likewise
	EncryptionCSR []byte    `json:"encryption_csr,omitempty"`
	EscrowedKey   []byte    `json:"escrowed_key,omitempty"` // CMS; absent where nothing is archived
	NonceEnds     time.Time `json:"nonce_ends"`

	Attested        bool                    `json:"attested,omitempty"` // it must be proven where the signing key was made
	Attestation     *api.SigningAttestation `json:"attestation,omitempty"`
	AttestationEnds time.Time               `json:"attestation_ends,omitzero"`

	ID *uuid.UUID `json:"id,omitempty"` // once the server has answered
}

// wire returns the request as it is sent.
func (p *pending) wire() api.EnrolmentRequest {
	return api.EnrolmentRequest{Enrolment: p.Enrolment, SigningCSR: p.SigningCSR, EncryptionCSR: p.EncryptionCSR, EscrowedKey: p.EscrowedKey,
		SigningAttestation: p.Attestation}
}

// keys returns the request's private keys, signing first.
func (p *pending) keys() []Key {
	return slices.DeleteFunc([]Key{p.SigningKey, p.EncryptionKey}, Key.IsZero)
}

// single reports whether the enrolment has one certificate that may serve for both.
func (p *pending) single() bool {
	return p.EncryptionKey.IsZero() || p.SigningKey.IsZero() && len(p.EscrowedKey) == 0
}

func (p *pending) check() error {
	switch {
	case p.Version != stateVersion:
		return versionFault(p.Version)
	case p.Person.ID == uuid.Nil, p.Name == "", p.Server == "", p.Enrolment == "", p.Folder == "", len(p.keys()) == 0,
		(len(p.SigningCSR) > 0) == p.SigningKey.IsZero(), (len(p.EncryptionCSR) > 0) == p.EncryptionKey.IsZero():
		return ErrState.Withf("The request in the agent's folder is not complete.")
	}
	for _, k := range p.keys() {
		if err := k.check(); err != nil {
			return err
		}
	}
	return nil
}

func versionFault(v int) error {
	if v > stateVersion {
		return ErrState.Withf("The agent's folder was written by a newer agent (version %d). Use that.", v)
	}
	return ErrState.Withf("A file in the agent's folder has no version.")
}

// decodeState reads one of the agent's files. Fields that it does not know are refused: a newer agent wrote them, and
// writing the file back would lose them.
func decodeState[T any](data []byte, into *T) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return ErrState.Because(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrState.Withf("A file of the agent's has something after its end.")
	}
	return nil
}

func decodePending(data []byte) (*pending, error) {
	p := &pending{}
	if err := decodeState(data, p); err != nil {
		return nil, err
	}
	return p, p.check()
}

func decodeIdentity(data []byte) (*Identity, error) {
	id := &Identity{}
	if err := decodeState(data, id); err != nil {
		return nil, err
	}
	return id, id.check()
}

// loadIdentity reads a person's identity.json; nil where there is none.
func (a *Agent) loadIdentity(dir string) (*Identity, error) {
	id, err := load(dir, identityFile, decodeIdentity)
	if err != nil || id == nil {
		return nil, err
	}
	for _, h := range id.held() {
		h.Key.ring = a.ring
	}
	return id, nil
}

// loadPending reads a person's pending.json; nil where there is none.
func (a *Agent) loadPending(dir string) (*pending, error) {
	p, err := load(dir, pendingFile, decodePending)
	if err != nil || p == nil {
		return nil, err
	}
	p.SigningKey.ring, p.EncryptionKey.ring = a.ring, a.ring
	return p, nil
}

// saveIdentity writes a person's identity.json, with the keys under the passphrase where one is demanded.
func (a *Agent) saveIdentity(dir string, id *Identity) error {
	if id.Passphrase > 0 {
		for _, h := range id.held() {
			if err := h.Key.seal(a.ring); err != nil {
				return err
			}
		}
	}
	return save(dir, identityFile, id)
}

// savePending writes a person's pending.json, likewise.
func (a *Agent) savePending(dir string, p *pending) error {
	if p.Passphrase > 0 {
		if err := errors.Join(p.SigningKey.seal(a.ring), p.EncryptionKey.seal(a.ring)); err != nil {
			return err
		}
	}
	return save(dir, pendingFile, p)
}

// load reads a file of a person's folder; a missing one is nil.
func load[T any](dir, name string, decode func([]byte) (*T, error)) (*T, error) {
	path := filepath.Join(dir, changeFolder, name) // which holds already, if it is there
	data, err := disk.Read(path, maxStateFile)
	if err == nil && data == nil {
		path = filepath.Join(dir, name)
		data, err = disk.Read(path, maxStateFile)
	}
	if err != nil {
		return nil, ErrState.Withf("%s cannot be read.", path).Because(err)
	}
	if data == nil {
		return nil, nil
	}
	defer clear(data)
	v, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// save writes a file of a person's folder so that after a crash it is there whole, in its old or in its new form.
func save(dir, name string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", name, err)
	}
	text := append(data, '\n') // which may be a copy
	defer clear(data)
	defer clear(text)
	return disk.Write(filepath.Join(dir, name), text, 0o600)
}

// forget removes a file of a person's folder, for good.
func forget(dir, name string) error {
	err := os.Remove(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return ErrDisk.Because(err)
	}
	return syncDir(dir)
}

// setAside keeps a request that came to nothing out of the way. Its keys are not thrown away: if it should have come to
// something after all, they are there.
func setAside(dir string, p *pending) error {
	name := fmt.Sprintf("set-aside-%s-%s.json", p.BegunAt.UTC().Format("20060102T150405Z"), filepath.Base(p.Name))
	if err := os.Rename(filepath.Join(dir, pendingFile), filepath.Join(dir, name)); err != nil {
		return disk.Cannot(err, "The request in %s cannot be put aside.", dir)
	}
	return syncDir(dir)
}

// people returns the folders of the people in the agent's folder.
func (a *Agent) people() ([]string, error) {
	entries, err := os.ReadDir(a.cfg.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, ErrState.Withf("%s cannot be read.", a.cfg.Dir).Because(err)
	}
	var out []string
	for _, e := range entries {
		if id, err := uuid.Parse(e.Name()); err == nil && e.IsDir() && id.String() == e.Name() {
			out = append(out, filepath.Join(a.cfg.Dir, e.Name()))
		}
	}
	return out, nil
}

func (a *Agent) folder(person uuid.UUID) string { return filepath.Join(a.cfg.Dir, person.String()) }
