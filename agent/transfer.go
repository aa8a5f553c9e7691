package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/api"
	"github.com/sealpost/sealpost/archive/record"
	"github.com/sealpost/sealpost/client"
	"github.com/sealpost/sealpost/cms"
	"github.com/sealpost/sealpost/internal/fault"
)

// A transfer hands all encryption keys from one device of a person to another, by way of the server, which is not trusted.
// Its four messages are parcels (docs/agent.md, "From device to device"):
//
//	1  the new device commits itself to its certificate and a nonce
//	2  the old device shows a nonce
//	3  the new device shows its certificate and its nonce
//	4  the old device sends the keys, sealed to that certificate, once the person has typed there the words that the new one shows
//
// The words are a hash over all that was shown. Whoever stands between had to choose what the one device sees before the
// other's nonce was known, and so has one guess in 2^64 for each time that a person compares.

// Faults of a transfer.
var (
	ErrTransfer        = fault.New(fault.Denied, "transfer-not-believed", "What came from the other device does not fit what came before. Somebody may be in between. Nothing was sent.")
	ErrWords           = fault.New(fault.Denied, "words-differ", "These are not the words of this transfer. If they were typed as the other device shows them, somebody is in between. Nothing was sent.")
	ErrTransferRefused = fault.New(fault.Denied, "transfer-refused", "The other device did not send the keys: the words did not agree.")
	ErrTransferWaiting = fault.New(fault.Unavailable, "transfer-waiting", "The other device has not answered in time. Begin again on both.")
	ErrSessions        = fault.New(fault.Conflict, "several-transfers", "Several devices of yours ask for keys.")
)

const (
	transferVersion = 1
	transferPrefix  = "transfer-"
	transferTime    = 30 * time.Minute // how long the server keeps its messages
	transferTries   = 3                // of typing the words
	transferPoll    = 2 * time.Second  // longest pause between two looks
	maxTransfer     = 16 << 10         // bytes of a message without keys
	maxDevice       = 64               // bytes of a device's name

	// TransferWords is how many words of 16 bits are compared.
	TransferWords = 4

	labelCommitment = "Sealpost device transfer v1 commitment"
	labelWords      = "Sealpost device transfer v1 words"
)

type nonce [32]byte

type session [8]byte

func (s session) String() string { return hex.EncodeToString(s[:]) }

func (s session) parcel(message int) string {
	return fmt.Sprintf("%s%s-%d", transferPrefix, s, message)
}

// parseTransferName reads the name of a transfer's parcel.
func parseTransferName(name string) (s session, message string, ok bool) {
	rest, ok := strings.CutPrefix(name, transferPrefix)
	if !ok || len(rest) != 2*len(s)+2 || rest[2*len(s)] != '-' {
		return s, "", false
	}
	b, err := hex.DecodeString(rest[:2*len(s)])
	if err != nil {
		return s, "", false
	}
	return session(b), rest[2*len(s)+1:], true
}

// The messages. They are JSON; what counts in them are the values.
type (
	offer struct {
		Version    int    `json:"version"`
		Device     string `json:"device"` // what the person calls it, or its host name
		Commitment []byte `json:"commitment"`
	}
	challenge struct {
		Version int    `json:"version"`
		Nonce   []byte `json:"nonce"`
	}
	reveal struct {
		Version     int    `json:"version"`
		Certificate []byte `json:"certificate"`
		Nonce       []byte `json:"nonce"`
	}
	grant struct {
		Version int    `json:"version"`
		Refused bool   `json:"refused,omitempty"`
		Sealed  []byte `json:"sealed,omitempty"` // handover, CMS
	}
)

// shown is everything that both devices must have seen alike.
type shown struct {
	person      uuid.UUID
	session     session
	device      string
	certificate []byte // of the new device, DER
	mine        nonce  // the new device's
	theirs      nonce  // the old device's
}

// hash is SHA-256(label ‖ 0x00 ‖ person ‖ session ‖ u16 length ‖ device ‖ u32 length ‖ certificate ‖ nonce …).
func (x shown) hash(label string, nonces ...nonce) record.Hash {
	h := sha256.New()
	h.Write([]byte(label + "\x00"))
	h.Write(x.person[:])
	h.Write(x.session[:])
	h.Write(binary.BigEndian.AppendUint16(nil, uint16(len(x.device))))
	h.Write([]byte(x.device))
	h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(x.certificate))))
	h.Write(x.certificate)
	for _, n := range nonces {
		h.Write(n[:])
	}
	return record.Hash(h.Sum(nil))
}

// commitment binds the new device before it has seen anything of the old one.
func (x shown) commitment() record.Hash { return x.hash(labelCommitment, x.mine) }

// words are what the person compares.
func (x shown) words() record.Hash { return x.hash(labelWords, x.mine, x.theirs) }

// ReceiveOptions say where to receive keys.
type ReceiveOptions struct {
	Mailbox  string
	Password string               // of identity.p12, where the person keeps it
	Device   string               // how the other device names this one
	Patience time.Duration        // how long to wait for the other device
	Show     func(words []string) // shows the words that the person types on the other device
}

