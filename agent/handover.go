package agent

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

// Faults of history without officers.
var (
	ErrHandover  = fault.New(fault.Denied, "history-not-believed", "What came is not this person's history of keys.")
	ErrTooLarge  = fault.New(fault.Conflict, "history-too-large", "There are too many keys for one message.")
	ErrNoHistory = fault.New(fault.NotFound, "no-history", "The server keeps no history that a key on this machine opens.")
)

const (
	handoverVersion = 1
	maxHandover     = 2 << 20 // bytes of keys; in CMS they fit a parcel
	maxHandoverKeys = 5000
)

// The purposes of a handover: one made for the one is not taken as the other.
const (
	purposeReseal   = "reseal"
	purposeTransfer = "transfer"
)

// handover is what one device of a person seals to another, or to its own newest key: encryption keys with their
// certificates (docs/agent.md, "History without officers").
type handover struct {
	Version int           `json:"version"`
	Purpose string        `json:"purpose"`
	Session string        `json:"session,omitempty"` // of a transfer: the hash whose beginning the person compared, hexadecimal
	Person  uuid.UUID     `json:"person"`
	Keys    []handoverKey `json:"keys"`
}

type handoverKey struct {
	Issuer      string   `json:"issuer"`
	Serial      string   `json:"serial"`
	Certificate []byte   `json:"certificate"`
	Chain       [][]byte `json:"chain"`
	Key         Secret   `json:"key"` // PKCS#8
}

// sealTo encrypts keys to a certificate: AuthEnvelopedData, RSA-OAEP or ECDH as the certificate's key is.
func (id *Identity) sealTo(to *x509.Certificate, purpose, session string, keys []*Held) ([]byte, error) {
	h := handover{Version: handoverVersion, Purpose: purpose, Session: session, Person: id.Person.ID}
	for _, k := range keys {
		pkcs8, err := k.Key.PKCS8()
		if err != nil {
			return nil, err
		}
		h.Keys = append(h.Keys, handoverKey{k.Issuer, k.Serial, k.Certificate, k.Chain, pkcs8})
	}
	plain, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	defer clear(plain)
	if len(plain) > maxHandover {
		return nil, ErrTooLarge.Withf("%d keys are too many for one message.", len(keys))
	}
	sealed, err := cms.Seal(plain, []*x509.Certificate{to}, cms.SealOptions{})
	if err != nil {
		return nil, fmt.Errorf("seal keys: %w", err)
	}
	return sealed, nil
}

// openHandover decrypts what was sealed to a recipient and takes every key that is not here yet into the identity, after
// checking all of it: nothing is taken of a message in which something is wrong.
func (a *Agent) openHandover(id *Identity, sealed []byte, to cms.Recipient, purpose, session string) (keys, added int, err error) {
	opened, err := cms.Open(sealed, to, cms.OpenOptions{MaxSize: api.MaxParcel})
	if err != nil {
		return 0, 0, err
	}
	defer clear(opened.Content)
	h := &handover{}
	if err := decodeState(opened.Content, h); err != nil {
		return 0, 0, ErrHandover.Withf("The message with keys cannot be read.")
	}
	switch {
	case h.Version != handoverVersion:
		return 0, 0, ErrHandover.Withf("The message with keys was made by another version of this program (%d).", h.Version)
	case h.Person != id.Person.ID:
		return 0, 0, ErrHandover.Withf("The keys that came are another person's. None was taken.")
	case h.Purpose != purpose || h.Session != session:
		return 0, 0, ErrHandover.Withf("The keys that came were sealed for another purpose or session. None was taken.")
	case len(h.Keys) > maxHandoverKeys:
		return 0, 0, ErrHandover.Withf("There are too many keys in the message.")
	}
	var found []Held
	for _, k := range h.Keys {
		held, err := a.checkHandedOver(id.Person, k)
		if err != nil {
			return 0, 0, err
		}
		found = append(found, held)
	}
	for _, held := range found {
		isNew, err := id.addHistory(held)
		if err != nil {
			return 0, 0, err
		}
		if isNew {
			added++
		}
	}
	return len(found), added, nil
}

// checkHandedOver holds that a key is that of a certificate of the person's, under a trusted root.
func (a *Agent) checkHandedOver(person Person, k handoverKey) (Held, error) {
	held := Held{Issuer: k.Issuer, Serial: k.Serial, Certificate: k.Certificate}
	leaf, err := held.Leaf()
	if err != nil {
		return held, ErrHandover.Withf("A certificate that came with the keys cannot be read. None was taken.")
	}
	if err := a.checkHistorical(person, leaf, k.Chain, &held); err != nil {
		return held, ErrHandover.Withf("A key that came is not for mail of %s: %s None was taken.", person.Name, detail(err)).Because(err)
	}
	if held, err = held.withKey(k.Key); err != nil {
		return held, ErrHandover.Withf("A key that came is not the one of its certificate %s. None was taken.", k.Serial).Because(err)
	}
	return held, nil
}

// recipientOf is a certificate of the identity as one that messages are opened for.
func (h *Held) recipientOf() (cms.Recipient, error) {
	leaf, err := h.Leaf()
	if err != nil {
		return cms.Recipient{}, err
	}
	key, err := h.Key.Signer()
	if err != nil {
		return cms.Recipient{}, err
	}
	return cms.Recipient{Certificate: leaf, Key: key}, nil
}

// historyPrefix begins the names of the parcels with history; the rest is the hash of the key that each is sealed to.
const historyPrefix = "history-"