// ReceiveHistory gets all encryption keys from another device of the person, on which SendHistory runs. It keeps nothing
// between runs: what is stopped is begun again.
func (a *Agent) ReceiveHistory(ctx context.Context, opt ReceiveOptions) (*Received, error) {
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
	x := shown{person: id.Person.ID, device: record.Line(opt.Device, maxDevice)}
	rand.Read(x.session[:])
	rand.Read(x.mine[:])
	key, certificate, err := makeRecipient(id.Person.Name, a.cfg.Now())
	if err != nil {
		return nil, err
	}
	defer clear(key)
	x.certificate = certificate
	commitment := x.commitment()
	p := post{a, c, x.session, a.cfg.Now().Add(opt.Patience)}
	if err := p.put(ctx, 1, offer{transferVersion, x.device, commitment[:]}); err != nil {
		return nil, err
	}
	defer p.tidy(ctx, 1, 2, 3, 4)
	a.cfg.Progress("offer", "waiting for the other device (transfer "+x.session.String()+")")
	second, err := await[challenge](ctx, p, 2, maxTransfer)
	if err != nil {
		return nil, err
	}
	if second.Version != transferVersion || len(second.Nonce) != len(x.theirs) {
		return nil, ErrTransfer
	}
	x.theirs = nonce(second.Nonce)
	// Only now, when what the old device has shown is settled here, is anything shown of this one.
	if err := p.put(ctx, 3, reveal{transferVersion, x.certificate, x.mine[:]}); err != nil {
		return nil, err
	}
	opt.Show(x.words().Words()[:TransferWords])
	fourth, err := await[grant](ctx, p, 4, api.MaxParcel)
	switch {
	case err != nil:
		return nil, err
	case fourth.Version != transferVersion:
		return nil, ErrTransfer
	case fourth.Refused:
		return nil, ErrTransferRefused
	}
	return a.accept(id, x, key, fourth.Sealed, opt.Password)
}

// accept opens what the old device sealed and keeps it.
func (a *Agent) accept(id *Identity, x shown, pkcs8 Secret, sealed []byte, password string) (*Received, error) {
	leaf, err := x509.ParseCertificate(x.certificate)
	if err != nil {
		return nil, fmt.Errorf("read own certificate: %w", err)
	}
	key, err := parseKey(pkcs8)
	if err != nil {
		return nil, err
	}
	r := &Received{Identity: id}
	r.Keys, r.New, err = a.openHandover(id, sealed, cms.Recipient{Certificate: leaf, Key: key}, purposeTransfer, x.words().String())
	if err != nil {
		return nil, err
	}
	return r, a.keepReceived(r, password)
}

// SendOptions say what to send and how to ask the person.
type SendOptions struct {
	Mailbox  string
	Session  string        // which of several transfers; empty where there is one
	Patience time.Duration // how long to wait for the other device

	// Ask has the person type the words that the other device shows. It is asked up to three times; the words of this
	// side are never shown before.
	Ask func(device string, try int) (string, error)
}

// Sent is what was sent.
type Sent struct {
	Device string
	Keys   int
	Left   int // keys with other authorities' certificates, which the other device could not check
}

// SendHistory sends all encryption keys to another device of the person, on which ReceiveHistory runs, after the person has
// typed here the words that it shows.
func (a *Agent) SendHistory(ctx context.Context, opt SendOptions) (*Sent, error) {
	unlock, err := a.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	id, err := a.forMailbox(opt.Mailbox)
	if err != nil {
		return nil, err
	}
	all := id.encryptionKeys()
	keys := handable(all)
	if len(keys) == 0 {
		return nil, ErrNoHistory.Withf("There are no encryption keys on this machine to send.")
	}
	c, err := a.dial(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	x := shown{person: id.Person.ID}
	p := post{agent: a, client: c, until: a.cfg.Now().Add(opt.Patience)}
	a.cfg.Progress("offer", "looking for the device that asks")
	if p.session, err = p.find(ctx, opt.Session); err != nil {
		return nil, err
	}
	x.session = p.session
	first, err := await[offer](ctx, p, 1, maxTransfer)
	if err != nil {
		return nil, err
	}
	if first.Version != transferVersion || len(first.Commitment) != len(record.Hash{}) || first.Device != record.Line(first.Device, maxDevice) {
		return nil, ErrTransfer
	}
	x.device = first.Device
	rand.Read(x.theirs[:])
	if err := p.put(ctx, 2, challenge{transferVersion, x.theirs[:]}); err != nil {
		return nil, err
	}
	third, err := await[reveal](ctx, p, 3, maxTransfer)
	if errors.Is(err, ErrTransfer) {
		err = p.refuse(ctx, err)
	}
	if err != nil {
		return nil, err
	}
	to, err := x.revealed(first, third)
	if err != nil {
		return nil, p.refuse(ctx, err)
	}
	if err := x.compare(opt.Ask); err != nil {
		return nil, p.refuse(ctx, err)
	}
	sealed, err := id.sealTo(to, purposeTransfer, x.words().String(), keys)
	if err != nil {
		return nil, p.refuse(ctx, err)
	}
	return &Sent{x.device, len(keys), len(all) - len(keys)}, p.put(ctx, 4, grant{Version: transferVersion, Sealed: sealed})
}

// revealed takes what the new device shows, if it is what it was bound to.
func (x *shown) revealed(first offer, third reveal) (*x509.Certificate, error) {
	if third.Version != transferVersion || len(third.Nonce) != len(x.mine) {
		return nil, ErrTransfer
	}
	x.mine, x.certificate = nonce(third.Nonce), third.Certificate
	if want := x.commitment(); subtle.ConstantTimeCompare(want[:], first.Commitment) != 1 {
		return nil, ErrTransfer
	}
	to, err := x509.ParseCertificate(third.Certificate)
	if err != nil {
		return nil, ErrTransfer.Because(err)
	}
	return to, nil
}

// compare has the person type the words that the other device shows.
func (x shown) compare(ask func(device string, try int) (string, error)) error {
	want := strings.Join(x.words().Words()[:TransferWords], " ")
	for try := 1; ; try++ {
		typed, err := ask(x.device, try)
		if err != nil {
			return err
		}
		got := strings.Join(strings.Fields(strings.ToLower(typed)), " ")
		if subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1 {
			return nil
		}
		if try == transferTries {
			return ErrWords
		}
	}
}

// post is one device's way to the other: the server's parcels.
type post struct {
	agent   *Agent
	client  *client.Client
	session session
	until   time.Time
}

func (p post) put(ctx context.Context, message int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	_, err = p.client.KeepParcel(ctx, p.session.parcel(message), api.ParcelContent{Content: data, Minutes: int(transferTime.Minutes())})
	if hasCode(err, codeParcelTaken) {
		return ErrTransfer.Withf("Another device has answered in this transfer. Begin again on both.")
	}
	if err == nil {
		err = p.agent.after(fmt.Sprintf("transfer-%d", message))
	}
	return err
}

// refuse tells the other device that nothing will come, and returns why.
func (p post) refuse(ctx context.Context, cause error) error {
	if err := p.put(ctx, 4, grant{Version: transferVersion, Refused: true}); err != nil {
		p.agent.cfg.Log.Warn("refusal not sent", "error", err)
	}
	return cause
}

// tidy removes what is left of a transfer. The server would in time.
func (p post) tidy(ctx context.Context, messages ...int) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	for _, m := range messages {
		if _, err := p.client.RemoveParcel(ctx, p.session.parcel(m)); err != nil && !hasCode(err, codeUnknownParcel) {
			p.agent.cfg.Log.Warn("parcel not removed", "error", err)
			return
		}
	}
}

// pause waits between two looks. It returns ErrTransferWaiting once patience is over.
func (p post) pause(ctx context.Context, d *time.Duration) error {
	if !p.agent.cfg.Now().Before(p.until) {
		return ErrTransferWaiting
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(*d):
	}
	*d = min(*d*2, transferPoll)
	return nil
}

// await waits for a message of the other device.
func await[T any](ctx context.Context, p post, message int, most int) (T, error) {
	var v T
	for d := p.agent.cfg.Poll; ; {
		found, err := p.client.Parcel(ctx, p.session.parcel(message))
		switch {
		case err == nil && len(found.Content) > most:
			return v, ErrTransfer
		case err == nil:
			if err := decodeState(found.Content, &v); err != nil {
				return v, ErrTransfer.Because(err)
			}
			return v, nil
		case !hasCode(err, codeUnknownParcel):
			return v, err
		}
		if err := p.pause(ctx, &d); err != nil {
			return v, err
		}
	}
}

// find looks for the transfer that a new device has begun and nobody has answered.
func (p post) find(ctx context.Context, wanted string) (session, error) {
	for d := p.agent.cfg.Poll; ; {
		list, err := p.client.Parcels(ctx)
		if err != nil {
			return session{}, err
		}
		open := openTransfers(list.Items, wanted)
		switch len(open) {
		case 1:
			return open[0], nil
		case 0:
			if err := p.pause(ctx, &d); err != nil {
				return session{}, err
			}
			continue
		}
		var names []string
		for _, s := range open {
			names = append(names, s.String())
		}
		return session{}, ErrSessions.Withf("Several devices of yours ask for keys: transfers %s. Say which, as the device shows it; if you do not know them all, stop.", strings.Join(names, ", "))
	}
}

func openTransfers(list []api.Parcel, wanted string) []session {
	var offered, answered []session
	for _, p := range list {
		switch s, message, ok := parseTransferName(p.Name); {
		case !ok || wanted != "" && s.String() != wanted:
		case message == "1":
			offered = append(offered, s)
		case message == "2":
			answered = append(answered, s)
		}
	}
	return slices.DeleteFunc(offered, func(s session) bool { return slices.Contains(answered, s) })
}