// Resealed says what of an identity's history the server keeps, sealed to the newest key.
type Resealed struct {
	To   string `json:"to"`   // SHA-256 of the SubjectPublicKeyInfo it is sealed to, hexadecimal
	Keys string `json:"keys"` // SHA-256 over the keys in it
}

// reseal has the server keep all older encryption keys, sealed to the newest certificate, if it does not yet. What is
// missing there is no reason to fail a renewal: the next run tries again.
func (a *Agent) reseal(ctx context.Context, id *Identity) {
	if err := a.tryReseal(ctx, id); err != nil {
		a.cfg.Log.Warn("history not resealed", "error", err)
		a.cfg.Progress("history", "note: the server does not keep your older keys, sealed to the newest, for now: "+detail(err))
	}
}

func (a *Agent) tryReseal(ctx context.Context, id *Identity) error {
	newest := id.Encryption()
	if newest == nil || newest.Key.IsZero() {
		return nil
	}
	to, err := newest.Leaf()
	if err != nil {
		return err
	}
	older := slices.DeleteFunc(handable(id.encryptionKeys()), func(h *Held) bool { return h == newest })
	want := Resealed{To: spkiOf(to).String(), Keys: keysHash(older)}
	if len(older) == 0 || id.Resealed != nil && *id.Resealed == want {
		return nil
	}
	c, err := a.dial(id)
	if err != nil {
		return err
	}
	defer c.Close()
	sealed, err := id.sealTo(to, purposeReseal, "", older)
	if err != nil {
		return err
	}
	if err := replaceParcel(ctx, c, historyPrefix+want.To, sealed); err != nil {
		return err
	}
	if err := a.after("reseal"); err != nil {
		return err
	}
	if old := id.Resealed; old != nil && old.To != want.To { // all that is in that is in the new one
		if _, err := c.RemoveParcel(ctx, historyPrefix+old.To); err != nil && !hasCode(err, codeUnknownParcel) {
			return err
		}
	}
	id.Resealed = &want
	a.cfg.Progress("history", fmt.Sprintf("the server keeps your %d older keys, sealed to the newest", len(older)))
	return a.saveIdentity(a.folder(id.Person.ID), id)
}

const (
	codeUnknownParcel = "unknown-parcel"
	codeParcelTaken   = "parcel-taken"
)

// replaceParcel keeps a parcel in place of what may be there.
func replaceParcel(ctx context.Context, c *client.Client, name string, content []byte) error {
	_, err := c.KeepParcel(ctx, name, api.ParcelContent{Content: content})
	if !hasCode(err, codeParcelTaken) {
		return err
	}
	list, err := c.Parcels(ctx)
	if err != nil {
		return err
	}
	for _, p := range list.Items {
		if p.Name == name {
			_, err := c.KeepParcel(ctx, name, api.ParcelContent{Content: content, Replaces: p.SHA256})
			return err
		}
	}
	_, err = c.KeepParcel(ctx, name, api.ParcelContent{Content: content})
	return err
}

// keysHash names a set of keys.
func keysHash(keys []*Held) string {
	var all []string
	for _, k := range keys {
		sum := sha256.Sum256(k.Certificate)
		all = append(all, hex.EncodeToString(sum[:]))
	}
	slices.Sort(all)
	sum := sha256.Sum256([]byte(strings.Join(all, " ")))
	return hex.EncodeToString(sum[:])
}

// HistoryOptions say whose history to fetch.
type HistoryOptions struct {
	Mailbox  string // whose, where there are several people
	Password string // of identity.p12, where the person keeps it
}

// Received is what came from another device, or from what one sealed earlier.
type Received struct {
	Identity *Identity
	Keys     int // in what came
	New      int // of them were not here
}

// FetchHistory gets the older keys that a renewal sealed to a key that is here.
func (a *Agent) FetchHistory(ctx context.Context, opt HistoryOptions) (*Received, error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	id, err := a.rewritable(opt.Mailbox, opt.Password)
	if err != nil {
		return nil, err
	}
	c, err := a.dial(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	list, err := c.Parcels(ctx)
	if err != nil {
		return nil, err
	}
	out, found := &Received{Identity: id}, false
	for _, p := range list.Items {
		spki, err := record.ParseHash(strings.TrimPrefix(p.Name, historyPrefix))
		if err != nil || !strings.HasPrefix(p.Name, historyPrefix) {
			continue
		}
		held := id.holdsKey(spki)
		if held == nil {
			continue
		}
		found = true
		if err := a.fetchParcel(ctx, c, out, p.Name, held); err != nil {
			return nil, err
		}
	}
	if !found {
		return nil, ErrNoHistory
	}
	return out, a.keepReceived(out, opt.Password)
}

func (a *Agent) fetchParcel(ctx context.Context, c *client.Client, out *Received, name string, held *Held) error {
	p, err := c.Parcel(ctx, name)
	if err != nil {
		return err
	}
	to, err := held.recipientOf()
	if err != nil {
		return err
	}
	keys, added, err := a.openHandover(out.Identity, p.Content, to, purposeReseal, "")
	out.Keys, out.New = out.Keys+keys, out.New+added
	return err
}

// keepReceived writes identity.json and the files with the keys that came.
func (a *Agent) keepReceived(r *Received, password string) error {
	if r.New == 0 {
		return nil
	}
	if err := a.saveIdentity(a.folder(r.Identity.Person.ID), r.Identity); err != nil {
		return err
	}
	if err := a.after("history-keep"); err != nil {
		return err
	}
	return r.Identity.writeFiles(password)
}
